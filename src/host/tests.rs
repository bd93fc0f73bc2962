use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;

/// A machine made of files in a folder of its own, which is removed at the end.
pub struct FakeMachine {
    pub root: PathBuf,
}

impl FakeMachine {
    pub fn new() -> FakeMachine {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("c1m-host-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&root).unwrap();
        FakeMachine { root }
    }

    pub fn with(self, path: &str, text: &str) -> FakeMachine {
        let file = self.path(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        self
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub fn read(&self) -> Host {
        read_from(&self.root)
    }
}

impl Drop for FakeMachine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

const STATUS: &str = "Name:\tc1m-lab\nCapInh:\t0000000000000000\nCapEff:\t000001fffeffffff\n";

const ROUTE: &str = "\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	00000080	00000000	0001	0	0	0	00000080	0	0	0
lo	0000000A	00000000	0001	0	0	0	000000FF	0	0	0
";

const FIB_TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Id 220:
  |-- 10.64.0.0
     /16 universe UNICAST
     /12 universe UNREACHABLE
";

fn net(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Block {
    Block { base: Ipv4Addr::new(a, b, c, d).into(), prefix }
}

#[test]
fn this_machine_has_sane_facts() {
    let host = read();
    assert!(!host.kernel.is_empty() && host.machine_cpus >= 1);
    assert!(host.nofile.soft <= host.nofile.hard);
    assert!(host.memory.total > host.memory.available && host.memory.available > 0);
    assert!(host.files_open > 0);
    assert!(host.number("fs.nr_open").unwrap() > 0);
    assert!(host.triple("net.ipv4.tcp_rmem").unwrap().is_sorted());
    assert_eq!(host.cgroup.can_limit.is_ok(), host.cgroup.limit_below.is_some());
    assert!(host.cgroup.memory_limit.is_none_or(|limit| limit < host.memory.total));
    assert!(host.routes.iter().all(|route| !route.base.is_loopback() && route.prefix > 1));
    assert!(host.memory_to_use() <= host.memory.available);
    let text = serde_json::to_string(&host).unwrap();
    assert_eq!(serde_json::from_str::<Host>(&text).unwrap(), host);
}

#[test]
fn a_machine_without_any_file_is_read_and_says_why_it_is_empty() {
    let host = FakeMachine::new().read();
    assert_eq!((host.files_open, host.memory), (0, Memory::default()));
    assert!(!host.settings_writable && host.settings.is_empty());
    assert!(host.unread["memory"].starts_with("/proc/meminfo: "), "{:?}", host.unread);
    for fact in ["capabilities", "files_open", "mounts", "fs.nr_open", "routes of /proc/net/route"] {
        assert!(host.unread.contains_key(fact), "{fact}");
    }
    assert!(host.features.values().all(|feature| feature.presence == Presence::Unknown));
}

#[test]
fn settings_are_numbers_in_one_line() {
    let machine = FakeMachine::new()
        .with("/proc/sys/fs/nr_open", "1048576\n")
        .with("/proc/sys/fs/file-nr", "398\t0\t2466177\n")
        .with("/proc/sys/net/ipv4/tcp_mem", "287901\t383868\t575802\n");
    let host = machine.read();
    assert_eq!(host.number("fs.nr_open"), Some(1_048_576));
    assert_eq!(host.files_open, 398);
    assert_eq!(host.settings["net.ipv4.tcp_mem"], "287901 383868 575802");
    assert_eq!(host.triple("net.ipv4.tcp_mem"), Some([287_901, 383_868, 575_802]));
    assert_eq!((host.number("net.ipv4.tcp_mem"), host.pair("net.ipv4.tcp_mem")), (None, None));
    assert_eq!(host.number("net.netfilter.nf_conntrack_max"), None);
    assert!(host.unread.contains_key("net.netfilter.nf_conntrack_max"));
    assert!(host.settings_writable && host.can_set("net.ipv4.tcp_mem") && !host.can_set("fs.file-max"));
}

#[test]
fn in_a_container_the_settings_are_mounted_read_only() {
    let machine = FakeMachine::new()
        .with("/proc/sys/fs/nr_open", "1048576\n")
        .with("/proc/sys/net/core/somaxconn", "4096\n")
        .with(
            "/proc/self/mountinfo",
            "\
500 400 0:50 / /proc rw,nosuid - proc proc rw
501 500 0:50 /sys /proc/sys ro,nosuid - proc proc rw
502 501 0:50 /sys/net /proc/sys/net rw,nosuid - proc proc rw
",
        );
    let host = machine.read();
    assert!(!host.settings_writable);
    assert!(!host.can_set("fs.nr_open") && host.can_set("net.core.somaxconn"));
}

#[test]
fn of_mounts_in_one_place_the_last_counts() {
    let text =
        "1 0 0:1 / /a\\040b rw shared:1 master:2 - ext4 /dev/x rw\n2 0 0:2 / /a\\040b rw - tmpfs x ro\n";
    let mounts = mounts::parse(text);
    assert_eq!(mounts.len(), 2);
    let holding = mounts::holding(&mounts, Path::new("/a b/c")).unwrap();
    assert!(holding.kind == "tmpfs" && holding.read_only());
    assert!(mounts::holding(&mounts, Path::new("/a bc")).is_none());
}

#[test]
fn capabilities_have_the_names_of_the_manual_page() {
    let capabilities = Capabilities::from_status(STATUS).unwrap();
    assert!(!capabilities.has(Capability::SysResource));
    assert_eq!(capabilities, Capabilities::all().without(Capability::SysResource));
    let some = Capabilities::from_bits(1 << 12 | 1 << 21 | 1 << 40 | 1 << 63);
    assert!(some.has(Capability::NetAdmin) && some.has(Capability::SysAdmin) && !some.has(Capability::Kill));
    let written = serde_json::to_string(&some).unwrap();
    assert_eq!(written, r#"["NET_ADMIN","SYS_ADMIN","CHECKPOINT_RESTORE"]"#);
    assert_eq!(serde_json::from_str::<Capabilities>(&written).unwrap(), some);
    assert_eq!(serde_json::from_str::<Capabilities>(r#"["NET_ADMIN","NEWER"]"#).unwrap(), only(12));
    assert_eq!(Vec::from(Capabilities::all()).len(), 41);
}

fn only(bit: u32) -> Capabilities {
    Capabilities::from_bits(1 << bit)
}

#[test]
fn capabilities_have_the_numbers_of_the_kernel() {
    let numbers = [
        (Capability::Kill, 5, "CAP_KILL"),
        (Capability::Setgid, 6, "CAP_SETGID"),
        (Capability::Setuid, 7, "CAP_SETUID"),
        (Capability::NetBindService, 10, "CAP_NET_BIND_SERVICE"),
        (Capability::NetAdmin, 12, "CAP_NET_ADMIN"),
        (Capability::SysAdmin, 21, "CAP_SYS_ADMIN"),
        (Capability::SysResource, 24, "CAP_SYS_RESOURCE"),
    ];
    for (capability, bit, name) in numbers {
        assert_eq!([capability].into_iter().collect::<Capabilities>(), only(bit));
        assert_eq!(capability.to_string(), name);
    }
}

#[test]
fn routes_leave_out_loopback_and_defaults() {
    // The samples are from a little-endian machine.
    if cfg!(target_endian = "little") {
        assert_eq!(routes::parse_route(ROUTE), [net(192, 0, 2, 0, 24)]);
    }
    let host = FakeMachine::new().with("/proc/net/fib_trie", FIB_TRIE).read();
    assert_eq!(host.routes, [net(10, 64, 0, 0, 12), net(192, 0, 2, 0, 24)]);
    assert_eq!(host.collision(net(10, 0, 0, 0, 8)), Some(net(10, 64, 0, 0, 12)));
    assert_eq!(host.collision(net(192, 0, 2, 128, 30)), Some(net(192, 0, 2, 0, 24)));
    assert_eq!(host.collision(net(10, 80, 0, 0, 12)), None);
}

#[test]
fn routes_of_ipv6_leave_out_what_every_link_has() {
    let text = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
fd000000000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
20010db8000000000000000000000000 20 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000004 00000000 00000001     eth0
";
    let host = FakeMachine::new().with("/proc/net/ipv6_route", text).read();
    let block = |text: &str| text.parse::<Block>().unwrap();
    assert_eq!(host.routes, [block("2001:db8::/32"), block("fd00::/64")]);
    assert_eq!(host.collision(block("fd00::100/120")), Some(block("fd00::/64")));
    assert_eq!(host.collision(block("fd00:99::/64")), None);
}

#[test]
fn the_example_is_a_whole_machine() {
    let host = Host::example();
    assert_eq!(host.settings.keys().collect::<Vec<_>>(), KEYS.iter().collect::<Vec<_>>());
    assert!(host.has(Capability::SysResource) && host.can_set("fs.nr_open"));
    assert_eq!(host.nofile.hard, 1_048_576);
    assert_eq!(host.memory.total, 64 << 30);
    assert_eq!(host.feature("veth"), Presence::Present);
    assert_eq!(host.feature("telepathy"), Presence::Unknown);
    assert_eq!(host.memory_to_use(), host.memory.available);
}

#[test]
fn a_limit_leaves_what_is_not_used() {
    let mut host = Host::example();
    (host.cgroup.memory_limit, host.cgroup.memory_used) = (Some(1000), Some(400));
    assert_eq!(host.memory_to_use(), 600);
    host.cgroup.memory_used = Some(2000);
    assert_eq!(host.memory_to_use(), 0);
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(
        text in prop_oneof![
            any::<String>(),
            "([|]-- [0-9.]{0,9}\n/[0-9]{1,3} link (UNICAST|LOCAL)\n){0,4}",
            "[a-z]{2}\n(eth0( [0-9A-F]{0,9}){7}\n){0,4}",
            "([0-9] ){3}/ /[a-z]{0,3} r[wo]( [a-z]){0,2} - [a-z ]{0,9}",
            "CapEff:[ \t][0-9a-g]{0,20}",
            "([0-9a-f]{30,33} [0-9a-f]{1,3} 0 0 lo\n){0,4}",
        ],
        address in any::<u32>(),
        length in any::<u8>(),
    ) {
        Capabilities::from_status(&text);
        mounts::parse(&text);
        let ipv4 = routes::parse_route(&text).into_iter().chain(routes::parse_fib_trie(&text));
        for block in ipv4.chain(routes::parse_ipv6_route(&text)) {
            prop_assert!(block.prefix <= block.family().bits());
            block.overlaps(Block::around(Ipv4Addr::from(address).into(), length));
        }
    }
}
