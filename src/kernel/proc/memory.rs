//! Memory as the kernel counts it: of the machine, of its slab caches, of one process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `/proc/meminfo`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemInfo {
    pub total: u64,
    pub free: u64,
    /// What a new load can have without swapping; `free` where the kernel does not estimate it.
    pub available: u64,
    pub buffers: u64,
    pub cached: u64,
    pub anonymous: u64,
    pub shared: u64,
    pub slab: u64,
    pub slab_reclaimable: u64,
    pub slab_unreclaimable: u64,
    pub kernel_stack: u64,
    pub page_tables: u64,
    pub vmalloc_used: u64,
    pub percpu: u64,
    pub swap_total: u64,
    pub swap_free: u64,
}

pub fn parse_meminfo(text: &str) -> MemInfo {
    let lines = sizes(text);
    let bytes = |name: &str| lines.get(name).copied().unwrap_or(0);
    MemInfo {
        total: bytes("MemTotal"),
        free: bytes("MemFree"),
        available: lines.get("MemAvailable").copied().unwrap_or(bytes("MemFree")),
        buffers: bytes("Buffers"),
        cached: bytes("Cached"),
        anonymous: bytes("AnonPages"),
        shared: bytes("Shmem"),
        slab: bytes("Slab"),
        slab_reclaimable: bytes("SReclaimable"),
        slab_unreclaimable: bytes("SUnreclaim"),
        kernel_stack: bytes("KernelStack"),
        page_tables: bytes("PageTables"),
        vmalloc_used: bytes("VmallocUsed"),
        percpu: bytes("Percpu"),
        swap_total: bytes("SwapTotal"),
        swap_free: bytes("SwapFree"),
    }
}

/// Private_Clean + Private_Dirty of a `smaps_rollup`, in bytes.
pub fn parse_private(text: &str) -> Option<u64> {
    let lines = sizes(text);
    Some(lines.get("Private_Clean")?.saturating_add(*lines.get("Private_Dirty")?))
}

/// Lines such as `MemTotal:       24684092 kB`, in bytes.
fn sizes(text: &str) -> BTreeMap<&str, u64> {
    text.lines().filter_map(size).collect()
}

fn size(line: &str) -> Option<(&str, u64)> {
    let (name, value) = line.split_once(':')?;
    let mut words = value.split_whitespace();
    let number: u64 = words.next()?.parse().ok()?;
    // Without a unit it is a plain count, such as HugePages_Total.
    let scale = if words.next() == Some("kB") { 1024 } else { 1 };
    Some((name, number.saturating_mul(scale)))
}

/// One slab cache: objects of one size, and the pages that hold them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slab {
    pub active_objs: u64,
    pub num_objs: u64,
    /// Bytes of one object.
    pub objsize: u64,
    pub objs_per_slab: u64,
    pub pages_per_slab: u64,
    pub pages: u64,
}

impl Slab {
    /// What the cache takes from the machine, used or not.
    pub fn bytes(&self) -> u64 {
        self.pages.saturating_mul(rustix::param::page_size() as u64)
    }
}

/// `/proc/slabinfo`, version 2. A line of another form is passed over.
pub fn parse_slabinfo(text: &str) -> BTreeMap<String, Slab> {
    text.lines().filter_map(slab).collect()
}

fn slab(line: &str) -> Option<(String, Slab)> {
    // name, five numbers : tunables ... : slabdata <active_slabs> <num_slabs> <sharedavail>
    let mut parts = line.split(" : ");
    let mut words = parts.next()?.split_whitespace();
    let name = words.next()?;
    let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
    let &[active_objs, num_objs, objsize, objs_per_slab, pages_per_slab] = numbers.as_slice() else {
        return None;
    };
    let slabdata = parts.find_map(|part| part.trim().strip_prefix("slabdata"))?;
    let num_slabs: u64 = slabdata.split_whitespace().nth(1)?.parse().ok()?;
    let pages = num_slabs.saturating_mul(pages_per_slab);
    let slab = Slab { active_objs, num_objs, objsize, objs_per_slab, pages_per_slab, pages };
    Some((name.to_string(), slab))
}
