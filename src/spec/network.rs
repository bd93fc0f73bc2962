//! The section `network`: what stands between the clients and the server, and whose addresses they have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UNPRIVILEGED;
use crate::units::{Block, Bytes, Family, PortRange};

/// How the clients reach the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// The shape of the network.
    pub kind: NetworkKind,
    /// Which addresses the lab has, for example ipv6; without it, those of `subnet`, or IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<FamilySpec>,
    /// The addresses of the lab, for example 10.99.0.0/16 or fd00:99::/64; without it, the lab chooses a free block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<Block>,
    /// The IPv6 addresses of a lab with `family: dual`, for example fd00:99::/64; `subnet` then has those of IPv4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet6: Option<Block>,
    /// How much each client may send per second, for example 10MB; what exceeds it waits its turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Bytes>,
    /// Whether the router has two links to the server, for example true; packets come to the server over one, and its
    /// answers go back over the other, as with two uplinks. A server with `net.ipv4.conf.all.rp_filter: 1` does not take what comes so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asymmetric: bool,
    /// Whether the router tracks connections, for example false; without it, every router does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conntrack: Option<bool>,
    /// What the router makes of the clients' addresses and ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat: Option<NatSpec>,
}

/// The addresses that a lab can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FamilySpec {
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// Both: the server has an address of each, and the clients take turns.
    Dual,
}

/// What the router makes of the clients' addresses and ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NatSpec {
    /// Behind how many addresses the clients are hidden.
    #[schemars(range(min = 1))]
    pub addresses: u32,
    /// The ports of each of these addresses, for example 1024-65535.
    pub ports: PortRange,
}

/// The shape of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Every client has a link of its own to the server.
    #[default]
    Direct,
    /// A router stands between the clients and the server.
    Routed,
    /// A router stands between them, and hides the clients behind addresses of its own.
    Nat,
}

impl NetworkSpec {
    /// The families whose addresses the lab has. The clients take them in turn.
    pub fn families(&self) -> &'static [Family] {
        match (self.family, self.subnet.map(|subnet| subnet.family())) {
            (Some(FamilySpec::Dual), _) => &[Family::Ipv4, Family::Ipv6],
            (Some(FamilySpec::Ipv6), _) | (None, Some(Family::Ipv6)) => &[Family::Ipv6],
            _ => &[Family::Ipv4],
        }
    }

    /// The block that the lab file names for this family, and the key that does.
    pub fn subnet_of(&self, family: Family) -> (Option<Block>, &'static str) {
        match (self.family, family) {
            (Some(FamilySpec::Dual), Family::Ipv6) => (self.subnet6, "network.subnet6"),
            _ => (self.subnet, "network.subnet"),
        }
    }

    pub fn has_router(&self) -> bool {
        self.kind != NetworkKind::Direct
    }

    /// Whether connections are tracked on their way.
    pub fn tracks(&self) -> bool {
        self.has_router() && self.conntrack.unwrap_or(true)
    }

    /// What the router translates to; none when it does not translate.
    pub fn translation(&self) -> Option<NatSpec> {
        (self.kind == NetworkKind::Nat).then(|| self.nat.clone().unwrap_or_default())
    }
}

impl Default for NatSpec {
    fn default() -> Self {
        NatSpec { addresses: 1, ports: UNPRIVILEGED }
    }
}
