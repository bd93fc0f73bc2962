//! Nodes and addresses: a server, its clients, and perhaps a router between them.

mod ways;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::tuples::Addresses;
use super::{Node, Role, settings};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::spec::{Lab, Spec};
use crate::units::Subnet;

pub use ways::{UPLINK, links, router};

/// Up to here every address is put on its link, to be seen by everyone; the kernel's cost for that is
/// quadratic, so beyond it a whole block is made the node's own at once.
const EACH_ADDRESS: u32 = 1024;

/// From this many connections on a node gets its own table of them; a smaller one shares the host's.
const OWN_TABLE: u64 = 32_768;
const LARGEST_TABLE: u64 = 1 << 21;

/// Where labs live when no subnet is asked for: private addresses that few networks use.
const USUAL: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 0);
const USUAL_PREFIX: u8 = 16;

/// Addresses that each node's block spans: a power of two with room for the network's own address.
fn block_size(spec: &Spec) -> u64 {
    (u64::from(spec.clients.addresses).max(router_addresses(spec)) + 1).next_power_of_two()
}

/// The router's own, and those it translates to.
fn router_addresses(spec: &Spec) -> u64 {
    let own = u64::from(spec.network.has_router());
    own + spec.network.translation().map_or(0, |nat| nat.addresses.into())
}

/// The server takes one block, each client another, and the router one.
fn addresses_needed(spec: &Spec) -> u64 {
    let nodes = 1 + u64::from(spec.clients.count) + u64::from(spec.network.has_router());
    nodes.saturating_mul(block_size(spec))
}

pub fn subnet(lab: &Lab, host: &Host) -> Result<Subnet> {
    let needed = addresses_needed(&lab.spec);
    match lab.spec.network.subnet {
        Some(subnet) if subnet.len() < needed => {
            let enough = 32 - needed.next_power_of_two().trailing_zeros();
            let why = format!(
                "{subnet} has {} addresses, and 1 server and {} clients with {} each{} need {needed}",
                subnet.len(),
                lab.spec.clients.count,
                lab.spec.clients.addresses,
                match router_addresses(&lab.spec) {
                    0 => String::new(),
                    own => format!(", and a router with {own},"),
                },
            );
            Err(lab
                .source
                .error("network.subnet", why)
                .remedy(format!("take a subnet of /{enough} or larger, or fewer clients or addresses")))
        }
        Some(subnet) => Ok(subnet),
        None => free_subnet(needed, host),
    }
}

/// The first subnet large enough that the host neither has nor routes.
fn free_subnet(needed: u64, host: &Host) -> Result<Subnet> {
    let bits = needed.next_power_of_two().trailing_zeros();
    let prefix = u8::try_from(32_u32.saturating_sub(bits)).unwrap_or(0).min(USUAL_PREFIX);
    let usual = u64::from(u32::from(USUAL));
    let ten = u64::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)));
    let (size, whole) = (1_u64 << (32 - u32::from(prefix)), 1_u64 << 24);
    let start = (usual - ten) / size * size;
    let candidates = (0..whole / size).map(|step| ten + (start + step * size) % whole);
    candidates
        .filter_map(|base| u32::try_from(base).ok())
        .map(|base| Subnet { base: Ipv4Addr::from(base), prefix })
        .find(|subnet| host.collision((subnet.base, subnet.prefix)).is_none())
        .ok_or_else(|| {
            Error::host("choosing a subnet", format!("no free /{prefix} is left in 10.0.0.0/8"))
                .remedy("name one that this host does not use, with `network: {subnet: …}`")
        })
}

pub fn nodes(spec: &Spec, subnet: Subnet) -> Vec<Node> {
    let block = block_size(spec);
    let prefix = u8::try_from(32 - block.trailing_zeros()).unwrap_or(32);
    let base = u32::from(subnet.base);
    let node = |place: u32, role: Role, name: String, count: u32, connections: u64| {
        let start = base.wrapping_add(place.wrapping_mul(block as u32));
        let limits = match role {
            Role::Server => Some(&spec.limits.server),
            Role::Client => Some(&spec.limits.client),
            Role::Router => None,
        };
        Node {
            namespace: format!("c1m-{}-{name}", spec.name),
            name,
            role,
            addresses: Addresses { first: Ipv4Addr::from(start.wrapping_add(1)), count },
            block: Subnet { base: Ipv4Addr::from(start), prefix },
            each_address: count <= EACH_ADDRESS,
            routes: Vec::new(),
            ehash_entries: table_size(connections),
            settings: settings::node_settings(spec, role),
            cpus: Vec::new(),
            memory_limit: limits.and_then(|limits| limits.memory).map(|bytes| bytes.0),
        }
    };
    let mut nodes = vec![node(0, Role::Server, "server".to_owned(), 1, spec.connections)];
    let share = spec.connections.div_ceil(u64::from(spec.clients.count.max(1)));
    for client in 1..=spec.clients.count {
        nodes.push(node(client, Role::Client, format!("client-{client}"), spec.clients.addresses, share));
    }
    if spec.network.has_router() {
        let addresses = u32::try_from(router_addresses(spec)).unwrap_or(u32::MAX);
        nodes.push(node(spec.clients.count + 1, Role::Router, "router".to_owned(), addresses, 0));
    }
    ways::route(spec, subnet, &mut nodes);
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
