use super::*;
use crate::host::tests::FakeMachine;

const BUILTIN: &str = "kernel/net/netfilter/nf_conntrack.ko\nkernel/drivers/net/tun.ko\n";
const DEP: &str = "\
kernel/drivers/net/veth.ko.zst:
kernel/net/sched/sch-netem.ko.xz: kernel/lib/x.ko.xz
";

fn presences(machine: FakeMachine, names: [&str; 4]) -> [Presence; 4] {
    let host = machine.with("/proc/sys/kernel/osrelease", "6.1.0-fake\n").read();
    names.map(|name| host.feature(name))
}

#[test]
fn the_lists_of_modules_tell() {
    let machine = FakeMachine::new()
        .with("/lib/modules/6.1.0-fake/modules.builtin", BUILTIN)
        .with("/lib/modules/6.1.0-fake/modules.dep", DEP);
    let found = presences(machine, ["conntrack", "veth", "netem", "bridge"]);
    assert_eq!(found, [Presence::Present, Presence::Loadable, Presence::Loadable, Presence::Absent]);
}

#[test]
fn half_a_list_does_not_prove_absence() {
    let machine = FakeMachine::new().with("/lib/modules/6.1.0-fake/modules.dep", DEP);
    let found = presences(machine, ["conntrack", "veth", "netem", "bridge"]);
    assert_eq!(found, [Presence::Unknown, Presence::Loadable, Presence::Loadable, Presence::Unknown]);
}

#[test]
fn a_loaded_module_is_present() {
    let machine = FakeMachine::new()
        .with("/sys/module/bridge/refcnt", "0")
        .with("/sys/class/misc/tun/dev", "10:200")
        .with("/proc/self/ns/net", "");
    let found = presences(machine, ["bridge", "tun", "network_namespaces", "veth"]);
    assert_eq!(found, [Presence::Present, Presence::Present, Presence::Present, Presence::Unknown]);
}

#[test]
fn the_configuration_tells() {
    let config = "CONFIG_VETH=y\n# CONFIG_BRIDGE is not set\nCONFIG_TUN=m\nCONFIG_NET_SCH_NETEM_X=y\n";
    let machine = FakeMachine::new().with("/boot/config-6.1.0-fake", config);
    let found = presences(machine, ["veth", "bridge", "tun", "netem"]);
    assert_eq!(found, [Presence::Present, Presence::Absent, Presence::Unknown, Presence::Absent]);
}

#[test]
fn a_kernel_without_modules_has_what_its_symbols_show() {
    let symbols = "ffffffff81c5d0a0 t veth_xmit\n0000000000000000 t tun_chr_open\t[tun]\n";
    let names = ["veth", "tun", "netem", "bridge"];
    let found = presences(FakeMachine::new().with("/proc/kallsyms", symbols), names);
    assert_eq!(found, [Presence::Present, Presence::Present, Presence::Absent, Presence::Absent]);
    let takes_modules = FakeMachine::new().with("/proc/kallsyms", symbols).with("/proc/modules", "");
    let found = presences(takes_modules, names);
    assert_eq!(found, [Presence::Present, Presence::Present, Presence::Unknown, Presence::Unknown]);
}

#[test]
fn network_namespaces_can_be_absent() {
    let host = FakeMachine::new().with("/proc/self/ns/pid", "").read();
    assert_eq!(host.feature("network_namespaces"), Presence::Absent);
}
