//! The kernel settings that a lab file may move by itself, each with the reason why a lab can need it. Pure.
//!
//! A lab file is often somebody else's, and the runner is root: `kernel.core_pattern` would be a root shell. So what
//! is not on this list takes `--allow-host-setting KEY` on the command line.

/// What a lower value of a setting means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How much the whole machine may have: lower is less for every program. The number is how much must be left
    /// beyond what is in use.
    Limit(u64),
    /// A range: a narrower one is less for every program.
    Range,
    /// A time, a count of attempts or a switch: neither direction takes anything away.
    Choice,
}

/// A setting of the whole machine that a lab can need.
#[derive(Debug)]
pub struct Permitted {
    pub key: &'static str,
    pub kind: Kind,
    /// Why a lab can need it.
    pub why: &'static str,
}

const fn limit(key: &'static str, spare: u64, why: &'static str) -> Permitted {
    Permitted { key, kind: Kind::Limit(spare), why }
}

const fn choice(key: &'static str, why: &'static str) -> Permitted {
    Permitted { key, kind: Kind::Choice, why }
}

/// Threads that the rest of the machine may start meanwhile, and the lab's own.
const THREADS_SPARE: u64 = 1_024;

/// In the order of their names.
pub const HOST: &[Permitted] = &[
    limit("fs.epoll.max_user_watches", 1_024, "sockets that one user's processes may watch: echoing servers"),
    limit("fs.file-max", 2_000, "open files of the machine: both ends of every connection"),
    limit("fs.nr_open", 1_024, "descriptors of one process: fewer processes carry the connections"),
    limit("kernel.pid_max", THREADS_SPARE, "process numbers: many agents"),
    limit("kernel.threads-max", THREADS_SPARE, "threads of the machine: many agents"),
    limit("net.core.netdev_max_backlog", 1, "packets that wait for a processor: bursts over veth pairs"),
    limit("net.core.somaxconn", 1, "the longest accept queue: handshakes in bursts"),
    Permitted {
        key: "net.ipv4.ip_local_port_range",
        kind: Kind::Range,
        why: "ports that the kernel chooses from, for `clients: {ports: auto}`",
    },
    choice("net.ipv4.ip_unprivileged_port_start", "listening below port 1024, by agents without privileges"),
    limit("net.ipv4.neigh.default.gc_thresh1", 0, "neighbours that are always kept: many clients"),
    limit("net.ipv4.neigh.default.gc_thresh2", 0, "neighbours that are kept for a while: many clients"),
    limit("net.ipv4.neigh.default.gc_thresh3", 16, "the most neighbours: many clients"),
    choice("net.ipv4.tcp_abort_on_overflow", "what a full accept queue does: a reset, or silence"),
    choice("net.ipv4.tcp_child_ehash_entries", "the connection table of new namespaces"),
    choice("net.ipv4.tcp_fin_timeout", "how long a closed connection is remembered"),
    choice("net.ipv4.tcp_keepalive_intvl", "probes of connections that rest"),
    choice("net.ipv4.tcp_keepalive_probes", "probes of connections that rest"),
    choice("net.ipv4.tcp_keepalive_time", "probes of connections that rest"),
    limit("net.ipv4.tcp_max_orphans", 16, "connections whose process has ended"),
    limit("net.ipv4.tcp_max_syn_backlog", 1, "handshakes that have begun"),
    limit("net.ipv4.tcp_max_tw_buckets", 16, "closed connections that are remembered"),
    limit("net.ipv4.tcp_mem", 64, "pages for the buffers of all connections"),
    choice("net.ipv4.tcp_orphan_retries", "how soon a connection without a process is given up"),
    choice("net.ipv4.tcp_retries1", "how soon an unanswered segment counts as trouble"),
    choice("net.ipv4.tcp_retries2", "how soon an unanswered connection is given up"),
    limit("net.ipv4.tcp_rmem", 1, "the receive buffer of a connection: memory of a million"),
    choice("net.ipv4.tcp_sack", "the state that a connection keeps"),
    choice("net.ipv4.tcp_slow_start_after_idle", "the first burst after a rest"),
    choice("net.ipv4.tcp_syn_retries", "how long an attempt to connect goes on"),
    choice("net.ipv4.tcp_synack_retries", "how long a half-open connection is kept"),
    choice("net.ipv4.tcp_syncookies", "handshakes without memory, when queues are full"),
    choice("net.ipv4.tcp_timestamps", "needed to reuse the ports of closed connections"),
    choice("net.ipv4.tcp_tw_reuse", "reusing the ports of closed connections"),
    choice("net.ipv4.tcp_window_scaling", "the state that a connection keeps"),
    limit("net.ipv4.tcp_wmem", 1, "the send buffer of a connection: memory of a million"),
    limit("net.netfilter.nf_conntrack_buckets", 1, "the table of tracked connections"),
    limit("net.netfilter.nf_conntrack_max", 100, "tracked connections: a router, or a machine's firewall"),
    choice("net.netfilter.nf_conntrack_tcp_timeout_established", "how long a resting connection is tracked"),
    choice("net.netfilter.nf_conntrack_tcp_timeout_time_wait", "how long a closed connection is tracked"),
    limit("user.max_net_namespaces", 16, "network namespaces: many clients"),
];

