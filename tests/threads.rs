//! A machine that has no thread or process to give: the run ends with a message, never with a panic, and all is put back.

mod common;
#[path = "common/running.rs"]
mod running;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::*;
use running::Running;

/// Three reactors and four swarms, of two threads each.
const LAB: &str = "connections: 3000\nserver: {ports: 9900-9909}\nclients: {count: 2}\nhold: 0s\n\
    limits: {server: {nofile: 1300}, client: {nofile: 900}}\n";
const THREADS: u32 = 1 + 2 * (3 + 4);

const SETTING: &str = "/proc/sys/fs/epoll/max_user_watches";

fn setting() -> u64 {
    std::fs::read_to_string(SETTING).expect(SETTING).trim().parse().expect("a number")
}

/// A cgroup in which there may be so many threads.
struct Narrow(PathBuf);

impl Narrow {
    fn new(lab: &TestLab) -> Narrow {
        let of_version_1 = Path::new("/sys/fs/cgroup/pids");
        let all = if of_version_1.is_dir() { of_version_1 } else { Path::new("/sys/fs/cgroup") };
        if all.join("cgroup.subtree_control").exists() {
            std::fs::write(all.join("cgroup.subtree_control"), "+pids").expect("the controller of pids");
        }
        let folder = all.join(format!("{}-pids", lab.name));
        std::fs::create_dir(&folder)
            .expect("this test limits threads by a cgroup: one with `pids` is needed");
        Narrow(folder)
    }

    fn allow(&self, threads: impl ToString) {
        std::fs::write(self.0.join("pids.max"), threads.to_string()).expect("pids.max");
    }

    fn used(&self) -> u32 {
        let text = std::fs::read_to_string(self.0.join("pids.current")).expect("pids.current");
        text.trim().parse().expect("a number")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let script = format!("echo $$ >{}/cgroup.procs && exec \"$@\"", self.0.display());
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", BINARY]).args(arguments);
        command
    }

    /// The same where the limit cannot be seen: whoever sees it is refused before the run begins.
    fn command_blindly(&self, arguments: &[&str]) -> Command {
        let cgroups = self.0.parent().expect("the folder of cgroups").display();
        let own = self.0.display();
        let script = format!(
            "exec 3>{own}/cgroup.procs && mount -t tmpfs tmpfs {cgroups} && echo $$ >&3 && exec 3>&- && exec \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh", BINARY]).args(arguments);
        command
    }
}

impl Drop for Narrow {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn text(before: u64) -> String {
    format!("{LAB}sysctl: {{host: {{fs.epoll.max_user_watches: {}}}}}\n", before + 3)
}

fn assert_told(told: &str) {
    assert!(!told.contains("panicked"), "{told}");
    assert!(told.contains("may have no more processes and threads"), "{told}");
}

#[test]
fn a_limit_that_can_be_seen_refuses_the_run() {
    need_root();
    let lab = TestLab::new("seen");
    let narrow = Narrow::new(&lab);
    narrow.allow(THREADS / 2);
    let arguments = ["up", &lab.file(LAB), "--out", &lab.out()];
    let output = narrow.command(&arguments).output().expect("sh");
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("processes and threads") && told.contains("pids.max leaves room for"), "{told}");
    lab.assert_gone();
}

/// With each number of threads the run fails at another moment.
#[test]
fn a_run_that_gets_no_more_threads_ends_and_puts_back() {
    need_root();
    // Both move the same setting of the host, and compare it.
    let _turn = alone();
    let before = setting();
    let lab = TestLab::new("few");
    let narrow = Narrow::new(&lab);
    let (file, out) = (lab.file(&text(before)), lab.out());
    for threads in 1..=THREADS {
        narrow.allow(threads);
        let output = narrow.command_blindly(&["up", &file, "--out", &out]).output().expect("sh");
        let (told, code) = (stderr(&output), output.status.code());
        assert!(!told.contains("panicked"), "{threads}: {told}");
        assert!(matches!(code, Some(0 | 1 | 3 | 4)), "{threads}: {code:?} {told}");
        // With enough for all there is nothing to tell; the last reactor may not have been needed.
        if threads < THREADS - 2 {
            assert_told(&told);
        }
        // One reactor less, and its connections wait in the queues: that is a finding, and no failure.
        if threads < THREADS - 3 {
            assert_ne!(code, Some(0), "{threads}: {told}");
        }
        assert_eq!(setting(), before, "{threads}: {told}");
        lab.assert_gone();
    }
    narrow.allow(THREADS + 1);
    let output = narrow.command_blindly(&["up", &file, "--out", &out]).output().expect("sh");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_lab_is_taken_down_without_a_thread_to_spare() {
    need_root();
    // Both move the same setting of the host, and compare it.
    let _turn = alone();
    let before = setting();
    for phase in ["ramp", "hold"] {
        let lab = TestLab::new("spare");
        let narrow = Narrow::new(&lab);
        narrow.allow("max");
        let slow = text(before).replace("hold: 0s", "hold: 1s\nramp: {rate: 1500/s}");
        let arguments = ["up", &lab.file(&slow), "--out", &lab.out()];
        let mut running = Running::of(&mut narrow.command(&arguments));
        assert!(running.reach(phase), "{}", running.told());
        // Whoever is there stays; nobody comes any more: no reactor in mid-ramp, no thread on the way down.
        narrow.allow(1.max(narrow.used() / 2));
        let end = running.end(Duration::from_secs(60));
        let told = running.told();
        assert!(!told.contains("panicked"), "{told}");
        assert!(matches!(end, Ok(0 | 1 | 4)), "{end:?}: {told}");
        assert_eq!(setting(), before, "{told}");
        lab.assert_gone();
    }
}

/// The agents' user may have no more: they are nobody, and not exempt as root is.
#[test]
fn an_agent_that_gets_no_thread_says_so() {
    need_root();
    let lab = TestLab::new("nproc");
    let script = format!("ulimit -u 1; exec {BINARY} up {} --out {}", lab.file(LAB), lab.out());
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash");
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_told(&stderr(&output));
    lab.assert_gone();
}

#[test]
fn a_steward_without_threads_says_so() {
    need_root();
    let lab = TestLab::new("keeper");
    let narrow = Narrow::new(&lab);
    for threads in [1, 2] {
        narrow.allow(threads);
        // Its stdin stays open: a thread that reads it stays too.
        let (stdin, _held) = std::io::pipe().expect("a pipe");
        let output = narrow.command(&["steward"]).stdin(stdin).output().expect("sh");
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_told(&stderr(&output));
    }
}
