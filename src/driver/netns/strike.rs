//! What faults do to the network of a lab: a link's end goes down or up, a firewall begins to reset.

use std::io;

use super::requests;
use crate::error::{Attempt, Result};
use crate::exit::Exit;
use crate::kernel::netlink::Request;
use crate::kernel::netns::{self, Namespace};
use crate::kernel::nftables;
use crate::plan::{LinkEnd, Plan};
use crate::units::Ports;

/// The other end of a client's link: at the server, or at the router.
pub fn far_end(plan: &Plan, client: usize) -> Option<&LinkEnd> {
    let ends = plan.links.iter().map(|link| &link.ends);
    let [one, other] = ends.into_iter().find(|ends| ends.iter().any(|end| end.node == client))?;
    Some(if one.node == client { other } else { one })
}

/// Takes a link's end down, or brings it up: with it the kernel drops its routes.
pub fn link(plan: &Plan, end: &LinkEnd, up: bool) -> Vec<Request> {
    if !up {
        return vec![Request::Down { index: end.index }];
    }
    let over_it = |request: &Request| matches!(request, Request::Route { index, .. } if *index == end.index);
    let mut all = vec![Request::Up { index: end.index }];
    all.extend(requests(plan, end.node).into_iter().filter(over_it));
    all
}

/// A firewall in front of the server resets what comes to these ports. It goes with the namespace.
pub fn reset(server: &Namespace, ports: &Ports) -> Result<()> {
    let done = netns::inside_each([server.file()], |_| {
        nftables::reset(&ports.0).map_err(|(what, error)| io::Error::other(format!("{what}: {error}")))
    });
    let attempt = || format!("resetting what goes to ports {ports}");
    done.into_iter().try_for_each(|done| done.attempt(Exit::Broke, attempt))
}
