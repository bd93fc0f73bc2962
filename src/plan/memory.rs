//! The memory a run will need, against the memory there is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ends::{Reactors, Swarm};
use super::namespace::PlannedNamespace;
use super::node::Role;
use super::others;
use super::refusal::Refusal;
use super::talk::Talk;
use crate::host::Host;
use crate::spec::Spec;
use crate::units::{grouped, human_bytes};

/// What the kernel takes for one idle end, measured on Linux 6.18 (docs/measuring.md): the socket, its
/// inode, file and directory entry; the server's end is also watched by epoll.
pub const SERVER_END: u64 = 4_030;
pub const CLIENT_END: u64 = 3_840;
/// What a cgroup is charged for an end, at least: not every kernel charges a server all of it (docs/measuring.md).
pub const SERVER_CHARGED: u64 = 1_450;
pub const CLIENT_CHARGED: u64 = 3_700;
/// A client's end that talks is watched too.
pub const WATCHED: u64 = 190;
/// What an agent keeps for a connection itself: its descriptor.
const AGENT_STATE: u64 = 8;
/// What a router keeps for a connection it tracks, whether or not it translates.
pub const TRACKED: u64 = 320;
/// An agent process that holds nothing yet, with its page tables.
pub const PROCESS: u64 = 1 << 20;
/// A namespace with its link and its kernel tables.
const NAMESPACE: u64 = 256 << 10;
const BUCKET: u64 = 8;
/// Left for everything else on the machine.
pub const RESERVE: u64 = 256 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    pub expected: u64,
    pub available: u64,
    pub server_per_connection: u64,
    pub client_per_connection: u64,
    pub router_per_connection: u64,
    pub processes: u64,
    pub tables: u64,
    /// Kept free for the rest of the machine.
    pub reserve: u64,
}

pub fn expect(
    spec: &Spec,
    host: &Host,
    namespaces: &[PlannedNamespace],
    reactors: &Reactors,
    swarms: &[Swarm],
) -> Memory {
    let (server, client) = ends(spec);
    let router = if spec.network.tracks() { TRACKED } else { 0 };
    let processes = u64::from(reactors.count) + swarms.len() as u64;
    let buckets: u64 = namespaces.iter().map(|namespace| namespace.ehash_entries).sum();
    let tables = buckets * BUCKET + namespaces.len() as u64 * NAMESPACE;
    of(spec.connections, [server, client, router], (processes, tables), host)
}

/// What a connection takes at the server and at a client.
fn ends(spec: &Spec) -> (u64, u64) {
    let talk = Talk::of(spec);
    let watched = if talk.watches_clients() { WATCHED } else { 0 };
    let client = CLIENT_END + AGENT_STATE + watched + talk.state_bytes();
    (SERVER_END + AGENT_STATE, client)
}

/// The memory of a machine that is one node: it has one end of each of these connections.
pub fn of_machine(spec: &Spec, host: &Host, role: Role, connections: u64, processes: u64) -> Memory {
    let (server, client) = ends(spec);
    let per_connection = if role == Role::Server { [server, 0, 0] } else { [0, client, 0] };
    of(connections, per_connection, (processes, 0), host)
}

fn of(
    connections: u64,
    [server, client, router]: [u64; 3],
    (processes, tables): (u64, u64),
    host: &Host,
) -> Memory {
    let processes = processes.saturating_mul(PROCESS);
    let ends = connections.saturating_mul(server + client + router);
    Memory {
        expected: ends.saturating_add(processes).saturating_add(tables),
        available: host.memory_to_use(),
        server_per_connection: server,
        client_per_connection: client,
        router_per_connection: router,
        processes,
        tables,
        reserve: RESERVE,
    }
}

impl Memory {
    /// What one connection takes, on its whole way.
    pub fn per_connection(&self) -> u64 {
        self.server_per_connection + self.client_per_connection + self.router_per_connection
    }

    /// Connections that would fit, with the same number of nodes.
    pub fn fitting(&self, connections: u64) -> u64 {
        let left = u128::from(self.available.saturating_sub(self.reserve + self.tables));
        let all = u128::from(self.per_connection()) * u128::from(connections) + u128::from(self.processes);
        u64::try_from(left * u128::from(connections) / all.max(1)).unwrap_or(u64::MAX)
    }

    pub fn fits(&self) -> bool {
        self.expected.saturating_add(self.reserve) <= self.available
    }
}

/// A limit that cannot be set here is refused before anything is made.
pub fn check_limits(spec: &Spec, host: &Host) -> Result<(), Refusal> {
    let limits = &spec.limits;
    let asked =
        [("limits.server.memory", limits.server.memory), ("limits.client.memory", limits.client.memory)];
    for (path, memory) in asked {
        if let (Some(memory), Err(why)) = (memory, &host.cgroup.can_limit) {
            let why = format!("a limit of {memory} cannot be set on this host: {why}");
            return Err(Refusal::host(path, why).remedy("leave `memory` out of `limits`"));
        }
    }
    Ok(())
}

/// `node`: whose machine it is, where each has its own. `fitting`: how many connections there is room for, asked
/// only when these are too many.
pub fn check(
    spec: &Spec,
    host: &Host,
    memory: &Memory,
    node: &str,
    fitting: impl FnOnce() -> u64,
) -> Result<(), Refusal> {
    if memory.fits() {
        return Ok(());
    }
    let connections = spec.connections;
    let of_node = if node.is_empty() { String::new() } else { format!(" on the machine of {node}") };
    let why = format!(
        "{} connections need {} of memory{of_node} ({} B each at the server, {} B at the clients, {}and {} for processes and \
         tables), and {} are available, of which {} are kept free{}",
        grouped(connections),
        human_bytes(memory.expected),
        grouped(memory.server_per_connection),
        grouped(memory.client_per_connection),
        match memory.router_per_connection {
            0 => String::new(),
            router => format!("{} B at the router, ", grouped(router)),
        },
        human_bytes(memory.processes + memory.tables),
        human_bytes(memory.available),
        human_bytes(memory.reserve),
        others::memory_beside(host),
    );
    let fitting = fitting();
    let error = Refusal::host("connections", why);
    let remedy = match fitting {
        0 => "free some memory".to_owned(),
        _ => format!("{} fit: `--connections fit` runs as many as there is room for", grouped(fitting)),
    };
    Err(error.remedy(others::remedy_beside(host, &remedy)))
}
