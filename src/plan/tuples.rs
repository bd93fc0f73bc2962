//! The five-tuples: which connection of a client uses which source address, source port and server port.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Address, PortRange, Ports, further};

/// Connections in a row that go to the same server port.
const STRETCH: u64 = 256;

/// Consecutive addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Addresses {
    pub first: Address,
    pub count: u32,
}

impl Addresses {
    pub fn one(address: Address) -> Self {
        Addresses { first: address, count: 1 }
    }

    pub fn at(&self, index: u32) -> Address {
        further(self.first, index.into())
    }

    pub fn last(&self) -> Address {
        self.at(self.count.saturating_sub(1))
    }

    pub fn iter(self) -> impl Iterator<Item = Address> {
        (0..self.count).map(move |index| self.at(index))
    }
}

/// All five-tuples of one client node, each with an index from 0 to `possible() - 1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tuples {
    pub sources: Addresses,
    pub source_ports: PortRange,
    pub server: Address,
    pub server_ports: Ports,
    /// The kernel chooses the source port, one of `source_ports`, when it connects.
    #[serde(default)]
    pub kernel_chooses: bool,
    /// Neighbours meet different server ports, so that all are used alike; other clients' connections, so
    /// many, come before. None: a stretch of neighbours meets the same.
    #[serde(default)]
    pub spread: Option<u64>,
}

impl Tuples {
    /// Pairs of source address and source port.
    pub fn source_pairs(&self) -> u64 {
        u64::from(self.sources.count) * self.source_ports.len() as u64
    }

    pub fn possible(&self) -> u64 {
        self.source_pairs() * self.server_ports.len() as u64
    }

    /// Whether the first `count` tuples use a source pair more than once.
    pub fn shares_sources(&self, count: u64) -> bool {
        !self.kernel_chooses && count > self.source_pairs()
    }

    /// The tuple with this index: a source pair is used again only when all have been used, and then
    /// meets the next server port. Neighbouring indices have different addresses and, for a stretch,
    /// the same server port: a reactor that finds a queue filled accepts many at once.
    ///
    /// Where the kernel chooses, the source port is 0, and addresses and server ports are used evenly.
    pub fn at(&self, index: u64) -> (SocketAddr, SocketAddr) {
        let (pairs, addresses) = (self.source_pairs(), u64::from(self.sources.count));
        let (pair, round) = (index % pairs, index / pairs);
        let address = self.sources.at((pair % addresses) as u32);
        let (port, turn) = match (self.kernel_chooses, self.spread) {
            (true, before) => (0, before.unwrap_or(0) / addresses + index / addresses),
            (false, Some(before)) => (self.planned_port(pair), before + pair + round),
            (false, None) => (self.planned_port(pair), pair / STRETCH + round),
        };
        let server_port = self.server_ports.nth((turn % self.server_ports.len() as u64) as usize);
        (SocketAddr::new(address, port), SocketAddr::new(self.server, server_port.unwrap_or(0)))
    }

    fn planned_port(&self, pair: u64) -> u16 {
        self.source_ports.first + (pair / u64::from(self.sources.count)) as u16
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn tuples(addresses: u32, first: u16, ports: u16, server_ports: u16) -> Tuples {
        Tuples {
            sources: Addresses { first: "10.99.1.1".parse().expect("an address"), count: addresses },
            source_ports: PortRange { first, last: first + (ports - 1) },
            server: "10.99.0.1".parse().expect("an address"),
            server_ports: Ports(vec![PortRange { first: 9900, last: 9900 + (server_ports - 1) }]),
            kernel_chooses: false,
            spread: None,
        }
    }

    proptest! {
        #[test]
        fn every_tuple_is_distinct_and_inside_its_ranges(
            addresses in 1u32..9, first in 1u16..60000, ports in 1u16..40, server_ports in 1u16..30,
        ) {
            let all = tuples(addresses, first, ports, server_ports);
            let mut seen = HashSet::new();
            for index in 0..all.possible() {
                let (source, server) = all.at(index);
                prop_assert!(all.sources.iter().any(|one| one == source.ip()));
                prop_assert!(source.port() >= first && source.port() <= first + (ports - 1));
                prop_assert!(server.port() >= 9900 && server.port() < 9900 + server_ports);
                prop_assert!(seen.insert((source, server)), "index {index} repeats a tuple");
            }
            prop_assert_eq!(seen.len() as u64, all.possible());
        }

        #[test]
        fn spread_tuples_are_as_distinct(
            addresses in 1u32..9, ports in 1u16..40, server_ports in 1u16..30, before in 0u64..100,
        ) {
            let all = Tuples { spread: Some(before), ..tuples(addresses, 1024, ports, server_ports) };
            let seen: HashSet<_> = (0..all.possible()).map(|index| all.at(index)).collect();
            prop_assert_eq!(seen.len() as u64, all.possible());
        }

        /// No address is asked for more ports towards one server port than any other, but for one.
        #[test]
        fn what_the_kernel_chooses_for_is_used_evenly(
            addresses in 1u32..9, server_ports in 1u16..30, asked in 1u64..5_000, before in 0u64..100,
        ) {
            let planned = tuples(addresses, 1024, 100, server_ports);
            let all = Tuples { spread: Some(before), kernel_chooses: true, ..planned };
            let mut used = std::collections::HashMap::new();
            for index in 0..asked {
                let (source, server) = all.at(index);
                prop_assert_eq!(source.port(), 0);
                *used.entry((source, server)).or_insert(0_u64) += 1;
            }
            let each = asked / (u64::from(addresses) * u64::from(server_ports));
            prop_assert!(used.values().all(|count| *count == each || *count == each + 1), "{:?}", used);
            prop_assert!(!all.shares_sources(u64::MAX));
        }

        #[test]
        fn sources_are_used_once_before_any_is_used_twice(
            addresses in 1u32..9, ports in 1u16..40, server_ports in 1u16..30,
        ) {
            let all = tuples(addresses, 1024, ports, server_ports);
            let sources: HashSet<_> = (0..all.source_pairs()).map(|index| all.at(index).0).collect();
            prop_assert_eq!(sources.len() as u64, all.source_pairs());
        }
    }
}
