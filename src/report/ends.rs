//! What one side's ends of connections take from the kernel: how many objects, times what each occupies. Pure.

use std::collections::BTreeMap;

use crate::kernel::proc::Object;
use crate::observe::objects::{Each, KINDS};

/// Where a side's figure comes from.
pub const COUNTED: &str = "sockets counted in this side's own namespaces, times what the kernel's objects for each \
     occupy (/proc/slabinfo, their names resolved by /sys/kernel/slab)";
pub const CHARGED: &str = "what this side's memory cgroups were charged for the kernel's part, and the unused rest of \
     the slabs that its objects are in";
/// Of the machines where the kernel chooses source ports.
pub const PORTS_UNKNOWN: &str = "; the kernel chose the source ports: a bind bucket of each kind is taken for each \
     connection, the most there can be";

/// How many there are of what the kernel keeps an object for, in one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndCounts {
    pub sockets: u64,
    /// Those of `sockets` that are IPv6's: a larger kind of object.
    pub over_ipv6: u64,
    pub files: u64,
    pub watched: u64,
    pub ports: u64,
    pub sources: u64,
}

impl EndCounts {
    fn of(&self, each: Each) -> u64 {
        match each {
            Each::Ipv4Socket => self.sockets.saturating_sub(self.over_ipv6),
            Each::Ipv6Socket => self.over_ipv6,
            Each::File => self.files,
            Each::Watched => self.watched,
            Each::Port => self.ports,
            Each::Source => self.sources,
        }
    }
}

/// The memory of some ends.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// With each object's part of its slab, by cache.
    pub by: BTreeMap<&'static str, f64>,
    /// The objects alone.
    pub bare: f64,
}

impl Taken {
    pub fn total(&self) -> f64 {
        self.by.values().sum()
    }

    pub fn add(&mut self, other: Taken) {
        other.by.into_iter().for_each(|(cache, bytes)| *self.by.entry(cache).or_default() += bytes);
        self.bare += other.bare;
    }
}

/// What these ends take. An error is the cache that is needed and not known.
pub fn taken(ends: &EndCounts, object: impl Fn(&str) -> Option<Object>) -> Result<Taken, &'static str> {
    let mut taken = Taken::default();
    for kind in KINDS {
        let count = ends.of(kind.each);
        match object(kind.cache) {
            _ if count == 0 => {}
            Some(object) => {
                taken.by.insert(kind.cache, count as f64 * object.footprint());
                taken.bare += count as f64 * object.size as f64;
            }
            None if kind.always => return Err(kind.cache),
            // Not every kernel has it.
            None => {}
        }
    }
    Ok(taken)
}

/// Objects of security modules are not charged: so much of all may be missing where everything else is.
const CHARGED_FOR_ALL: f64 = 0.98;

