//! What the tests in real namespaces share: the binary, a place for a run, and a guard that cleans up.
//!
//! # Taking turns
//!
//! Tests run at the same time: in threads by `cargo test`, in processes by `cargo nextest run`. They share the host by
//! locks that hold for both (`turns.rs`):
//!
//! - [`TestLab::new`] takes the host *beside* others, until the lab is dropped. Nothing else has to be said.
//! - [`alone`] takes the whole host. A test that compares the host before and after (`Snapshot`), moves a setting of
//!   the host, or measures begins with `need_root(); let _turn = alone();`, before its first `TestLab`. Its file is
//!   also named in `.config/nextest.toml`: the tests in `src/` take no turns, and make files too.
//! - [`beside`] is for a test that starts c1m-lab without a `TestLab`.
//!
//! Within a thread they can be asked for again: a lab made after `alone()` belongs to that turn. A thread that a test
//! starts is not the test's own: make its labs before.
//!
//! # What a machine lacks
//!
//! A test does not return early because something is missing. It fails, or it calls [`left_out`] with a reason that it
//! has checked without c1m-lab; `ci/test` counts and prints those.
#![allow(dead_code, reason = "no test uses all of it")]

#[path = "record.rs"]
mod record;
#[path = "turns.rs"]
mod turns;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
#[allow(unused_imports, reason = "no test uses all of it")]
pub use turns::{HOST, Turn, alone, beside};

pub const BINARY: &str = env!("CARGO_BIN_EXE_c1m-lab");

/// These tests build real labs. Passing them over in silence would hide that nothing was tested.
pub fn need_root() {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let effective = field(&status, "CapEff");
    let effective = u64::from_str_radix(&effective, 16).expect("CapEff is a mask");
    let (net_admin, sys_admin) = (1 << 12, 1 << 21);
    let has_both = effective & (net_admin | sys_admin) == net_admin | sys_admin;
    assert!(
        has_both && field(&status, "Uid").starts_with("0\t"),
        "this test makes network namespaces: run it as root with CAP_SYS_ADMIN and CAP_NET_ADMIN"
    );
}

