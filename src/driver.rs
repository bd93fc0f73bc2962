//! A driver puts a plan on its feet and takes it down.

#[cfg(test)]
pub mod mock;
pub mod netns;
pub mod ssh;
pub mod vagrant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::journal::Journal;
use crate::launch::{AgentId, Started};
use crate::observe::{Depth, Seen};
use crate::plan::Plan;
use crate::spec::FaultAction;
use crate::teardown::Outcome;
use crate::units::Ports;

/// What a build made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Built {
    /// Machines that are nodes; none: the nodes are namespaces of this host.
    pub machines: usize,
    pub namespaces: usize,
    pub links: usize,
    pub addresses: u64,
    /// Why the host settings could not be kept for after a reboot, if any was moved and they could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
}

/// What of a lab stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remains {
    pub namespaces: usize,
    pub cgroups: usize,
    /// Host settings that are not put back yet.
    pub settings: usize,
}

/// A part of the lab that a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Agent(AgentId),
    /// The link of a client: its index in the plan's nodes.
    Link(usize),
    /// The way to these ports of the server.
    Ports(Ports),
}

#[allow(async_fn_in_trait)]
pub trait Driver {
    /// Makes the nodes and what connects them, and moves host settings.
    async fn build(&mut self, plan: &Plan) -> Result<Built>;

    /// Starts agents; all or an error.
    async fn start(&mut self, plan: &Plan, agents: &[AgentId]) -> Result<Vec<Started>>;

    /// Counters of the host, of every node, and of every agent; less, where less is asked for. Machines that are
    /// nodes answer late: unless all is asked for, what they told last is enough.
    async fn sample(&mut self, depth: Depth) -> Seen;

    /// Breaks a part of the lab on purpose, or makes it whole again. Nothing that is not the lab's is touched.
    async fn strike(&mut self, plan: &Plan, part: Part, action: FaultAction) -> Result<()>;

    /// Takes the ways between the nodes away, so that closing a connection costs no packet.
    async fn cut_routes(&mut self, plan: &Plan) -> Result<()>;

    /// Takes everything down. Agents have been let go of by now, but may still be there.
    async fn down(&mut self) -> Result<Outcome>;

    /// A way to see what still stands while it is being taken down.
    fn watch_remains(&self) -> Box<dyn Fn() -> Remains>;

    /// What the kernels of machines said of agents, where that was learnt only on the way down.
    fn learnt(&mut self) -> Vec<(AgentId, String)> {
        Vec::new()
    }

    /// The journal of this host, to be ended when nothing stands any more.
    fn into_journal(self) -> Option<Journal>;
}
