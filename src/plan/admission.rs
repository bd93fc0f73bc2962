//! Whether a lab fits on a host beside the labs that run there, by all that those have planned. Pure.

use super::memory::{PROCESS, RESERVE};
use super::processes::MOST_AGENTS;
use super::settings::{FILE_MAX, FILES_PER_PROCESS, FILES_SPARE};
use super::{HostSetting, Memory, Plan};
use crate::error::{Error, Result};
use crate::host::neighbours::{Share, sum};
use crate::host::{Host, Neighbour, Reservation};
use crate::spec::Lab;
use crate::units::{grouped, human_bytes};

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
        let agents = u64::from(self.reactors.count) + self.swarms.len() as u64;
        of(self.connections, 2, agents, &self.memory)
    }

    /// What the node at this index takes of its machine.
    pub fn reservation_on(&self, index: usize) -> Reservation {
        let memory = self.machines.get(index).map_or(&self.memory, |placed| &placed.memory);
        if index == 0 {
            of(self.connections, 1, self.reactors.count.into(), memory)
        } else {
            let agents = self.swarms.iter().filter(|swarm| swarm.node == index).count() as u64;
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
    let others = sum(&host.others, |other| other.planned.agents);
    let by_tasks = host.tasks_to_use().map_or(u64::MAX, |(free, _)| free.saturating_sub(TASKS_SPARE));
    MOST_AGENTS.saturating_sub(others).min(by_tasks / AGENT.tasks)
}

/// Whether so many agents can run here.
pub fn agents_fit(host: &Host, agents: u64) -> Result<(), Short> {
    if agents <= most_agents(host) {
        return Ok(());
    }
    let others = sum(&host.others, |other| other.planned.agents);
    if others > 0 && agents > MOST_AGENTS.saturating_sub(others) {
        let why = format!(
            "{} agents, and a host has at most {} of them together{}",
            grouped(agents),
            grouped(MOST_AGENTS),
            beside(&host.others, |lab| format!("has planned {}", grouped(lab.planned.agents)))
        );
        return Err(short(host, why, |lab| lab.planned.agents, "fewer connections (`--connections fit`)"));
    }
    let (free, limit) = host.tasks_to_use().map_or((0, ""), |(free, limit)| (free, limit.name.as_str()));
    let why = format!(
        "{} agents and the runner need {} processes and threads, and {limit} leaves room for {}{}",
        grouped(agents),
        grouped(agents.saturating_mul(AGENT.tasks).saturating_add(TASKS_SPARE)),
        grouped(free),
        beside(&host.others, |lab| format!(
            "has planned {} and does not use {} of them yet",
            grouped(lab.planned.tasks),
            grouped(lab.unused.tasks)
        ))
    );
    let remedy = format!("raise {limit}, or fewer connections (`--connections fit`)");
    Err(short(host, why, |lab| lab.unused.tasks, &remedy))
}

/// The same as a refusal of the lab.
pub fn check_agents(lab: &Lab, host: &Host, agents: u64) -> Result<()> {
    agents_fit(host, agents).map_err(|Short { why, remedy }| refused(lab, why, &remedy))
}

fn refused(lab: &Lab, why: String, remedy: &str) -> Error {
    super::refusal(lab, "connections", why).remedy(remedy)
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
            memory_beside(host)
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
            files_beside(host)
        );
        return Err(short(host, why, |lab| lab.unused.files, "run it again: it will be planned beside them"));
    }
    agents_fit(host, wanted.agents)
}

/// What is told of other labs' memory, after what is available. Nothing, where there are none.
pub fn memory_beside(host: &Host) -> String {
    beside(&host.others, |lab| {
        let (planned, unused) = (human_bytes(lab.planned.memory), human_bytes(lab.unused.memory));
        format!("has planned {planned}, of which {unused} are not in use yet")
    })
}

/// The same of open files.
pub fn files_beside(host: &Host) -> String {
    beside(&host.others, |lab| {
        let (planned, unused) = (grouped(lab.planned.files), grouped(lab.unused.files));
        format!("has planned {planned}, of which {unused} are not open yet")
    })
}

/// What helps besides, where other labs are in the way.
pub fn remedy_beside(host: &Host, alone: &str) -> String {
    match host.others.iter().max_by_key(|lab| lab.unused.memory) {
        None => alone.to_owned(),
        Some(lab) => with_end_of(lab, alone),
    }
}

fn with_end_of(lab: &Neighbour, alone: &str) -> String {
    format!("{alone}; or wait until the lab `{0}` has ended, or end it: `c1m-lab down {0}`", lab.lab)
}

/// The lab that is named is the one with the most of it.
fn short(host: &Host, why: String, most: impl Fn(&Neighbour) -> u64, alone: &str) -> Short {
    let lab = host.others.iter().max_by_key(|lab| most(lab));
    Short { why, remedy: lab.map_or_else(|| alone.to_owned(), |lab| with_end_of(lab, alone)) }
}

/// More than these are not told one by one.
const TOLD: usize = 3;

fn beside(others: &[Neighbour], told: impl Fn(&Neighbour) -> String) -> String {
    let mut text = String::new();
    for lab in others.iter().take(TOLD) {
        text += &format!("; the lab `{}` {}", lab.lab, told(lab));
    }
    if others.len() > TOLD {
        text += &format!("; and {} labs more", others.len() - TOLD);
    }
    text
}
