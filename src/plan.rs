//! Spec and Host to Plan: everything decided, nothing touched. Pure.

pub mod admission;
pub mod faults;
pub mod fit;
pub mod limits;
pub mod lowering;
pub mod machines;
pub mod memory;
pub mod network;
pub mod permits;
pub mod plateaus;
pub mod processes;
pub mod settings;
pub mod talk;
pub mod tuple_sum;
pub mod tuples;
pub mod turns;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::host::{Capability, Host};
use crate::spec::{DriverKind, ExpectSpec, Lab, Until};
use crate::units::{Address, Block, Family, PortRange, Ports, Rate};
pub use faults::{Fault, Whom};
pub use limits::Limit;
pub use memory::Memory;
pub use processes::{Reactors, Swarm};
pub use settings::HostSetting;
pub use talk::{Echo, Talk};
pub use tuple_sum::TupleSum;
use tuples::{Addresses, Tuples};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    pub lab: String,
    pub driver: DriverKind,
    pub connections: u64,
    /// Run although not every connection can be had.
    pub anyway: bool,
    /// One block for each family of addresses.
    pub subnets: Vec<Block>,
    /// The server first, then the clients, then the router if there is one.
    pub nodes: Vec<Node>,
    pub links: Vec<Link>,
    /// Bytes per second that each client may send.
    pub client_rate: Option<u64>,
    pub router: Option<Router>,
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
    pub ramp: Ramp,
    pub hold: Duration,
    pub faults: Vec<Fault>,
    pub talk: Talk,
    pub host_settings: Vec<HostSetting>,
    pub memory: Memory,
    /// What the run would meet first if it grew.
    pub first_limit: Limit,
    pub limits: Vec<Limit>,
    /// Descriptors of the runner itself, which hears every agent.
    pub runner_nofile: u64,
    /// The unprivileged user the agents become; none: they stay who the runner is.
    pub agent_user: Option<u32>,
    /// The machine of each node; none: all nodes are on this host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<machines::Placed>,
    pub expect: ExpectSpec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Server,
    Client,
    Router,
}

/// A place in the lab: a network namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    pub name: String,
    pub role: Role,
    pub namespace: String,
    /// One for each family of addresses that the node has; the first always is there.
    pub homes: Vec<Home>,
    /// Where its packets go.
    pub routes: Vec<Route>,
    /// Buckets of its own table of established connections; 0: the host's table is shared.
    pub ehash_entries: u64,
    /// Settings written inside the namespace.
    pub settings: BTreeMap<String, String>,
    pub cpus: Vec<u32>,
    pub memory_limit: Option<u64>,
}

/// A node's addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Home {
    pub addresses: Addresses,
    /// The block of the subnet that belongs to this node.
    pub block: Block,
    /// Whether each address is put on the link; else the whole block counts as the node's own.
    pub each_address: bool,
}

impl Home {
    pub fn family(&self) -> Family {
        self.block.family()
    }
}

impl Node {
    /// Its addresses; of a node with both families, those of IPv4.
    pub fn home(&self) -> &Home {
        &self.homes[0]
    }

    pub fn home_of(&self, family: Family) -> Option<&Home> {
        self.homes.iter().find(|home| home.family() == family)
    }

    pub fn address_count(&self) -> u64 {
        self.homes.iter().map(|home| u64::from(home.addresses.count)).sum()
    }
}

/// A veth pair between two nodes; the first is the one that more links come together in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    pub ends: [LinkEnd; 2],
}

/// One end of a link, as it is seen in its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkEnd {
    /// Index into the plan's nodes.
    pub node: usize,
    pub name: String,
    pub index: u32,
    /// Its link-local address, where IPv6 runs over the link: the next hop of routes that lead here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_local: Option<Address>,
}

/// A way out of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    pub to: Block,
    /// The next node's address; none: `to` is at the other end of the link.
    pub via: Option<Address>,
    /// The link's index in this node.
    pub link: u32,
    /// The address that packets leave with when nobody has chosen one.
    pub source: Option<Address>,
}

/// What the router does besides forwarding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Router {
    /// Index into the plan's nodes.
    pub node: usize,
    /// The index, in its node, of the link to the server.
    pub to_server: u32,
    pub tracks: bool,
    /// One for each family that is translated.
    pub nat: Vec<Nat>,
}

/// What the clients' addresses and ports become behind the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nat {
    pub addresses: Addresses,
    pub ports: PortRange,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ramp {
    pub rate: Rate,
    pub window: u32,
    pub timeout: Duration,
    pub until: Until,
    pub rounds: u32,
    /// Connections at which the ramp pauses, from the lowest to the highest; all are below the lab's.
    pub plateaus: Vec<u64>,
}

/// The user that agents become when the runner is root.
const NOBODY: u32 = 65534;

/// Decides everything, or says why this lab cannot run on this host.
pub fn decide(lab: &Lab, host: &Host) -> Result<Plan> {
    let plan = sketch(lab, host)?;
    memory::check(lab, host, &plan.memory, "", || fit::connections(lab, host).unwrap_or(0))?;
    Ok(plan)
}

