//! Spec and Host to Plan: everything decided, nothing touched. Pure.
//!
//! `here` decides for namespaces of this host, `machines` for machines; `draft` puts together what both have.

pub mod admission;
pub mod course;
mod draft;
pub mod ends;
pub mod faults;
pub mod fit;
pub mod here;
pub mod host_setting;
pub mod limits;
pub mod lowering;
pub mod machines;
pub mod memory;
pub mod namespace;
pub mod network;
pub mod node;
mod others;
pub mod permits;
pub mod place;
pub mod plateaus;
pub mod processes;
pub mod refusal;
pub mod settings;
pub mod talk;
pub mod tuple_sum;
pub mod tuples;
pub mod turns;

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::DriverKind;
use crate::units::Address;
pub use course::{Course, Ramp};
pub use ends::{Ends, Reactors, Swarm};
pub use faults::{Fault, Whom};
pub use here::decide;
pub use host_setting::HostSetting;
pub use limits::Limit;
pub use memory::Memory;
pub use namespace::{Link, LinkEnd, Nat, PlannedNamespace, Route, Router};
pub use node::{Home, Node, Role};
pub use place::{Here, Place, Placed};
pub use refusal::Refusal;
pub use talk::{Echo, Talk};
pub use tuple_sum::TupleSum;
use tuples::Tuples;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    pub lab: String,
    pub driver: DriverKind,
    /// What happens.
    pub course: Course,
    /// The two ends of all connections, and who carries them.
    pub ends: Ends,
    /// Where the nodes are.
    pub place: Place,
    pub memory: Memory,
    /// What the run would meet first if it grew.
    pub first_limit: Limit,
    pub limits: Vec<Limit>,
    /// Descriptors of the runner itself, which hears every agent.
    pub runner_nofile: u64,
}

impl Plan {
    /// What the lab has on this host; none: its nodes are machines.
    pub fn here(&self) -> Option<&Here> {
        match &self.place {
            Place::Here(here) => Some(here),
            Place::Machines(_) => None,
        }
    }

    /// The machine of each node; none of them: the nodes are namespaces of this host.
    pub fn machines(&self) -> &[Placed] {
        match &self.place {
            Place::Here(_) => &[],
            Place::Machines(machines) => machines,
        }
    }

    /// Whether each node is a machine of its own.
    pub fn is_on_machines(&self) -> bool {
        matches!(self.place, Place::Machines(_))
    }

    /// Settings of this host that the run moves. Those of machines are theirs.
    pub fn host_settings(&self) -> &[HostSetting] {
        self.here().map(|here| here.host_settings.as_slice()).unwrap_or_default()
    }

    pub fn router(&self) -> Option<&Router> {
        self.here()?.router.as_ref()
    }

    /// The most memory that the processes of the node at this index may have, where that is limited.
    pub fn memory_limit(&self, node: usize) -> Option<u64> {
        self.here()?.namespaces.get(node)?.memory_limit
    }

    pub fn server(&self) -> &Node {
        self.ends.server()
    }

    /// Where the server listens: an address of each family.
    pub fn server_addresses(&self) -> Vec<Address> {
        self.server().homes.iter().map(|home| home.addresses.first).collect()
    }

    /// Connections that are to be opened, all rounds together.
    pub fn asked(&self) -> u64 {
        self.course.connections.saturating_mul(self.course.ramp.rounds.into())
    }

    /// By how much a swarm goes on in its client's five-tuples from one round to the next: the client's share.
    pub fn round_step(&self, node: usize) -> u64 {
        self.ends.swarms.iter().filter(|swarm| swarm.node == node).map(|swarm| swarm.count).sum()
    }

    /// How many of its stretch each swarm tries until each plateau.
    pub fn plateau_shares(&self) -> Vec<Vec<u64>> {
        plateaus::shares(&self.stretches(), &self.course.ramp.plateaus)
    }

    /// How many connections each swarm opens.
    pub fn stretches(&self) -> Vec<u64> {
        self.ends.swarms.iter().map(|swarm| swarm.count).collect()
    }

    pub fn clients(&self) -> &[Node] {
        self.ends.clients()
    }

    /// The five-tuples that a swarm takes its stretch of: those of its node.
    pub fn tuples_of(&self, swarm: &Swarm) -> Tuples {
        let home = self.ends.nodes[swarm.node].home();
        let server = self.server().home_of(home.family()).unwrap_or(self.server().home());
        Tuples {
            sources: home.addresses,
            source_ports: swarm.source_ports,
            server: server.addresses.first,
            server_ports: self.ends.dialled_ports.clone(),
            kernel_chooses: self.ends.tuples.kernel_chooses,
            spread: self.ends.tuples.is_spread().then_some(swarm.before),
        }
    }
}
