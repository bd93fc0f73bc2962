//! What happens in a run, wherever its nodes are.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::faults::Fault;
use super::talk::Talk;
use crate::spec::{ExpectSpec, Spec, Until};
use crate::units::Rate;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Course {
    pub connections: u64,
    /// Run although not every connection can be had.
    pub anyway: bool,
    pub ramp: Ramp,
    pub hold: Duration,
    pub faults: Vec<Fault>,
    pub talk: Talk,
    pub expect: ExpectSpec,
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

impl Course {
    pub fn of(spec: &Spec, faults: Vec<Fault>) -> Course {
        Course {
            connections: spec.connections,
            anyway: spec.anyway,
            ramp: Ramp::of(spec),
            hold: spec.hold.0,
            faults,
            talk: Talk::of(spec),
            expect: spec.expect.clone(),
        }
    }
}

impl Ramp {
    fn of(spec: &Spec) -> Ramp {
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
}
