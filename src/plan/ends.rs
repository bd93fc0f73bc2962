//! The two ends of all connections: their nodes, addresses and ports, and the processes that carry them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::node::{Node, Role};
use super::tuple_sum::TupleSum;
use crate::units::{Block, PortRange, Ports};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ends {
    /// One block for each family of addresses.
    pub subnets: Vec<Block>,
    /// The server first, then the clients, then the router if there is one.
    pub nodes: Vec<Node>,
    pub tuples: TupleSum,
    pub server_ports: Ports,
    /// Those that the clients connect to.
    pub dialled_ports: Ports,
    pub reactors: Reactors,
    /// The most descriptors that a process can be given here.
    pub most_descriptors: u64,
    pub swarms: Vec<Swarm>,
    /// Swarms that connect at the same time; the next begins when one is done.
    pub swarms_at_once: usize,
    /// How many agents close at a time, when the run ends.
    pub drains_at_once: usize,
}

/// The chain of processes that accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reactors {
    pub count: u32,
    /// Connections each holds.
    pub capacity: u64,
    pub nofile: u64,
    pub backlog: u32,
}

/// One swarm process: a stretch of its node's five-tuples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Swarm {
    /// Index into the plan's nodes.
    pub node: usize,
    pub first: u64,
    pub count: u64,
    pub nofile: u64,
    pub source_ports: PortRange,
    /// Connections of the clients before this one.
    pub before: u64,
}

impl Ends {
    pub fn server(&self) -> &Node {
        &self.nodes[0]
    }

    pub fn clients(&self) -> &[Node] {
        let has_router = self.nodes.last().is_some_and(|node| node.role == Role::Router);
        &self.nodes[1..self.nodes.len() - usize::from(has_router)]
    }
}
