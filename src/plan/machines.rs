//! A lab whose nodes are machines: what each of them allows, and what it is told. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::{self, HostSetting, Needed};
use super::tuples::Addresses;
use super::{
    Home, Limit, Memory, Node, Plan, Reactors, Role, Swarm, Talk, admission, faults, fit, limits, memory,
    network, processes, tuple_sum, turns,
};
use crate::error::Result;
use crate::host::Host;
use crate::spec::{Lab, MachineMemory};
use crate::units::{Address, Block, Family};

/// A machine as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// As ssh knows it.
    pub ssh: String,
    /// The address of the test traffic.
    pub address: Address,
    pub host: Host,
    pub clock: Clock,
}

/// How a machine's clock differs from the runner's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// Microseconds that it is ahead.
    pub offset_us: i64,
    /// The round trip by which that was measured: the offset is right to its half.
    pub round_trip_us: u64,
}

/// A node that is a machine, in the order of the plan's nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Placed {
    pub ssh: String,
    pub address: Address,
    pub kernel: String,
    pub cpus: u32,
    pub clock: Clock,
    /// Settings of the machine that are moved for the run, and put back.
    pub settings: Vec<HostSetting>,
    /// What would help and cannot be had there.
    pub out_of_reach: Vec<String>,
    /// The block of source addresses that the machine takes as its own for the run.
    pub range: Option<Block>,
    /// The unprivileged user its agents become; none: they stay who the steward is.
    pub agent_user: Option<u32>,
    pub memory: Memory,
}

/// The runner itself hears stewards, not agents: a few pipes for each of them.
const RUNNER_NOFILE: u64 = 512;

/// Decides everything, or says why this lab cannot run on these machines. `here` is where the runner is; the
/// server's machine comes first.
pub fn decide(lab: &Lab, here: &Host, machines: &[Machine]) -> Result<Plan> {
    let plan = sketch(lab, here, machines)?;
    if lab.spec.machines.memory == MachineMemory::Within {
        let fitting = || connections(lab, here, machines).unwrap_or(0);
        for ((node, placed), machine) in plan.nodes.iter().zip(&plan.machines).zip(machines) {
            memory::check(lab, &machine.host, &placed.memory, &node.name, fitting)?;
        }
    }
    Ok(plan)
}

/// As many connections as these machines carry.
pub fn connections(lab: &Lab, here: &Host, machines: &[Machine]) -> Result<u64> {
    fit::most(lab, |lab| {
        let plan = sketch(lab, here, machines)?;
        for (placed, machine) in plan.machines.iter().zip(machines) {
            memory::check(lab, &machine.host, &placed.memory, "", || 0)?;
        }
        Ok(plan)
    })
}

fn sketch(lab: &Lab, here: &Host, machines: &[Machine]) -> Result<Plan> {
    let spec = &lab.spec;
    let tuples = tuple_sum::tuple_sum(lab)?;
    let no_machine = || super::refusal(lab, "machines", "there is no machine");
    let (server, clients) = machines.split_first().ok_or_else(no_machine)?;
    let (server, client) = (&server.host, &weakest(clients).ok_or_else(no_machine)?);
    let reactors = processes::reactors(lab, server)?;
    let swarms = processes::swarms(lab, client, &reactors)?;
    let subnet = network::subnet(lab, &neighbourhood(here, machines), family(lab, machines)?)?;
    let nodes = nodes(lab, subnet, machines);
    let client_cpus = clients.iter().map(|one| one.host.machine_cpus);
    let placed: Vec<Placed> = nodes
        .iter()
        .zip(machines)
        .enumerate()
        .map(|(index, (node, machine))| {
            let needed = needed(lab, index, &reactors, &swarms);
            place(lab, node, machine, &needed)
        })
        .collect::<Result<_>>()?;
    let limits = limits::on_machines(lab, (server, client), &tuples, &placed);
    limits::refuse(lab, &limits)?;
    Ok(Plan {
        lab: spec.name.clone(),
        driver: spec.driver,
        connections: spec.connections,
        anyway: spec.anyway,
        client_rate: None,
        most_descriptors: processes::most_descriptors(server).min(processes::most_descriptors(client)),
        // Each machine has processors of its own.
        drains_at_once: reactors.count as usize + swarms.len(),
        subnets: vec![subnet],
        links: Vec::new(),
        faults: faults::all(lab, &nodes, &reactors, &swarms)?,
        nodes,
        router: None,
        tuples,
        server_ports: spec.server.ports.clone(),
        dialled_ports: super::dialled_ports(lab).clone(),
        swarms_at_once: turns::on_machines(client_cpus, &swarms, spec.ramp.rate),
        reactors,
        swarms,
        ramp: super::ramp(spec),
        hold: spec.hold.0,
        talk: Talk::of(spec),
        host_settings: Vec::new(),
        memory: total(&placed),
        first_limit: limits.first().cloned().unwrap_or_else(Limit::none),
        limits,
        runner_nofile: RUNNER_NOFILE,
        agent_user: None,
        machines: placed,
        expect: spec.expect.clone(),
    })
}

