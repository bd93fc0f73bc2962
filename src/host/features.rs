//! What the kernel can do, told from files alone: nothing is tried, and no module is loaded.

mod evidence;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::tree::Tree;
use evidence::Evidence;

pub const IPV6: &str = "ipv6";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    Present,
    /// A module on disk, which the kernel loads when it is first asked for.
    Loadable,
    Absent,
    #[default]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    pub presence: Presence,
    /// The evidence, in words.
    pub known_by: String,
}

impl Feature {
    pub fn new(presence: Presence, known_by: impl Into<String>) -> Feature {
        Feature { presence, known_by: known_by.into() }
    }
}

/// A feature, and what gives it away.
struct Sought {
    name: &'static str,
    /// Files that are there only if the feature is.
    files: &'static [&'static str],
    module: &'static str,
    /// The kernel's configuration option, without `CONFIG_`.
    option: &'static str,
    /// A function of the feature's that the kernel lists among its symbols if it is built in or loaded.
    symbol: &'static str,
}

const fn sought(
    name: &'static str,
    files: &'static [&'static str],
    [module, option, symbol]: [&'static str; 3],
) -> Sought {
    Sought { name, files, module, option, symbol }
}

#[rustfmt::skip]
const SOUGHT: [Sought; 12] = [
    sought("bridge", &[], ["bridge", "BRIDGE", "br_dev_xmit"]),
    sought("conntrack", &["/proc/sys/net/netfilter/nf_conntrack_max"], ["nf_conntrack", "NF_CONNTRACK", "nf_conntrack_in"]),
    sought("iptables", &[], ["ip_tables", "IP_NF_IPTABLES", "ipt_do_table"]),
    sought("kvm", &["/dev/kvm"], ["kvm", "KVM", "kvm_dev_ioctl"]),
    sought("masquerade", &[], ["nft_masq", "NFT_MASQ", "nft_masq_init"]),
    sought("nat", &[], ["nf_nat", "NF_NAT", "nf_nat_setup_info"]),
    sought("netem", &[], ["sch_netem", "NET_SCH_NETEM", "netem_enqueue"]),
    sought("nf_tables", &[], ["nf_tables", "NF_TABLES", "nf_tables_newrule"]),
    sought("tbf", &[], ["sch_tbf", "NET_SCH_TBF", "tbf_enqueue"]),
    sought("tcp_diag", &[], ["tcp_diag", "INET_TCP_DIAG", "tcp_diag_dump"]),
    sought("tun", &["/sys/class/misc/tun"], ["tun", "TUN", "tun_chr_open"]),
    sought("veth", &[], ["veth", "VETH", "veth_xmit"]),
];

pub fn read(tree: &Tree, kernel: &str) -> BTreeMap<String, Feature> {
    let evidence = Evidence::gather(tree, kernel);
    let mut features: BTreeMap<String, Feature> =
        SOUGHT.iter().map(|sought| (sought.name.to_string(), evidence.on(sought))).collect();
    features.insert("network_namespaces".to_string(), network_namespaces(tree));
    features.insert(IPV6.to_string(), ipv6(tree));
    features
}

/// The names of all features that are looked for.
pub fn names() -> impl Iterator<Item = &'static str> {
    SOUGHT.iter().map(|sought| sought.name).chain(["network_namespaces", IPV6])
}

/// A kernel that was started without IPv6 still has its module.
fn ipv6(tree: &Tree) -> Feature {
    let (all, ipv6) = ("/proc/sys/net", "/proc/sys/net/ipv6");
    match (tree.exists(ipv6), tree.exists(all)) {
        (true, _) => Feature::new(Presence::Present, format!("{ipv6} exists")),
        (false, true) => Feature::new(Presence::Absent, format!("{all} has no ipv6")),
        (false, false) => Feature::new(Presence::Unknown, format!("there is no {all}")),
    }
}

/// A kernel with namespaces lists those of every process.
fn network_namespaces(tree: &Tree) -> Feature {
    let (all, network) = ("/proc/self/ns", "/proc/self/ns/net");
    match (tree.exists(network), tree.exists(all)) {
        (true, _) => Feature::new(Presence::Present, format!("{network} exists")),
        (false, true) => Feature::new(Presence::Absent, format!("{all} has no net")),
        (false, false) => Feature::new(Presence::Unknown, format!("there is no {all}")),
    }
}