/// Everything decided but whether the memory is enough.
fn sketch(lab: &Lab, host: &Host) -> Result<Plan> {
    let spec = &lab.spec;
    let tuples = tuple_sum::tuple_sum(lab)?;
    memory::check_limits(lab, host)?;
    let subnets = network::subnets(lab, host)?;
    let reactors = processes::reactors(lab, host)?;
    let swarms = processes::swarms(lab, host, &reactors)?;
    admission::check_agents(lab, host, u64::from(reactors.count) + swarms.len() as u64)?;
    let runner_nofile = processes::runner_nofile(lab, host, &reactors, swarms.len() as u64)?;
    let mut nodes = network::nodes(spec, &subnets);
    processes::place_on_cpus(spec, host, &mut nodes);
    let host_settings = settings::host_settings(lab, host, &reactors, &swarms)?;
    let router = network::router(spec, &nodes);
    let memory = memory::expect(spec, host, &nodes, &reactors, &swarms);
    let limits = limits::all(lab, host, &tuples, &memory);
    limits::refuse(lab, &limits)?;
    Ok(Plan {
        lab: spec.name.clone(),
        driver: spec.driver,
        connections: spec.connections,
        anyway: spec.anyway,
        subnets,
        links: network::links(spec, &nodes),
        client_rate: spec.network.rate.map(|bytes| bytes.0),
        faults: faults::all(lab, &nodes, &reactors, &swarms)?,
        nodes,
        router,
        tuples,
        server_ports: spec.server.ports.clone(),
        dialled_ports: dialled_ports(lab).clone(),
        drains_at_once: processes::drains_at_once(host),
        most_descriptors: processes::most_descriptors(host),
        swarms_at_once: turns::on_one_host(host.machine_cpus, &swarms, spec.ramp.rate),
        reactors,
        swarms,
        ramp: ramp(spec),
        hold: spec.hold.0,
        talk: Talk::of(spec),
        host_settings,
        memory,
        first_limit: limits.first().cloned().unwrap_or_else(Limit::none),
        limits,
        runner_nofile,
        agent_user: may_become_nobody(host).then_some(NOBODY),
        machines: Vec::new(),
        expect: spec.expect.clone(),
    })
}

/// A container's root may not; its agents stay root then, without any capability.
fn may_become_nobody(host: &Host) -> bool {
    let needed = [Capability::Setuid, Capability::Setgid];
    host.uid == 0 && needed.into_iter().all(|capability| host.has(capability))
}

/// What this host cannot do, shown at the place in the lab file that asks for it.
fn refusal(lab: &Lab, path: &str, why: impl std::fmt::Display) -> Error {
    let attempted = format!("planning the lab `{}` on this host", lab.spec.name);
    Error { exit: Exit::Host, attempted, ..lab.source.error(path, why) }
}

impl Plan {
    pub fn server(&self) -> &Node {
        &self.nodes[0]
    }

    /// Where the server listens: an address of each family.
    pub fn server_addresses(&self) -> Vec<Address> {
        self.server().homes.iter().map(|home| home.addresses.first).collect()
    }

    /// Connections that are to be opened, all rounds together.
    pub fn asked(&self) -> u64 {
        self.connections.saturating_mul(self.ramp.rounds.into())
    }

    /// By how much a swarm goes on in its client's five-tuples from one round to the next: the client's share.
    pub fn round_step(&self, node: usize) -> u64 {
        self.swarms.iter().filter(|swarm| swarm.node == node).map(|swarm| swarm.count).sum()
    }

    /// How many of its stretch each swarm tries until each plateau.
    pub fn plateau_shares(&self) -> Vec<Vec<u64>> {
        plateaus::shares(&self.stretches(), &self.ramp.plateaus)
    }

    /// How many connections each swarm opens.
    pub fn stretches(&self) -> Vec<u64> {
        self.swarms.iter().map(|swarm| swarm.count).collect()
    }

    pub fn clients(&self) -> &[Node] {
        &self.nodes[1..self.router.as_ref().map_or(self.nodes.len(), |router| router.node)]
    }

    /// The five-tuples that a swarm takes its stretch of: those of its node.
    pub fn tuples_of(&self, swarm: &Swarm) -> Tuples {
        let home = self.nodes[swarm.node].home();
        let server = self.server().home_of(home.family()).unwrap_or(self.server().home());
        Tuples {
            sources: home.addresses,
            source_ports: swarm.source_ports,
            server: server.addresses.first,
            server_ports: self.dialled_ports.clone(),
            kernel_chooses: self.tuples.kernel_chooses,
            spread: self.tuples.is_spread().then_some(swarm.before),
        }
    }
}

fn dialled_ports(lab: &Lab) -> &Ports {
    lab.spec.clients.server_ports.as_ref().unwrap_or(&lab.spec.server.ports)
}

fn ramp(spec: &crate::spec::Spec) -> Ramp {
    let ramp = &spec.ramp;
    Ramp {
        rate: ramp.rate,
        window: ramp.window,
        timeout: ramp.timeout.0,
        until: ramp.until,
        rounds: ramp.rounds,
        plateaus: ramp.plateaus.iter().map(|plateau| plateau.0).collect(),
    }
}
