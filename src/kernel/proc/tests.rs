use proptest::prelude::*;

use super::*;

const MEMINFO: &str = "\
MemTotal:       24684092 kB
MemFree:        23989540 kB
MemAvailable:   24354420 kB
Buffers:            1432 kB
Cached:           559352 kB
AnonPages:         10796 kB
Shmem:              8856 kB
Slab:              68392 kB
SReclaimable:      45364 kB
SUnreclaim:        23028 kB
KernelStack:        1412 kB
PageTables:         1856 kB
VmallocTotal:   34359738367 kB
VmallocUsed:       14268 kB
Percpu:              688 kB
HugePages_Total:       7
";

const SOCKSTAT: &str = "\
sockets: used 1000212
TCP: inuse 1000004 orphan 3 tw 17 alloc 2000009 mem 1042
UDP: inuse 5 mem 2
UDPLITE: inuse 0
RAW: inuse 0
FRAG: inuse 0 memory 0
";

const SLABINFO: &str = "\
slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>
TCP                 1024   1040   2496   13    8 : tunables    0    0    0 : slabdata     80     80      0
sock_inode_cache     812    850    832   17    4 : tunables    0    0    0 : slabdata     50     50      0
";

const SMAPS_ROLLUP: &str = "\
55d8b46f5000-7ffefb110000 ---p 00000000 00:00 0                          [rollup]
Rss:                1736 kB
Shared_Clean:       1556 kB
Private_Clean:        68 kB
Private_Dirty:       112 kB
Private_Hugetlb:       0 kB
";

const STAT: &str =
    "812 (a) (b c) S 1 812 812 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 3133440 441 18446744073709551615";

#[test]
fn meminfo_is_in_bytes() {
    let memory = parse_meminfo(MEMINFO);
    assert_eq!(memory.total, 24_684_092 * 1024);
    assert_eq!(memory.available, 24_354_420 * 1024);
    assert_eq!(memory.slab, memory.slab_reclaimable + memory.slab_unreclaimable);
    assert_eq!((memory.kernel_stack, memory.page_tables), (1412 * 1024, 1856 * 1024));
    assert_eq!((memory.vmalloc_used, memory.percpu), (14_268 * 1024, 688 * 1024));
    assert_eq!(memory.swap_total, 0);
}

#[test]
fn without_an_estimate_the_free_memory_is_the_available() {
    assert_eq!(parse_meminfo("MemFree: 12 kB\n").available, 12 * 1024);
}

#[test]
fn sockstat_of_a_full_machine() {
    let expected = SockStat {
        sockets_used: 1_000_212,
        tcp6_inuse: 0,
        tcp_inuse: 1_000_004,
        tcp_orphan: 3,
        tcp_time_wait: 17,
        tcp_alloc: 2_000_009,
        tcp_mem_pages: 1042,
    };
    assert_eq!(parse_sockstat(SOCKSTAT), expected);
    assert_eq!(parse_sockstat("TCP: inuse 4 orphan -1 tw"), SockStat { tcp_inuse: 4, ..SockStat::default() });
}

#[test]
fn slabinfo_passes_over_its_heading() {
    let slabs = parse_slabinfo(SLABINFO);
    assert_eq!(slabs.keys().collect::<Vec<_>>(), ["TCP", "sock_inode_cache"]);
    let (objs_per_slab, pages_per_slab) = (13, 8);
    let tcp =
        Slab { active_objs: 1024, num_objs: 1040, objsize: 2496, objs_per_slab, pages_per_slab, pages: 640 };
    assert_eq!(slabs["TCP"], tcp);
    assert_eq!(slabs["TCP"].bytes(), 640 * rustix::param::page_size() as u64);
}

#[test]
fn private_memory_is_clean_and_dirty() {
    assert_eq!(parse_private(SMAPS_ROLLUP), Some(180 * 1024));
    assert_eq!(parse_private("Private_Clean: 68 kB"), None);
}

#[test]
fn a_command_may_hold_parentheses() {
    assert_eq!(parse_start_time(STAT), Some(123_456));
    assert_eq!(parse_start_time("812 (a) S 1 2"), None);
}

#[test]
fn a_sysctl_is_a_path() {
    assert_eq!(sysctl_path("net.ipv4.tcp_mem").unwrap(), "net/ipv4/tcp_mem");
    assert_eq!(sysctl_path("net.ipv4.conf.eth0/5.mtu").unwrap(), "net/ipv4/conf/eth0.5/mtu");
    for astray in ["", ".", "..", ".net", "net.", "net.//.passwd", "net./.x", "a\0b"] {
        assert_eq!(sysctl_path(astray).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{astray:?}");
    }
}

#[test]
fn this_machine_can_be_read() {
    let memory = meminfo().unwrap();
    assert!(memory.total > memory.available && memory.available > 0);
    assert!(private_bytes(None).unwrap() > 0);
    assert_eq!(start_time(None).unwrap(), start_time(Some(std::process::id())).unwrap());
    assert!(sockstat().is_ok());
    assert!(!read_sysctl("kernel.osrelease").unwrap().contains('\n'));
    assert!(read_sysctl("no.such.key").is_err());
}

/// The sample with some characters replaced and its end cut off: text of nearly the right form.
fn mangled(sample: &'static str) -> impl Strategy<Value = String> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 0..12);
    (edits, any::<prop::sample::Index>()).prop_map(move |(edits, end)| {
        let mut characters: Vec<char> = sample.chars().collect();
        for (index, character) in edits {
            let at = index.index(characters.len());
            characters[at] = character;
        }
        characters.truncate(end.index(characters.len() + 1));
        characters.into_iter().collect()
    })
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "([A-Za-z_]{1,8}:? +[0-9]{1,25} ?(kB)?\n?){0,8}",
        mangled(MEMINFO),
        mangled(SOCKSTAT),
        mangled(SLABINFO),
        mangled(SMAPS_ROLLUP),
        mangled(STAT),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in any_text()) {
        parse_meminfo(&text);
        parse_sockstat(&text);
        parse_slabinfo(&text).values().for_each(|slab| { slab.bytes(); });
        parse_private(&text);
        parse_start_time(&text);
    }

    #[test]
    fn no_key_leaves_the_sysctls(key in "[./a\\x00]{0,8}") {
        if let Ok(path) = sysctl_path(&key) {
            prop_assert!(!path.starts_with('/') && !path.split('/').any(|name| name == ".."));
        }
    }
}
