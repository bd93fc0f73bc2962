//! A machine that is big enough for anything, the same wherever it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::*;

const GIB: u64 = 1 << 30;

impl Host {
    /// A machine with 64 GiB and every right, for tests of what is decided from facts.
    pub fn example() -> Host {
        let group = std::path::PathBuf::from("/sys/fs/cgroup/user.slice");
        Host {
            kernel: "6.12.0".to_string(),
            machine_cpus: 16,
            cpus: (0..16).collect(),
            uid: 0,
            capabilities: Capabilities::all(),
            nofile: Nofile { soft: 1024, hard: 1_048_576 },
            settings: settings(),
            settings_fixed: BTreeSet::new(),
            settings_writable: true,
            files_open: 2_000,
            in_use: BTreeMap::new(),
            tasks: Vec::new(),
            others: Vec::new(),
            memory: Memory { total: 64 * GIB, available: 60 * GIB },
            cgroup: Cgroup {
                version: Version::V2,
                memory_path: Some(group.join("session-1.scope")),
                memory_limit: None,
                memory_used: Some(GIB / 4),
                limit_below: Some(group),
                can_limit: Ok(()),
            },
            routes: vec![Block { base: Ipv4Addr::new(192, 168, 1, 0).into(), prefix: 24 }],
            features: features(),
            unread: BTreeMap::new(),
        }
    }
}

fn features() -> BTreeMap<String, Feature> {
    let present = || Feature::new(Presence::Present, "an example");
    features::names().map(|name| (name.to_string(), present())).collect()
}

/// What a distribution's kernel chooses by itself on such a machine.
fn settings() -> BTreeMap<String, String> {
    let settings = [
        ("fs.file-max", "9223372036854775807"),
        ("fs.nr_open", "1048576"),
        ("kernel.pid_max", "4194304"),
        ("kernel.threads-max", "514000"),
        ("net.core.netdev_max_backlog", "1000"),
        ("net.core.somaxconn", "4096"),
        ("net.ipv4.ip_local_port_range", "32768 60999"),
        ("net.ipv4.ip_unprivileged_port_start", "1024"),
        ("net.ipv4.neigh.default.gc_thresh1", "128"),
        ("net.ipv4.neigh.default.gc_thresh2", "512"),
        ("net.ipv4.neigh.default.gc_thresh3", "1024"),
        ("net.ipv4.tcp_child_ehash_entries", "0"),
        ("net.ipv4.tcp_max_orphans", "262144"),
        ("net.ipv4.tcp_max_syn_backlog", "4096"),
        ("net.ipv4.tcp_mem", "767000 1023000 1534000"),
        ("net.ipv4.tcp_rmem", "4096 131072 6291456"),
        ("net.ipv4.tcp_wmem", "4096 16384 4194304"),
        ("net.netfilter.nf_conntrack_buckets", "262144"),
        ("net.netfilter.nf_conntrack_max", "262144"),
        ("user.max_net_namespaces", "257000"),
    ];
    settings.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
