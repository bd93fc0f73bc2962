//! Where the nodes are: namespaces of this host, or machines of their own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host_setting::HostSetting;
use super::memory::Memory;
use super::namespace::{Link, PlannedNamespace, Router};
use crate::host::{Capability, Host};
use crate::units::{Address, Block};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// All nodes are namespaces of this host.
    Here(Here),
    /// Each node is a machine, in the order of the nodes.
    Machines(Vec<Placed>),
}

/// What a lab on this host has besides its nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Here {
    /// One for each node, in their order.
    pub namespaces: Vec<PlannedNamespace>,
    pub links: Vec<Link>,
    /// Bytes per second that each client may send.
    pub client_rate: Option<u64>,
    pub router: Option<Router>,
    /// Settings of the host that are moved for the run, and put back.
    pub host_settings: Vec<HostSetting>,
    /// The unprivileged user the agents become; none: they stay who the runner is.
    pub agent_user: Option<u32>,
}

/// How a machine's clock differs from the runner's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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

/// The unprivileged user that agents become when whoever starts them is root.
const NOBODY: u32 = 65534;

/// The user that agents become on this host. A container's root may not become another; its agents stay root then,
/// without any capability.
pub fn agent_user(host: &Host) -> Option<u32> {
    let needed = [Capability::Setuid, Capability::Setgid];
    let may = host.uid == 0 && needed.into_iter().all(|capability| host.has(capability));
    may.then_some(NOBODY)
}
