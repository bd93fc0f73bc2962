//! The messages about addresses and routes, of both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteScope, RouteType,
};
use rtnetlink::{AddressMessageBuilder, RouteMessageBuilder};

use super::LOOPBACK;

/// The routing table of a namespace's own addresses.
const LOCAL_TABLE: u32 = 255;

/// An address for a link. It is used at once: nobody else can have it, so the kernel need not look for duplicates.
pub fn address(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    match address {
        IpAddr::V4(address) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, prefix).build()
        }
        IpAddr::V6(address) => {
            let mut message =
                AddressMessageBuilder::<Ipv6Addr>::new().index(index).address(address, prefix).build();
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            message
        }
    }
}

/// A route to this block, of its family, with nothing else said.
fn to(block: (IpAddr, u8)) -> RouteMessage {
    match block.0 {
        IpAddr::V4(to) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, block.1).build(),
        IpAddr::V6(to) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to, block.1).build(),
    }
}

fn value(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}

/// A whole block that counts as the machine's own.
pub fn own_range(first: IpAddr, prefix: u8) -> RouteMessage {
    let mut route = to((first, prefix));
    route.header.kind = RouteType::Local;
    route.header.scope = RouteScope::Host;
    route.header.table = LOCAL_TABLE as u8;
    route.attributes.push(RouteAttribute::Oif(LOOPBACK));
    if first.is_ipv4() {
        // In IPv6 it would have to be an address that is on a link.
        route.attributes.push(RouteAttribute::PrefSource(value(first)));
    }
    route
}

pub fn unroute(block: IpAddr, prefix: u8) -> RouteMessage {
    let mut route = to((block, prefix));
    route.header.scope = RouteScope::NoWhere;
    route
}

pub fn by_neighbour(block: (IpAddr, u8), via: IpAddr) -> RouteMessage {
    let mut route = to(block);
    route.attributes.push(RouteAttribute::Gateway(value(via)));
    route
}

pub fn route(block: (IpAddr, u8), via: Option<IpAddr>, link: u32, source: Option<IpAddr>) -> RouteMessage {
    let mut route = to(block);
    route.attributes.push(RouteAttribute::Oif(link));
    match via {
        Some(via) => {
            route.attributes.push(RouteAttribute::Gateway(value(via)));
            if via.is_ipv4() {
                // It is on the other end of the pair, whatever its address. A link-local one is anyway.
                route.header.flags |= RouteFlags::Onlink;
            }
        }
        None => route.header.scope = RouteScope::Link,
    }
    if let Some(source) = source {
        route.attributes.push(RouteAttribute::PrefSource(value(source)));
    }
    route
}
