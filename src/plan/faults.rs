//! What breaks on purpose: the lab file's faults, with everyone they name found in the plan. Pure.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ends::{Reactors, Swarm};
use super::node::Node;
use super::refusal::Refusal;
use super::tuple_sum::dialled_ports;
use crate::spec::{FaultAction, FaultSpec, Moment, Spec};
use crate::units::{Ports, quoted};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    pub at: Moment,
    /// So many connections have been established, all rounds together.
    pub established: u64,
    pub after: Duration,
    pub action: FaultAction,
    pub whom: Whom,
    /// The server's ports that it is about; none for other faults.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Ports>,
}

/// Whom a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// By its place in the chain.
    Reactor(u32),
    /// By its index in the plan.
    Swarm(u32),
    Server,
    Clients,
    /// The swarms of a client: its index in the plan's nodes.
    SwarmsOf(usize),
    /// The link of a client.
    LinkOf(usize),
    /// Whoever has to do with the ports that are named.
    WayToPorts,
}

pub fn all(
    spec: &Spec,
    nodes: &[Node],
    reactors: &Reactors,
    swarms: &[Swarm],
) -> Result<Vec<Fault>, Refusal> {
    let faults = spec.faults.iter().enumerate();
    faults
        .map(|(index, fault)| {
            let counts = (reactors.count, swarms.len());
            Ok(Fault {
                at: fault.at,
                established: fault.established.map_or(0, |count| count.0),
                after: fault.after.0,
                action: fault.action,
                ports: fault.ports.clone(),
                whom: whom(spec, &format!("faults[{index}]"), fault, (nodes, counts))?,
            })
        })
        .collect()
}

fn whom(spec: &Spec, path: &str, fault: &FaultSpec, all: (&[Node], (u32, usize))) -> Result<Whom, Refusal> {
    let (nodes, (reactors, swarms)) = all;
    if let Some(ports) = &fault.ports {
        return way_to(spec, path, ports);
    }
    let client = |name: &str| nodes.iter().skip(1).position(|node| node.name == name).map(|place| place + 1);
    if let Some(node) = &fault.node {
        let clients = nodes.len() - 1;
        return client(node).map(Whom::LinkOf).ok_or_else(|| {
            Refusal::input(format!("{path}.node"), format!("this lab has no client {}", quoted(node)))
                .remedy(format!("name one from client-1 to client-{clients}"))
        });
    }
    let agent = fault.agent.as_deref().unwrap_or_default();
    let numbered = |kind: &str, count: usize| {
        let number: usize = agent.strip_prefix(kind)?.strip_prefix('-')?.parse().ok()?;
        (1..=count).contains(&number).then_some(number as u32 - 1)
    };
    let found = match agent {
        "server" => Some(Whom::Server),
        "clients" => Some(Whom::Clients),
        _ => numbered("reactor", reactors as usize)
            .map(Whom::Reactor)
            .or_else(|| numbered("swarm", swarms).map(Whom::Swarm))
            .or_else(|| client(agent).map(Whom::SwarmsOf)),
    };
    found.ok_or_else(|| {
        Refusal::input(format!("{path}.agent"), format!("this lab has no process {}", quoted(agent))).remedy(
            format!(
                "name `server`, `clients`, a client, one from reactor-1 to reactor-{reactors}, or one from swarm-1 \
                 to swarm-{swarms}"
            ),
        )
    })
}

fn way_to(spec: &Spec, path: &str, ports: &Ports) -> Result<Whom, Refusal> {
    let dialled = dialled_ports(spec);
    match ports.iter().find(|port| dialled.iter().all(|one| one != *port)) {
        None => Ok(Whom::WayToPorts),
        Some(other) => Err(Refusal::input(
            format!("{path}.ports"),
            format!("no client of this lab connects to port {other}"),
        )
        .remedy(format!("name some of {dialled}"))),
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whom::Reactor(place) => write!(f, "reactor {}", place + 1),
            Whom::Swarm(index) => write!(f, "swarm {}", index + 1),
            Whom::Server => f.write_str("the server"),
            Whom::Clients => f.write_str("all clients"),
            Whom::SwarmsOf(node) => write!(f, "client {node}"),
            Whom::LinkOf(node) => write!(f, "the link of client {node}"),
            Whom::WayToPorts => f.write_str("what goes to ports"),
        }
    }
}

impl fmt::Display for Fault {
    /// `kill reactor 1`, as an event tells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match self.action {
            FaultAction::Kill => "kill",
            FaultAction::Stop => "stop",
            FaultAction::Resume => "resume",
            FaultAction::LinkDown => "take down",
            FaultAction::LinkUp => "bring up",
            FaultAction::Reset => "reset",
        };
        write!(f, "{action} {}", self.whom)?;
        self.ports.as_ref().map_or(Ok(()), |ports| write!(f, " {ports}"))
    }
}

impl Fault {
    /// The same with its condition, as `plan` prints it.
    pub fn in_full(&self) -> String {
        let mut when = match self.at {
            Moment::Ramp => "ramp",
            Moment::Closing => "closing",
            Moment::Hold => "hold",
        }
        .to_owned();
        if self.established > 0 {
            when += &format!(", {} established", crate::units::grouped(self.established));
        }
        if !self.after.is_zero() {
            when += &format!(", {} later", crate::units::Period(self.after));
        }
        format!("{when}: {self}")
    }
}