/// A side's bytes, and their source. Where its cgroups were charged for its objects, they know of more: buffers, page
/// tables. Else the kernel did not charge all of it there, and what was counted is more.
pub fn settled(taken: &Taken, charged: Option<u64>) -> (f64, &'static str) {
    let slack = (taken.total() - taken.bare).max(0.0);
    match charged.map(|charged| charged as f64) {
        Some(charged) if charged >= taken.bare * CHARGED_FOR_ALL => {
            (charged.max(taken.bare) + slack, CHARGED)
        }
        _ => (taken.total(), COUNTED),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::proc::recorded::{LINKS, MERGED, UNMERGED, caches};

    const NONE: EndCounts =
        EndCounts { sockets: 0, over_ipv6: 0, files: 0, watched: 0, ports: 0, sources: 0 };
    const SERVER: EndCounts = EndCounts { sockets: 100_000, files: 100_000, watched: 100_000, ..NONE };
    const CLIENTS: EndCounts =
        EndCounts { sockets: 100_000, files: 100_000, ports: 6_250, sources: 100_000, ..NONE };

    fn each(ends: &EndCounts, slabinfo: &str, links: &str, page: u64) -> Result<f64, &'static str> {
        let caches = caches(slabinfo, links, page);
        taken(ends, |cache| caches.object(cache)).map(|taken| taken.total() / ends.sockets as f64)
    }

    #[test]
    fn both_sides_on_a_kernel_that_merges() {
        let (server, clients) = (each(&SERVER, MERGED, LINKS, 4096), each(&CLIENTS, MERGED, LINKS, 4096));
        // Socket 2,520.6, inode 862.3, file and entry 195.0 each, security 32 and 24.1: 3,829.1; watching adds 208,
        // a source 128 and a sixteenth of 128.
        assert!((server.expect("known") - 4_037.1).abs() < 0.2, "{server:?}");
        assert!((clients.expect("known") - 3_965.1).abs() < 0.2, "{clients:?}");
    }

    #[test]
    fn a_kernel_that_does_not_merge_needs_no_links() {
        let server = each(&SERVER, UNMERGED, "", 4096).expect("known");
        assert!((server - (2_520.6 + 862.3 + 256.0 + 195.0 + 128.0 + 73.1)).abs() < 0.2, "{server}");
        let clients = each(&CLIENTS, UNMERGED, "", 4096).expect("known");
        assert!((clients - (2_520.6 + 862.3 + 256.0 + 195.0 + 4.0)).abs() < 0.2, "{clients}");
    }

    #[test]
    fn what_cannot_be_known_is_no_zero() {
        assert_eq!(each(&CLIENTS, MERGED, "", 4096), Err("tcp_bind_bucket"));
        assert_eq!(each(&SERVER, MERGED, "", 4096), Err("eventpoll_pwq"));
        assert_eq!(each(&SERVER, "", LINKS, 4096), Err("TCP"));
    }

    #[test]
    fn who_waits_to_be_accepted_has_a_socket_only() {
        let waiting = EndCounts { files: 0, watched: 0, ..SERVER };
        assert!((each(&waiting, MERGED, LINKS, 4096).expect("known") - 2_520.6).abs() < 0.1);
    }

    #[test]
    fn a_cgroup_is_believed_where_it_was_charged_for_everything() {
        let taken = Taken { by: BTreeMap::from([("TCP", 2_500.0)]), bare: 2_300.0 };
        assert_eq!(settled(&taken, Some(2_600)), (2_800.0, CHARGED));
        assert_eq!(settled(&taken, Some(2_290)), (2_500.0, CHARGED), "never less than was counted");
        assert_eq!(settled(&taken, Some(900)), (2_500.0, COUNTED), "accepted sockets are not charged here");
        assert_eq!(settled(&taken, None), (2_500.0, COUNTED));
    }

    proptest! {
        /// A side's figure hangs on its own ends alone, whatever else is in the caches; each end costs the same.
        #[test]
        fn a_figure_is_the_sides_own(count in 1_u64..10_000_000, others in prop::collection::vec(1_u64..10_000_000, 9)) {
            let scaled = |ends: &EndCounts| EndCounts {
                over_ipv6: 0,
                sockets: ends.sockets * count,
                files: ends.files * count,
                watched: ends.watched * count,
                ports: ends.ports * count,
                sources: ends.sources * count,
            };
            let mut lines: Vec<String> = MERGED.lines().map(str::to_owned).collect();
            for (line, others) in lines.iter_mut().skip(2).zip(others) {
                let words: Vec<&str> = line.split_whitespace().collect();
                *line = format!("{} {others} {others} {}", words[0], words[3..].join(" "));
            }
            for ends in [SERVER, CLIENTS] {
                let quiet = each(&ends, MERGED, LINKS, 4096).expect("known");
                let busy = each(&scaled(&ends), &lines.join("\n"), LINKS, 4096).expect("known");
                prop_assert!((quiet - busy).abs() < 0.001, "{quiet} and {busy}");
            }
        }

        #[test]
        fn no_machines_numbers_break_it(numbers in prop::array::uniform3(any::<u64>()), sockets: u64) {
            let ends = EndCounts { sockets, files: sockets, watched: sockets, ports: sockets, sources: sockets, over_ipv6: 0 };
            let [size, slab_bytes, per_slab] = numbers;
            if let Ok(taken) = taken(&ends, |_| Object::new(size, slab_bytes, per_slab)) {
                prop_assert!(settled(&taken, Some(size)).0.is_finite());
            }
        }
    }
}
