//! What types cannot say: values that are well written, but make no lab.

mod faults;
mod network;
mod reach;
mod settings;
mod subnets;
use std::time::Duration;

use super::{DriverKind, MachineSpec, NetworkKind, RampSpec, Spec};
use crate::units::{Bytes, Period, Share, grouped, quoted};

const LARGEST_MESSAGE: Bytes = Bytes(1 << 20);
const LONGEST_NAME: usize = 32;

/// The first thing that is wrong.
#[derive(Debug)]
pub(super) struct Invalid {
    pub path: String,
    /// The key is wrong, not its value.
    pub on_key: bool,
    pub why: String,
    pub remedy: String,
}

pub(super) type Checked = Result<(), Invalid>;

pub(super) fn validate(spec: &Spec) -> Checked {
    name(spec)?;
    machines(spec)?;
    at_least_one(spec)?;
    times(spec)?;
    message_size(spec)?;
    subnets::subnets(spec)?;
    settings::all(spec)?;
    network::network(spec)?;
    faults::faults(spec)?;
    plateaus(spec)?;
    expectations(spec)
}

/// A name becomes part of a namespace's name, of a path and of a cgroup.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= LONGEST_NAME && name.starts_with(plain) && name.chars().all(|c| plain(c) || c == '-')
}

fn check(holds: bool, path: &str, why: impl FnOnce() -> String, remedy: &str) -> Checked {
    match holds {
        true => Ok(()),
        false => Err(Invalid { path: path.into(), on_key: false, why: why(), remedy: remedy.into() }),
    }
}

fn name(spec: &Spec) -> Checked {
    check(
        is_name(&spec.name),
        "name",
        || format!("{} is no name for a lab", quoted(&spec.name)),
        "use lower-case letters, digits and dashes, at most 32, not beginning with a dash: `name: my-lab`",
    )
}

fn machines(spec: &Spec) -> Checked {
    let (machines, driver) = (&spec.machines, spec.driver);
    if !driver.is_far() {
        let none = machines.server.is_none() && machines.clients.is_empty();
        let why = || "the lab is made on this host, and takes no machines".to_owned();
        return check(none, "machines", why, "add `driver: ssh` to run it on them");
    }
    let missing = |what: &str| format!("`driver: {driver}` needs machines, and names no {what}");
    let remedy = "name them: `machines: {server: user@host, clients: [user@host, user@host]}`";
    check(machines.server.is_some(), "driver", || missing("server"), remedy)?;
    check(!machines.clients.is_empty(), "driver", || missing("clients"), remedy)?;
    let named = machines.clients.len();
    let why = || format!("{} clients, and {named} machines are named for them", spec.clients.count);
    check(spec.clients.count as usize == named, "clients.count", why, "leave it out")?;
    let direct = spec.network.kind == NetworkKind::Direct;
    let why = || "the network between machines is what it is: the lab adds no router".to_owned();
    check(direct, "network.kind", why, "leave it out")?;
    let why = || "a machine's link is its own: the lab does not slow it down".to_owned();
    check(spec.network.rate.is_none(), "network.rate", why, "leave it out")?;
    for (path, limits) in [("server", &spec.limits.server), ("client", &spec.limits.client)] {
        let why = || "a machine's memory is its own: it is not limited further".to_owned();
        check(limits.memory.is_none(), &format!("limits.{path}.memory"), why, "leave it out")?;
    }
    let clients = machines.clients.iter().enumerate();
    let clients = clients.map(|(index, machine)| (format!("machines.clients[{index}]"), machine));
    let server = machines.server.iter().map(|machine| ("machines.server".to_owned(), machine));
    reach::binary(machines.binary.as_deref())?;
    server.chain(clients).try_for_each(|(path, one)| machine(driver, &path, one))
}

