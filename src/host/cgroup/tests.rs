use super::*;
use crate::host::tests::FakeMachine;

const GIB: u64 = 1 << 30;

const V1_MOUNTS: &str = "\
35 31 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
36 31 0:33 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
";
const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

fn machine(membership: &str, mounts: &str) -> FakeMachine {
    FakeMachine::new()
        .with("/proc/meminfo", "MemTotal: 67108864 kB\nMemAvailable: 60000000 kB\n")
        .with("/proc/self/cgroup", membership)
        .with("/proc/self/mountinfo", mounts)
}

trait Groups {
    fn v1(self, path: &str, limit: &str, usage: &str, stat: &str) -> Self;
    fn v2(self, path: &str, passes_on: &str, processes: &str) -> Self;
    fn v2_root(self, passes_on: &str) -> Self;
}

impl Groups for FakeMachine {
    fn v1(self, path: &str, limit: &str, usage: &str, stat: &str) -> Self {
        self.with(&format!("{path}/memory.limit_in_bytes"), limit)
            .with(&format!("{path}/memory.usage_in_bytes"), usage)
            .with(&format!("{path}/memory.stat"), stat)
            .with(&format!("{path}/cgroup.procs"), "1\n")
    }

    fn v2(self, path: &str, passes_on: &str, processes: &str) -> Self {
        self.v2_root(passes_on)
            .with(&format!("/sys/fs/cgroup{path}/cgroup.controllers"), "cpu memory pids\n")
            .with(&format!("/sys/fs/cgroup{path}/cgroup.subtree_control"), passes_on)
            .with(&format!("/sys/fs/cgroup{path}/cgroup.procs"), processes)
            .with(&format!("/sys/fs/cgroup{path}/cgroup.type"), "domain\n")
    }

    fn v2_root(self, passes_on: &str) -> Self {
        if self.path("/sys/fs/cgroup/cgroup.controllers").exists() {
            return self;
        }
        self.with("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n")
            .with("/sys/fs/cgroup/cgroup.subtree_control", passes_on)
            .with("/sys/fs/cgroup/cgroup.procs", "1\n2\n")
    }
}

const SESSION: &str = "0::/user.slice/session-1.scope\n";

#[test]
fn v1_has_the_smallest_limit_on_the_way_up() {
    let memory = "/sys/fs/cgroup/memory";
    let unlimited = "9223372036854771712\n";
    let machine = machine("9:cpu:/\n4:memory:/box/inner\n0::/\n", V1_MOUNTS)
        .v1(memory, unlimited, "9000000000\n", "")
        .v1(&format!("{memory}/box"), "4294967296\n", "3000\n", "total_inactive_file 1000\n")
        .v1(&format!("{memory}/box/inner"), unlimited, "500\n", "hierarchical_memory_limit 4294967296\n");
    let cgroup = machine.read().cgroup;
    let own = machine.path("/sys/fs/cgroup/memory/box/inner");
    assert_eq!((cgroup.version, cgroup.memory_path.as_ref()), (Version::V1, Some(&own)));
    assert_eq!((cgroup.memory_limit, cgroup.memory_used), (Some(4 * GIB), Some(2000)));
    assert_eq!((cgroup.limit_below, cgroup.can_limit), (Some(own), Ok(())));
}

#[test]
fn v1_in_a_container_knows_of_limits_it_cannot_see() {
    let mounts = "36 31 0:33 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
    let machine = machine("4:memory:/docker/abc\n", mounts).v1(
        "/sys/fs/cgroup/memory",
        "9223372036854771712",
        "700\n",
        "hierarchical_memory_limit 1073741824\n",
    );
    let cgroup = machine.read().cgroup;
    assert_eq!(cgroup.memory_path, Some(machine.path("/sys/fs/cgroup/memory")));
    assert_eq!((cgroup.memory_limit, cgroup.memory_used), (Some(GIB), Some(700)));
    assert!(cgroup.can_limit.unwrap_err().ends_with("/sys/fs/cgroup/memory is mounted read-only"));
}

