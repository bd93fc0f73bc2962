//! What each connection says while it is held.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::{Spec, TrafficKind};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Talk {
    #[default]
    Idle,
    Echo(Echo),
}

/// Messages that the server sends back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Echo {
    pub every_ms: u64,
    pub size: u32,
}

/// What an echo on its way takes in a swarm's memory: one for each connection.
const ECHO_STATE: u64 = 16;

impl Talk {
    pub fn of(spec: &Spec) -> Talk {
        let traffic = &spec.traffic;
        match traffic.kind {
            TrafficKind::Idle => Talk::Idle,
            TrafficKind::Echo => Talk::Echo(Echo {
                every_ms: u64::try_from(traffic.every.0.as_millis()).unwrap_or(u64::MAX),
                size: u32::try_from(traffic.size.0).unwrap_or(u32::MAX),
            }),
        }
    }

    /// Whether the clients' ends are watched all the time, as those of the server are.
    pub fn watches_clients(self) -> bool {
        self != Talk::Idle
    }

    /// What a client keeps for each connection.
    pub fn state_bytes(self) -> u64 {
        match self {
            Talk::Idle => 0,
            Talk::Echo(_) => ECHO_STATE,
        }
    }
}
