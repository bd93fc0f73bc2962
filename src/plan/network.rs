//! Nodes and addresses: a server, its clients, and perhaps a router between them.

mod blocks;
mod routes;

use std::collections::BTreeMap;

use super::tuples::Addresses;
use super::{Home, Node, Role, settings};
use crate::spec::Spec;
use crate::units::{Block, further};
use blocks::Layout;

pub use blocks::{subnet, subnets};
pub use routes::{UPLINK, links, router};

/// Up to here every address is put on its link, to be seen by everyone; the kernel's cost for that is
/// quadratic, so beyond it a whole block is made the node's own at once.
const EACH_ADDRESS: u32 = 1024;

/// From this many connections on a node gets its own table of them; a smaller one shares the host's.
const OWN_TABLE: u64 = 32_768;
const LARGEST_TABLE: u64 = 1 << 21;

pub fn nodes(spec: &Spec, subnets: &[Block]) -> Vec<Node> {
    let layout = Layout::of(spec);
    let node = |place: u32, role: Role, name: String, subnets: &[Block], (count, connections): (u32, u64)| {
        let limits = match role {
            Role::Server => Some(&spec.limits.server),
            Role::Client => Some(&spec.limits.client),
            Role::Router => None,
        };
        let home = |subnet: &Block| {
            let block = layout.block(*subnet, place);
            let addresses = Addresses { first: further(block.base, 1), count };
            Home { addresses, block, each_address: count <= EACH_ADDRESS }
        };
        let homes: Vec<Home> = subnets.iter().map(home).collect();
        Node {
            namespace: format!("c1m-{}-{name}", spec.name),
            name,
            role,
            routes: Vec::new(),
            ehash_entries: table_size(connections),
            settings: settings::node_settings(spec, role, &homes),
            homes,
            cpus: Vec::new(),
            memory_limit: limits.and_then(|limits| limits.memory).map(|bytes| bytes.0),
        }
    };
    let mut nodes = vec![node(0, Role::Server, "server".to_owned(), subnets, (1, spec.connections))];
    let share = spec.connections.div_ceil(u64::from(spec.clients.count.max(1)));
    // The clients take the subnets in turn.
    for (client, subnet) in (1..=spec.clients.count).zip(subnets.iter().cycle()) {
        let (name, size) = (format!("client-{client}"), (spec.clients.addresses, share));
        nodes.push(node(client, Role::Client, name, std::slice::from_ref(subnet), size));
    }
    if spec.network.has_router() {
        let addresses = u32::try_from(layout.router_addresses).unwrap_or(u32::MAX);
        let place = spec.clients.count + 1;
        nodes.push(node(place, Role::Router, "router".to_owned(), subnets, (addresses, 0)));
    }
    routes::route(spec, subnets, &mut nodes);
    nodes
}

fn table_size(connections: u64) -> u64 {
    if connections < OWN_TABLE { 0 } else { connections.next_power_of_two().min(LARGEST_TABLE) }
}

/// Merges what the lab needs with what its author asked for: the author wins.
pub fn overlay(
    mut planned: BTreeMap<String, String>,
    asked: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    planned.extend(asked.iter().map(|(key, value)| (key.clone(), value.clone())));
    planned
}
