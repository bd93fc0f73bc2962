//! What breaks on purpose: when, what, and whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{Checked, Invalid};
use crate::units::{Count, Period, quoted};

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
    pub blow: Blow,
    /// Whom: for example reactor-1, swarm-2, `server` (every reactor), `clients` (every swarm), client-1 (its swarms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Whose link, for example client-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
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
pub enum Blow {
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
}

impl Blow {
    pub fn strikes_link(self) -> bool {
        matches!(self, Blow::LinkDown | Blow::LinkUp)
    }
}

/// Each fault names whom it strikes, and only that.
pub(super) fn validate(faults: &[FaultSpec], rounds: u32) -> Checked {
    for (index, fault) in faults.iter().enumerate() {
        let invalid = |key: &str, why: String, remedy: &str| {
            Err(Invalid { path: format!("faults[{index}]{key}"), on_key: false, why, remedy: remedy.into() })
        };
        match (fault.blow.strikes_link(), &fault.agent, &fault.node) {
            (false, Some(_), None) | (true, None, Some(_)) => {}
            (false, None, _) => {
                return invalid(
                    "",
                    "it does not say which `agent` it strikes".into(),
                    "add it: `agent: server`",
                );
            }
            (true, _, None) => {
                return invalid(
                    "",
                    "it does not say whose link it strikes".into(),
                    "add it: `node: client-1`",
                );
            }
            (false, Some(_), Some(node)) => {
                let why = format!("a process is struck, not the link of {}", quoted(node));
                return invalid(".node", why, "leave `node` out");
            }
            (true, Some(agent), Some(_)) => {
                let why = format!("a link is struck, not {}", quoted(agent));
                return invalid(".agent", why, "leave `agent` out");
            }
        }
        if fault.at == Moment::Closing && rounds < 2 {
            let why = "with one round nothing is closed before the hold is over".into();
            return invalid(".at", why, "add a round: `ramp: {rounds: 2}`");
        }
    }
    Ok(())
}
