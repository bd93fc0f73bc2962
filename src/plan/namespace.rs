//! What a lab on this host is made of: a namespace for each node, links, routes, and what the router does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tuples::Addresses;
use crate::units::{Address, Block, PortRange};

/// The name of a node's link to where all links come together.
pub const UPLINK: &str = "eth0";
/// The router's end of the link over which the server's answers come back, where they have a way of their own.
pub const ROUTER_BACK: &str = "server-back";

/// The network namespace of the node with the same index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedNamespace {
    pub name: String,
    /// Where its packets go.
    pub routes: Vec<Route>,
    /// Buckets of its own table of established connections; 0: the host's table is shared.
    pub ehash_entries: u64,
    /// The most memory of the node's processes, in bytes.
    pub memory_limit: Option<u64>,
}

/// A veth pair between two nodes; the first is the one that more links come together in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    pub ends: [LinkEnd; 2],
}

/// One end of a link, as it is seen in its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkEnd {
    /// Index into the plan's nodes.
    pub node: usize,
    pub name: String,
    pub index: u32,
    /// Its link-local address, where IPv6 runs over the link: the next hop of routes that lead here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_local: Option<Address>,
}

/// A way out of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    pub to: Block,
    /// The next node's address; none: `to` is at the other end of the link.
    pub via: Option<Address>,
    /// The link's index in this node.
    pub link: u32,
    /// The address that packets leave with when nobody has chosen one.
    pub source: Option<Address>,
}

/// What the router does besides forwarding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Router {
    /// Index into the plan's nodes.
    pub node: usize,
    /// The index, in its node, of the link to the server.
    pub to_server: u32,
    pub tracks: bool,
    /// One for each family that is translated.
    pub nat: Vec<Nat>,
}

/// What the clients' addresses and ports become behind the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nat {
    pub addresses: Addresses,
    pub ports: PortRange,
}
