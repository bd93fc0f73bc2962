//! The words between the runner and a steward: JSON lines on the steward's stdin and stdout.
//!
//! An ask that wants an answer gets exactly one, in the order of the asks. What agents say comes in between.

use serde::{Deserialize, Serialize};

use crate::agent::Order;
use crate::agent::confine::Cell;
use crate::driver::{AgentId, Heard};
use crate::error::Error;
use crate::exit::Exit;
use crate::host::{Host, Reservation};
use crate::kernel::netlink::Borrowed;
use crate::kernel::proc::LogMark;
use crate::observe::{Depth, Seen};
use crate::plan::HostSetting;
use crate::spec::FaultAction;
use crate::teardown::Outcome;
use crate::units::{Address, Block};

/// What the runner says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// What time is it there? Answered at once; also the sign that the runner is alive.
    Time,
    /// Make the machine ready for the lab.
    Prepare(Box<Preparation>),
    Start {
        agents: Vec<(AgentId, Cell)>,
    },
    /// For an agent; without an answer.
    Order {
        agent: AgentId,
        order: Order,
    },
    /// Close an agent's stdin; without an answer.
    LetGo {
        agent: AgentId,
    },
    Strike {
        agent: AgentId,
        action: FaultAction,
    },
    Look {
        depth: Depth,
    },
    /// What does the kernel's log say of these processes?
    Said {
        of: Vec<Process>,
    },
    /// Take everything down, also what an earlier steward of this lab left standing.
    Down {
        lab: String,
    },
}

/// What a steward changes on its machine.
#[derive(Debug, Serialize, Deserialize)]
pub struct Preparation {
    /// Under which its journal is kept: the lab and the node.
    pub lab: String,
    /// The node's name, under which its counters are told.
    pub node: String,
    pub connections: u64,
    pub subnets: Vec<Block>,
    /// The machine must have it.
    pub address: Address,
    pub settings: Vec<HostSetting>,
    pub routes: Vec<Borrowed>,
    /// Descriptors that the steward itself needs, to hear all its agents.
    pub nofile: u64,
    /// What the lab takes of the machine.
    pub planned: Reservation,
    /// The lab file does not want more memory taken than there is.
    pub memory_must_fit: bool,
}

/// An agent's process, and the end of the kernel's log before it was started.
pub type Process = (u32, Option<LogMark>);

/// What a steward says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub enum Tell {
    /// The first word.
    Hello(Box<Hello>),
    Time {
        unix_us: i64,
    },
    Prepared {
        /// What an earlier steward of this lab had left, and was undone first.
        found: usize,
    },
    Started {
        processes: Vec<Process>,
    },
    Seen(Box<Seen>),
    Struck,
    /// Of each process the kernel's line about its end, if there is one.
    Said {
        lines: Vec<Option<String>>,
    },
    Down(Outcome),
    /// The answer to an ask that could not be done.
    Failed(Trouble),
    /// No answer: what an agent said, or that it ended.
    Heard {
        agent: AgentId,
        heard: Heard,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    pub version: String,
    pub fingerprint: String,
    pub host: Host,
    /// The address of this machine that ssh came to.
    pub reached: Option<Address>,
}

/// An error on its way over.
#[derive(Debug, Serialize, Deserialize)]
pub struct Trouble {
    exit: u8,
    attempted: String,
    why: String,
    remedy: Option<String>,
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let Error { exit, attempted, why, remedy, .. } = error;
        Trouble { exit: exit.code(), attempted, why, remedy }
    }
}

impl Trouble {
    /// The error, with the node that it is about.
    pub fn on(self, node: &str) -> Error {
        let exit = Exit::ALL.into_iter().find(|exit| exit.code() == self.exit).unwrap_or(Exit::Broke);
        let error = Error::new(exit, format!("{node}: {}", self.attempted), self.why);
        Error { remedy: self.remedy, ..error }
    }
}
