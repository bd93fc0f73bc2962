//! How many processes carry the connections, and how many descriptors each may open.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Node, Role, admission};
use crate::error::{Error, Result};
use crate::host::{Capability, Host};
use crate::spec::{Lab, Processes, Spec};
use crate::units::{PortRange, grouped};

/// Descriptors a process opens for itself: standard streams, epoll, the chain's sockets, a file it reads.
const REACTOR_OWN: u64 = 10;
const SWARM_OWN: u64 = 6;

/// Connecting costs more than accepting: one client process reaches half of what two do.
const SWARMS_WANTED: u64 = 2;

/// More agents than this take turns instead of working: such a lab needs more descriptors, not more processes.
pub const MOST_AGENTS: u64 = 4_096;
/// What the runner itself keeps open for each agent (two pipes, the process, its counters), and for each node
/// (the namespace, a netlink socket while it is built, its counters).
const RUNNER_PER_AGENT: u64 = 4;
const RUNNER_PER_NODE: u64 = 12;
const RUNNER_OWN: u64 = 64;

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

/// The most descriptors one process can be given on this host.
pub fn most_descriptors(host: &Host) -> u64 {
    let highest = if host.can_set("fs.nr_open") { u64::from(u32::MAX >> 2) } else { nr_open(host) };
    if host.has(Capability::SysResource) { highest } else { host.nofile.hard.min(highest) }
}

/// No limit is set beyond it, whoever asks.
fn nr_open(host: &Host) -> u64 {
    host.number("fs.nr_open").unwrap_or(1 << 20)
}

/// The most descriptors that the runner can have, and those it needs before it hears any agent.
fn runner_room(lab: &Lab, host: &Host) -> (u64, u64) {
    let most =
        if host.has(Capability::SysResource) { nr_open(host) } else { host.nofile.hard.min(nr_open(host)) };
    (most, RUNNER_OWN + RUNNER_PER_NODE * nodes(lab))
}

fn nodes(lab: &Lab) -> u64 {
    u64::from(lab.spec.clients.count) + 1 + u64::from(lab.spec.network.has_router())
}

/// The descriptors that the runner needs for itself.
pub fn runner_nofile(lab: &Lab, host: &Host, reactors: &Reactors, swarms: u64) -> Result<u64> {
    let agents = u64::from(reactors.count).saturating_add(swarms);
    let (most, own) = runner_room(lab, host);
    let needed = own.saturating_add(RUNNER_PER_AGENT.saturating_mul(agents));
    if needed <= most {
        return Ok(needed);
    }
    let why = format!(
        "{} agents and {} nodes need {} descriptors in the runner, and it may open {}",
        grouped(agents),
        grouped(nodes(lab)),
        grouped(needed),
        grouped(most),
    );
    Err(Error { exit: crate::exit::Exit::Host, ..lab.source.error("connections", why) }
        .remedy("raise the limit (`ulimit -n`), or fewer connections (`--connections fit`)"))
}

/// How many agents a lab of this kind can have here, and how many connections those carry.
pub fn carried_by_agents(lab: &Lab, host: &Host) -> (u64, u64) {
    let spec = &lab.spec;
    let (most, own) = runner_room(lab, host);
    let most_agents = admission::most_agents(host).min(most.saturating_sub(own) / RUNNER_PER_AGENT);
    let room = |role, own| most_for(lab, host, role).unwrap_or(0).saturating_sub(own).max(1);
    let reactor = room(Side::Server, reactor_own(spec));
    let swarm = room(Side::Client, SWARM_OWN);
    let fits = |connections| {
        let swarms = swarms_in_all(spec, host, swarm, connections);
        reactors_for(spec, reactor, connections).saturating_add(swarms) <= most_agents
    };
    let (mut carried, mut too_many) = (0, u64::MAX);
    while too_many - carried > 1 {
        let middle = carried + (too_many - carried) / 2;
        if fits(middle) {
            carried = middle;
        } else {
            too_many = middle;
        }
    }
    (most_agents, carried)
}

fn too_many_agents(lab: &Lab, reactors: u64, swarms: u64) -> Error {
    let why = format!(
        "{} connections take {} reactors and {} swarms with the descriptors a process may open here, and a lab \
         has at most {} of them together",
        grouped(lab.spec.connections),
        grouped(reactors),
        grouped(swarms),
        grouped(MOST_AGENTS),
    );
    Error { exit: crate::exit::Exit::Host, ..lab.source.error("connections", why) }
        .remedy("raise the limit (`ulimit -n`), or fewer connections (`--connections fit`)")
}

