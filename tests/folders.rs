//! Folders that cannot be written: the run ends by itself, every connection is accounted for, what can be reported is,
//! and the host is as it was.

mod common;
#[path = "common/running.rs"]
mod running;
#[path = "common/snapshot.rs"]
mod snapshot;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use common::*;
use running::*;
use serde_json::json;
use snapshot::*;

const LAB: &str = "connections: 3000\nserver: {ports: 9900-9909}\nclients: {count: 2}\nhold: 2s\n\
    ramp: {timeout: 1s}\ntraffic: {kind: echo, every: 200ms, size: 64B}\n\
    limits: {server: {nofile: 1300}, client: {nofile: 900}}\n";

/// The time to try a connection, and what a run may take beyond that whatever happens.
const PATIENCE: Duration = Duration::from_secs(1 + 30);

/// Runs the lab in a mount namespace of its own, after these commands.
fn up_after(mounts: &str, directory: &Path, arguments: &[&str]) -> Output {
    let script = format!("{mounts} && exec \"$@\"");
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", &script, "sh", BINARY, "up"]).args(arguments).current_dir(directory);
    unshare.output().expect("unshare(1) is there")
}

fn assert_read_only(output: &Output, code: i32, parts: &[&str]) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for part in [parts, &["Read-only file system"]].concat() {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn the_run_folder_is_read_only() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("r-out");
    let (file, out) = (lab.file(LAB), lab.out());
    std::fs::create_dir(&out).expect("a folder");
    let before = Snapshot::take(&[&lab.folder]);
    let mount = format!("mount -t tmpfs -o ro tmpfs {out}");
    let output = up_after(&mount, &lab.folder, &[&file, "--out", &out]);
    assert_read_only(&output, 4, &["plan.json"]);
    lab.assert_gone();
    // The same where runs go by themselves: below the folder one is in.
    let runs = lab.folder.join("runs");
    std::fs::create_dir(&runs).expect("a folder");
    let mount = format!("mount -t tmpfs -o ro tmpfs {}", runs.display());
    assert_read_only(&up_after(&mount, &lab.folder, &[&file]), 2, &["making the run's folder", "--out DIR"]);
    lab.assert_gone();
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn the_folder_of_journals_is_read_only() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("r-state");
    let file = lab.file(LAB);
    let before = Snapshot::take(&[&lab.folder]);
    let mount = "mount -t tmpfs -o ro tmpfs /run";
    let output = up_after(mount, &lab.folder, &[&file, "--out", &lab.out()]);
    assert_read_only(&output, 3, &["making /run/c1m-lab/", "keeps its journal there"]);
    before.assert_unchanged(&[&lab.folder]);
}

/// Starts the lab in a mount namespace of its own, and makes this folder read-only there while it holds.
fn turns_read_only(lab: &TestLab, folder: &str) -> (i32, String) {
    let file = lab.file(LAB);
    let arguments = ["--mount", BINARY, "up", &file, "--out", &lab.out()];
    let mut running = Running::of(Command::new("unshare").args(arguments));
    assert!(running.reach("hold"), "{}", running.told());
    let script = format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}");
    let pid = running.pid().to_string();
    let enter = Command::new("nsenter").args(["--mount", "-t", &pid, "sh", "-c", &script]).status();
    assert!(enter.expect("nsenter(1) is there").success());
    let end = running.end(PATIENCE);
    let told = running.told();
    assert!(!told.contains("panicked"), "{told}");
    (end.unwrap_or_else(|signal| panic!("ended by signal {signal}: {told}")), told)
}

#[test]
fn the_run_folder_turns_read_only() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("r-turns");
    let before = Snapshot::take(&[&lab.folder]);
    let (exit, told) = turns_read_only(&lab, &lab.out());
    assert_eq!(exit, 4, "{told}");
    for part in
        ["3,000 = established 3,000 + failed 0 + untried 0", "error: writing", "Read-only file system"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    // What was begun before is there to its end.
    let events = std::fs::read_to_string(lab.folder.join("out/events.jsonl")).expect("events");
    assert!(events.trim_end().ends_with("}") && events.contains("\"taken_down\""), "{events}");
    lab.assert_gone();
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn the_folder_of_journals_turns_read_only() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("r-journal");
    let before = Snapshot::take(&[&lab.folder]);
    let (exit, told) = turns_read_only(&lab, "/run/c1m-lab");
    let report = report(&lab);
    assert_eq!((exit, &report["exit"], &report["established"]), (5, &5.into(), &3000.into()), "{told}");
    assert_eq!(report["clients"]["closed"], 3000, "{report:#}");
    // Only the journal is left, and says that nothing else is.
    let left = report["left_behind"].as_array().expect("a list");
    assert_eq!(left.len(), 1, "{report:#}");
    assert_eq!(left[0]["what"], "the lab's journal");
    assert_eq!(lab.status()["nodes"], json!([]));
    let down = run(&["down", &lab.name]);
    assert_eq!(down.status.code(), Some(0), "{}", stderr(&down));
    lab.assert_gone();
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn the_run_folder_is_full() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("f-full");
    let out = lab.out();
    std::fs::create_dir(&out).expect("a folder");
    let _full = Tmpfs::mount(&out, "size=16k");
    let before = Snapshot::take(&[&lab.folder]);
    let mut running = Running::up(&lab, LAB);
    let end = running.end(PATIENCE);
    let told = running.told();
    assert!(!told.contains("panicked"), "{told}");
    assert_eq!(end, Ok(4), "{told}");
    let parts = [
        "not all events are in the run's folder",
        "3,000 = established 3,000 + failed 0 + untried 0",
        "error: writing",
        "No space left on device",
    ];
    for part in parts {
        assert!(told.contains(part), "{part}: {told}");
    }
    before.assert_unchanged(&[&lab.folder]);
    lab.assert_gone();
}

#[test]
fn the_journal_cannot_be_written() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("f-journal");
    let before = Snapshot::take(&[&lab.folder]);
    let setting = std::fs::read_to_string("/proc/sys/fs/epoll/max_user_watches").expect("a setting");
    let moved = setting.trim().parse::<u64>().expect("a number") + 1000;
    // More nodes than one page has room for.
    let file = lab.file(&format!(
        "connections: 400\nclients: {{count: 20}}\nsysctl: {{host: {{fs.epoll.max_user_watches: {moved}}}}}\n"
    ));
    // In a mount namespace of its own: other labs must not lose their journals.
    let script = format!(
        "mkdir -p /run/c1m-lab && mount -t tmpfs -o size=4k tmpfs /run/c1m-lab && exec {BINARY} up {file} --out {}",
        lab.out()
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().expect("unshare(1)");
    let _ = std::fs::remove_dir("/run/c1m-lab");
    let told = stderr(&output);
    assert!(told.contains("No space left on device") && !told.contains("panicked"), "{told}");
    assert_eq!(output.status.code(), Some(4), "{told}");
    before.assert_unchanged(&[&lab.folder]);
}

/// A small file system of its own, gone with the test.
struct Tmpfs(String);

impl Tmpfs {
    fn mount(place: &str, options: &str) -> Tmpfs {
        let arguments = ["-t", "tmpfs", "-o", options, "tmpfs", place];
        assert!(Command::new("mount").args(arguments).status().expect("mount").success());
        Tmpfs(place.to_owned())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}
