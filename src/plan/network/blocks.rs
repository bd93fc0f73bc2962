//! The lab's subnets: those that the lab file names, or free ones; and which block of them is whose.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::host::Host;
use crate::host::{IPV6, Presence};
use crate::plan::refusal::Refusal;
use crate::spec::Spec;
use crate::units::{Address, Block, Family, further, number_of};

/// Private addresses that few networks use: where labs live when no subnet is asked for.
const USUAL_IPV4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 0);
const ALL_IPV4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 0);
const ALL_IPV4_PREFIX: u8 = 8;
const USUAL_IPV4_PREFIX: u8 = 16;
const USUAL_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd99, 0xc1ab, 0, 0, 0, 0, 0, 0);
const ALL_IPV6_PREFIX: u8 = 48;
const USUAL_IPV6_PREFIX: u8 = 64;

/// How a subnet is divided: every node takes a block of the same size.
pub struct Layout {
    /// Addresses of a node's block: a power of two with room for the network's own address.
    size: u64,
    /// The router's own address, and those it translates to.
    pub router_addresses: u64,
    nodes: u64,
}

impl Layout {
    pub fn of(spec: &Spec) -> Layout {
        let own = u64::from(spec.network.has_router());
        let router_addresses = own + spec.network.translation().map_or(0, |nat| nat.addresses.into());
        let size = (u64::from(spec.clients.addresses).max(router_addresses) + 1).next_power_of_two();
        Layout { size, router_addresses, nodes: 1 + u64::from(spec.clients.count) + own }
    }

    fn addresses_needed(&self) -> u64 {
        self.nodes.saturating_mul(self.size)
    }

    /// The block of the node at this place: the server's comes first, the router's last.
    pub fn block(&self, subnet: Block, place: u32) -> Block {
        let bits = subnet.family().bits() - self.size.trailing_zeros() as u8;
        Block { base: further(subnet.base, u64::from(place).wrapping_mul(self.size)), prefix: bits }
    }
}

/// A subnet for each family of addresses that the lab has.
pub fn subnets(spec: &Spec, host: &Host) -> Result<Vec<Block>, Refusal> {
    spec.network.families().iter().map(|family| subnet(spec, host, *family)).collect()
}

/// A subnet of this family, as the lab file names it, or a free one.
pub fn subnet(spec: &Spec, host: &Host, family: Family) -> Result<Block, Refusal> {
    if family == Family::Ipv6 && host.feature(IPV6) == Presence::Absent {
        return Err(Refusal::host("network", "the kernel was started without IPv6")
            .remedy("take `family: ipv4`, or start the kernel without `ipv6.disable=1`"));
    }
    let layout = Layout::of(spec);
    let needed = layout.addresses_needed();
    match spec.network.subnet_of(family) {
        (Some(subnet), key) if subnet.len() < needed => {
            let enough = u32::from(family.bits()) - needed.next_power_of_two().trailing_zeros();
            let why = format!(
                "{subnet} has {} addresses, and 1 server and {} clients with {} each{} need {needed}",
                subnet.len(),
                spec.clients.count,
                spec.clients.addresses,
                match layout.router_addresses {
                    0 => String::new(),
                    own => format!(", and a router with {own},"),
                },
            );
            Err(Refusal::input(key, why)
                .remedy(format!("take a subnet of /{enough} or larger, or fewer clients or addresses")))
        }
        (Some(subnet), _) => Ok(subnet),
        (None, _) => free_subnet(needed, host, family),
    }
}

/// The first subnet large enough that the host neither has nor routes.
fn free_subnet(needed: u64, host: &Host, family: Family) -> Result<Block, Refusal> {
    let bits = needed.next_power_of_two().trailing_zeros();
    let prefix =
        |usual: u8| u8::try_from(u32::from(family.bits()).saturating_sub(bits)).unwrap_or(0).min(usual);
    let (usual, all, prefix) = match family {
        Family::Ipv4 => {
            let all = Block { base: ALL_IPV4.into(), prefix: ALL_IPV4_PREFIX };
            (Address::V4(USUAL_IPV4), all, prefix(USUAL_IPV4_PREFIX))
        }
        Family::Ipv6 => {
            let all = Block { base: USUAL_IPV6.into(), prefix: ALL_IPV6_PREFIX };
            (Address::V6(USUAL_IPV6), all, prefix(USUAL_IPV6_PREFIX))
        }
    };
    candidates(usual, all, prefix).find(|subnet| host.collision(*subnet).is_none()).ok_or_else(|| {
        Refusal::host_lacks(format!("no free /{prefix} is left in {all}"))
            .remedy("name one that this host does not use, with `network: {subnet: …}`")
    })
}

/// The blocks of this length in `all`, from the usual one on.
fn candidates(usual: Address, all: Block, prefix: u8) -> impl Iterator<Item = Block> {
    let family = all.family();
    let free_bits = u32::from(prefix.saturating_sub(all.prefix));
    let (count, shift) = (1_u128 << free_bits, family.bits() - prefix);
    let first = (number_of(usual) - number_of(all.base)) >> shift;
    (0..count).map(move |step| {
        let place = (first + step) % count;
        Block { base: family.address(number_of(all.base) + (place << shift)), prefix }
    })
}
