//! What this machine is and what it allows: facts, read once, nothing changed and no root needed.
//!
//! A fact that cannot be read does not stop the others: it is left out, and `unread` says why.
#![forbid(unsafe_code)]

mod capabilities;
mod cgroup;
mod example;
mod features;
mod in_use;
mod mounts;
pub mod neighbours;
mod routes;
mod settings;
mod tasks;
#[cfg(test)]
mod tests;
mod tree;
pub mod virtualization;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};

pub use capabilities::{Capabilities, Capability};
pub use cgroup::{Cgroup, Version};
pub use features::{Feature, IPV6, Presence};
pub use neighbours::{InUse, Neighbour, Reservation, Share};
pub use settings::KEYS;
pub use tasks::TaskLimit;

use crate::kernel::proc::parse_meminfo;
use crate::units::Block;
use tree::Tree;

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Host {
    /// The kernel's release, such as `6.18.44`.
    pub kernel: String,
    /// The CPUs this process may use: by its affinity and its cgroup's quota.
    pub machine_cpus: u32,
    /// Their numbers, by the affinity of this process alone. None is known: agents are not pinned.
    pub cpus: Vec<u32>,
    pub uid: u32,
    /// The effective set.
    pub capabilities: Capabilities,
    pub nofile: Nofile,
    /// Those of [`KEYS`], and of the settings that a lab file may move, that this kernel has; their words are parted by
    /// one space.
    pub settings: BTreeMap<String, String>,
    /// Those of `settings` that this process may not write, whatever `settings_writable` says.
    pub settings_fixed: BTreeSet<String>,
    /// Whether `/proc/sys` is mounted for writing, and this process has the rights of the machine's root.
    pub settings_writable: bool,
    /// Open files of the whole machine.
    pub files_open: u64,
    /// How much is in use of other limits of the host, by the setting's name.
    pub in_use: BTreeMap<String, u64>,
    /// The limits on processes and threads.
    pub tasks: Vec<TaskLimit>,
    /// The other labs that run here, with what they have planned.
    pub others: Vec<Neighbour>,
    pub memory: Memory,
    pub cgroup: Cgroup,
    /// What the host routes or has as its own, but for loopback and default routes. No prefix lies in
    /// another.
    pub routes: Vec<Block>,
    pub features: BTreeMap<String, Feature>,
    /// The facts above that could not be read, each with the reason.
    pub unread: BTreeMap<String, String>,
}

/// How many descriptors a process may have. Unlimited is `u64::MAX`, though `fs.nr_open` bounds it too.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Nofile {
    pub soft: u64,
    pub hard: u64,
}

/// Bytes of the whole machine; a cgroup may allow less.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    pub available: u64,
}

/// The facts of this machine.
pub fn read() -> Host {
    read_from(Path::new("/"))
}

/// The facts of the machine whose files stand below `root`. What only a system call tells (uid, CPUs,
/// descriptors) is this process's own.
pub fn read_from(root: &Path) -> Host {
    let tree = Tree::at(root);
    let mut known = Known::default();
    let kernel = kernel_release(&tree);
    let mounts =
        known.or_default("mounts", tree.text("/proc/self/mountinfo").map(|text| mounts::parse(&text)));
    let memory = known.or_default("memory", memory(&tree));
    let (settings, missing) = settings::read(&tree);
    known.unread.extend(missing);
    let settings_fixed = settings::fixed(&tree, &mounts, &settings);
    Host {
        machine_cpus: known.or("machine_cpus", machine_cpus(), 1),
        cpus: known.or_default("cpus", cpus()),
        uid: rustix::process::getuid().as_raw(),
        capabilities: known.or_default("capabilities", capabilities(&tree)),
        nofile: nofile(),
        settings_writable: settings::writable(&tree, &mounts),
        files_open: known.or_default("files_open", files_open(&tree)),
        in_use: in_use::read(&tree),
        tasks: tasks::read(&tree, &mounts, &settings),
        others: Vec::new(),
        cgroup: cgroup::read(&tree, &mounts, memory.total),
        routes: routes::read(&tree, &mut known.unread),
        features: features::read(&tree, &kernel),
        kernel,
        settings,
        settings_fixed,
        memory,
        unread: known.unread,
    }
}