/// The two kinds of processes that have descriptors to plan.
#[derive(Clone, Copy)]
pub enum Side {
    Server,
    Client,
}

fn most_for(lab: &Lab, host: &Host, side: Side) -> Result<u64> {
    let limits = &lab.spec.limits;
    let (asked, path) = match side {
        Side::Server => (limits.server.nofile, "limits.server.nofile"),
        Side::Client => (limits.client.nofile, "limits.client.nofile"),
    };
    let most = most_descriptors(host);
    match asked {
        None => Ok(most),
        Some(asked) if asked.0 <= most => Ok(asked.0),
        Some(asked) => Err(super::refusal(
            lab,
            path,
            format!("{} descriptors, and this host allows a process {}", grouped(asked.0), grouped(most)),
        )
        .remedy("leave the key out: several processes will carry the connections")),
    }
}

/// What a reactor has open besides its connections.
pub fn reactor_own(spec: &Spec) -> u64 {
    REACTOR_OWN + (spec.server.ports.len() * spec.network.families().len()) as u64
}

fn reactors_for(spec: &Spec, room: u64, connections: u64) -> u64 {
    match spec.server.reactors {
        Processes::Auto => connections.div_ceil(room),
        Processes::Count(count) => u64::from(count),
    }
}

/// How many swarms carry a client's share.
fn swarms_for(spec: &Spec, host: &Host, room: u64, share: u64) -> u64 {
    let wanted = SWARMS_WANTED.min(u64::from(host.machine_cpus)).div_ceil(spec.clients.count.into());
    match spec.clients.processes {
        Processes::Auto => share.div_ceil(room).max(wanted).min(share),
        Processes::Count(count) => u64::from(count).min(share),
    }
}

/// Shares differ by one at most, so there are two kinds of them.
fn swarms_in_all(spec: &Spec, host: &Host, room: u64, connections: u64) -> u64 {
    let clients = u64::from(spec.clients.count);
    let (share, larger) = (connections / clients, connections % clients);
    let of = |clients: u64, share| clients.saturating_mul(swarms_for(spec, host, room, share));
    of(larger, share.saturating_add(1)).saturating_add(of(clients - larger, share))
}

pub fn reactors(lab: &Lab, host: &Host) -> Result<Reactors> {
    let spec = &lab.spec;
    let own = reactor_own(spec);
    let most = most_for(lab, host, Side::Server)?;
    let room = most.saturating_sub(own);
    if room == 0 {
        return Err(Error::host(
            "planning the server",
            format!(
                "{} listening ports do not fit into {} descriptors",
                spec.server.ports.len(),
                grouped(most)
            ),
        )
        .remedy("open fewer server ports, or raise the limit (`ulimit -n`)"));
    }
    let count = reactors_for(spec, room, spec.connections);
    let capacity = spec.connections.div_ceil(count.max(1));
    if capacity > room && !spec.anyway {
        return Err(too_few_reactors(lab, host, count, own, most));
    }
    if count > MOST_AGENTS {
        return Err(too_many_agents(lab, count, spec.connections.div_ceil(room)));
    }
    // With too few of them they go on until the kernel says that there are no descriptors left.
    let several = count > 1 && capacity <= room;
    let capacity = if several { room.min(spec.connections) } else { spec.connections };
    Ok(Reactors {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        capacity,
        nofile: capacity.saturating_add(own).min(most),
        backlog: spec.server.backlog.unwrap_or_else(|| backlog(spec)),
    })
}

/// A queue that holds all connections of its port never overflows, however late the reactor is.
fn backlog(spec: &Spec) -> u32 {
    let share = spec.connections.div_ceil(spec.server.ports.len().max(1) as u64);
    u32::try_from(share).unwrap_or(u32::MAX).clamp(1 << 16, 1 << 20)
}