/// Says that a test, or a part of it, cannot be had on this machine: past the harness to stderr, and as a line of the
/// file `C1M_LEFT_OUT`, where `ci/test` counts it. `what` is `FILE: TEST` for a whole test, and `FILE: some words` for a part of one. `why` was
/// checked without c1m-lab.
pub fn left_out(what: &str, why: &str) {
    let line = format!("{what}: {why}\n");
    let _ = std::io::stderr().write_all(format!("left out: {line}").as_bytes());
    if let Some(path) = std::env::var_os("C1M_LEFT_OUT") {
        let file = std::fs::File::options().append(true).create(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// A field of `/proc/PID/status`.
pub fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
}

pub fn c1m_lab(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
    command
}

pub fn run(arguments: &[&str]) -> Output {
    c1m_lab(arguments).output().expect("c1m-lab runs")
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A lab of a test: its own name, its own folder, and nothing of it left when the test ends.
pub struct TestLab {
    pub name: String,
    pub folder: PathBuf,
    /// Given back when the lab is gone.
    _turn: Arc<Turn>,
}

impl TestLab {
    /// Waits while another test has the host alone.
    pub fn new(what: &str) -> TestLab {
        let turn = beside();
        let name = format!("t-{what}-{}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&folder).expect("a folder");
        TestLab { name, folder, _turn: turn }
    }

    /// Writes a lab file that has this lab's name.
    pub fn file(&self, text: &str) -> String {
        let path = self.folder.join("lab.yaml");
        std::fs::write(&path, format!("name: {}\n{text}", self.name)).expect("a lab file");
        path.display().to_string()
    }

    pub fn out(&self) -> String {
        self.folder.join("out").display().to_string()
    }

    /// Runs the lab to its end, and gives its report.
    pub fn up(&self, text: &str, more: &[&str]) -> (Output, Value) {
        let (file, out) = (self.file(text), self.out());
        let output = run(&[&["up", &file, "--json", "--out", &out], more].concat());
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("no report ({error}): {}", stderr(&output)));
        (output, report)
    }

    /// Starts the lab with `--keep`, and waits until it stands.
    pub fn keep(&self, text: &str) -> Kept {
        self.keep_with(text, &[])
    }

    pub fn keep_with(&self, text: &str, more: &[&str]) -> Kept {
        let (file, out) = (self.file(text), self.out());
        let mut runner = c1m_lab(&[&["up", &file, "--keep", "--out", &out], more].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("c1m-lab runs");
        let mut told = BufReader::new(runner.stderr.take().expect("its stderr"));
        let mut all = String::new();
        while !all.contains("the lab stands") {
            assert!(told.read_line(&mut all).expect("text") > 0, "it ended: {all}");
        }
        Kept { runner, _told: Some(told) }
    }

    /// What `status` says of this lab; null when it does not stand.
    pub fn status(&self) -> Value {
        let output = run(&["status", "--json"]);
        let labs: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let labs = labs.as_array().expect("a list");
        labs.iter().find(|lab| lab["lab"] == self.name.as_str()).cloned().unwrap_or(Value::Null)
    }

    /// Nothing of this lab is left on the machine.
    pub fn assert_gone(&self) {
        let left =
            names("/run/netns").into_iter().filter(|name| name.contains(&self.name)).collect::<Vec<_>>();
        assert_eq!(left, [""; 0], "namespaces are left");
        assert!(!Path::new("/run/c1m-lab").join(&self.name).exists(), "the journal is left");
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        // For a test that failed; one that did not has left nothing to take down.
        if Path::new("/run/c1m-lab").join(&self.name).exists() {
            let _ = run(&["down", &self.name]);
        }
        let told = record::compare(&self.folder.join("out"));
        let _ = std::fs::remove_dir_all(&self.folder);
        // A test that has failed already says why.
        if let Err(why) = told
            && !std::thread::panicking()
        {
            panic!("the record of {}: {why}", self.name);
        }
    }
}

/// A runner in the background, killed with the test.
pub struct Kept {
    pub runner: Child,
    /// Held open: what it says later goes here.
    pub _told: Option<BufReader<ChildStderr>>,
}

impl Kept {
    pub fn pid(&self) -> u32 {
        self.runner.id()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().expect("kill").success());
    }

    /// The runner's agents, by its own children.
    pub fn agents(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = std::fs::read_to_string(path).expect("the runner is alive");
        let agents: Vec<u32> = children.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect();
        // What a test says of all agents would be true of none.
        assert!(!agents.is_empty(), "a lab that stands has agents");
        agents
    }

    pub fn ends_with(&mut self) -> Option<i32> {
        wait_for("the runner to end", Duration::from_secs(30), || {
            self.runner.try_wait().expect("a child").is_some()
        });
        self.runner.wait().expect("a child").code()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.runner.kill();
        let _ = self.runner.wait();
    }
}

pub fn names(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

pub fn wait_for(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < patience, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The figures that every good run has in common.
pub fn assert_all_established(output: &Output, report: &Value, asked: u64) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    let established = &report["established"];
    assert_eq!((report["asked"].as_u64(), established.as_u64()), (Some(asked), Some(asked)), "{report:#}");
    assert_eq!(report["server"]["accepted"], *established, "{report:#}");
    for none in ["failed", "lost"] {
        assert_eq!((&report[none]["total"], &report[none]["by"]), (&0.into(), &Value::Array(vec![])));
    }
    for empty in ["findings", "left_behind", "host_settings"] {
        assert_eq!(report[empty], Value::Array(vec![]), "{empty}: {report:#}");
    }
    assert_eq!((&report["untried"], &report["exit"]), (&0.into(), &0.into()));
    assert_eq!((&report["interrupted"], &report["broke"]), (&Value::Null, &Value::Null));
}
