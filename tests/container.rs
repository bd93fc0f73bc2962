//! What a container takes away, taken away without one: settings are read-only, and few capabilities are left.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::*;

/// Runs it where `/proc/sys` is mounted read-only, as docker and podman do, with these capabilities alone.
fn contained(capabilities: &[&str], arguments: &[&str]) -> Output {
    contained_after("true", capabilities, arguments)
}

/// The same after this command, in the mount namespace that it has for itself.
fn contained_after(before: &str, capabilities: &[&str], arguments: &[&str]) -> Output {
    let script = format!(
        "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && {before} && exec setpriv \"$@\""
    );
    let kept: Vec<String> = capabilities.iter().map(|name| format!("+{name}")).collect();
    Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"])
        .args(["--inh-caps=-all", &format!("--bounding-set=-all,{}", kept.join(",")), BINARY])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("unshare")
}

const FEWEST: [&str; 2] = ["net_admin", "sys_admin"];

const LAB: &str = "connections: 2K
hold: 0s
server: {backlog: 43210}
sysctl: {server: {net.ipv4.tcp_rmem: 4096 8192 16384}}
expect: {established: 100%, lost: 0}";

#[test]
fn two_capabilities_and_read_only_settings_are_enough() {
    need_root();
    let lab = TestLab::new("contained");
    let (file, out) = (lab.file(LAB), lab.out());
    let output = contained(&FEWEST, &["up", &file, "--json", "--out", &out]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert_all_established(&output, &report, 2_000);
    lab.assert_gone();
}

/// The first reactor of the lab, as its journal names it: that is outside of the container too.
fn reactor(lab: &TestLab) -> Option<String> {
    let journal = Path::new("/run/c1m-lab").join(&lab.name).join("journal.jsonl");
    let lines = std::fs::read_to_string(journal).unwrap_or_default();
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut processes = lines.map(|line| line["intent"].clone());
    processes.find_map(|one| {
        let process = one.get("process").unwrap_or(&one).clone();
        (process["name"] == "reactor 1").then(|| process["pid"].to_string())
    })
}

fn setting_inside(pid: &str, key: &str) -> String {
    let net = format!("--net=/proc/{pid}/ns/net");
    let output = Command::new("nsenter").args([&net, "sysctl", "-n", key]).output().expect("nsenter");
    String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The host's table is told as a negative number. A kernel before 6.1 has no tables of namespaces.
fn own_table(pid: &str) {
    if !Path::new("/proc/sys/net/ipv4/tcp_ehash_entries").exists() {
        left_out("container: the table of a namespace", "this kernel has no net.ipv4.tcp_ehash_entries");
        return;
    }
    let entries = setting_inside(pid, "net.ipv4.tcp_ehash_entries");
    assert!(entries.parse::<i64>().is_ok_and(|entries| entries > 0), "{entries:?}");
}

#[test]
fn the_settings_of_the_namespaces_are_set_and_the_hosts_are_not() {
    need_root();
    let lab = TestLab::new("inside");
    let host = || std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("a setting");
    let before = host();
    // So many that the nodes have tables of their own.
    let (file, out) = (lab.file(&LAB.replace("2K", "40K")), lab.out());
    let output = std::thread::scope(|scope| {
        let up = scope.spawn(|| contained(&FEWEST, &["up", &file, "--hold", "3s", "--out", &out]));
        let mut pid = None;
        wait_for("the server", std::time::Duration::from_secs(20), || {
            pid = reactor(&lab);
            pid.as_ref().is_some_and(|pid| setting_inside(pid, "net.core.somaxconn") == "43210")
        });
        let pid = pid.expect("a process");
        assert_eq!(setting_inside(&pid, "net.ipv4.tcp_rmem"), "4096 8192 16384");
        own_table(&pid);
        assert_eq!(host(), before);
        up.join().expect("it ran")
    });
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    lab.assert_gone();
}

#[test]
fn what_cannot_be_changed_is_told_and_planned_around() {
    need_root();
    let lab = TestLab::new("told");
    let file = lab.file("connections: 2K");
    let check = contained(&FEWEST, &["check", &file]);
    let rows = String::from_utf8_lossy(&check.stdout).into_owned();
    assert_eq!(check.status.code(), Some(0), "{rows}");
    for part in ["read-only, as in a container", "cannot be changed from here", "agents stay root"] {
        assert!(rows.contains(part), "{part}: {rows}");
    }
    // The table of files may be larger here than any lab: this one is not.
    let small = lab.folder.join("file-max");
    std::fs::write(&small, "1000000\n").expect("a file");
    let place = "/proc/sys/fs/file-max";
    let mount = format!("mount --bind {} {place} && mount -o remount,bind,ro {place}", small.display());
    let plan = ["plan", &file, "--connections", "600K", "--set", "clients.addresses=64"];
    let plan = contained_after(&mount, &FEWEST, &plan);
    assert_eq!(plan.status.code(), Some(3), "{}", stderr(&plan));
    assert!(stderr(&plan).contains("fs.file-max is"), "{}", stderr(&plan));
    assert!(stderr(&plan).contains("on the host: `sysctl -w fs.file-max="), "{}", stderr(&plan));
    let set = contained(&FEWEST, &["up", &file, "--set", "sysctl.host={fs.file-max: 9999999}"]);
    assert_eq!(set.status.code(), Some(3), "{}", stderr(&set));
    assert!(stderr(&set).contains("cannot be written here"), "{}", stderr(&set));
}

#[test]
fn without_a_capability_that_is_needed_check_says_how_to_add_it() {
    need_root();
    let lab = TestLab::new("lacking");
    let check = contained(&["sys_admin"], &["check", &lab.file("connections: 2K")]);
    let rows = String::from_utf8_lossy(&check.stdout).into_owned();
    assert_eq!(check.status.code(), Some(3), "{rows}");
    let row = rows.lines().position(|row| row.contains("CAP_NET_ADMIN")).expect("a row");
    let rows: Vec<&str> = rows.lines().collect();
    assert!(rows[row].contains("cannot"), "{rows:?}");
    assert!(rows[row + 1].contains("--cap-add NET_ADMIN"), "{rows:?}");
}