/// What every client can have: the fewest descriptors and processors of all.
fn weakest(clients: &[Machine]) -> Option<Host> {
    let fewest = clients.iter().min_by_key(|one| processes::most_descriptors(&one.host))?;
    let machine_cpus = clients.iter().map(|one| one.host.machine_cpus).min()?;
    Some(Host { machine_cpus, ..fewest.host.clone() })
}

/// What none of the machines, nor the runner's, may lose to added addresses.
fn neighbourhood(here: &Host, machines: &[Machine]) -> Host {
    let routes = machines.iter().flat_map(|machine| machine.host.routes.iter().copied());
    Host { routes: here.routes.iter().copied().chain(routes).collect(), ..here.clone() }
}

/// The family of the machines' addresses: they have to agree.
fn family(lab: &Lab, machines: &[Machine]) -> Result<Family> {
    let family = machines.first().map_or(Family::Ipv4, |server| Family::of(server.address));
    if let Some(other) = machines.iter().find(|machine| Family::of(machine.address) != family) {
        let why = format!("the server's address is of {}, and {} is not", family.name(), other.address);
        return Err(super::refusal(lab, "machines", why)
            .remedy("name addresses of one family: `machines: {server: {ssh: …, address: …}}`"));
    }
    let subnet = lab.spec.network.subnet.filter(|subnet| subnet.family() != family);
    subnet.map_or(Ok(family), |subnet| {
        let why = format!("{subnet} is no subnet of {}, as the machines' addresses are", family.name());
        Err(super::refusal(lab, "network.subnet", why).remedy("name one of that family, or leave it out"))
    })
}

fn nodes(lab: &Lab, subnet: Block, machines: &[Machine]) -> Vec<Node> {
    let mut nodes = network::nodes(&lab.spec, &[subnet]);
    for (node, machine) in nodes.iter_mut().zip(machines) {
        node.namespace.clear();
        node.ehash_entries = 0;
        let planned = *node.home();
        node.homes = vec![if node.role == Role::Server || planned.addresses.count == 1 {
            let addresses = Addresses::one(machine.address);
            Home { addresses, block: Block::one(machine.address), each_address: true }
        } else {
            Home { each_address: false, ..planned }
        }];
        processes::place_on_cpus(&lab.spec, &machine.host, std::slice::from_mut(node));
    }
    nodes
}

/// What the node at this index asks of its machine.
fn needed(lab: &Lab, index: usize, reactors: &Reactors, swarms: &[Swarm]) -> Needed {
    if index == 0 {
        return Needed {
            ends: lab.spec.connections,
            processes: reactors.count.into(),
            nofile: reactors.nofile,
            backlog: Some(reactors.backlog.into()),
        };
    }
    let own = || swarms.iter().filter(|swarm| swarm.node == index);
    Needed {
        ends: own().map(|swarm| swarm.count).sum(),
        processes: own().count() as u64,
        nofile: own().map(|swarm| swarm.nofile).max().unwrap_or(0),
        backlog: None,
    }
}

fn place(lab: &Lab, node: &Node, machine: &Machine, needed: &Needed) -> Result<Placed> {
    let (settings, out_of_reach) = settings::machine_settings(lab, &machine.host, node.role, needed)?;
    let host = &machine.host;
    admission::check_agents(lab, host, needed.processes)?;
    Ok(Placed {
        ssh: machine.ssh.clone(),
        address: machine.address,
        kernel: host.kernel.clone(),
        cpus: host.machine_cpus,
        clock: machine.clock,
        settings,
        out_of_reach,
        range: (!node.home().each_address).then_some(node.home().block),
        agent_user: super::may_become_nobody(host).then_some(super::NOBODY),
        memory: memory::of_machine(&lab.spec, host, node.role, needed.ends, needed.processes),
    })
}

/// All machines together.
fn total(placed: &[Placed]) -> Memory {
    let sum = |of: fn(&Memory) -> u64| placed.iter().map(|one| of(&one.memory)).fold(0, u64::saturating_add);
    let most = |of: fn(&Memory) -> u64| placed.iter().map(|one| of(&one.memory)).max().unwrap_or(0);
    Memory {
        expected: sum(|memory| memory.expected),
        available: sum(|memory| memory.available),
        server_per_connection: most(|memory| memory.server_per_connection),
        client_per_connection: most(|memory| memory.client_per_connection),
        router_per_connection: 0,
        processes: sum(|memory| memory.processes),
        tables: sum(|memory| memory.tables),
        reserve: sum(|memory| memory.reserve),
    }
}
