//! What a run would meet if it grew: each limit, and at how many connections it bites.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use super::place::Placed;
use super::processes::Side;
use super::refusal::Refusal;
use super::tuple_sum::TupleSum;
use super::{memory, others, processes, settings};
use crate::host::Host;
use crate::spec::{Processes, Spec};
use crate::units::{grouped, human_bytes};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    pub name: Cow<'static, str>,
    /// The most connections it allows.
    pub connections: u64,
    pub why: String,
    pub remedy: String,
    /// The key of the lab file that it follows from.
    #[serde(skip)]
    key: &'static str,
    /// Whether a lab that asks for more is refused; else it is run, to show what happens.
    pub refused: bool,
}

const FIVE_TUPLES: &str = "five-tuples";
const MEMORY: &str = "memory";

impl Limit {
    pub fn none() -> Limit {
        let why = "nothing known".to_owned();
        Limit {
            name: "none".into(),
            connections: u64::MAX,
            why,
            remedy: String::new(),
            key: "",
            refused: true,
        }
    }
}

/// All limits, the one that bites first at the front.
pub fn all(spec: &Spec, host: &Host, tuples: &TupleSum, memory: &Memory) -> Vec<Limit> {
    let found = [
        Some(five_tuples(tuples)),
        Some(machine_memory(spec, memory)),
        Some(agents(spec, host)),
        server_descriptors(spec, host),
        client_descriptors(spec, host),
        file_table(spec, host),
        listening_ports(spec),
        end_memory(spec, Side::Server),
        end_memory(spec, Side::Client),
    ];
    let mut limits: Vec<Limit> = found.into_iter().flatten().collect();
    limits.extend(on_the_router(spec, host, tuples));
    limits.sort_by_key(|limit| limit.connections);
    limits
}

/// The same where every node has a machine of its own: the server, and for all clients the weakest of theirs.
pub fn on_machines(
    spec: &Spec,
    (server, client): (&Host, &Host),
    tuples: &TupleSum,
    placed: &[Placed],
) -> Vec<Limit> {
    let clients = (placed.len() as u64).saturating_sub(1).max(1);
    let mut limits = vec![five_tuples(tuples)];
    for (index, placed) in placed.iter().enumerate() {
        // A client has one share of all connections.
        let shares = if index == 0 { 1 } else { clients };
        let share = spec.connections.div_ceil(shares);
        let (memory, end) = (&placed.memory, if index == 0 { "the server's" } else { "a client's" });
        limits.push(Limit {
            connections: memory.fitting(share).saturating_mul(shares),
            why: format!(
                "{} B for {end} end of a connection, of {} available on {}",
                grouped(memory.per_connection()),
                human_bytes(memory.available),
                placed.ssh
            ),
            remedy: "a machine with more memory, or more of them".to_owned(),
            ..machine_memory(spec, memory)
        });
    }
    let found = [server_descriptors(spec, server), client_descriptors(spec, client), listening_ports(spec)];
    limits.extend(found.into_iter().flatten());
    limits.sort_by_key(|limit| limit.connections);
    limits
}

/// A limit below what is asked for is refused, unless the author wants to see it bite. Five-tuples and the
/// machine's memory have refusals of their own, and that of memory is never passed over.
pub fn refuse(spec: &Spec, limits: &[Limit]) -> Result<(), Refusal> {
    let asked = spec.connections;
    let known = |limit: &&Limit| {
        limit.refused && limit.connections < asked && ![FIVE_TUPLES, MEMORY].contains(&&*limit.name)
    };
    match limits.iter().find(known) {
        Some(limit) if !spec.anyway => {
            let (allowed, asked) = (grouped(limit.connections), grouped(asked));
            let why = format!("{}: room for {allowed} of {asked} connections: {}", limit.name, limit.why);
            Err(Refusal::host(limit.key, why)
                .remedy(format!("{}; or `anyway: true`, to see what happens", limit.remedy)))
        }
        _ => Ok(()),
    }
}

fn five_tuples(tuples: &TupleSum) -> Limit {
    Limit {
        name: FIVE_TUPLES.into(),
        connections: tuples.possible,
        why: format!(
            "{} client addresses × {} client ports × {} server ports",
            grouped(tuples.addresses),
            grouped(tuples.client_ports),
            grouped(tuples.server_ports)
        ),
        remedy: "more `clients.addresses`, or more `server.ports`".to_owned(),
        key: "connections",
        refused: !tuples.kernel_chooses,
    }
}

fn machine_memory(spec: &Spec, memory: &Memory) -> Limit {
    Limit {
        name: MEMORY.into(),
        connections: memory.fitting(spec.connections),
        why: format!(
            "{} B for both ends of a connection, of {} available",
            grouped(memory.per_connection()),
            human_bytes(memory.available)
        ),
        remedy: "more memory, or clients on another machine".to_owned(),
        key: "connections",
        refused: true,
    }
}

fn agents(spec: &Spec, host: &Host) -> Limit {
    let (agents, connections) = processes::carried_by_agents(spec, host);
    Limit {
        name: "agents".into(),
        connections,
        why: format!("at most {} processes, each with the descriptors it may open here", grouped(agents)),
        remedy: "raise the descriptors of a process (`ulimit -n`), or leave `limits: {nofile}` out"
            .to_owned(),
        key: "connections",
        refused: true,
    }
}

