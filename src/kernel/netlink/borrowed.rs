//! Routes of a lab in a network that is not the lab's own: each bears a mark, and only what bears it is removed.

use std::fmt;
use std::net::Ipv4Addr;

use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol, RouteScope, RouteType};
use serde::{Deserialize, Serialize};

use super::{LOCAL_TABLE, LOOPBACK};
/// The routing protocol that our routes are said to come from. The kernel matches it when a route is removed;
/// nobody is known to use this number.
const MARK: RouteProtocol = RouteProtocol::Other(201);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Borrowed {
    /// The whole block counts as this machine's own.
    Range { first: Ipv4Addr, prefix: u8 },
    /// The block is reached by a neighbour.
    Way { to: Ipv4Addr, prefix: u8, via: Ipv4Addr },
}

impl Borrowed {
    pub(super) fn route(&self) -> RouteMessage {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().protocol(MARK);
        match self {
            Borrowed::Range { first, prefix } => route
                .destination_prefix(*first, *prefix)
                .output_interface(LOOPBACK)
                .kind(RouteType::Local)
                .scope(RouteScope::Host)
                .table_id(LOCAL_TABLE)
                .pref_source(*first)
                .build(),
            Borrowed::Way { to, prefix, via } => route.destination_prefix(*to, *prefix).gateway(*via).build(),
        }
    }
}

impl fmt::Display for Borrowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Borrowed::Range { first, prefix } => write!(f, "the local range {first}/{prefix}"),
            Borrowed::Way { to, prefix, via } => write!(f, "the route to {to}/{prefix} by {via}"),
        }
    }
}
