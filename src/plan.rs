//! Spec and Host to Plan: everything decided, nothing touched. Pure.

pub mod faults;
pub mod fit;
pub mod limits;
pub mod lowering;
pub mod memory;
pub mod network;
pub mod processes;
pub mod settings;
pub mod tuples;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::host::{Capability, Host};
use crate::spec::{DriverKind, ExpectSpec, Lab, TrafficKind, Until};
use crate::units::{Ports, Rate, Subnet};
pub use faults::{Fault, Whom};
pub use limits::Limit;
pub use memory::Memory;
pub use processes::{Reactors, Swarm};
pub use settings::HostSetting;
use tuples::{Addresses, Tuples};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    pub lab: String,
    pub driver: DriverKind,
    pub connections: u64,
    /// Run although not every connection can be had.
    pub anyway: bool,
    pub subnet: Subnet,
    /// The server first, then the clients.
    pub nodes: Vec<Node>,
    pub links: Vec<Link>,
    /// Bytes per second that each client may send.
    pub client_rate: Option<u64>,
    pub tuples: TupleSum,
    pub server_ports: Ports,
    /// Those that the clients connect to.
    pub dialled_ports: Ports,
    pub reactors: Reactors,
    pub swarms: Vec<Swarm>,
    /// Swarms that connect at the same time; the next begins when one is done.
    pub swarms_at_once: usize,
    pub ramp: Ramp,
    pub hold: Duration,
    pub faults: Vec<Fault>,
    pub echo: Option<Echo>,
    pub host_settings: Vec<HostSetting>,
    pub memory: Memory,
    /// What the run would meet first if it grew.
    pub first_limit: Limit,
    pub limits: Vec<Limit>,
    /// Descriptors of the runner itself, which hears every agent.
    pub runner_nofile: u64,
    /// The unprivileged user the agents become; none: they stay who the runner is.
    pub agent_user: Option<u32>,
    pub expect: ExpectSpec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Server,
    Client,
}

/// A place in the lab: a network namespace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Node {
    pub name: String,
    pub role: Role,
    pub namespace: String,
    pub addresses: Addresses,
    /// The block of the subnet that belongs to this node.
    pub block: Subnet,
    /// Whether each address is put on the link; else the whole block counts as the node's own.
    pub each_address: bool,
    /// Buckets of its own table of established connections; 0: the host's table is shared.
    pub ehash_entries: u64,
    /// Settings written inside the namespace.
    pub settings: BTreeMap<String, String>,
    pub cpus: Vec<u32>,
    pub memory_limit: Option<u64>,
}

/// A veth pair between the server and a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Index into the plan's nodes.
    pub client: usize,
    pub server_end: String,
    pub server_index: u32,
    pub client_end: String,
    pub client_index: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TupleSum {
    pub possible: u64,
    pub needed: u64,
    pub addresses: u64,
    pub client_ports: u64,
    pub server_ports: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ramp {
    pub rate: Rate,
    pub window: u32,
    pub timeout: Duration,
    pub until: Until,
    pub rounds: u32,
}

/// What each connection says while it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    pub every_ms: u64,
    pub size: u32,
}

/// The user that agents become when the runner is root.
const NOBODY: u32 = 65534;

/// Decides everything, or says why this lab cannot run on this host.
pub fn decide(lab: &Lab, host: &Host) -> Result<Plan> {
    let plan = sketch(lab, host)?;
    memory::check(lab, &plan.memory, || fit::connections(lab, host).unwrap_or(0))?;
    Ok(plan)
}

