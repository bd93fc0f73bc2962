//! The settings of the machine that bear on a million connections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::mounts::{self, Mount};
use super::tree::{Tree, may_write};
use crate::kernel::proc::sysctl_path;
use crate::permitted;

/// The sysctls that are read.
pub const KEYS: [&str; 20] = [
    "fs.file-max",
    "fs.nr_open",
    "kernel.pid_max",
    "kernel.threads-max",
    "net.core.netdev_max_backlog",
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.neigh.default.gc_thresh1",
    "net.ipv4.neigh.default.gc_thresh2",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv4.tcp_child_ehash_entries",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_max",
    "user.max_net_namespaces",
];

/// Only the machine's own root may write it, and it belongs to no namespace.
const HOST_WIDE: &str = "fs.nr_open";

/// The settings found, and the reasons for those that are not: a kernel without conntrack has no
/// `nf_conntrack_max`.
pub fn read(tree: &Tree) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let (mut found, mut missing) = (BTreeMap::new(), BTreeMap::new());
    for key in KEYS {
        match value(tree, key) {
            Ok(text) => found.insert(key.to_string(), text),
            Err(why) => missing.insert(key.to_string(), why.to_string()),
        };
    }
    // A lab file may name these too: what it makes of them is compared with what they are.
    for one in permitted::HOST.iter().filter(|one| !KEYS.contains(&one.key)) {
        found.extend(value(tree, one.key).ok().map(|text| (one.key.to_owned(), text)));
    }
    (found, missing)
}

/// What a setting is now, its words parted by one space.
pub fn value(tree: &Tree, key: &str) -> std::io::Result<String> {
    Ok(one_line(&tree.text(file(key)?)?))
}

/// The settings that this process may not write. The kernel is asked for each: some belong to another
/// namespace, and some want a capability of their own.
pub fn fixed(tree: &Tree, mounts: &[Mount], settings: &BTreeMap<String, String>) -> BTreeSet<String> {
    settings.keys().filter(|key| !may_set(tree, mounts, key)).cloned().collect()
}

pub fn writable(tree: &Tree, mounts: &[Mount]) -> bool {
    may_set(tree, mounts, HOST_WIDE)
}

fn may_set(tree: &Tree, mounts: &[Mount], key: &str) -> bool {
    let Ok(file) = file(key) else { return false };
    // Containers often see /proc/sys, or parts of it, through a read-only mount of its own.
    let mounted_for_writing =
        mounts::holding(mounts, Path::new(&file)).is_none_or(|mount| !mount.read_only());
    mounted_for_writing && may_write(&tree.path(file))
}

fn file(key: &str) -> std::io::Result<String> {
    Ok(format!("/proc/sys/{}", sysctl_path(key)?))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