fn server_descriptors(spec: &Spec, host: &Host) -> Option<Limit> {
    let Processes::Count(count) = spec.server.reactors else { return None };
    let most = processes::most_descriptors(host);
    let most = spec.limits.server.nofile.map_or(most, |asked| most.min(asked.0));
    let room = most.saturating_sub(processes::reactor_own(spec));
    Some(Limit {
        name: "server descriptors".into(),
        connections: room.saturating_mul(u64::from(count)),
        why: format!("{count} × {} descriptors", grouped(most)),
        remedy: "`server: {reactors: auto}`".to_owned(),
        key: "server.reactors",
        refused: true,
    })
}

fn client_descriptors(spec: &Spec, host: &Host) -> Option<Limit> {
    let (connections, why) = processes::client_room(spec, host)?;
    let remedy = "`clients: {processes: auto}`".to_owned();
    Some(Limit {
        name: "client descriptors".into(),
        connections,
        why,
        remedy,
        key: "clients.processes",
        refused: true,
    })
}

/// The lab file fixes it, or the host does.
fn file_table(spec: &Spec, host: &Host) -> Option<Limit> {
    let name = "system file table";
    let room = |most: u64, spare: u64| most.saturating_sub(host.files_open + spare) / 2;
    if let Some(asked) = spec.sysctl.host.get(settings::FILE_MAX) {
        let most = asked.trim().parse().ok()?;
        return Some(Limit {
            name: name.into(),
            connections: room(most, 0),
            why: format!(
                "the lab file sets fs.file-max to {}; both ends count{}",
                grouped(most),
                others::files_beside(host)
            ),
            remedy: others::remedy_beside(
                host,
                &format!("leave {} out of `sysctl.host`", settings::FILE_MAX),
            ),
            key: "sysctl.host.fs.file-max",
            refused: true,
        });
    }
    let most = host.number(settings::FILE_MAX).filter(|_| !host.can_set(settings::FILE_MAX))?;
    Some(Limit {
        name: name.into(),
        connections: room(most, settings::FILES_SPARE),
        why: format!(
            "fs.file-max is {} and cannot be raised here; both ends count{}",
            grouped(most),
            others::files_beside(host)
        ),
        remedy: others::remedy_beside(
            host,
            &format!("raise fs.file-max on the host: `sysctl -w {}=…`", settings::FILE_MAX),
        ),
        key: "connections",
        refused: true,
    })
}

/// Connections to a port that nobody listens on are refused.
fn listening_ports(spec: &Spec) -> Option<Limit> {
    let dialled = spec.clients.server_ports.as_ref()?;
    let listens = |port: &u16| spec.server.ports.0.iter().any(|range| range.contains(*port));
    let (open, all) = (dialled.iter().filter(listens).count() as u64, dialled.len() as u64);
    let share = u128::from(spec.connections) * u128::from(open) / u128::from(all.max(1));
    (open < all).then(|| Limit {
        name: "listening ports".into(),
        connections: u64::try_from(share).unwrap_or(u64::MAX),
        why: format!(
            "the server listens on {} of the {} ports that clients connect to",
            grouped(open),
            grouped(all)
        ),
        remedy: "leave `clients.server_ports` out".to_owned(),
        key: "clients.server_ports",
        refused: true,
    })
}

/// The limit of one end's memory: what its cgroup is charged for each connection, at least.
fn end_memory(spec: &Spec, side: Side) -> Option<Limit> {
    let (name, key, charged) = match side {
        Side::Server => ("server memory", "limits.server.memory", memory::SERVER_CHARGED),
        Side::Client => ("client memory", "limits.client.memory", memory::CLIENT_CHARGED),
    };
    let (limits, nodes) = match side {
        Side::Server => (&spec.limits.server, 1),
        Side::Client => (&spec.limits.client, u64::from(spec.clients.count)),
    };
    let limit = limits.memory?.0;
    Some(Limit {
        name: name.into(),
        connections: (limit / charged).saturating_mul(nodes),
        why: format!(
            "{} each, of which a connection takes {} B at least",
            human_bytes(limit),
            grouped(charged)
        ),
        remedy: format!("a larger `{key}`"),
        key,
        refused: true,
    })
}

/// What a router has room for.
fn on_the_router(spec: &Spec, host: &Host, tuples: &TupleSum) -> Vec<Limit> {
    let mut limits = Vec::new();
    if let Some(translated) = tuples.translated {
        limits.push(Limit {
            name: "nat tuples".into(),
            connections: translated.possible,
            why: format!(
                "{} translated addresses × {} ports × {} server ports; the kernel draws them at random, and does \
                 not find every one of the last two in a hundred",
                grouped(translated.addresses),
                grouped(translated.ports),
                grouped(tuples.server_ports)
            ),
            remedy: "more `network.nat.addresses`, or more `server.ports`".to_owned(),
            key: "network.nat.addresses",
            refused: false,
        });
    }
    let asked = spec.sysctl.host.get(settings::TRACKED).and_then(|asked| asked.parse().ok());
    let fixed = || if host.can_set(settings::TRACKED) { None } else { host.number(settings::TRACKED) };
    if spec.network.tracks()
        && let Some(most) = asked.or_else(fixed)
    {
        limits.push(Limit {
            name: "conntrack table".into(),
            connections: most,
            why: format!("{} is {}", settings::TRACKED, grouped(most)),
            remedy: format!("a higher {}", settings::TRACKED),
            key: "connections",
            refused: asked.is_none(),
        });
    }
    limits
}
