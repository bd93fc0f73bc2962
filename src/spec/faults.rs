//! What breaks on purpose: when, what, and whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Spec;
use super::validate::{Checked, Invalid};
use crate::units::{Count, Period, Ports, quoted};

/// Something that breaks on purpose. A process that is stopped goes on when the lab is taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultSpec {
    /// From when on it may happen.
    #[serde(default)]
    pub at: Moment,
    /// How many connections must have been established since the ramp began, all rounds together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub established: Option<Count>,
    /// How long after both are so it happens.
    #[serde(default)]
    pub after: Period,
    /// What happens.
    #[serde(rename = "do")]
    pub action: FaultAction,
    /// Whom: for example reactor-1, swarm-2, `server` (every reactor), `clients` (every swarm), client-1 (its swarms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Whose link, for example client-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What goes to which ports of the server, for example 9900-9903.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Ports")]
    pub ports: Option<Ports>,
}

/// From when on it may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// The first connections are opened.
    #[default]
    Ramp,
    /// A round is over: its connections are about to be closed.
    Closing,
    /// All connections have been tried, and the hold begins.
    Hold,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultAction {
    /// The processes are killed, like by the kernel when memory is short.
    Kill,
    /// The processes are stopped: they live, and do nothing.
    Stop,
    /// Stopped processes go on.
    Resume,
    /// The link loses every packet, as if its cable was pulled.
    LinkDown,
    /// The link works again.
    LinkUp,
    /// A firewall before the server answers whatever comes to its `ports` with a reset, until the end: new connections
    /// are refused, and standing ones end when they say something.
    Reset,
}

/// The key that names what a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Struck {
    Agent,
    Node,
    Ports,
}

impl Struck {
    const ALL: [Struck; 3] = [Struck::Agent, Struck::Node, Struck::Ports];

    fn of(action: FaultAction) -> Struck {
        match action {
            FaultAction::Kill | FaultAction::Stop | FaultAction::Resume => Struck::Agent,
            FaultAction::LinkDown | FaultAction::LinkUp => Struck::Node,
            FaultAction::Reset => Struck::Ports,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Struck::Agent => "agent",
            Struck::Node => "node",
            Struck::Ports => "ports",
        }
    }

    /// What the fault names there, if it does.
    fn named(self, fault: &FaultSpec) -> Option<String> {
        match self {
            Struck::Agent => fault.agent.clone(),
            Struck::Node => fault.node.clone(),
            Struck::Ports => fault.ports.as_ref().map(ToString::to_string),
        }
    }
}

/// Each fault names whom it strikes, and only that.
pub(super) fn validate(spec: &Spec) -> Checked {
    for (index, fault) in spec.faults.iter().enumerate() {
        let invalid = |key: &str, why: String, remedy: &str| {
            Err(Invalid { path: format!("faults[{index}]{key}"), on_key: false, why, remedy: remedy.into() })
        };
        let struck = Struck::of(fault.action);
        if struck.named(fault).is_none() {
            let (why, remedy) = match struck {
                Struck::Agent => ("it does not say which `agent` it strikes", "add it: `agent: server`"),
                Struck::Node => ("it does not say whose link it strikes", "add it: `node: client-1`"),
                Struck::Ports => {
                    ("it does not say which `ports` it is about", "add them: `ports: 9900-9903`")
                }
            };
            return invalid("", why.into(), remedy);
        }
        let mut others = Struck::ALL.into_iter().filter(|other| *other != struck);
        if let Some((other, named)) = others.find_map(|other| Some((other, other.named(fault)?))) {
            let what = match struck {
                Struck::Agent => "a process is struck",
                Struck::Node => "a link is struck",
                Struck::Ports => "what goes to the server's ports is struck",
            };
            let why = match other {
                Struck::Agent => format!("{what}, not {}", quoted(&named)),
                Struck::Node => format!("{what}, not the link of {}", quoted(&named)),
                Struck::Ports => format!("{what}, not what goes to ports {named}"),
            };
            return invalid(&format!(".{}", other.key()), why, &format!("leave `{}` out", other.key()));
        }
        if fault.action == FaultAction::Reset && spec.driver.is_far() {
            let why = "the firewalls of machines are not the lab's".into();
            return invalid(".do", why, "leave it out, or run the lab on this host");
        }
        if fault.at == Moment::Closing && spec.ramp.rounds < 2 {
            let why = "with one round nothing is closed before the hold is over".into();
            return invalid(".at", why, "add a round: `ramp: {rounds: 2}`");
        }
    }
    Ok(())
}
