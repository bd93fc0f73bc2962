//! How many processes carry the connections, and how many descriptors each may open.

use serde::Serialize;

use super::{Node, Role};
use crate::error::{Error, Result};
use crate::host::{Capability, Host};
use crate::spec::{Lab, Reactors as AskedReactors, Spec};
use crate::units::{PortRange, grouped};

/// Descriptors a process opens for itself: standard streams, epoll, the chain's sockets, a file it reads.
const REACTOR_OWN: u64 = 10;
const SWARM_OWN: u64 = 6;

/// Connecting costs more than accepting: one client process reaches half of what two do.
const SWARMS_WANTED: u64 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reactors {
    pub count: u32,
    /// Connections each holds.
    pub capacity: u64,
    pub nofile: u64,
    pub backlog: u32,
}

/// One swarm process: a stretch of its node's five-tuples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Swarm {
    /// Index into the plan's nodes.
    pub node: usize,
    pub first: u64,
    pub count: u64,
    pub nofile: u64,
    pub source_ports: PortRange,
}

/// The most descriptors one process can be given on this host.
pub fn most_descriptors(host: &Host) -> u64 {
    let nr_open = host.number("fs.nr_open").unwrap_or(1 << 20);
    match (host.has(Capability::SysResource), host.can_set("fs.nr_open")) {
        (true, true) => u64::from(u32::MAX >> 2),
        (true, false) => nr_open,
        (false, _) => host.nofile.hard,
    }
}

fn most_for(lab: &Lab, host: &Host, role: Role) -> Result<u64> {
    let (asked, path) = match role {
        Role::Server => (lab.spec.limits.server.nofile, "limits.server.nofile"),
        Role::Client => (lab.spec.limits.client.nofile, "limits.client.nofile"),
    };
    let most = most_descriptors(host);
    match asked {
        None => Ok(most),
        Some(asked) if asked.0 <= most => Ok(asked.0),
        Some(asked) => Err(super::refusal(
            lab,
            path,
            format!("{} descriptors, and this host allows a process {}", grouped(asked.0), grouped(most)),
        )
        .remedy("leave the key out: several processes will carry the connections")),
    }
}

pub fn reactors(lab: &Lab, host: &Host) -> Result<Reactors> {
    let spec = &lab.spec;
    let own = REACTOR_OWN + spec.server.ports.len() as u64;
    let most = most_for(lab, host, Role::Server)?;
    let room = most.saturating_sub(own);
    if room == 0 {
        return Err(Error::host(
            "planning the server",
            format!(
                "{} listening ports do not fit into {} descriptors",
                spec.server.ports.len(),
                grouped(most)
            ),
        )
        .remedy("open fewer server ports, or raise the limit (`ulimit -n`)"));
    }
    let count = match spec.server.reactors {
        AskedReactors::Auto => spec.connections.div_ceil(room),
        AskedReactors::Count(count) => u64::from(count),
    };
    let capacity = spec.connections.div_ceil(count.max(1));
    if capacity > room {
        return Err(too_few_reactors(lab, host, count, own, most));
    }
    let capacity = if count > 1 { room.min(spec.connections) } else { spec.connections };
    Ok(Reactors {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        capacity,
        nofile: capacity + own,
        backlog: spec.server.backlog.unwrap_or_else(|| backlog(spec)),
    })
}

/// A queue that holds all connections of its port never overflows, however late the reactor is.
fn backlog(spec: &Spec) -> u32 {
    let share = spec.connections.div_ceil(spec.server.ports.len().max(1) as u64);
    u32::try_from(share).unwrap_or(u32::MAX).clamp(1 << 16, 1 << 20)
}

fn too_few_reactors(lab: &Lab, host: &Host, count: u64, own: u64, most: u64) -> Error {
    let needed = lab.spec.connections.div_ceil(count) + own;
    let how = if host.has(Capability::SysResource) {
        "fs.nr_open bounds it, and cannot be raised here"
    } else {
        "it cannot be raised without the capability SYS_RESOURCE"
    };
    let why = format!(
        "{} connections in {count} {} need {} descriptors each ({} connections + {own} of its own), and a process \
         may open {} here: {how}",
        grouped(lab.spec.connections),
        if count == 1 { "reactor" } else { "reactors" },
        grouped(needed),
        grouped(needed - own),
        grouped(most),
    );
    super::refusal(lab, "server.reactors", why).remedy(format!(
        "`reactors: auto` takes {} of them, one after the other; or raise the limit to {} for this user",
        lab.spec.connections.div_ceil(most.saturating_sub(own).max(1)),
        grouped(needed),
    ))
}

/// Every client opens an even share, split into as few processes as descriptors allow.
pub fn swarms(lab: &Lab, host: &Host) -> Result<Vec<Swarm>> {
    let spec = &lab.spec;
    let room = most_for(lab, host, Role::Client)?.saturating_sub(SWARM_OWN);
    if room == 0 {
        return Err(Error::host("planning the clients", "a process may open no descriptors beyond its own")
            .remedy("raise the limit (`ulimit -n`)"));
    }
    let clients = u64::from(spec.clients.count);
    let wanted = SWARMS_WANTED.min(u64::from(host.machine_cpus)).div_ceil(clients);
    let mut swarms = Vec::new();
    for (client, share) in shares(spec.connections, clients).enumerate() {
        let processes = share.div_ceil(room).max(wanted).min(share);
        let mut first = 0;
        for count in shares(share, processes) {
            swarms.push(Swarm {
                node: client + 1,
                first,
                count,
                nofile: count + SWARM_OWN,
                source_ports: spec.clients.ports,
            });
            first += count;
        }
    }
    Ok(swarms)
}

/// `total` in `parts` whole numbers that differ by one at most.
fn shares(total: u64, parts: u64) -> impl Iterator<Item = u64> {
    (0..parts).map(move |part| total / parts + u64::from(part < total % parts))
}

/// One swarm for each CPU keeps it busy; more would only take turns.
pub fn swarms_at_once(host: &Host, swarms: &[Swarm]) -> usize {
    (host.machine_cpus as usize).max(2).min(swarms.len().max(1))
}

/// A role with `cpus: n` runs on n CPUs, the clients' beginning after the server's, as separate machines would.
pub fn place_on_cpus(spec: &Spec, host: &Host, nodes: &mut [Node]) {
    let mut next = 0;
    for node in nodes {
        let asked = match node.role {
            Role::Server => spec.limits.server.cpus,
            Role::Client => spec.limits.client.cpus,
        };
        let Some(asked) = asked else { continue };
        let asked = asked.min(host.machine_cpus);
        node.cpus = (0..asked).map(|cpu| (next + cpu) % host.machine_cpus.max(1)).collect();
        next += asked;
    }
}
