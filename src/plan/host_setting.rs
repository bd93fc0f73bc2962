//! A setting of a whole host that a run moves, and whether a limit becomes lower by it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A host-wide setting that the run changes and puts back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostSetting {
    pub key: String,
    pub from: String,
    pub to: String,
    pub why: String,
    /// A limit of the whole host becomes lower.
    pub lowers: Option<Lowering>,
}

/// What is known of a limit before it is set lower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lowering {
    /// How much of it is in use by now, where that can be known.
    pub in_use: Option<u64>,
    /// The least it may be set to: what is in use, and room for the rest of the machine.
    pub least: u64,
}
