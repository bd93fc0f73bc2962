//! The two ends of all connections: their nodes, addresses and ports, and the processes that carry them.

use serde::Serialize;

use super::node::{Node, Role};
use super::processes::{Reactors, Swarm};
use super::tuple_sum::TupleSum;
use crate::units::{Block, Ports};

#[derive(Clone, Debug, PartialEq, Serialize)]
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

impl Ends {
    pub fn server(&self) -> &Node {
        &self.nodes[0]
    }

    pub fn clients(&self) -> &[Node] {
        let has_router = self.nodes.last().is_some_and(|node| node.role == Role::Router);
        &self.nodes[1..self.nodes.len() - usize::from(has_router)]
    }
}
