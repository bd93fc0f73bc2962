//! Whether a lab fits on a host beside the labs that run there, by all that those have planned. Pure.

use super::host_setting::HostSetting;
use super::memory::{Memory, PROCESS, RESERVE};
use super::refusal::Refusal;
use super::settings::{FILE_MAX, FILES_PER_PROCESS, FILES_SPARE};
use super::{Plan, others};
use crate::host::neighbours::{Share, sum};
use crate::host::{Host, Neighbour, Reservation};
use crate::units::{grouped, human_bytes};

/// More agents than this take turns instead of working: such a lab needs more descriptors, not more processes.
pub const MOST_AGENTS: u64 = 4_096;
/// An agent works in a second thread.
const AGENT: Share = Share { memory: PROCESS, files: FILES_PER_PROCESS, tasks: 2, agents: 1 };
/// The runner's own threads, and some for the rest of the machine.
const TASKS_SPARE: u64 = 64;

/// What the host is short of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    pub why: String,
    pub remedy: String,
}

impl Plan {
    /// What this lab takes of the host that it is planned for.
    pub fn reservation(&self) -> Reservation {
        let agents = u64::from(self.ends.reactors.count) + self.ends.swarms.len() as u64;
        of(self.course.connections, 2, agents, &self.memory)
    }

    /// What the node at this index takes of its machine.
    pub fn reservation_on(&self, index: usize) -> Reservation {
        let memory = self.machines().get(index).map_or(&self.memory, |placed| &placed.memory);
        if index == 0 {
            of(self.course.connections, 1, self.ends.reactors.count.into(), memory)
        } else {
            let agents = self.ends.swarms.iter().filter(|swarm| swarm.node == index).count() as u64;
            of(self.round_step(index), 1, agents, memory)
        }
    }
}

fn of(connections: u64, ends: u64, agents: u64, memory: &Memory) -> Reservation {
    let (connection_memory, tables) = (memory.per_connection(), memory.tables);
    Reservation { connections, ends, connection_memory, agents, agent: AGENT, tables }
}

/// The most agents that a lab can have here, beside those of other labs.
pub fn most_agents(host: &Host) -> u64 {
    let taken = sum(&host.others, |other| other.planned.agents);
    let by_tasks = host.tasks_to_use().map_or(u64::MAX, |(free, _)| free.saturating_sub(TASKS_SPARE));
    MOST_AGENTS.saturating_sub(taken).min(by_tasks / AGENT.tasks)
}

/// Whether so many agents can run here.
pub fn agents_fit(host: &Host, agents: u64) -> Result<(), Short> {
    if agents <= most_agents(host) {
        return Ok(());
    }
    let taken = sum(&host.others, |other| other.planned.agents);
    if taken > 0 && agents > MOST_AGENTS.saturating_sub(taken) {
        let why = format!(
            "{} agents, and a host has at most {} of them together{}",
            grouped(agents),
            grouped(MOST_AGENTS),
            others::beside(&host.others, |lab| format!("has planned {}", grouped(lab.planned.agents)))
        );
        return Err(short(host, why, |lab| lab.planned.agents, "fewer connections (`--connections fit`)"));
    }
    let (free, limit) = host.tasks_to_use().map_or((0, ""), |(free, limit)| (free, limit.name.as_str()));
    let why = format!(
        "{} agents and the runner need {} processes and threads, and {limit} leaves room for {}{}",
        grouped(agents),
        grouped(agents.saturating_mul(AGENT.tasks).saturating_add(TASKS_SPARE)),
        grouped(free),
        others::beside(&host.others, |lab| format!(
            "has planned {} and does not use {} of them yet",
            grouped(lab.planned.tasks),
            grouped(lab.unused.tasks)
        ))
    );
    let remedy = format!("raise {limit}, or fewer connections (`--connections fit`)");
    Err(short(host, why, |lab| lab.unused.tasks, &remedy))
}

/// The same as a refusal of the lab.
pub fn check_agents(host: &Host, agents: u64) -> Result<(), Refusal> {
    agents_fit(host, agents).map_err(|Short { why, remedy }| Refusal::host("connections", why).remedy(remedy))
}

/// Whether a reservation fits on the host as it is now. It was planned before, perhaps with fewer labs there.
/// `settings`: those that the lab will move.
pub fn fits(
    wanted: &Reservation,
    host: &Host,
    settings: &[HostSetting],
    memory_must_fit: bool,
) -> Result<(), Short> {
    let whole = wanted.whole();
    let free = host.memory_to_use();
    if memory_must_fit && whole.memory.saturating_add(RESERVE) > free {
        let why = format!(
            "{} of memory are needed, and {} are available, of which {} are kept free{}",
            human_bytes(whole.memory),
            human_bytes(free),
            human_bytes(RESERVE),
            others::memory_beside(host)
        );
        return Err(short(host, why, |lab| lab.unused.memory, "fewer connections (`--connections fit`)"));
    }
    let planned = settings.iter().find(|setting| setting.key == FILE_MAX);
    let most = planned.and_then(|setting| setting.to.parse().ok()).or_else(|| host.number(FILE_MAX));
    let files = whole.files.saturating_add(host.files_open).saturating_add(FILES_SPARE);
    if most.is_some_and(|most| most < files) {
        let why = format!(
            "{} open files are needed with all that are open, and {FILE_MAX} is to be {}{}",
            grouped(files),
            grouped(most.unwrap_or(0)),
            others::files_beside(host)
        );
        return Err(short(host, why, |lab| lab.unused.files, "run it again: it will be planned beside them"));
    }
    agents_fit(host, wanted.agents)
}

/// The lab that is named is the one with the most of it.
fn short(host: &Host, why: String, most: impl Fn(&Neighbour) -> u64, alone: &str) -> Short {
    let lab = host.others.iter().max_by_key(|lab| most(lab));
    Short { why, remedy: lab.map_or_else(|| alone.to_owned(), |lab| others::with_end_of(lab, alone)) }
}
