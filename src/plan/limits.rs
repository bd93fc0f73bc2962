//! What a run would meet if it grew: each limit, and at how many connections it bites.

use serde::Serialize;

use super::machines::Placed;
use super::{Memory, Reactors, TupleSum, settings};
use crate::host::Host;
use crate::spec::{Lab, Reactors as AskedReactors};
use crate::units::{grouped, human_bytes};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    pub name: &'static str,
    /// The most connections it allows.
    pub connections: u64,
    pub why: String,
    pub remedy: String,
}

impl Limit {
    pub fn none() -> Limit {
        Limit { name: "none", connections: u64::MAX, why: "nothing known".to_owned(), remedy: String::new() }
    }
}

/// All limits, the one that bites first at the front.
pub fn all(lab: &Lab, host: &Host, tuples: &TupleSum, reactors: &Reactors, memory: &Memory) -> Vec<Limit> {
    let mut limits = vec![five_tuples(tuples), of_memory(memory, memory.fitting(lab.spec.connections), "")];
    limits.extend(server_descriptors(lab, host, reactors));
    limits.extend(file_table(host, 1, 2));
    limits.sort_by_key(|limit| limit.connections);
    limits
}

/// The same where every node has a machine of its own; the server's comes first.
pub fn on_machines(
    lab: &Lab,
    hosts: &[&Host],
    tuples: &TupleSum,
    (reactors, placed): (&Reactors, &[Placed]),
) -> Vec<Limit> {
    let clients = (placed.len() as u64).saturating_sub(1).max(1);
    let mut limits = vec![five_tuples(tuples)];
    for (index, (host, placed)) in hosts.iter().zip(placed).enumerate() {
        // A client has one share of all connections.
        let shares = if index == 0 { 1 } else { clients };
        let fitting = placed.memory.fitting(lab.spec.connections.div_ceil(shares)).saturating_mul(shares);
        limits.push(of_memory(&placed.memory, fitting, &format!(" on {}", placed.ssh)));
        limits.extend(file_table(host, shares, 1));
    }
    limits.extend(hosts.first().and_then(|host| server_descriptors(lab, host, reactors)));
    limits.sort_by_key(|limit| limit.connections);
    limits
}

fn five_tuples(tuples: &TupleSum) -> Limit {
    Limit {
        name: "five-tuples",
        connections: tuples.possible,
        why: format!(
            "{} client addresses × {} client ports × {} server ports",
            grouped(tuples.addresses),
            grouped(tuples.client_ports),
            grouped(tuples.server_ports)
        ),
        remedy: "more `clients.addresses`, or more `server.ports`".to_owned(),
    }
}

fn of_memory(memory: &Memory, fitting: u64, place: &str) -> Limit {
    let ends = match (memory.server_per_connection, memory.client_per_connection) {
        (_, 0) => "the server's end",
        (0, _) => "the client's end",
        _ => "both ends",
    };
    Limit {
        name: "memory",
        connections: fitting,
        why: format!(
            "{} B for {ends} of a connection, of {} available{place}",
            grouped(memory.server_per_connection + memory.client_per_connection),
            human_bytes(memory.available)
        ),
        remedy: "more memory, or clients on another machine".to_owned(),
    }
}

fn server_descriptors(lab: &Lab, host: &Host, reactors: &Reactors) -> Option<Limit> {
    let AskedReactors::Count(count) = lab.spec.server.reactors else { return None };
    let most = super::processes::most_descriptors(host);
    let most = lab.spec.limits.server.nofile.map_or(most, |asked| most.min(asked.0));
    let room = most.saturating_sub(reactors.nofile - reactors.capacity);
    Some(Limit {
        name: "server descriptors",
        connections: room.saturating_mul(u64::from(count)),
        why: format!("{count} × {} descriptors", grouped(most)),
        remedy: "`server: {reactors: auto}`".to_owned(),
    })
}

/// `shares`: how many such hosts the connections are spread over; `ends`: how many ends of each are on it.
fn file_table(host: &Host, shares: u64, ends: u64) -> Option<Limit> {
    let file_max = host.number(settings::FILE_MAX).filter(|_| !host.can_set(settings::FILE_MAX))?;
    let count = if ends > 1 { "; both ends count" } else { "" };
    Some(Limit {
        name: "system file table",
        connections: file_max.saturating_sub(host.files_open + settings::FILES_SPARE).saturating_mul(shares)
            / ends,
        why: format!("fs.file-max is {} and cannot be raised here{count}", grouped(file_max)),
        remedy: format!("raise fs.file-max on the host: `sysctl -w {}=…`", settings::FILE_MAX),
    })
}
