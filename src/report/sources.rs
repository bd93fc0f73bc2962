//! How many source ports, and pairs of address and port, the connections of a client are bound to. Pure.

use std::ops::Range;

use crate::plan::tuples::Tuples;

/// Distinct ports and pairs of these stretches of a client's five-tuples.
pub fn used(tuples: &Tuples, stretches: &[Range<u64>]) -> (u64, u64) {
    let (pairs, addresses) = (tuples.source_pairs().max(1), u64::from(tuples.sources.count).max(1));
    // A pair is used again when all have been used: a stretch is one or two of the same pairs, or all of them.
    let mut spans: Vec<Range<u64>> = Vec::new();
    for stretch in stretches.iter().filter(|stretch| !stretch.is_empty()) {
        let (first, count) = (stretch.start % pairs, (stretch.end - stretch.start).min(pairs));
        let end = first.saturating_add(count);
        spans.push(first..end.min(pairs));
        spans.push(0..end.saturating_sub(pairs));
    }
    // A port is that of as many neighbouring pairs as there are addresses.
    let ports = spans.iter().filter(|span| !span.is_empty());
    let ports = ports.map(|span| span.start / addresses..(span.end - 1) / addresses + 1).collect();
    (covered(ports), covered(spans))
}

/// How much lies in any of these spans.
fn covered(mut spans: Vec<Range<u64>>) -> u64 {
    spans.sort_by_key(|span| span.start);
    let (mut sum, mut until) = (0, 0);
    for span in spans {
        sum += span.end.saturating_sub(span.start.max(until));
        until = until.max(span.end);
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::tuples::Addresses;
    use crate::units::{PortRange, Ports};

    fn tuples(addresses: u32, ports: u16, server_ports: u16) -> Tuples {
        Tuples {
            sources: Addresses { first: Ipv4Addr::new(10, 99, 1, 1).into(), count: addresses },
            source_ports: PortRange { first: 1024, last: 1024 + (ports - 1) },
            server: Ipv4Addr::new(10, 99, 0, 1).into(),
            server_ports: Ports(vec![PortRange { first: 9900, last: 9900 + (server_ports - 1) }]),
            kernel_chooses: false,
            spread: None,
        }
    }

    #[test]
    fn fifty_thousand_over_sixteen_addresses() {
        // As was counted in the kernel's caches: 50,000 pairs, 3,125 ports.
        let all = [0..25_000, 25_000..50_000];
        assert_eq!(used(&tuples(16, 64_512, 100), &all), (3_125, 50_000));
        assert_eq!(used(&tuples(16, 64_512, 100), &[]), (0, 0));
    }

    proptest! {
        #[test]
        fn the_arithmetic_counts_what_the_tuples_are(
            addresses in 1_u32..9, ports in 1_u16..40, server_ports in 1_u16..6,
            stretches in prop::collection::vec((0_u64..2_000, 0_u64..400), 0..6),
        ) {
            let tuples = tuples(addresses, ports, server_ports);
            let stretches: Vec<_> = stretches.iter().map(|(first, count)| *first..first + count).collect();
            let indices = stretches.iter().flat_map(Clone::clone);
            let sources: HashSet<_> = indices.map(|index| tuples.at(index).0).collect();
            let bound: HashSet<_> = sources.iter().map(|source| source.port()).collect();
            prop_assert_eq!(used(&tuples, &stretches), (bound.len() as u64, sources.len() as u64));
        }
    }
}
