//! The IPv4 prefixes that the host already uses, so that a lab's subnet takes none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::tree::Tree;

/// A network's address and its length in bits.
pub type Prefix = (Ipv4Addr, u8);

const ROUTE: &str = "/proc/net/route";
const FIB_TRIE: &str = "/proc/net/fib_trie";

/// `route` has the main table; `fib_trie` has every table, and the host's own addresses too.
pub fn read(tree: &Tree, unread: &mut BTreeMap<String, String>) -> Vec<Prefix> {
    let mut prefixes = BTreeSet::new();
    for (file, parse) in [(ROUTE, parse_route as fn(&str) -> Vec<Prefix>), (FIB_TRIE, parse_fib_trie)] {
        match tree.text(file) {
            Ok(text) => prefixes.extend(parse(&text)),
            Err(why) => drop(unread.insert(format!("routes of {file}"), why.to_string())),
        }
    }
    outermost(prefixes)
}

pub fn parse_route(text: &str) -> Vec<Prefix> {
    let worth_keeping = |prefix: &Prefix| !is_default(*prefix) && !prefix.0.is_loopback();
    text.lines().skip(1).filter_map(route).filter(worth_keeping).collect()
}

/// `eth0 000200C0 00000000 0001 0 0 0 00FFFFFF ...`: device, destination, ..., and eighth the mask.
fn route(line: &str) -> Option<Prefix> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (device, destination, mask) = (*words.first()?, *words.get(1)?, *words.get(7)?);
    let length = u32::from(address(mask)?).leading_ones() as u8;
    (device != "lo").then_some((network(address(destination)?, length), length))
}

/// The kernel prints the four bytes of an address as one number of this machine's byte order.
fn address(hexadecimal: &str) -> Option<Ipv4Addr> {
    u32::from_str_radix(hexadecimal, 16).ok().map(|number| Ipv4Addr::from(number.to_ne_bytes()))
}

/// Under a leaf such as `|-- 192.0.2.0` stand its prefixes, such as `/24 link UNICAST`.
pub fn parse_fib_trie(text: &str) -> Vec<Prefix> {
    let mut prefixes = Vec::new();
    let mut leaf = None;
    for line in text.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if let (Some(address), Some(length)) = (leaf, used_length(line)) {
            prefixes.push((network(address, length), length));
        }
    }
    prefixes.retain(|prefix| !is_default(*prefix) && !prefix.0.is_loopback());
    prefixes
}

/// The length in `/24 link UNICAST`. Broadcast addresses only go with a prefix that is listed itself.
fn used_length(line: &str) -> Option<u8> {
    let mut words = line.strip_prefix('/')?.split_whitespace();
    let length: u8 = words.next()?.parse().ok()?;
    let kind = words.nth(1)?;
    (length <= 32 && !["BROADCAST", "ANYCAST", "MULTICAST", "THROW"].contains(&kind)).then_some(length)
}

/// A VPN that wants everything routes the two halves of the address space: no subnet could avoid those.
fn is_default((_, length): Prefix) -> bool {
    length <= 1
}

fn network(address: Ipv4Addr, length: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address) & mask(length))
}

fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(length.into())).unwrap_or(0)
}

/// Whether one of the two lies in the other.
pub fn overlap(one: Prefix, other: Prefix) -> bool {
    let common = one.1.min(other.1);
    network(one.0, common) == network(other.0, common)
}

/// A prefix comes right before those that lie in it, which say nothing new.
fn outermost(sorted: BTreeSet<Prefix>) -> Vec<Prefix> {
    let mut kept: Vec<Prefix> = Vec::new();
    for prefix in sorted {
        if !kept.last().is_some_and(|last| overlap(*last, prefix)) {
            kept.push(prefix);
        }
    }
    kept
}
