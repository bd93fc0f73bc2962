//! The sockets of a network namespace, as `/proc/net/sockstat` counts them.

use serde::{Deserialize, Serialize};

/// `tcp_orphan`, `tcp_alloc` and `tcp_mem_pages` are the whole machine's, the others the namespace's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SockStat {
    pub sockets_used: u64,
    pub tcp_inuse: u64,
    /// Those of `tcp_inuse` that are IPv6's.
    #[serde(default)]
    pub tcp6_inuse: u64,
    pub tcp_orphan: u64,
    pub tcp_time_wait: u64,
    pub tcp_alloc: u64,
    pub tcp_mem_pages: u64,
}

impl SockStat {
    /// With what `/proc/net/sockstat6` says: connections over IPv6 are counted there, and only there.
    pub fn with_ipv6(mut self, text: &str) -> SockStat {
        self.tcp6_inuse = count(text, "TCP6", "inuse");
        self.tcp_inuse += self.tcp6_inuse;
        self
    }
}

pub fn parse_sockstat(text: &str) -> SockStat {
    SockStat {
        sockets_used: count(text, "sockets", "used"),
        tcp_inuse: count(text, "TCP", "inuse"),
        tcp6_inuse: 0,
        tcp_orphan: count(text, "TCP", "orphan"),
        tcp_time_wait: count(text, "TCP", "tw"),
        tcp_alloc: count(text, "TCP", "alloc"),
        tcp_mem_pages: count(text, "TCP", "mem"),
    }
}

/// The number behind `name` in the line of `protocol`: `TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 0`.
fn count(text: &str, protocol: &str, name: &str) -> u64 {
    let of_protocol = |line: &&str| line.split_once(':').is_some_and(|(start, _)| start == protocol);
    let line = text.lines().find(of_protocol).unwrap_or_default();
    let mut words = line.split_whitespace().skip_while(|word| *word != name);
    // The kernel's counters may dip below zero for a moment; none is what is meant.
    words.nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}
