//! Links and routes. Without a router the server is where all links come together; else the router is.

use std::net::Ipv6Addr;

use crate::plan::tuples::Addresses;
use crate::plan::{Home, Link, LinkEnd, Nat, Node, Role, Route, Router};
use crate::spec::Spec;
use crate::units::{Address, Block, Family};

/// In a new namespace the loopback link has index 1; ours follow.
const FIRST: u32 = 2;

/// The link-local addresses of a link's ends, where IPv6 runs over it: a neighbour is asked for by one of these, so
/// that no other address has to be on the link.
const NEAR: Address = Address::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
const FAR: Address = Address::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));

/// A node's link to where all come together; and the server's other one, where it answers over another.
pub const UPLINK: &str = "eth0";
const BACK: &str = "eth1";

/// The nodes by their roles: the server, the clients with their indices, and the router with its own.
struct Parts<'a> {
    server: &'a Node,
    clients: Vec<(usize, &'a Node)>,
    router: Option<(usize, &'a Node)>,
}

fn parts(nodes: &[Node]) -> Parts<'_> {
    let all = |role: Role| nodes.iter().enumerate().filter(move |(_, node)| node.role == role);
    Parts { server: &nodes[0], clients: all(Role::Client).collect(), router: all(Role::Router).next() }
}

pub fn links(spec: &Spec, nodes: &[Node]) -> Vec<Link> {
    let Parts { server, clients, router } = parts(nodes);
    let center = router.map_or(0, |(index, _)| index);
    let beyond = router.map(|_| (0, server));
    // The way back comes last: the other links are what they are without it.
    let back = router.filter(|_| spec.network.asymmetric).map(|_| Link {
        ends: [
            LinkEnd {
                node: center,
                name: "server-back".to_owned(),
                index: FIRST + 1 + clients.len() as u32,
                link_local: None,
            },
            LinkEnd { node: 0, name: BACK.to_owned(), index: FIRST + 1, link_local: None },
        ],
    });
    let far = beyond.into_iter().chain(clients);
    far.zip(FIRST..)
        .map(|((node, far), index)| {
            let link_local = |address| far.home_of(Family::Ipv6).map(|_| address);
            Link {
                ends: [
                    LinkEnd { node: center, name: far.name.clone(), index, link_local: link_local(NEAR) },
                    LinkEnd { node, name: UPLINK.to_owned(), index: FIRST, link_local: link_local(FAR) },
                ],
            }
        })
        .chain(back)
        .collect()
}

pub fn router(spec: &Spec, nodes: &[Node]) -> Option<Router> {
    let (index, node) = parts(nodes).router?;
    let translated = |home: &Home| {
        let nat = spec.network.translation()?;
        // Its own address comes first.
        let addresses = Addresses { first: home.addresses.at(1), count: nat.addresses };
        Some(Nat { addresses, ports: nat.ports })
    };
    Some(Router {
        node: index,
        to_server: FIRST,
        tracks: spec.network.tracks(),
        nat: node.homes.iter().filter_map(translated).collect(),
    })
}

/// Sets the routes of all nodes. Where there is a choice of ways, there is none back: each node is reached by
/// the link that its packets come from, so that reverse path filters have nothing to object to, unless they are to.
pub fn route(spec: &Spec, subnets: &[Block], nodes: &mut [Node]) {
    let Parts { server, clients, router } = parts(nodes);
    // All of a client's addresses are reached by its first: one neighbour, not thousands.
    let to_clients = clients.iter().zip(FIRST + u32::from(router.is_some())..);
    let to_clients: Vec<Route> = to_clients
        .map(|((_, client), link)| {
            let via = next_hop(client.home(), FAR);
            Route { to: client.home().block, via: Some(via), link, source: None }
        })
        .collect();
    let mut routes: Vec<(usize, Vec<Route>)> = Vec::new();
    for (index, client) in &clients {
        let home = client.home();
        let source = Some(home.addresses.first);
        let to_server = same_family(server, home).map(|server| {
            let via = router.map_or_else(
                || beside(server, NEAR),
                |(_, router)| same_family(router, home).map(|router| next_hop(router, NEAR)),
            );
            Route { to: Block::one(server.addresses.first), via, link: FIRST, source }
        });
        routes.push((*index, to_server.into_iter().collect()));
    }
    match router {
        None => routes.push((0, to_clients)),
        Some((index, router)) => {
            let is_translated = spec.network.translation().is_some();
            let back = FIRST + u32::from(spec.network.asymmetric);
            let mut from_server: Vec<Route> = Vec::new();
            for (home, subnet) in router.homes.iter().zip(subnets) {
                // Behind a translation the clients' own addresses are nowhere to be seen.
                let to = if is_translated { home.block } else { *subnet };
                from_server.push(Route { to, via: Some(next_hop(home, NEAR)), link: back, source: None });
                if spec.network.asymmetric {
                    // The router itself is found where it is: only what it forwards comes by another way.
                    from_server.push(Route { to: home.block, via: None, link: FIRST, source: None });
                }
            }
            routes.push((0, from_server));
            let to_server = server.homes.iter().map(|home| Route {
                to: Block::one(home.addresses.first),
                via: beside(home, FAR),
                link: FIRST,
                source: None,
            });
            routes.push((index, to_server.chain(to_clients).collect()));
        }
    }
    for (index, routes) in routes {
        nodes[index].routes = routes;
    }
}

fn same_family<'a>(node: &'a Node, home: &Home) -> Option<&'a Home> {
    node.home_of(home.family())
}

/// How a node is reached over its link: by its first address, or in IPv6 by the link-local one of its end.
fn next_hop(home: &Home, link_local: Address) -> Address {
    match home.family() {
        Family::Ipv4 => home.addresses.first,
        Family::Ipv6 => link_local,
    }
}

/// The next hop to an address at the other end of the link. In IPv4 the address answers for itself.
fn beside(home: &Home, link_local: Address) -> Option<Address> {
    (home.family() == Family::Ipv6).then_some(link_local)
}