/// Everything decided but whether the memory is enough.
fn sketch(lab: &Lab, host: &Host) -> Result<Plan> {
    let spec = &lab.spec;
    let tuples = tuple_sum(lab)?;
    memory::check_limits(lab, host)?;
    let subnet = network::subnet(lab, host)?;
    let reactors = processes::reactors(lab, host)?;
    let swarms = processes::swarms(lab, host, &reactors)?;
    let runner_nofile = processes::runner_nofile(lab, host, &reactors, swarms.len() as u64)?;
    let mut nodes = network::nodes(spec, subnet);
    processes::place_on_cpus(spec, host, &mut nodes);
    let host_settings = settings::host_settings(lab, host, &reactors, &swarms)?;
    let memory = memory::expect(spec, host, &nodes, &reactors, &swarms);
    let limits = limits::all(lab, host, &tuples, &memory);
    limits::refuse(lab, &limits)?;
    Ok(Plan {
        lab: spec.name.clone(),
        driver: spec.driver,
        connections: spec.connections,
        anyway: spec.anyway,
        subnet,
        links: network::links(&nodes),
        client_rate: spec.network.rate.map(|bytes| bytes.0),
        faults: faults::all(lab, &nodes, &reactors, &swarms)?,
        nodes,
        tuples,
        server_ports: spec.server.ports.clone(),
        dialled_ports: dialled_ports(lab).clone(),
        swarms_at_once: processes::swarms_at_once(host, &swarms),
        reactors,
        swarms,
        ramp: ramp(spec),
        hold: spec.hold.0,
        echo: echo(lab),
        host_settings,
        memory,
        first_limit: limits.first().cloned().unwrap_or_else(Limit::none),
        limits,
        runner_nofile,
        agent_user: may_become_nobody(host).then_some(NOBODY),
        expect: spec.expect.clone(),
    })
}

/// Only a root that makes the lab itself: in a user namespace there is no nobody to become.
fn may_become_nobody(host: &Host) -> bool {
    let needed = [Capability::SysAdmin, Capability::Setuid, Capability::Setgid];
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

    pub fn server_address(&self) -> Ipv4Addr {
        self.server().addresses.first
    }

    /// Connections that are to be opened, all rounds together.
    pub fn asked(&self) -> u64 {
        self.connections.saturating_mul(self.ramp.rounds.into())
    }

    /// By how much a swarm goes on in its client's five-tuples from one round to the next: the client's share.
    pub fn round_step(&self, node: usize) -> u64 {
        self.swarms.iter().filter(|swarm| swarm.node == node).map(|swarm| swarm.count).sum()
    }

    pub fn clients(&self) -> &[Node] {
        &self.nodes[1..]
    }

    /// The five-tuples of one client node.
    pub fn tuples_of(&self, node: usize, source_ports: crate::units::PortRange) -> Tuples {
        Tuples {
            sources: self.nodes[node].addresses,
            source_ports,
            server: self.server_address(),
            server_ports: self.dialled_ports.clone(),
        }
    }
}

fn dialled_ports(lab: &Lab) -> &Ports {
    lab.spec.clients.server_ports.as_ref().unwrap_or(&lab.spec.server.ports)
}

fn tuple_sum(lab: &Lab) -> Result<TupleSum> {
    let spec = &lab.spec;
    let addresses = u64::from(spec.clients.count) * u64::from(spec.clients.addresses);
    let (client_ports, server_ports) = (spec.clients.ports.len() as u64, dialled_ports(lab).len() as u64);
    let possible = addresses.saturating_mul(client_ports).saturating_mul(server_ports);
    let sum = TupleSum { possible, needed: spec.connections, addresses, client_ports, server_ports };
    if spec.connections > possible && !spec.anyway {
        let why = format!(
            "{} connections need as many five-tuples, and there are {}: {addresses} client addresses × \
             {} client ports × {server_ports} server ports",
            crate::units::grouped(spec.connections),
            crate::units::grouped(possible),
            crate::units::grouped(client_ports),
        );
        let enough =
            spec.connections.div_ceil(client_ports * server_ports).div_ceil(spec.clients.count.into());
        return Err(lab.source.error("connections", why).remedy(format!(
            "give each client more addresses (`clients: {{addresses: {enough}}}`), or open more server ports"
        )));
    }
    Ok(sum)
}

fn ramp(spec: &crate::spec::Spec) -> Ramp {
    let ramp = &spec.ramp;
    Ramp {
        rate: ramp.rate,
        window: ramp.window,
        timeout: ramp.timeout.0,
        until: ramp.until,
        rounds: ramp.rounds,
    }
}

fn echo(lab: &Lab) -> Option<Echo> {
    let traffic = &lab.spec.traffic;
    (traffic.kind == TrafficKind::Echo).then(|| Echo {
        every_ms: u64::try_from(traffic.every.0.as_millis()).unwrap_or(u64::MAX),
        size: u32::try_from(traffic.size.0).unwrap_or(u32::MAX),
    })
}
