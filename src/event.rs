//! Everything that happened, with its time. Screen and report read events; nobody else says what happened.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::Counts;
use crate::driver::{Built, Remains};
use crate::launch::AgentId;
use crate::observe::Sample;
use crate::origin::Origin;
use crate::teardown::{Leftover, Outcome};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Check,
    Build,
    Ramp,
    Hold,
    Drain,
    Down,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Check => "check",
            Phase::Build => "build",
            Phase::Ramp => "ramp",
            Phase::Hold => "hold",
            Phase::Drain => "drain",
            Phase::Down => "down",
        })
    }
}

/// The moments at which the kernel's counters are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    Before,
    /// A pause on the way up.
    Plateau,
    Peak,
    Drained,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first event of a run: where its record comes from.
    Run(Box<Origin>),
    /// A phase begins.
    Began {
        phase: Phase,
    },
    /// A phase is over.
    Ended {
        phase: Phase,
        seconds: f64,
    },
    /// The lab stands.
    Built(Built),
    AgentStarted {
        agent: AgentId,
        pid: u32,
    },
    AgentReady {
        agent: AgentId,
        nofile: u64,
        private_bytes: Option<u64>,
    },
    /// An agent's counts so far; those that are 0 are left out. Told when they have changed.
    Counts {
        agent: AgentId,
        counts: Counts,
    },
    /// This reactor accepts from now on.
    Accepting {
        agent: AgentId,
    },
    Full {
        agent: AgentId,
    },
    Ramped {
        agent: AgentId,
    },
    /// All clients together. Told when it has changed.
    Progress {
        established: u64,
        open: u64,
        per_second: u64,
    },
    AgentMemory {
        agent: AgentId,
        private_bytes: Option<u64>,
    },
    /// Latencies of answers since this was last told, of all agents: microseconds, and how many answers took so long.
    /// Two such lists are merged by adding the counts of equal latencies.
    Latencies {
        latencies: Vec<(u64, u64)>,
    },
    /// What the kernel counted at a moment that the report compares.
    Kernel {
        moment: Moment,
        sample: Sample,
    },
    /// What has changed since it was last looked at: levels as they are, counters by how much they grew.
    /// So many looks are told together, and have taken so long.
    Observed {
        looks: u64,
        micros: u64,
        changes: Sample,
        /// Levels that were higher in between.
        #[serde(default, skip_serializing_if = "Sample::is_empty")]
        highest: Sample,
    },
    /// What the kernel says of an agent that it ended.
    KernelSaid {
        agent: AgentId,
        line: String,
    },
    /// A round is over: the clients close its connections, and open them anew.
    RoundOver {
        round: u32,
    },
    /// Something broke on purpose, as the lab file asks; or could not, and why.
    Fault {
        what: String,
        agents: Vec<AgentId>,
        failed: Option<String>,
    },
    AgentFailed {
        agent: AgentId,
        why: String,
    },
    AgentEnded {
        agent: AgentId,
        how: String,
        planned: bool,
    },
    /// It owes an answer and does not give it: nobody waits for it any more.
    AgentSilent {
        agent: AgentId,
    },
    /// A signal while the lab is on its way down already.
    Ignored {
        signal: String,
    },
    /// Another one soon after: what still stands.
    Impatient {
        agents: usize,
        connections: u64,
        remains: Remains,
    },
    /// `ramp.until: breaks`: the first connection has failed or was lost; no more are opened.
    Breaks {
        established: u64,
    },
    /// For so long the server accepted nothing, from any client or at any port: no more are opened.
    Unanswered {
        seconds: f64,
    },
    /// Client and server did not come to agree in time.
    Unsettled {
        phase: Phase,
        clients: u64,
        server: u64,
    },
    /// `--keep`: the lab stays until it is told to go.
    Standing,
    Interrupted {
        signal: String,
    },
    Broke {
        why: String,
    },
    TakenDown(Outcome),
    /// The last event of a run.
    Over {
        /// What was found to be left behind after the lab was taken down.
        left_behind: Vec<Leftover>,
        /// The exit code of a run that ended before anything was built.
        never_built: Option<u8>,
    },
}
