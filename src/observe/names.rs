//! The names of what is read, as `events.jsonl` has them. What the kernel names itself keeps its name there:
//! `Tcp.RetransSegs`, `TcpExt.ListenOverflows`.

/// The place of what belongs to the whole machine.
pub const HOST: &str = "host";

pub const SOCKETS_USED: &str = "sockets.used";
pub const SOCKETS_OVER_IPV6: &str = "sockets.tcp6_inuse";
pub const SOCKETS_IN_USE: &str = "sockets.tcp_inuse";
pub const TIME_WAIT: &str = "sockets.tcp_time_wait";
/// TCP sockets of the whole machine, in all its namespaces; and those of them that are not the lab's.
pub const SOCKETS_OF_MACHINE: &str = "sockets.tcp_of_machine";
pub const OTHER_SOCKETS: &str = "sockets.tcp_of_others";

pub const LISTENERS: &str = "listen.sockets";
/// Connections that wait to be accepted, in all queues and in the longest.
pub const WAITING: &str = "listen.waiting";
pub const LONGEST_QUEUE: &str = "listen.longest";
pub const BACKLOG: &str = "listen.backlog";

pub const LISTEN_OVERFLOWS: &str = "TcpExt.ListenOverflows";
pub const LISTEN_DROPS: &str = "TcpExt.ListenDrops";
pub const SYN_QUEUE_DROPS: &str = "TcpExt.TCPReqQFullDrop";
pub const SYN_QUEUE_COOKIES: &str = "TcpExt.TCPReqQFullDoCookies";
pub const COOKIES_SENT: &str = "TcpExt.SyncookiesSent";
pub const COOKIES_FAILED: &str = "TcpExt.SyncookiesFailed";
pub const ABORT_ON_MEMORY: &str = "TcpExt.TCPAbortOnMemory";
pub const ABORT_ON_TIMEOUT: &str = "TcpExt.TCPAbortOnTimeout";
pub const MEMORY_PRESSURES: &str = "TcpExt.TCPMemoryPressures";
pub const RECEIVE_QUEUE_DROPS: &str = "TcpExt.TCPRcvQDrop";
pub const PRUNED: &str = "TcpExt.PruneCalled";
pub const SYN_RETRANSMITS: &str = "TcpExt.TCPSynRetrans";
/// What was to be sent again had not even left this machine's own queues.
pub const STILL_QUEUED: &str = "TcpExt.TCPSpuriousRtxHostQueues";
pub const RESETS_SENT: &str = "Tcp.OutRsts";
/// Established connections that ended with a reset, of whichever end.
pub const ESTABLISHED_RESET: &str = "Tcp.EstabResets";
/// What came over a link by which its sender would not be answered.
pub const REVERSE_PATH_DROPS: &str = "TcpExt.IPReversePathFilter";

pub const CONNTRACK_COUNT: &str = "conntrack.count";
pub const CONNTRACK_MAX: &str = "conntrack.max";
/// The table was full: the packet was dropped without a word.
pub const CONNTRACK_DROPS: &str = "conntrack.drop";
/// Another connection had the same (translated) tuple.
pub const CONNTRACK_CLASHES: &str = "conntrack.insert_failed";
pub const CONNTRACK_EVICTIONS: &str = "conntrack.early_drop";

pub const CGROUP_BYTES: &str = "cgroup.bytes";
/// What of it the kernel took for itself: objects, buffers, page tables.
pub const CGROUP_KERNEL: &str = "cgroup.kernel_bytes";
pub const CGROUP_LIMIT: &str = "cgroup.limit";
pub const CGROUP_KILLS: &str = "cgroup.oom_kill";
pub const CGROUP_REFUSALS: &str = "cgroup.limit_hits";

pub const FILES_OPEN: &str = "files.open";
pub const FILES_MAX: &str = "files.max";
pub const TCP_PAGES: &str = "tcp_memory.pages";
pub const TCP_PAGES_PRESSURE: &str = "tcp_memory.pressure";
pub const TCP_PAGES_MAX: &str = "tcp_memory.max";
pub const ORPHANS: &str = "orphans.count";
pub const ORPHANS_MAX: &str = "orphans.max";
pub const MEMORY_AVAILABLE: &str = "memory.available";
pub const MEMORY_TOTAL: &str = "memory.total";
pub const HOST_KILLS: &str = "memory.oom_kill";
pub const MEMORY_WAITS: &str = "memory.waited_us";
pub const NEIGHBOURS: &str = "neighbours.entries";
pub const NEIGHBOURS_MAX: &str = "neighbours.max";
pub const NEIGHBOURS_FULL: &str = "neighbours.table_fulls";
pub const BACKLOG_DROPS: &str = "softnet.dropped";
pub const SOFTIRQ: &str = "cpu.softirq_ms";

/// What the level of a slab cache begins with: the objects in use, of all caches that are listed under that name.
pub const SLAB: &str = "slab.";
/// What the levels of a kind of object begin with.
pub const OBJECT: &str = "object.";

/// Together: the memory that the kernel uses for itself.
pub const KERNEL_MEMORY: &[&str] =
    &["memory.slab", "memory.kernel_stack", "memory.page_tables", "memory.vmalloc_used", "memory.percpu"];

pub const AGENT_CPU: &str = "agent.cpu_ms";
/// 1 while the process is stopped.
pub const AGENT_STOPPED: &str = "agent.stopped";
