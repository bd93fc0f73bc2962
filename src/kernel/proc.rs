//! The doors to `/proc`: thin readers, each around a pure parser of what it read.
//!
//! A parser takes any text and never fails louder than `None`, or a zero for a line the kernel does not
//! have: what a kernel leaves out, it does not count.
#![forbid(unsafe_code)]

mod caches;
mod counters;
mod memory;
mod oom;
mod process;
mod sockets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

#[cfg(test)]
pub(crate) use caches::tests as recorded;
pub use caches::{Caches, Object};
pub use counters::{
    parse_cpu, parse_named, parse_pairs, parse_per_cpu, parse_pressure, parse_process, parse_softnet,
};
pub use memory::{MemInfo, Slab, parse_meminfo, parse_private, parse_slabinfo};
pub use oom::{LogMark, line_about, mark as log_mark};
pub use process::parse_start_time;
pub use sockets::{SockStat, parse_sockstat};

/// The text of a file that the kernel makes. A command's name or a path in it need not be UTF-8.
pub fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
}

/// The value of a sysctl such as `net.ipv4.tcp_mem`, without the newline at its end.
pub fn read_sysctl(key: &str) -> Result<String, io::Error> {
    Ok(read_text(Path::new("/proc/sys").join(sysctl_path(key)?))?.trim_end().to_string())
}

/// `net.ipv4.conf.eth0/5.forwarding` is `net/ipv4/conf/eth0.5/forwarding`, as in sysctl(8): dots part the
/// names, and a dot inside a name is written as a slash.
pub fn sysctl_path(key: &str) -> Result<String, io::Error> {
    let swapped: String = key.chars().map(swap_separator).collect();
    let leads_astray = |name: &str| name.is_empty() || name == "." || name == ".." || name.contains('\0');
    if swapped.split('/').any(leads_astray) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{key}` is no name of a sysctl")));
    }
    Ok(swapped)
}

fn swap_separator(character: char) -> char {
    match character {
        '.' => '/',
        '/' => '.',
        other => other,
    }
}

pub fn meminfo() -> io::Result<MemInfo> {
    read_text("/proc/meminfo").map(|text| parse_meminfo(&text))
}

/// The sockets of the network namespace that the calling thread is in; `/proc/net` would be the group
/// leader's.
pub fn sockstat() -> io::Result<SockStat> {
    read_text("/proc/thread-self/net/sockstat").map(|text| parse_sockstat(&text))
}

/// Every slab cache, under all its names. The kernel shows them to root only.
pub fn caches() -> io::Result<Caches> {
    let text = read_text("/proc/slabinfo")?;
    let page = rustix::param::page_size() as u64;
    Ok(Caches::new(parse_slabinfo(&text), cache_names(Path::new("/sys/kernel/slab")), page))
}

/// Every name of a cache with what it stands for: names of one cache stand for the same. Empty where the kernel does
/// not tell.
fn cache_names(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
    entries
        .map(|entry| {
            let name = text(&entry.file_name());
            // A cache that was not merged is a folder of its own.
            let target = std::fs::read_link(entry.path()).ok();
            let stands_for = target.and_then(|target| Some(text(target.file_name()?)));
            (name.clone(), stands_for.unwrap_or(name))
        })
        .collect()
}

/// The bytes of memory that would come back if the process ended; `None` is this process.
pub fn private_bytes(pid: Option<u32>) -> io::Result<u64> {
    let text = read_text(process_file(pid, "smaps_rollup"))?;
    parse_private(&text).ok_or_else(|| unexpected("smaps_rollup"))
}

/// A new one with every boot: what was made under another is gone.
pub fn boot_id() -> String {
    read_text("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Whether the process has ended and only waits for its parent to notice.
pub fn is_zombie(pid: u32) -> bool {
    let text = read_text(process_file(Some(pid), "stat")).unwrap_or_default();
    text.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']))
}

/// Whether this very process is still there; its pid alone may by now belong to another.
pub fn is_alive(pid: u32, began: u64) -> bool {
    start_time(Some(pid)).ok() == Some(began) && !is_zombie(pid)
}

/// When the process began, in clock ticks since boot: with the pid it names a process for good, since a
/// pid alone is given again. `None` is this process.
pub fn start_time(pid: Option<u32>) -> io::Result<u64> {
    let text = read_text(process_file(pid, "stat"))?;
    parse_start_time(&text).ok_or_else(|| unexpected("stat"))
}

fn process_file(pid: Option<u32>, name: &str) -> String {
    match pid {
        Some(pid) => format!("/proc/{pid}/{name}"),
        None => format!("/proc/self/{name}"),
    }
}

fn unexpected(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the kernel's {file} has not the form known here"))
}
