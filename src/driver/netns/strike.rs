//! What faults do to the network of a lab: a link's end goes down or up, a firewall begins to reset.

use std::io;

use super::requests::Local;
use crate::error::{Attempt, Result};
use crate::exit::Exit;
use crate::kernel::netlink::Request;
use crate::kernel::netns::{self, Namespace};
use crate::kernel::nftables;
use crate::plan::{Home, LinkEnd, Plan};
use crate::units::{Family, Ports};

/// The other end of a client's link: at the server, or at the router.
pub fn far_end(lab: Local<'_>, client: usize) -> Option<&LinkEnd> {
    let ends = lab.here.links.iter().map(|link| &link.ends);
    let [one, other] = ends.into_iter().find(|ends| ends.iter().any(|end| end.node == client))?;
    Some(if one.node == client { other } else { one })
}

/// Takes a link's end down, or brings it up: and with it what the kernel has dropped.
pub fn link(lab: Local<'_>, end: &LinkEnd, up: bool) -> Vec<Request> {
    if !up {
        return vec![Request::Down { index: end.index }];
    }
    // With it go the routes over it, and in IPv6 its address.
    let over_it = |request: &Request| match request {
        Request::Route { index, .. } | Request::LinkLocal { index, .. } => *index == end.index,
        _ => false,
    };
    let mut all = vec![Request::Up { index: end.index }];
    all.extend(lab.requests(end.node).into_iter().filter(over_it));
    all
}

/// A firewall in front of the server resets what comes to these ports. It goes with the namespace.
pub fn reset(plan: &Plan, server: &Namespace, ports: &Ports) -> Result<()> {
    let done = netns::inside_each([server.file()], |_| {
        let reset = |home: &Home| nftables::reset(home.family() == Family::Ipv6, &ports.0);
        let failed = |(what, error)| io::Error::other(format!("{what}: {error}"));
        plan.server().homes.iter().try_for_each(reset).map_err(failed)
    });
    let attempt = || format!("resetting what goes to ports {ports}");
    done.into_iter().try_for_each(|done| done.attempt(Exit::Broke, attempt))
}
