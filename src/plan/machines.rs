//! A lab whose nodes are machines: what each of them allows, and what it is told. Pure.

use super::draft::Draft;
use super::ends::{Reactors, Swarm};
use super::memory::Memory;
use super::node::{Home, Node, Role};
use super::place::{Place, agent_user};
use super::refusal::Refusal;
use super::settings::{self, Needed};
use super::tuples::Addresses;
use super::{Plan, admission, fit, limits, memory, network, processes, tuple_sum, turns};
use crate::error::Result;
use crate::host::Host;
use crate::spec::{Lab, MachineMemory, Spec};
use crate::units::{Address, Block, Family};

pub use super::place::{Clock, Placed};

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

/// The runner itself hears stewards, not agents: a few pipes for each of them.
const RUNNER_NOFILE: u64 = 512;

/// Decides everything, or says why this lab cannot run on these machines. `here` is where the runner is; the
/// server's machine comes first.
pub fn decide(lab: &Lab, here: &Host, machines: &[Machine]) -> Result<Plan> {
    decide_spec(&lab.spec, here, machines).map_err(|refusal| refusal.of(lab))
}

/// As many connections as these machines carry.
pub fn connections(lab: &Lab, here: &Host, machines: &[Machine]) -> Result<u64> {
    fitting(&lab.spec, here, machines).map_err(|refusal| refusal.of(lab))
}

fn decide_spec(spec: &Spec, here: &Host, machines: &[Machine]) -> Result<Plan, Refusal> {
    let plan = sketch(spec, here, machines)?;
    if spec.machines.memory == MachineMemory::Within {
        let fitting = || fitting(spec, here, machines).unwrap_or(0);
        for ((node, placed), machine) in plan.ends.nodes.iter().zip(plan.machines()).zip(machines) {
            memory::check(spec, &machine.host, &placed.memory, &node.name, fitting)?;
        }
    }
    Ok(plan)
}

fn fitting(spec: &Spec, here: &Host, machines: &[Machine]) -> Result<u64, Refusal> {
    fit::most(spec, |spec| {
        let plan = sketch(spec, here, machines)?;
        for (placed, machine) in plan.machines().iter().zip(machines) {
            memory::check(spec, &machine.host, &placed.memory, "", || 0)?;
        }
        Ok(plan)
    })
}

/// Everything decided but whether the memory is enough.
fn sketch(spec: &Spec, here: &Host, machines: &[Machine]) -> Result<Plan, Refusal> {
    let tuples = tuple_sum::tuple_sum(spec)?;
    let no_machine = || Refusal::host("machines", "there is no machine");
    let (server, clients) = machines.split_first().ok_or_else(no_machine)?;
    let (server, client) = (&server.host, &weakest(clients).ok_or_else(no_machine)?);
    let reactors = processes::reactors(spec, server)?;
    let swarms = processes::swarms(spec, client, &reactors)?;
    let subnet = network::subnet(spec, &neighbourhood(here, machines), family(spec, machines)?)?;
    let nodes = nodes(spec, subnet, machines);
    let client_cpus = clients.iter().map(|one| one.host.machine_cpus);
    let placed: Vec<Placed> = nodes
        .iter()
        .zip(machines)
        .enumerate()
        .map(|(index, (node, machine))| {
            let needed = needed(spec, index, &reactors, &swarms);
            place(spec, node, machine, &needed)
        })
        .collect::<Result<_, _>>()?;
    let draft = Draft {
        limits: limits::on_machines(spec, (server, client), &tuples, &placed),
        tuples,
        subnets: vec![subnet],
        nodes,
        most_descriptors: processes::most_descriptors(server).min(processes::most_descriptors(client)),
        swarms_at_once: turns::on_machines(client_cpus, &swarms, spec.ramp.rate),
        // Each machine has processors of its own.
        drains_at_once: reactors.count as usize + swarms.len(),
        reactors,
        swarms,
        memory: total(&placed),
        place: Place::Machines(placed),
        runner_nofile: RUNNER_NOFILE,
    };
    draft.into_plan(spec)
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
fn family(spec: &Spec, machines: &[Machine]) -> Result<Family, Refusal> {
    let family = machines.first().map_or(Family::Ipv4, |server| Family::of(server.address));
    if let Some(other) = machines.iter().find(|machine| Family::of(machine.address) != family) {
        let why = format!("the server's address is of {}, and {} is not", family.name(), other.address);
        return Err(Refusal::host("machines", why)
            .remedy("name addresses of one family: `machines: {server: {ssh: …, address: …}}`"));
    }
    let subnet = spec.network.subnet.filter(|subnet| subnet.family() != family);
    subnet.map_or(Ok(family), |subnet| {
        let why = format!("{subnet} is no subnet of {}, as the machines' addresses are", family.name());
        Err(Refusal::host("network.subnet", why).remedy("name one of that family, or leave it out"))
    })
}

fn nodes(spec: &Spec, subnet: Block, machines: &[Machine]) -> Vec<Node> {
    let mut nodes = network::nodes(spec, &[subnet]);
    for (node, machine) in nodes.iter_mut().zip(machines) {
        let planned = *node.home();
        node.homes = vec![if node.role == Role::Server || planned.addresses.count == 1 {
            let addresses = Addresses::one(machine.address);
            Home { addresses, block: Block::one(machine.address), each_address: true }
        } else {
            Home { each_address: false, ..planned }
        }];
        processes::place_on_cpus(spec, &machine.host, std::slice::from_mut(node));
    }
    nodes
}

/// What the node at this index asks of its machine.
fn needed(spec: &Spec, index: usize, reactors: &Reactors, swarms: &[Swarm]) -> Needed {
    if index == 0 {
        return Needed {
            ends: spec.connections,
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

fn place(spec: &Spec, node: &Node, machine: &Machine, needed: &Needed) -> Result<Placed, Refusal> {
    let (settings, out_of_reach) = settings::machine_settings(spec, &machine.host, node.role, needed)?;
    let host = &machine.host;
    admission::check_agents(host, needed.processes)?;
    Ok(Placed {
        ssh: machine.ssh.clone(),
        address: machine.address,
        kernel: host.kernel.clone(),
        cpus: host.machine_cpus,
        clock: machine.clock,
        settings,
        out_of_reach,
        range: (!node.home().each_address).then_some(node.home().block),
        agent_user: agent_user(host),
        memory: memory::of_machine(spec, host, node.role, needed.ends, needed.processes),
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
