//! How much of the host's limits is in use.

use std::collections::BTreeMap;

use super::tree::Tree;
use crate::kernel::proc::parse_sockstat;

/// By the setting that is the limit. What cannot be read is left out: then no limit is known to be near.
pub fn read(tree: &Tree) -> BTreeMap<String, u64> {
    let mut in_use = BTreeMap::new();
    if let Ok(text) = tree.text("/proc/net/sockstat") {
        let sockets = parse_sockstat(&text);
        in_use.insert("net.ipv4.tcp_mem".to_owned(), sockets.tcp_mem_pages);
        in_use.insert("net.ipv4.tcp_max_orphans".to_owned(), sockets.tcp_orphan);
    }
    let tracked = tree.text("/proc/sys/net/netfilter/nf_conntrack_count").ok();
    if let Some(tracked) = tracked.and_then(|text| text.trim().parse().ok()) {
        in_use.insert("net.netfilter.nf_conntrack_max".to_owned(), tracked);
    }
    if let Some(entries) = tree.text("/proc/net/stat/arp_cache").ok().as_deref().and_then(neighbours) {
        in_use.insert("net.ipv4.neigh.default.gc_thresh3".to_owned(), entries);
    }
    if let Some(threads) = tree.text("/proc/loadavg").ok().as_deref().and_then(threads) {
        in_use.insert("kernel.threads-max".to_owned(), threads);
        in_use.insert("kernel.pid_max".to_owned(), threads);
    }
    in_use
}

/// All threads of the machine: the number behind the slash.
fn threads(loadavg: &str) -> Option<u64> {
    loadavg.split_once('/')?.1.split_whitespace().next()?.parse().ok()
}

/// The entries of all namespaces together: the first number of every line but the headline.
fn neighbours(table: &str) -> Option<u64> {
    u64::from_str_radix(table.lines().nth(1)?.split_whitespace().next()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbours_are_counted_in_hexadecimal() {
        let table = "entries,allocs,destroys\n0000001f 00000000 00000000\n0000001f 00000000 00000000\n";
        assert_eq!(neighbours(table), Some(31));
        assert_eq!(neighbours("entries\n"), None);
    }

    #[test]
    fn the_threads_are_all_that_there_are() {
        assert_eq!(threads("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        assert_eq!(threads("0.20"), None);
    }
}