fn too_few_reactors(lab: &Lab, host: &Host, count: u64, own: u64, most: u64) -> Error {
    let needed = lab.spec.connections.div_ceil(count) + own;
    let how = if host.has(Capability::SysResource) {
        "fs.nr_open bounds it, and cannot be raised here"
    } else {
        "it cannot be raised without the capability SYS_RESOURCE"
    };
    let why = format!(
        "{} connections in {count} {} need {} descriptors each ({} connections + {own} of its own), and a process \
         may open {} here: {how}",
        grouped(lab.spec.connections),
        if count == 1 { "reactor" } else { "reactors" },
        grouped(needed),
        grouped(needed - own),
        grouped(most),
    );
    super::refusal(lab, "server.reactors", why).remedy(format!(
        "`reactors: auto` takes {} of them, one after the other; or raise the limit to {} for this user",
        lab.spec.connections.div_ceil(most.saturating_sub(own).max(1)),
        grouped(needed),
    ))
}

/// Every client opens an even share, split into as few processes as descriptors allow.
pub fn swarms(lab: &Lab, host: &Host, reactors: &Reactors) -> Result<Vec<Swarm>> {
    let spec = &lab.spec;
    let most = most_for(lab, host, Side::Client)?;
    let room = most.saturating_sub(SWARM_OWN);
    if room == 0 {
        return Err(Error::host("planning the clients", "a process may open no descriptors beyond its own")
            .remedy("raise the limit (`ulimit -n`)"));
    }
    let clients = u64::from(spec.clients.count);
    if clients > MOST_AGENTS {
        let why = format!("{} clients are more than the {} of a lab", grouped(clients), grouped(MOST_AGENTS));
        let error = lab.source.error("clients.count", why);
        return Err(Error { exit: crate::exit::Exit::Host, ..error }
            .remedy("take fewer clients with more addresses each"));
    }
    let all = swarms_in_all(spec, host, room, spec.connections);
    if all.saturating_add(reactors.count.into()) > MOST_AGENTS {
        return Err(too_many_agents(lab, reactors.count.into(), all));
    }
    let (mut swarms, mut before) = (Vec::new(), 0);
    for (client, share) in shares(spec.connections, clients).enumerate() {
        let processes = swarms_for(spec, host, room, share);
        let mut first = 0;
        for count in shares(share, processes) {
            swarms.push(Swarm {
                node: client + 1,
                first,
                count,
                nofile: (count + SWARM_OWN).min(most),
                source_ports: spec.clients.ports.range(&spec.sysctl.client),
                before,
            });
            first += count;
        }
        before += share;
    }
    // The clients take turns: two processes of one client would contend for the same routes and counters.
    swarms.sort_by_key(|swarm| (swarm.first / swarm.count.max(1), swarm.node));
    Ok(swarms)
}

/// Connections that the clients' descriptors allow; none: as many processes are started as are needed.
pub fn client_room(lab: &Lab, host: &Host) -> Option<(u64, String)> {
    let Processes::Count(count) = lab.spec.clients.processes else { return None };
    let most = most_for(lab, host, Side::Client).ok()?;
    let clients = u64::from(lab.spec.clients.count);
    let room = most.saturating_sub(SWARM_OWN).saturating_mul(clients * u64::from(count));
    Some((room, format!("{clients} × {count} processes with {} descriptors", grouped(most))))
}

/// `total` in `parts` whole numbers that differ by one at most.
fn shares(total: u64, parts: u64) -> impl Iterator<Item = u64> {
    (0..parts).map(move |part| total / parts + u64::from(part < total % parts))
}

/// Few enough that most are given back to the system while others still close, and enough to have a fair share
/// of a busy machine.
pub fn drains_at_once(host: &Host) -> usize {
    host.machine_cpus as usize * 4
}

/// A role with `cpus: n` runs on n CPUs, the clients' beginning after the server's, as separate machines would.
/// They are taken from those that this process may use: no others can be had.
pub fn place_on_cpus(spec: &Spec, host: &Host, nodes: &mut [Node]) {
    let mut next = 0;
    for node in nodes {
        let asked = match node.role {
            Role::Server => spec.limits.server.cpus,
            Role::Client => spec.limits.client.cpus,
            Role::Router => None,
        };
        let Some(asked) = asked else { continue };
        let asked = host.cpus.len().min(asked as usize);
        node.cpus = host.cpus.iter().copied().cycle().skip(next).take(asked).collect();
        next = (next + asked) % host.cpus.len().max(1);
    }
}
