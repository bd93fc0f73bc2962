//! The counters of one node, each read from inside its own namespace.

use std::path::{Path, PathBuf};

use super::file::ProcFile;
use super::{Depth, Reading, names};
use crate::kernel::cgroup::Version;
use crate::kernel::proc::{self, parse_named, parse_pairs, parse_per_cpu, parse_pressure};
use crate::kernel::sock_diag::SockDiag;

/// Values that go up and down among those that the kernel counts.
const LEVELS: &[&str] =
    &["Tcp.CurrEstab", "Tcp.RtoAlgorithm", "Tcp.RtoMin", "Tcp.RtoMax", "Ip.Forwarding", "Ip.DefaultTTL"];

/// Protocols that connections have to do with.
const PROTOCOLS: &[&str] = &["Ip.", "Tcp.", "TcpExt.", "IpExt."];

/// A namespace, and the cgroup that limits who lives in it.
#[derive(Clone, Debug, Default)]
pub struct ProbedNode {
    pub name: String,
    pub cgroup: Option<(Version, PathBuf)>,
}

#[derive(Default)]
pub struct NodeProbes {
    pub name: String,
    sockstat: ProcFile,
    sockstat6: ProcFile,
    snmp: ProcFile,
    netstat: ProcFile,
    conntrack: ProcFile,
    conntrack_count: ProcFile,
    conntrack_max: ProcFile,
    listening: Option<SockDiag>,
    cgroup: Option<CgroupProbes>,
}

#[derive(Default)]
struct CgroupProbes {
    used: ProcFile,
    kernel: KernelPart,
    limit: ProcFile,
    events: ProcFile,
    refusals: Option<ProcFile>,
    pressure: ProcFile,
}

/// Where a cgroup tells what the kernel took in its name.
enum KernelPart {
    /// Version 1: objects and pages, and TCP's buffers.
    Counters([ProcFile; 2]),
    /// Version 2: lines of `memory.stat`.
    Lines(ProcFile),
}

impl Default for KernelPart {
    fn default() -> KernelPart {
        KernelPart::Lines(ProcFile::default())
    }
}

impl KernelPart {
    /// None: this kernel does not tell it.
    fn bytes(&self, buffer: &mut Vec<u8>) -> Option<u64> {
        match self {
            KernelPart::Counters([objects, buffers]) => {
                Some(objects.number(buffer)?.saturating_add(buffers.number(buffer).unwrap_or(0)))
            }
            KernelPart::Lines(stat) => kernel_part(&stat.read(buffer)),
        }
    }
}

/// `kernel` is there since Linux 5.18; `sock`, TCP's buffers, is beside it.
fn kernel_part(stat: &str) -> Option<u64> {
    Some(parse_named(stat, "kernel")?.saturating_add(parse_named(stat, "sock").unwrap_or(0)))
}

