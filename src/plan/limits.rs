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
    /// Whether a lab that asks for more is refused; else it is run, to show what happens.
    pub refused: bool,
}

impl Limit {
    pub fn none() -> Limit {
        Limit {
            name: "none",
            connections: u64::MAX,
            why: "nothing known".to_owned(),
            remedy: String::new(),
            refused: true,
        }
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
            refused: !tuples.kernel_chooses,
        },
        Limit {
            name: "memory",
            connections: memory.fitting(lab.spec.connections),
            why: format!(
                "{} B for both ends of a connection, of {} available",
                grouped(memory.per_connection()),
                human_bytes(memory.available)
            ),
            remedy: "more memory, or clients on another machine".to_owned(),
            refused: true,
        },
    ];
    if let AskedReactors::Count(count) = lab.spec.server.reactors {
        let most = super::processes::most_descriptors(host);
        let most = lab.spec.limits.server.nofile.map_or(most, |asked| most.min(asked.0));
        let room = most.saturating_sub(reactors.nofile - reactors.capacity);
        limits.push(Limit {
            name: "server descriptors",
            connections: room.saturating_mul(u64::from(count)),
            why: format!("{count} × {} descriptors", grouped(most)),
            remedy: "`server: {reactors: auto}`".to_owned(),
            refused: true,
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
            refused: true,
        });
    }
    limits.extend(on_the_router(lab, host, tuples));
    limits.sort_by_key(|limit| limit.connections);
    limits
}

/// What a router has room for.
fn on_the_router(lab: &Lab, host: &Host, tuples: &TupleSum) -> Vec<Limit> {
    let mut limits = Vec::new();
    if let Some(translated) = tuples.translated {
        limits.push(Limit {
            name: "nat tuples",
            connections: translated.possible,
            why: format!(
                "{} translated addresses × {} ports × {} server ports; the kernel draws them at random, and does \
                 not find every one of the last two in a hundred",
                grouped(translated.addresses),
                grouped(translated.ports),
                grouped(tuples.server_ports)
            ),
            remedy: "more `network.nat.addresses`, or more `server.ports`".to_owned(),
            refused: false,
        });
    }
    let asked = lab.spec.sysctl.host.get(settings::TRACKED).and_then(|asked| asked.parse().ok());
    let fixed = || if host.can_set(settings::TRACKED) { None } else { host.number(settings::TRACKED) };
    if lab.spec.network.tracks()
        && let Some(most) = asked.or_else(fixed)
    {
        limits.push(Limit {
            name: "conntrack table",
            connections: most,
            why: format!("{} is {}", settings::TRACKED, grouped(most)),
            remedy: format!("a higher {}", settings::TRACKED),
            refused: asked.is_none(),
        });
    }
    limits
}
