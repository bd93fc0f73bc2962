//! What is decided in its own way for this host and for machines, and the one plan that is made of it.

use super::course::Course;
use super::ends::{Ends, Reactors, Swarm};
use super::limits::{self, Limit};
use super::memory::Memory;
use super::node::Node;
use super::place::Place;
use super::refusal::Refusal;
use super::tuple_sum::{TupleSum, dialled_ports};
use super::{Plan, faults};
use crate::spec::Spec;
use crate::units::Block;

pub struct Draft {
    pub tuples: TupleSum,
    pub subnets: Vec<Block>,
    pub nodes: Vec<Node>,
    pub reactors: Reactors,
    pub most_descriptors: u64,
    pub swarms: Vec<Swarm>,
    pub swarms_at_once: usize,
    pub drains_at_once: usize,
    pub place: Place,
    pub memory: Memory,
    pub limits: Vec<Limit>,
    pub runner_nofile: u64,
}

impl Draft {
    /// The plan, unless a limit is below what the lab asks for, or a fault names nobody.
    pub fn into_plan(self, spec: &Spec) -> Result<Plan, Refusal> {
        limits::refuse(spec, &self.limits)?;
        let faults = faults::all(spec, &self.nodes, &self.reactors, &self.swarms)?;
        Ok(Plan {
            lab: spec.name.clone(),
            driver: spec.driver,
            course: Course::of(spec, faults),
            ends: Ends {
                subnets: self.subnets,
                nodes: self.nodes,
                tuples: self.tuples,
                server_ports: spec.server.ports.clone(),
                dialled_ports: dialled_ports(spec).clone(),
                reactors: self.reactors,
                most_descriptors: self.most_descriptors,
                swarms: self.swarms,
                swarms_at_once: self.swarms_at_once,
                drains_at_once: self.drains_at_once,
            },
            place: self.place,
            memory: self.memory,
            first_limit: self.limits.first().cloned().unwrap_or_else(Limit::none),
            limits: self.limits,
            runner_nofile: self.runner_nofile,
        })
    }
}