fn machine(driver: DriverKind, path: &str, machine: &MachineSpec) -> Checked {
    if driver == DriverKind::Vagrant {
        let why = || "Vagrant knows how its machines are reached".to_owned();
        check(machine.ssh.is_none(), path, why, "write `{address: 192.168.121.10, memory: 3GiB, cpus: 2}`")?;
        let why = || "a virtual machine's address is missing".to_owned();
        return check(machine.address.is_some(), path, why, "add `address: 192.168.121.10`");
    }
    let hardware = machine.memory.is_some() || machine.cpus.is_some();
    let why = || "a machine reached by ssh has the hardware it has".to_owned();
    check(!hardware, path, why, "leave `memory` and `cpus` out")?;
    reach::destination(path, machine.ssh.as_deref())
}

fn at_least_one(spec: &Spec) -> Checked {
    let limits = &spec.limits;
    let count = |count: Option<u32>| count.map(u64::from);
    let given = [
        ("connections", Some(spec.connections)),
        ("clients.count", Some(spec.clients.count.into())),
        ("clients.addresses", Some(spec.clients.addresses.into())),
        ("network.nat.addresses", spec.network.nat.as_ref().map(|nat| nat.addresses.into())),
        ("ramp.window", Some(spec.ramp.window.into())),
        ("ramp.rounds", Some(spec.ramp.rounds.into())),
        ("network.rate", spec.network.rate.map(|bytes| bytes.0)),
        ("server.backlog", count(spec.server.backlog)),
        ("limits.server.nofile", limits.server.nofile.map(|count| count.0)),
        ("limits.server.memory", limits.server.memory.map(|bytes| bytes.0)),
        ("limits.server.cpus", count(limits.server.cpus)),
        ("limits.client.nofile", limits.client.nofile.map(|count| count.0)),
        ("limits.client.memory", limits.client.memory.map(|bytes| bytes.0)),
        ("limits.client.cpus", count(limits.client.cpus)),
    ];
    for (path, value) in given {
        check(value != Some(0), path, || format!("`{path}` is 0"), "make it 1 or more")?;
    }
    Ok(())
}

fn plateaus(spec: &Spec) -> Checked {
    let RampSpec { plateaus, rounds, .. } = &spec.ramp;
    let why = || format!("with {rounds} rounds there would be no telling which round it is in");
    check(plateaus.is_empty() || *rounds == 1, "ramp.plateaus", why, "leave `rounds` out")?;
    let mut below = 0;
    for (index, plateau) in plateaus.iter().enumerate() {
        let path = format!("ramp.plateaus[{index}]");
        let why = || format!("{} are not more than the {} before", grouped(plateau.0), grouped(below));
        check(plateau.0 > below, &path, why, "write them from the lowest to the highest")?;
        let all = spec.connections;
        let why = || format!("{} are not fewer than the {} of the lab", grouped(plateau.0), grouped(all));
        check(plateau.0 < all, &path, why, "at the end it is held anyway: leave it out")?;
        below = plateau.0;
    }
    Ok(())
}

fn times(spec: &Spec) -> Checked {
    let given = [
        ("ramp.timeout", Some(spec.ramp.timeout)),
        ("traffic.every", Some(spec.traffic.every)),
        ("expect.seconds", spec.expect.seconds),
    ];
    for (path, value) in given {
        let why = || format!("`{path}` is no time at all");
        check(value != Some(Period(Duration::ZERO)), path, why, "make it longer, for example 10s")?;
    }
    Ok(())
}

fn message_size(spec: &Spec) -> Checked {
    let size = spec.traffic.size;
    check(
        (Bytes(1)..=LARGEST_MESSAGE).contains(&size),
        "traffic.size",
        || format!("a message cannot be {size} long"),
        "make it from 1B to 1MiB",
    )
}

fn expectations(spec: &Spec) -> Checked {
    let Some(Share::Count(established)) = spec.expect.established else {
        return Ok(());
    };
    let asked = spec.connections.saturating_mul(spec.ramp.rounds.into());
    check(
        established <= asked,
        "expect.established",
        || {
            let (expected, asked) = (grouped(established), grouped(asked));
            format!("{expected} connections are expected, but only {asked} are asked for")
        },
        "expect no more than `connections`, or write 100%",
    )
}
