//! The prefixes that the host already uses, so that a lab's subnet takes none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::tree::Tree;
use crate::units::{Address, Block};

const ROUTE: &str = "/proc/net/route";
const FIB_TRIE: &str = "/proc/net/fib_trie";
const IPV6_ROUTE: &str = "/proc/net/ipv6_route";

type Parse = fn(&str) -> Vec<Block>;

/// `route` has the main table of IPv4; `fib_trie` and `ipv6_route` have every table, and the host's own addresses too.
pub fn read(tree: &Tree, unread: &mut BTreeMap<String, String>) -> Vec<Block> {
    let files: [(&str, Parse); 3] =
        [(ROUTE, parse_route), (FIB_TRIE, parse_fib_trie), (IPV6_ROUTE, parse_ipv6_route)];
    let mut blocks = BTreeSet::new();
    for (file, parse) in files {
        match tree.text(file) {
            Ok(text) => blocks.extend(parse(&text)),
            // A kernel may have been started without IPv6.
            Err(why) if file == IPV6_ROUTE && why.kind() == ErrorKind::NotFound => {}
            Err(why) => drop(unread.insert(format!("routes of {file}"), why.to_string())),
        }
    }
    outermost(blocks)
}

pub fn parse_route(text: &str) -> Vec<Block> {
    let worth_keeping = |block: &Block| !is_default(*block) && !block.base.is_loopback();
    text.lines().skip(1).filter_map(route).filter(worth_keeping).collect()
}

/// `eth0 000200C0 00000000 0001 0 0 0 00FFFFFF ...`: device, destination, ..., and eighth the mask.
fn route(line: &str) -> Option<Block> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (device, destination, mask) = (*words.first()?, *words.get(1)?, *words.get(7)?);
    let length = u32::from(address(mask)?).leading_ones() as u8;
    (device != "lo").then_some(Block::around(address(destination)?.into(), length))
}

/// The kernel prints the four bytes of an address as one number of this machine's byte order.
fn address(hexadecimal: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(hexadecimal, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()))
}

/// Under a leaf such as `|-- 192.0.2.0` stand its prefixes, such as `/24 link UNICAST`.
pub fn parse_fib_trie(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut leaf: Option<Ipv4Addr> = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if let (Some(address), Some(length)) = (leaf, used_length(line)) {
            blocks.push(Block::around(address.into(), length));
        }
    }
    blocks.retain(|block| !is_default(*block) && !block.base.is_loopback());
    blocks
}

/// The length in `/24 link UNICAST`. Broadcast addresses only go with a prefix that is listed itself.
fn used_length(line: &str) -> Option<u8> {
    let mut words = line.strip_prefix('/')?.split_whitespace();
    let length: u8 = words.next()?.parse().ok()?;
    let kind = words.nth(1)?;
    (length <= 32 && !["BROADCAST", "ANYCAST", "MULTICAST", "THROW"].contains(&kind)).then_some(length)
}

/// `fd00… 40 0… 00 …`: destination and its length come first, both as hexadecimal digits.
pub fn parse_ipv6_route(text: &str) -> Vec<Block> {
    let route = |line: &str| {
        let mut words = line.split_whitespace();
        let (destination, length) = (words.next()?, words.next()?);
        let destination = Ipv6Addr::from_bits(u128::from_str_radix(destination, 16).ok()?);
        let length = u8::from_str_radix(length, 16).ok().filter(|length| *length <= 128)?;
        // Every link has link-local addresses and multicast of its own.
        let kept =
            !destination.is_loopback() && !destination.is_multicast() && !destination.is_unicast_link_local();
        kept.then_some(Block::around(Address::V6(destination), length))
    };
    text.lines().filter_map(route).filter(|block| !is_default(*block)).collect()
}

/// A VPN that wants everything routes the two halves of the address space: no subnet could avoid those. IPv6 has
/// its usual addresses in one eighth.
fn is_default(block: Block) -> bool {
    block.prefix <= if block.base.is_ipv4() { 1 } else { 3 }
}

/// A block comes right before those that lie in it, which say nothing new.
fn outermost(sorted: BTreeSet<Block>) -> Vec<Block> {
    let mut kept: Vec<Block> = Vec::new();
    for block in sorted {
        if !kept.last().is_some_and(|last| last.overlaps(block)) {
            kept.push(block);
        }
    }
    kept
}
