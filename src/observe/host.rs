//! The counters of the whole machine.

use super::file::ProcFile;
use super::{Depth, Reading, names, objects};
use crate::kernel::proc::{self, parse_cpu, parse_named, parse_per_cpu, parse_pressure, parse_softnet};

const CPU: [&str; 8] = [
    "cpu.user_ms",
    "cpu.nice_ms",
    "cpu.system_ms",
    "cpu.idle_ms",
    "cpu.iowait_ms",
    "cpu.irq_ms",
    names::SOFTIRQ,
    "cpu.steal_ms",
];

pub struct HostProbes {
    meminfo: ProcFile,
    vmstat: ProcFile,
    pressure: ProcFile,
    stat: ProcFile,
    files: ProcFile,
    sockstat: ProcFile,
    tcp_mem: ProcFile,
    orphans_max: ProcFile,
    softnet: ProcFile,
    neighbours: ProcFile,
    neighbours_max: ProcFile,
}

impl HostProbes {
    /// Opens everything in the namespace of this process.
    pub fn open() -> HostProbes {
        let sysctl = |name: &str| ProcFile::open(&format!("/proc/sys/{name}"));
        HostProbes {
            meminfo: ProcFile::open("/proc/meminfo"),
            vmstat: ProcFile::open("/proc/vmstat"),
            pressure: ProcFile::open("/proc/pressure/memory"),
            stat: ProcFile::open("/proc/stat"),
            files: sysctl("fs/file-nr"),
            sockstat: ProcFile::open("/proc/thread-self/net/sockstat"),
            tcp_mem: sysctl("net/ipv4/tcp_mem"),
            orphans_max: sysctl("net/ipv4/tcp_max_orphans"),
            softnet: ProcFile::open("/proc/thread-self/net/softnet_stat"),
            neighbours: ProcFile::open("/proc/thread-self/net/stat/arp_cache"),
            neighbours_max: sysctl("net/ipv4/neigh/default/gc_thresh3"),
        }
    }

    pub fn look(&self, depth: Depth, buffer: &mut Vec<u8>) -> Reading {
        let mut reading = Reading::default();
        self.look_at_memory(&mut reading, buffer);
        // Only root may read the caches, and reading them takes the kernel long.
        if depth >= Depth::Full
            && let Ok(caches) = proc::caches()
        {
            objects::tell(&caches, &mut reading);
        }
        let files = self.files.read(buffer);
        let mut files = files.split_whitespace().map(str::parse::<u64>);
        // Open, free (always 0), and the most.
        if let (Some(Ok(open)), Some(_), Some(Ok(most))) = (files.next(), files.next(), files.next()) {
            reading.level(names::FILES_OPEN, open);
            reading.level(names::FILES_MAX, most);
        }
        self.look_at_tcp(&mut reading, buffer);
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        for (name, spent) in CPU.iter().zip(parse_cpu(&self.stat.read(buffer))) {
            reading.counter(*name, spent.saturating_mul(1000) / ticks);
        }
        reading
    }

    fn look_at_memory(&self, reading: &mut Reading, buffer: &mut Vec<u8>) {
        let memory = proc::parse_meminfo(&self.meminfo.read(buffer));
        let levels = [
            (names::MEMORY_TOTAL, memory.total),
            (names::MEMORY_AVAILABLE, memory.available),
            ("memory.free", memory.free),
            ("memory.anonymous", memory.anonymous),
            ("memory.slab", memory.slab),
            ("memory.slab_unreclaimable", memory.slab_unreclaimable),
            ("memory.kernel_stack", memory.kernel_stack),
            ("memory.page_tables", memory.page_tables),
            ("memory.vmalloc_used", memory.vmalloc_used),
            ("memory.percpu", memory.percpu),
        ];
        for (name, bytes) in levels {
            reading.level(name, bytes);
        }
        if let Some(kills) = parse_named(&self.vmstat.read(buffer), "oom_kill") {
            reading.counter(names::HOST_KILLS, kills);
        }
        if let Some(waited) = parse_pressure(&self.pressure.read(buffer)) {
            reading.counter(names::MEMORY_WAITS, waited);
        }
    }

    /// What all namespaces share: TCP's memory, orphans, the queues between interface and TCP, neighbours.
    fn look_at_tcp(&self, reading: &mut Reading, buffer: &mut Vec<u8>) {
        let sockets = proc::parse_sockstat(&self.sockstat.read(buffer));
        reading.level(names::TCP_PAGES, sockets.tcp_mem_pages);
        reading.level(names::ORPHANS, sockets.tcp_orphan);
        reading.level(names::SOCKETS_OF_MACHINE, sockets.tcp_alloc);
        let limits = self.tcp_mem.read(buffer);
        let mut limits = limits.split_whitespace().skip(1).map(str::parse::<u64>);
        for name in [names::TCP_PAGES_PRESSURE, names::TCP_PAGES_MAX] {
            if let Some(Ok(pages)) = limits.next() {
                reading.level(name, pages);
            }
        }
        for (name, file) in
            [(names::ORPHANS_MAX, &self.orphans_max), (names::NEIGHBOURS_MAX, &self.neighbours_max)]
        {
            if let Some(value) = file.number(buffer) {
                reading.level(name, value);
            }
        }
        let [_, dropped, squeezed] = parse_softnet(&self.softnet.read(buffer));
        reading.counter(names::BACKLOG_DROPS, dropped);
        reading.counter("softnet.squeezed", squeezed);
        for (name, value) in parse_per_cpu(&self.neighbours.read(buffer)) {
            match name.as_str() {
                // The same number for each CPU, so the sum is no number of anything; counted below.
                "entries" => {}
                _ => reading.counter(format!("neighbours.{name}"), value),
            }
        }
        if let Some(entries) = entries(&self.neighbours.read(buffer)) {
            reading.level(names::NEIGHBOURS, entries);
        }
    }
}

/// The first CPU's line has the number of all entries, as every CPU's has.
fn entries(table: &str) -> Option<u64> {
    u64::from_str_radix(table.lines().nth(1)?.split_whitespace().next()?, 16).ok()
}