pub fn find(key: &str) -> Option<&'static Permitted> {
    HOST.iter().find(|one| one.key == key)
}

/// Settings below `net.` that belong to the whole host, though some kernels let them be written from a namespace.
/// Newer kernels hide them there, or show them read-only.
const HOST_WIDE: [&str; 21] = [
    "net.ipv4.cipso_",
    "net.ipv4.fib_sync_mem",
    "net.ipv4.icmp_msgs_",
    "net.ipv4.inet_peer_",
    "net.ipv4.ipfrag_secret_interval",
    "net.ipv4.neigh.default.",
    "net.ipv4.route.",
    "net.ipv4.tcp_allowed_congestion_control",
    "net.ipv4.tcp_low_latency",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.ipv4.udp_mem",
    "net.ipv6.calipso_",
    "net.ipv6.ip6frag_secret_interval",
    "net.ipv6.mld_",
    "net.ipv6.neigh.default.",
    "net.ipv6.route.",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_expect_max",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_log",
];

/// The families of settings that each network namespace has for itself.
const OF_NAMESPACE: [&str; 7] = [
    "net.core.somaxconn",
    "net.core.txrehash",
    "net.ipv4.",
    "net.ipv6.",
    "net.mptcp.",
    "net.netfilter.nf_conntrack_",
    "net.unix.",
];

/// Whether a network namespace has this setting for itself, whatever the kernel.
pub fn is_of_namespace(key: &str) -> bool {
    let any = |families: &[&str]| families.iter().any(|family| begins(key, family));
    any(&OF_NAMESPACE) && !any(&HOST_WIDE)
}

/// A family ends in a dot or an underscore; else it is one setting.
fn begins(key: &str, family: &str) -> bool {
    if family.ends_with(['.', '_']) { key.starts_with(family) } else { key == family }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_order_and_has_a_reason_for_each() {
        assert!(HOST.is_sorted_by(|one, next| one.key < next.key));
        for one in HOST {
            assert!(one.why.len() > 10, "{}", one.key);
        }
    }

    #[test]
    fn nothing_that_runs_or_loads_anything_is_on_the_list() {
        for key in [
            "kernel.core_pattern",
            "kernel.modprobe",
            "kernel.hotplug",
            "kernel.usermodehelper.bset",
            "kernel.modules_disabled",
            "kernel.sysrq",
            "kernel.yama.ptrace_scope",
            "kernel.kptr_restrict",
            "fs.suid_dumpable",
            "fs.protected_symlinks",
            "fs.binfmt_misc.register",
            "net.core.bpf_jit_harden",
            "net.ipv4.ip_forward",
            "net.ipv4.tcp_congestion_control",
            "vm.mmap_min_addr",
            "vm.min_free_kbytes",
        ] {
            assert!(find(key).is_none(), "{key}");
        }
    }

    #[test]
    fn a_namespace_has_its_own_settings_only() {
        for own in [
            "net.core.somaxconn",
            "net.ipv4.tcp_rmem",
            "net.ipv4.ip_forward",
            "net.ipv4.conf.all.rp_filter",
            "net.ipv4.conf.eth0/5.rp_filter",
            "net.ipv4.neigh.lo.gc_stale_time",
            "net.netfilter.nf_conntrack_tcp_timeout_established",
        ] {
            assert!(is_of_namespace(own), "{own}");
        }
        for of_host in [
            "kernel.core_pattern",
            "fs.file-max",
            "net.core.somaxconn2",
            "net.core.rmem_max",
            "net.core.default_qdisc",
            "net.core.netdev_max_backlog",
            "net.core.bpf_jit_enable",
            "net.ipv4.tcp_mem",
            "net.ipv4.tcp_max_orphans",
            "net.ipv4.neigh.default.gc_thresh3",
            "net.netfilter.nf_conntrack_max",
            "net.netfilter.nf_log.2",
            "net.nf_conntrack_max",
            "net.bridge.bridge-nf-call-iptables",
        ] {
            assert!(!is_of_namespace(of_host), "{of_host}");
        }
    }
}
