//! What a run would meet if it grew: each limit, and at how many connections it bites.

use serde::Serialize;

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
    let mut limits = vec![
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
        },
        Limit {
            name: "memory",
            connections: memory.fitting(lab.spec.connections),
            why: format!(
                "{} B for both ends of a connection, of {} available",
                grouped(memory.server_per_connection + memory.client_per_connection),
                human_bytes(memory.available)
            ),
            remedy: "more memory, or clients on another machine".to_owned(),
        },
    ];
    let (agents, carried) = super::processes::carried_by_agents(lab, host);
    limits.push(Limit {
        name: "agents",
        connections: carried,
        why: format!("at most {} processes, each with the descriptors it may open here", grouped(agents)),
        remedy: "raise the descriptors of a process (`ulimit -n`), or leave `limits: {nofile}` out"
            .to_owned(),
    });
    if let AskedReactors::Count(count) = lab.spec.server.reactors {
        let most = super::processes::most_descriptors(host);
        let most = lab.spec.limits.server.nofile.map_or(most, |asked| most.min(asked.0));
        let room = most.saturating_sub(reactors.nofile - reactors.capacity);
        limits.push(Limit {
            name: "server descriptors",
            connections: room.saturating_mul(u64::from(count)),
            why: format!("{count} × {} descriptors", grouped(most)),
            remedy: "`server: {reactors: auto}`".to_owned(),
        });
    }
    if !host.can_set(settings::FILE_MAX)
        && let Some(file_max) = host.number(settings::FILE_MAX)
    {
        limits.push(Limit {
            name: "system file table",
            connections: file_max.saturating_sub(host.files_open + settings::FILES_SPARE) / 2,
            why: format!("fs.file-max is {} and cannot be raised here; both ends count", grouped(file_max)),
            remedy: format!("raise fs.file-max on the host: `sysctl -w {}=…`", settings::FILE_MAX),
        });
    }
    limits.sort_by_key(|limit| limit.connections);
    limits
}
