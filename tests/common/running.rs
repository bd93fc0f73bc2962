//! A runner at work: where it is, its agents, and how it ended.
#![allow(dead_code, reason = "no test uses all of it")]

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use super::common::{TestLab, c1m_lab};

/// The phases of a run in their order; after the last of them it has only its report to write.
pub const PHASES: [&str; 6] = ["check", "build", "ramp", "hold", "drain", "down"];

pub struct Running {
    pub runner: Child,
    told: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    ended: Option<ExitStatus>,
}

impl Running {
    pub fn start(arguments: &[&str]) -> Running {
        Running::of(&mut c1m_lab(arguments))
    }

    /// Whatever this command becomes.
    pub fn of(command: &mut Command) -> Running {
        let mut runner =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the command runs");
        let told = Arc::new(Mutex::new(Vec::new()));
        let (ear, mut stderr) = (told.clone(), runner.stderr.take().expect("its stderr"));
        let reader = std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut some) {
                ear.lock().expect("no panic").extend_from_slice(&some[..read]);
            }
        });
        Running { runner, told, reader: Some(reader), ended: None }
    }

    pub fn up(lab: &TestLab, text: &str) -> Running {
        Running::start(&["up", &lab.file(text), "--out", &lab.out()])
    }

    pub fn told(&self) -> String {
        String::from_utf8_lossy(&self.told.lock().expect("no panic")).into_owned()
    }

    /// The place in `PHASES` of the phase it is in: a phase has its line on the screen when it is over.
    pub fn phase(&self) -> usize {
        let told = self.told();
        let is_over = |phase: &&&str| told.lines().any(|line| line.starts_with(&format!(" {phase} ")));
        PHASES.iter().filter(is_over).count()
    }

    /// Waits until this phase has begun. False: it ended before.
    pub fn reach(&mut self, phase: &str) -> bool {
        let wanted = PHASES.iter().position(|one| *one == phase).expect("a phase");
        while self.phase() < wanted {
            if self.try_end().is_some() {
                return self.phase() >= wanted;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        true
    }

    pub fn pid(&self) -> u32 {
        self.runner.id()
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// The runner's agents, by its own children.
    pub fn agents(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Those of its agents that are in this node.
    pub fn agents_of(&self, lab: &TestLab, node: &str) -> Vec<u32> {
        let inode = |path: &str| Path::new(path).metadata().ok().map(|meta| meta.ino());
        let wanted = inode(&format!("/run/netns/c1m-{}-{node}", lab.name));
        assert!(wanted.is_some(), "{node} has a namespace");
        let agents = self.agents();
        agents.into_iter().filter(|pid| inode(&format!("/proc/{pid}/ns/net")) == wanted).collect()
    }

    fn try_end(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.runner.try_wait().expect("a child");
        }
        self.ended
    }

    /// Its exit code, or the signal it died of.
    pub fn end(&mut self, patience: Duration) -> Result<i32, i32> {
        let began = Instant::now();
        while self.try_end().is_none() {
            assert!(began.elapsed() < patience, "not ended after {patience:?}: {}", self.told());
            std::thread::sleep(Duration::from_millis(1));
        }
        if let Some(reader) = self.reader.take() {
            // The last lines may still be on their way.
            reader.join().expect("it only reads");
        }
        let status = self.ended.expect("it has ended");
        status.code().ok_or_else(|| status.signal().unwrap_or(0))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.runner.kill();
        let _ = self.runner.wait();
    }
}

pub fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended this very moment.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// The report that a run has written into its folder.
pub fn report(lab: &TestLab) -> Value {
    let path = lab.folder.join("out/report.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Every connection that was asked for has one fate, each loss has a reason, and nothing is left.
pub fn assert_accounted(report: &Value) {
    assert_counted(report);
    assert_eq!(report["left_behind"], serde_json::json!([]), "{report:#}");
}

/// Every connection that was asked for has one fate, and each loss has a reason.
pub fn assert_counted(report: &Value) {
    let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} is no count: {report:#}"));
    let explained = |ends: &Value| -> u64 {
        ends["by"].as_array().expect("rows").iter().map(|row| count(&row["count"])).sum()
    };
    let (failed, lost) = (&report["failed"], &report["lost"]);
    let established = count(&report["established"]);
    assert_eq!(
        count(&report["asked"]),
        established + count(&failed["total"]) + count(&report["untried"]),
        "{report:#}"
    );
    assert_eq!(explained(failed), count(&failed["total"]), "{report:#}");
    assert_eq!(explained(lost), count(&lost["total"]), "{report:#}");
    assert_eq!(established, count(&report["clients"]["closed"]) + count(&lost["total"]), "{report:#}");
}
