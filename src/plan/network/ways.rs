//! Links and routes. Without a router the server is where all links come together; else the router is.

use std::net::Ipv4Addr;

use crate::plan::tuples::Addresses;
use crate::plan::{Link, LinkEnd, Nat, Node, Role, Route, Router};
use crate::spec::Spec;
use crate::units::Subnet;

/// In a new namespace the loopback link has index 1; ours follow.
const FIRST: u32 = 2;

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
            LinkEnd { node: center, name: "server-back".to_owned(), index: FIRST + 1 + clients.len() as u32 },
            LinkEnd { node: 0, name: BACK.to_owned(), index: FIRST + 1 },
        ],
    });
    let far = beyond.into_iter().chain(clients);
    far.zip(FIRST..)
        .map(|((node, far), index)| Link {
            ends: [
                LinkEnd { node: center, name: far.name.clone(), index },
                LinkEnd { node, name: UPLINK.to_owned(), index: FIRST },
            ],
        })
        .chain(back)
        .collect()
}

pub fn router(spec: &Spec, nodes: &[Node]) -> Option<Router> {
    let (index, node) = parts(nodes).router?;
    Some(Router {
        node: index,
        to_server: FIRST,
        tracks: spec.network.tracks(),
        nat: spec.network.translation().map(|nat| Nat {
            // Its own address comes first.
            addresses: Addresses { first: node.addresses.at(1), count: nat.addresses },
            ports: nat.ports,
        }),
    })
}

/// Sets the routes of all nodes. Where there is a choice of ways, there is none back: each node is reached by
/// the link that its packets come from, so that reverse path filters have nothing to object to, unless they are to.
pub fn route(spec: &Spec, subnet: Subnet, nodes: &mut [Node]) {
    let Parts { server, clients, router } = parts(nodes);
    let server_itself = Subnet { base: server.addresses.first, prefix: 32 };
    let first = |node: &Node| node.addresses.first;
    // All of a client's addresses are reached by its first: one neighbour, not thousands.
    let to_clients = clients.iter().zip(FIRST + u32::from(router.is_some())..);
    let to_clients: Vec<Route> = to_clients
        .map(|((_, client), link)| Route { to: client.block, via: Some(first(client)), link, source: None })
        .collect();
    let from_client = |client: &Node, via: Option<Ipv4Addr>| {
        vec![Route { to: server_itself, via, link: FIRST, source: Some(first(client)) }]
    };
    let mut routes: Vec<(usize, Vec<Route>)> = clients
        .iter()
        .map(|(index, client)| (*index, from_client(client, router.map(|(_, router)| first(router)))))
        .collect();
    match router {
        None => routes.push((0, to_clients)),
        Some((index, router)) => {
            // Behind a translation the clients' own addresses are nowhere to be seen.
            let to = if spec.network.translation().is_some() { router.block } else { subnet };
            let back = FIRST + u32::from(spec.network.asymmetric);
            let mut from_server = vec![Route { to, via: Some(first(router)), link: back, source: None }];
            if spec.network.asymmetric {
                // The router itself is found where it is: only what it forwards comes by another way.
                from_server.push(Route { to: router.block, via: None, link: FIRST, source: None });
            }
            routes.push((0, from_server));
            let to_server = Route { to: server_itself, via: None, link: FIRST, source: None };
            routes.push((index, [vec![to_server], to_clients].concat()));
        }
    }
    for (index, routes) in routes {
        nodes[index].routes = routes;
    }
}