impl NodeProbes {
    /// Opens everything in this thread's namespace.
    pub fn open_here(probed: ProbedNode) -> NodeProbes {
        let net = |name: &str| ProcFile::open(&format!("/proc/thread-self/net/{name}"));
        let conntrack = |name: &str| ProcFile::open(&format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
        NodeProbes {
            sockstat: net("sockstat"),
            sockstat6: net("sockstat6"),
            snmp: net("snmp"),
            netstat: net("netstat"),
            conntrack: net("stat/nf_conntrack"),
            conntrack_count: conntrack("count"),
            conntrack_max: conntrack("max"),
            listening: SockDiag::here().ok(),
            cgroup: probed.cgroup.map(|(version, path)| CgroupProbes::open(version, &path)),
            name: probed.name,
        }
    }

    pub fn look(&mut self, depth: Depth, buffer: &mut Vec<u8>) -> Reading {
        let mut reading = Reading::default();
        let sockets = proc::parse_sockstat(&self.sockstat.read(buffer));
        let sockets = sockets.with_ipv6(&self.sockstat6.read(buffer));
        reading.level(names::SOCKETS_USED, sockets.sockets_used);
        reading.level(names::SOCKETS_IN_USE, sockets.tcp_inuse);
        reading.level(names::SOCKETS_OVER_IPV6, sockets.tcp6_inuse);
        reading.level(names::TIME_WAIT, sockets.tcp_time_wait);
        for file in [&self.snmp, &self.netstat] {
            for (name, value) in parse_pairs(&file.read(buffer)) {
                if LEVELS.contains(&name.as_str()) {
                    reading.level(name, value);
                } else if PROTOCOLS.iter().any(|protocol| name.starts_with(protocol)) {
                    reading.counter(name, value);
                }
            }
        }
        self.look_at_conntrack(&mut reading, buffer);
        self.look_at_queues(&mut reading);
        if let Some(cgroup) = &self.cgroup {
            cgroup.look(depth, &mut reading, buffer);
        }
        reading
    }

    fn look_at_conntrack(&self, reading: &mut Reading, buffer: &mut Vec<u8>) {
        let count = self.conntrack_count.number(buffer).unwrap_or(0);
        reading.level(names::CONNTRACK_COUNT, count);
        if let Some(max) = self.conntrack_max.number(buffer) {
            reading.level(names::CONNTRACK_MAX, max);
        }
        for (name, value) in parse_per_cpu(&self.conntrack.read(buffer)) {
            // `entries` is the count, once for each CPU.
            if name != "entries" {
                reading.counter(format!("conntrack.{name}"), value);
            }
        }
    }

    fn look_at_queues(&mut self, reading: &mut Reading) {
        let Some(Ok(queues)) = self.listening.as_mut().map(SockDiag::queues) else { return };
        let Some(longest) = queues.iter().max_by_key(|queue| queue.waiting) else { return };
        reading.level(names::LISTENERS, queues.len() as u64);
        reading.level(names::WAITING, queues.iter().map(|queue| u64::from(queue.waiting)).sum());
        reading.level(names::LONGEST_QUEUE, longest.waiting.into());
        reading.level(names::BACKLOG, longest.backlog.into());
    }
}

impl CgroupProbes {
    fn open(version: Version, path: &Path) -> CgroupProbes {
        let file = |name: &str| ProcFile::open(&path.join(name).to_string_lossy());
        match version {
            Version::V1 => CgroupProbes {
                used: file("memory.usage_in_bytes"),
                kernel: KernelPart::Counters([
                    file("memory.kmem.usage_in_bytes"),
                    file("memory.kmem.tcp.usage_in_bytes"),
                ]),
                limit: file("memory.limit_in_bytes"),
                events: file("memory.oom_control"),
                refusals: Some(file("memory.failcnt")),
                pressure: ProcFile::default(),
            },
            Version::V2 | Version::None => CgroupProbes {
                used: file("memory.current"),
                kernel: KernelPart::Lines(file("memory.stat")),
                limit: file("memory.max"),
                events: file("memory.events"),
                refusals: None,
                pressure: file("memory.pressure"),
            },
        }
    }

    fn look(&self, depth: Depth, reading: &mut Reading, buffer: &mut Vec<u8>) {
        for (name, file) in [(names::CGROUP_BYTES, &self.used), (names::CGROUP_LIMIT, &self.limit)] {
            if let Some(bytes) = file.number(buffer) {
                reading.level(name, bytes);
            }
        }
        // Version 2 gathers this from all CPUs when it is read.
        if depth >= Depth::Full
            && let Some(bytes) = self.kernel.bytes(buffer)
        {
            reading.level(names::CGROUP_KERNEL, bytes);
        }
        let events = self.events.read(buffer);
        let refusals = match &self.refusals {
            Some(file) => file.number(buffer),
            None => parse_named(&events, "max"),
        };
        let counters = [
            (names::CGROUP_KILLS, parse_named(&events, "oom_kill")),
            (names::CGROUP_REFUSALS, refusals),
            ("cgroup.waited_us", parse_pressure(&self.pressure.read(buffer))),
        ];
        for (name, value) in counters {
            if let Some(value) = value {
                reading.counter(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_part_of_a_cgroup() {
        let stat = "anon 81920\nfile 0\nkernel 7340032\nkernel_stack 16384\nsock 4096\nshmem 0\n";
        assert_eq!(kernel_part(stat), Some(7_340_032 + 4_096));
        assert_eq!(kernel_part("anon 81920\nslab 5\n"), None, "an older kernel does not tell it");
    }
}
