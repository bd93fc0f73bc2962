//! Counters of the host and of each node, as the kernel keeps them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::netns::{self, Namespace};
use crate::kernel::proc::{self, MemInfo, Oom, SockStat};
use crate::plan::Plan;

/// The slab caches that a connection lives in; others are told as part of the whole.
const CACHES: &[&str] = &[
    "TCP",
    "sock_inode_cache",
    "filp",
    "dentry",
    "eventpoll_epi",
    "eventpoll_pwq",
    "tcp_bind_bucket",
    "tcp_bind2_bucket",
    "request_sock_TCP",
];

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub memory: MemInfo,
    /// Bytes of the objects in use in the caches that connections live in; none when only root may read
    /// them and we may not.
    pub caches: Option<BTreeMap<String, u64>>,
    pub files_open: Option<u64>,
    /// By node: the sockets of its namespace.
    pub sockets: BTreeMap<String, SockStat>,
    /// What the kernel ended for want of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom: Option<Oom>,
    /// By node, where the nodes are machines: what each counted. The figures above are their sums.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub machines: BTreeMap<String, Sample>,
}

pub fn sample(plan: &Plan, namespaces: &[Namespace]) -> Sample {
    let inside = netns::inside_each(namespaces.iter().map(Namespace::file), |_| proc::sockstat());
    let sockets =
        plan.nodes.iter().zip(inside).filter_map(|(node, sockets)| Some((node.name.clone(), sockets.ok()?)));
    Sample { sockets: sockets.collect(), ..of_host() }
}

/// What concerns the whole machine.
fn of_host() -> Sample {
    Sample {
        memory: proc::meminfo().unwrap_or_default(),
        caches: proc::slabinfo().ok().map(|slabs| {
            let known = slabs.into_iter().filter(|(name, _)| CACHES.contains(&name.as_str()));
            known.map(|(name, slab)| (name, slab.active_objs * slab.objsize)).collect()
        }),
        files_open: proc::read_sysctl("fs.file-nr")
            .ok()
            .and_then(|text| text.split_whitespace().next()?.parse().ok()),
        ..Sample::default()
    }
}

/// Counters of this machine, which is a node itself.
pub fn of_machine(node: &str) -> Sample {
    let sockets = proc::sockstat().map(|sockets| (node.to_owned(), sockets));
    Sample { sockets: sockets.into_iter().collect(), oom: proc::oom(), ..of_host() }
}

/// What all machines together count; each is kept beside.
pub fn together(machines: BTreeMap<String, Sample>) -> Sample {
    let mut sum = Sample { caches: Some(BTreeMap::new()), files_open: Some(0), ..Sample::default() };
    for sample in machines.values() {
        sum.memory = sum.memory.plus(&sample.memory);
        sum.files_open = sum.files_open.zip(sample.files_open).map(|(one, other)| one + other);
        sum.caches = sum.caches.zip(sample.caches.as_ref()).map(|(mut caches, more)| {
            more.iter().for_each(|(name, bytes)| *caches.entry(name.clone()).or_default() += bytes);
            caches
        });
        sum.sockets.extend(sample.sockets.clone());
    }
    Sample { machines, ..sum }
}

impl Sample {
    /// Memory the kernel uses for itself.
    pub fn kernel_bytes(&self) -> u64 {
        let memory = &self.memory;
        memory.slab + memory.kernel_stack + memory.page_tables + memory.vmalloc_used + memory.percpu
    }

    /// TCP sockets in use, over all nodes.
    pub fn tcp_in_use(&self) -> u64 {
        self.sockets.values().map(|sockets| sockets.tcp_inuse).sum()
    }

    pub fn time_wait(&self) -> u64 {
        self.sockets.values().map(|sockets| sockets.tcp_time_wait).sum()
    }
}
