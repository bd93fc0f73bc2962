//! Routes of a lab in a network that is not the lab's own: each bears a mark, and only what bears it is removed.

use std::fmt;
use std::net::IpAddr;

use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol};
use serde::{Deserialize, Serialize};

use super::routes;

/// The routing protocol that our routes are said to come from. The kernel matches it when a route is removed;
/// nobody is known to use this number.
const MARK: RouteProtocol = RouteProtocol::Other(201);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Borrowed {
    /// The whole block counts as this machine's own.
    Range { first: IpAddr, prefix: u8 },
    /// The block is reached by a neighbour.
    Way { to: IpAddr, prefix: u8, via: IpAddr },
}

impl Borrowed {
    pub(super) fn route(&self) -> RouteMessage {
        let mut route = match self {
            Borrowed::Range { first, prefix } => routes::own_range(*first, *prefix),
            Borrowed::Way { to, prefix, via } => routes::by_neighbour((*to, *prefix), *via),
        };
        route.header.protocol = MARK;
        route
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
