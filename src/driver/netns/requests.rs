//! What the namespaces of a lab are told: their links, their addresses, and the ways to each other.

use std::io;
use std::os::fd::AsRawFd;

use crate::error::{Error, Result};
use crate::kernel::netlink::{End, LOOPBACK, Request};
use crate::kernel::netns::Namespace;
use crate::kernel::nftables::{self, Translation};
use crate::plan::{Ends, Here, Home, LinkEnd, Nat, Node, Plan, Role, Router};
use crate::units::Family;

/// The plan of a lab whose nodes are namespaces.
#[derive(Clone, Copy)]
pub struct Local<'a> {
    pub ends: &'a Ends,
    pub here: &'a Here,
}

impl<'a> Local<'a> {
    pub fn of(plan: &'a Plan) -> Result<Local<'a>> {
        let here = plan
            .here()
            .ok_or_else(|| Error::broke("building the lab from namespaces", "it is planned for machines"))?;
        Ok(Local { ends: &plan.ends, here })
    }

    /// The name of a node's namespace.
    pub fn name(self, node: usize) -> &'a str {
        &self.here.namespaces[node].name
    }

    /// The router, if it is this node and tracks connections.
    pub fn tracking_router(self, node: usize) -> Option<&'a Router> {
        self.here.router.as_ref().filter(|router| router.node == node && router.tracks)
    }

    /// The pairs whose first end is in this node.
    pub fn pairs(self, hub: usize, namespaces: &[Namespace]) -> Vec<Request> {
        let descriptor = |node: usize| namespaces[node].file().as_raw_fd();
        let end =
            |end: &LinkEnd| End { namespace: descriptor(end.node), name: end.name.clone(), index: end.index };
        let links = self.here.links.iter().filter(|link| link.ends[0].node == hub);
        links.map(|link| Request::Veth(end(&link.ends[0]), end(&link.ends[1]))).collect()
    }

    /// What a node's namespace is told: its links, its addresses, and the way to the others.
    pub fn requests(self, index: usize) -> Vec<Request> {
        let (node, namespace) = (&self.ends.nodes[index], &self.here.namespaces[index]);
        let mut requests = vec![Request::Up { index: LOOPBACK }];
        // The first end of a pair is up already.
        let far_ends = self.here.links.iter().map(|link| &link.ends[1]).filter(|end| end.node == index);
        requests.extend(far_ends.map(|end| Request::Up { index: end.index }));
        let own_ends = self.here.links.iter().flat_map(|link| &link.ends).filter(|end| end.node == index);
        let link_local =
            |end: &LinkEnd| Some(Request::LinkLocal { index: end.index, address: end.link_local? });
        requests.extend(own_ends.filter_map(link_local));
        // Where links come together, a node is reached over several of them. Any other has its addresses on its
        // link: a loose filter of the reverse path wants one where packets come in.
        let mut far_ends = self.here.links.iter().map(|link| &link.ends[1]).filter(|end| end.node == index);
        let home = far_ends.next().map_or(LOOPBACK, |end| end.index);
        if let (Role::Client, Some(bytes_per_second)) = (node.role, self.here.client_rate) {
            requests.push(Request::Rate { index: home, bytes_per_second });
        }
        for Home { addresses, block, each_address } in &node.homes {
            let each = if *each_address { addresses.count } else { 1 };
            let some = addresses.iter().take(each as usize);
            requests.extend(some.map(|address| Request::Address { index: home, address }));
            if !each_address {
                requests.push(Request::OwnRange { first: block.base, prefix: block.prefix });
            }
        }
        requests.extend(namespace.routes.iter().map(|route| Request::Route {
            to: route.to.base,
            prefix: route.to.prefix,
            via: route.via,
            index: route.link,
            source: route.source,
        }));
        requests
    }
}

/// Has the router track connections, and translate them where it is to.
pub fn track(router: &Router, node: &Node) -> Result<(), (&'static str, io::Error)> {
    let translation = |nat: &Nat| Translation {
        out: router.to_server,
        first: nat.addresses.first,
        count: nat.addresses.count,
        ports: (nat.ports.first, nat.ports.last),
    };
    for home in &node.homes {
        let of_family = |nat: &&Nat| Family::of(nat.addresses.first) == home.family();
        let nat = router.nat.iter().find(of_family).map(translation);
        nftables::track(home.addresses.first.is_ipv6(), nat.as_ref())?;
    }
    Ok(())
}
