//! Agents as processes: which is which, how one is started, and what is heard of it.

pub mod chain;
pub mod process;

use std::fmt;
use std::pin::Pin;

use futures::stream::LocalBoxStream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWrite;

use crate::agent::Word;
use crate::kernel::proc::LogMark;
use crate::plan::Plan;

/// Which agent: the reactor at a place of the chain, or the swarm at an index of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentId {
    Reactor(u32),
    Swarm(u32),
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentId::Reactor(place) => write!(f, "reactor {}", place + 1),
            AgentId::Swarm(index) => write!(f, "swarm {}", index + 1),
        }
    }
}

/// What is heard from an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    Word(Word),
    /// What the kernel of its machine says of it.
    Note(String),
    /// The agent has ended, and how.
    Ended(String),
}

/// An agent that was started: the way to it, and what it says until it ends.
pub struct Started {
    pub pid: u32,
    /// The end of its machine's kernel log, before it was started.
    pub log_mark: Option<LogMark>,
    pub orders: Pin<Box<dyn AsyncWrite>>,
    pub heard: LocalBoxStream<'static, Heard>,
}

/// The node that an agent lives in.
pub fn node_of(plan: &Plan, agent: AgentId) -> usize {
    match agent {
        AgentId::Reactor(_) => 0,
        AgentId::Swarm(index) => plan.ends.swarms.get(index as usize).map_or(0, |swarm| swarm.node),
    }
}