impl Host {
    /// Reads more settings of this machine: those that only this lab names.
    pub fn read_settings<'a>(&mut self, keys: impl IntoIterator<Item = &'a String>) {
        let tree = Tree::at(Path::new("/"));
        let mounts = tree.text("/proc/self/mountinfo").map(|text| mounts::parse(&text)).unwrap_or_default();
        for key in
            keys.into_iter().filter(|key| !self.settings.contains_key(*key)).cloned().collect::<Vec<_>>()
        {
            let Ok(value) = settings::value(&tree, &key) else { continue };
            let one = BTreeMap::from([(key, value)]);
            self.settings_fixed.extend(settings::fixed(&tree, &mounts, &one));
            self.settings.extend(one);
        }
    }

    /// A setting that is one number, such as `fs.nr_open`.
    pub fn number(&self, key: &str) -> Option<u64> {
        let [number] = self.numbers(key)?;
        Some(number)
    }

    /// A setting such as `net.ipv4.ip_local_port_range`.
    pub fn pair(&self, key: &str) -> Option<[u64; 2]> {
        self.numbers(key)
    }

    /// A setting such as `net.ipv4.tcp_mem`.
    pub fn triple(&self, key: &str) -> Option<[u64; 3]> {
        self.numbers(key)
    }

    fn numbers<const N: usize>(&self, key: &str) -> Option<[u64; N]> {
        let words = self.settings.get(key)?.split_whitespace();
        let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
        numbers.try_into().ok()
    }

    /// How much of the limit that this setting is, is in use.
    pub fn in_use(&self, key: &str) -> Option<u64> {
        if key == "fs.file-max" { Some(self.files_open) } else { self.in_use.get(key).copied() }
    }

    /// Whether this process may write the setting.
    pub fn can_set(&self, key: &str) -> bool {
        self.settings.contains_key(key) && !self.settings_fixed.contains(key)
    }

    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.has(capability)
    }

    /// What is known of a feature; one that was never looked for is unknown.
    pub fn feature(&self, name: &str) -> Presence {
        self.features.get(name).map_or(Presence::Unknown, |feature| feature.presence)
    }

    /// The host's own route or address that a lab's subnet would take away from it.
    pub fn collision(&self, subnet: Block) -> Option<Block> {
        self.routes.iter().copied().find(|route| route.overlaps(subnet))
    }

    /// What the lab can have: the machine's available memory, or what a cgroup leaves of its limit; without what
    /// other labs are still to take.
    pub fn memory_to_use(&self) -> u64 {
        let below_limit = |limit: u64| limit.saturating_sub(self.cgroup.memory_used.unwrap_or(0));
        let free = self.memory.available.min(self.cgroup.memory_limit.map_or(u64::MAX, below_limit));
        free.saturating_sub(neighbours::sum(&self.others, |other| other.unused.memory))
    }

    /// How many more processes and threads there can be beside other labs, and the limit that says so.
    pub fn tasks_to_use(&self) -> Option<(u64, &TaskLimit)> {
        let unused = neighbours::sum(&self.others, |other| other.unused.tasks);
        let free = |limit: &TaskLimit| limit.most.saturating_sub(limit.in_use).saturating_sub(unused);
        self.tasks.iter().map(|limit| (free(limit), limit)).min_by_key(|(free, _)| *free)
    }
}

/// Keeps the reasons of what could not be read, and lets the reading go on.
#[derive(Default)]
struct Known {
    unread: BTreeMap<String, String>,
}

impl Known {
    fn or<T>(&mut self, fact: &str, read: io::Result<T>, instead: T) -> T {
        read.unwrap_or_else(|why| {
            self.unread.insert(fact.to_string(), why.to_string());
            instead
        })
    }

    fn or_default<T: Default>(&mut self, fact: &str, read: io::Result<T>) -> T {
        self.or(fact, read, T::default())
    }
}

fn kernel_release(tree: &Tree) -> String {
    let told_by_call = |_| rustix::system::uname().release().to_string_lossy().into_owned();
    tree.text("/proc/sys/kernel/osrelease").map_or_else(told_by_call, |text| text.trim().to_string())
}

fn machine_cpus() -> io::Result<u32> {
    std::thread::available_parallelism().map(|cpus| cpus.get().try_into().unwrap_or(u32::MAX))
}

/// Those that `taskset` or a cpuset leaves to this process; a container need not have the first ones.
fn cpus() -> io::Result<Vec<u32>> {
    let usable = rustix::thread::sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|cpu| usable.is_set(*cpu))
        .filter_map(|cpu| u32::try_from(cpu).ok())
        .collect())
}

fn nofile() -> Nofile {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    Nofile { soft: limit.current.unwrap_or(u64::MAX), hard: limit.maximum.unwrap_or(u64::MAX) }
}

fn capabilities(tree: &Tree) -> io::Result<Capabilities> {
    let status = tree.text("/proc/self/status")?;
    Capabilities::from_status(&status).ok_or_else(|| io::Error::other("no CapEff in /proc/self/status"))
}

fn files_open(tree: &Tree) -> io::Result<u64> {
    let text = tree.text("/proc/sys/fs/file-nr")?;
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    first.ok_or_else(|| io::Error::other("no number in /proc/sys/fs/file-nr"))
}

fn memory(tree: &Tree) -> io::Result<Memory> {
    let info = parse_meminfo(&tree.text("/proc/meminfo")?);
    match info.total {
        0 => Err(io::Error::other("no MemTotal in /proc/meminfo")),
        total => Ok(Memory { total, available: info.available }),
    }
}