#[test]
fn hybrid_counts_memory_where_the_controller_is() {
    let mounts = format!("{V1_MOUNTS}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    let machine = machine("4:memory:/\n0::/\n", &mounts)
        .with("/sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n")
        .v1("/sys/fs/cgroup/memory", "9223372036854771712", "700\n", "");
    let cgroup = machine.read().cgroup;
    assert_eq!((cgroup.version, cgroup.memory_limit), (Version::V1, None));
    assert_eq!((cgroup.memory_used, cgroup.can_limit), (Some(700), Ok(())));
}

#[test]
fn v2_without_a_memory_controller_counts_none() {
    let machine = machine("1:name=systemd:/\n0::/\n", V2_MOUNT)
        .with("/sys/fs/cgroup/cgroup.controllers", "cpu hugetlb\n");
    let cgroup = machine.read().cgroup;
    assert_eq!((cgroup.version, cgroup.memory_path), (Version::None, None));
    assert!(cgroup.can_limit.unwrap_err().starts_with("no memory controller"));
}

#[test]
fn v2_goes_up_to_the_cgroup_that_passes_memory_on() {
    let session = "/sys/fs/cgroup/user.slice/session-1.scope";
    let machine = machine(SESSION, V2_MOUNT)
        .v2("/user.slice", "memory pids\n", "")
        .v2("/user.slice/session-1.scope", "", "812\n")
        .with("/sys/fs/cgroup/user.slice/memory.max", "8589934592\n")
        .with("/sys/fs/cgroup/user.slice/memory.high", "4294967296\n")
        .with("/sys/fs/cgroup/user.slice/memory.current", "5000\n")
        .with("/sys/fs/cgroup/user.slice/memory.stat", "anon 4000\ninactive_file 600\n")
        .with(&format!("{session}/memory.max"), "max\n");
    let cgroup = machine.read().cgroup;
    assert_eq!((cgroup.version, cgroup.memory_path), (Version::V2, Some(machine.path(session))));
    assert_eq!((cgroup.memory_limit, cgroup.memory_used), (Some(4 * GIB), Some(4400)));
    assert_eq!(cgroup.limit_below, Some(machine.path("/sys/fs/cgroup/user.slice")));
}

#[test]
fn v2_finds_an_empty_cgroup_where_memory_can_be_enabled() {
    let machine = machine(SESSION, V2_MOUNT).v2_root("cpu memory\n").v2("/user.slice", "cpu\n", "").v2(
        "/user.slice/session-1.scope",
        "",
        "812\n",
    );
    assert_eq!(machine.read().cgroup.limit_below, Some(machine.path("/sys/fs/cgroup/user.slice")));
}

#[test]
fn v2_passes_over_a_cgroup_that_holds_processes() {
    let machine = machine(SESSION, V2_MOUNT).v2_root("cpu memory\n").v2("/user.slice", "", "77\n").v2(
        "/user.slice/session-1.scope",
        "",
        "812\n",
    );
    assert_eq!(machine.read().cgroup.limit_below, Some(machine.path("/sys/fs/cgroup")));
}

#[test]
fn v2_the_root_may_hold_processes_and_pass_memory_on() {
    let machine = machine("0::/\n", V2_MOUNT).v2_root("");
    let cgroup = machine.read().cgroup;
    assert_eq!(cgroup.limit_below, Some(machine.path("/sys/fs/cgroup")));
    assert_eq!((cgroup.memory_used, cgroup.memory_limit), (None, None));
}

#[test]
fn v2_in_a_container_may_have_no_cgroup_to_limit_below() {
    // The container's root is no real root: it has a type.
    let machine = machine("0::/\n", V2_MOUNT).v2("", "", "1\n");
    assert!(machine.read().cgroup.can_limit.unwrap_err().contains("holds processes"));
}

#[test]
fn a_cgroup_outside_of_the_namespace_is_not_guessed_at() {
    let machine = machine("0::/../other\n", V2_MOUNT).v2_root("memory\n").v2("/other", "", "");
    let why = machine.read().cgroup.can_limit.unwrap_err();
    assert_eq!(why, "no mounted cgroups show this process's own, /../other");
}

#[test]
fn without_cgroups_there_is_a_reason() {
    let why = machine("", "").read().cgroup.can_limit.unwrap_err();
    assert_eq!(why, "the kernel has no cgroups that count memory");
}

#[test]
fn rights_are_asked_for() {
    let machine = machine("4:memory:/\n", V1_MOUNTS).with("/sys/fs/cgroup/memory/memory.stat", "");
    let why = machine.read().cgroup.can_limit.unwrap_err();
    assert!(why.starts_with("no right to write to ") && why.ends_with("cgroup.procs"), "{why}");
}
