//! The processes of the lab: their CPU, and whether they are stopped.

use super::file::ProcFile;
use super::{Reading, names};
use crate::kernel::proc::parse_process;

pub struct AgentProbes {
    pub name: String,
    stat: ProcFile,
}

impl AgentProbes {
    /// The open file is this very process: when it ends there is nothing more to be read, whoever gets its id.
    pub fn open(name: String, pid: u32) -> AgentProbes {
        AgentProbes { name, stat: ProcFile::open(&format!("/proc/{pid}/stat")) }
    }

    /// None: it has ended.
    pub fn look(&self, buffer: &mut Vec<u8>) -> Option<Reading> {
        let ticks = rustix::param::clock_ticks_per_second();
        let (state, cpu) = parse_process(&self.stat.read(buffer), ticks)?;
        let mut reading = Reading::default();
        reading.level(names::AGENT_STOPPED, u64::from(matches!(state, 'T' | 't')));
        reading.counter(names::AGENT_CPU, cpu);
        Some(reading)
    }
}
