//! What the host looks like, in lines that can be compared: taken before and after a run, and equal when
//! nothing was left behind.
#![allow(dead_code, reason = "no test uses all of it")]

#[path = "memory_limits.rs"]
mod memory_limits;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[allow(unused_imports, reason = "a test that compares the host has it alone")]
pub use super::common::alone;
use memory_limits::place_for_a_limit;

/// Settings that count or clock something: two snapshots apart from each other differ in them.
const MOVING_SETTINGS: [&str; 13] = [
    "fs/aio-nr",
    "fs/dentry-state",
    "fs/file-nr",
    "fs/inode-nr",
    "fs/inode-state",
    "fs/quota",
    "kernel/ns_last_pid",
    "kernel/perf_event_max_sample_rate",
    "kernel/pty/nr",
    "kernel/random/entropy_avail",
    "kernel/random/uuid",
    "kernel/sched_domain",
    "net/netfilter/nf_conntrack_count",
];

/// Where a lab could leave files.
const FILES: [&str; 2] = ["/run", "/tmp"];

/// Where it keeps copies of host settings; who else has files beside it is their own business.
const COPIES: &str = "/var/lib/c1m-lab";

/// One line for each thing that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Takes it, passing over files below the test's own folders.
    pub fn take(own: &[&Path]) -> Snapshot {
        let mut lines = BTreeSet::new();
        network(None, &mut lines);
        for name in super::common::names("/run/netns") {
            let inode = Path::new("/run/netns").join(&name).metadata().map_or(0, |meta| meta.ino());
            lines.insert(format!("namespace {name} is {inode}"));
            network(Some(&name), &mut lines);
        }
        settings(Path::new("/proc/sys"), &mut lines);
        directories(Path::new("/sys/fs/cgroup"), &mut lines);
        processes(&mut lines);
        mounts(own, &mut lines);
        for place in FILES {
            files(Path::new(place), own, &mut lines);
        }
        if Path::new(COPIES).exists() {
            lines.insert(format!("file {COPIES}"));
            files(Path::new(COPIES), own, &mut lines);
        }
        Snapshot(lines)
    }

    /// What is there now and was not (`+`), and what was there and is not (`-`).
    pub fn differences(&self, now: &Snapshot) -> Vec<String> {
        let came = now.0.difference(&self.0).map(|line| format!("+ {line}"));
        let went = self.0.difference(&now.0).map(|line| format!("- {line}"));
        came.chain(went).collect()
    }

    /// Compares until nothing differs or patience is over: other programs of the host come and go, and an
    /// agent that was killed takes a moment to be gone.
    pub fn differences_within(&self, own: &[&Path], patience: Duration) -> Vec<String> {
        let began = Instant::now();
        loop {
            let differences = self.differences(&Snapshot::take(own));
            if differences.is_empty() || began.elapsed() > patience {
                return differences;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many lines begin so: to see that a kind of thing was looked at at all.
    pub fn count(&self, beginning: &str) -> usize {
        self.0.iter().filter(|line| line.starts_with(beginning)).count()
    }

    pub fn assert_unchanged(&self, own: &[&Path]) {
        let differences = self.differences_within(own, Duration::from_secs(3));
        assert!(differences.is_empty(), "the host is not as it was:\n{}", differences.join("\n"));
    }
}

/// Links, addresses, routes and rules, as `ip` shows them.
fn network(namespace: Option<&str>, lines: &mut BTreeSet<String>) {
    let place = namespace.unwrap_or("the host");
    let looks: [&[&str]; 6] = [
        &["-o", "link"],
        &["-o", "address"],
        &["-4", "route", "show", "table", "all"],
        &["-6", "route", "show", "table", "all"],
        &["-4", "rule"],
        &["-6", "rule"],
    ];
    for look in looks {
        let mut ip = Command::new("ip");
        if let Some(name) = namespace {
            ip.args(["-n", name]);
        }
        let output = ip.args(look).output().expect("ip(8) is there");
        // A namespace may go while it is looked at; the host does not.
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || namespace.is_some(), "ip {}: {told}", look.join(" "));
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            lines.insert(format!("{} in {place}: {}", look.join(" "), without_clocks(line)));
        }
    }
}

/// The time that an address or a route still has runs by itself.
fn without_clocks(line: &str) -> String {
    let is_clock = |word: &str| word.strip_suffix("sec").is_some_and(|number| number.parse::<u64>().is_ok());
    line.split_whitespace().filter(|word| !is_clock(word)).collect::<Vec<_>>().join(" ")
}

fn settings(directory: &Path, lines: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let key = path.strip_prefix("/proc/sys").expect("below it").display().to_string();
        if MOVING_SETTINGS.contains(&key.as_str()) {
            continue;
        }
        if path.is_dir() {
            settings(&path, lines);
        } else if let Ok(value) = std::fs::read(&path) {
            // Some can only be written, and some are not for root either.
            lines.insert(format!("setting {key} is {}", String::from_utf8_lossy(&value).trim_end()));
        }
    }
}

/// A lab makes its cgroups below the one it runs in, or names them after itself. The others of a machine come and go
/// with its sessions and services.
fn may_be_a_labs(path: &Path) -> bool {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut own = own.lines().filter_map(|line| line.rsplit(':').next()).filter(|own| *own != "/");
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let path = path.to_string_lossy().into_owned();
    name.starts_with("c1m-") || own.any(|own| path.contains(&format!("{own}/")))
}

fn directories(directory: &Path, lines: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if may_be_a_labs(&path) {
                lines.insert(format!("cgroup {}", path.display()));
            }
            directories(&path, lines);
        }
    }
}

/// Everything that runs our binary, under whatever name it was copied; a zombie runs nothing any more.
fn processes(lines: &mut BTreeSet<String>) {
    for name in super::common::names("/proc") {
        let Ok(pid) = name.parse::<u32>() else { continue };
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let first =
            String::from_utf8_lossy(command.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        let is_ours =
            Path::new(&first).file_name().is_some_and(|name| name.to_string_lossy().starts_with("c1m-lab"));
        if is_ours && super::common::is_alive(pid) {
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            lines.insert(format!("process {pid}: {}", command.trim_end()));
        }
    }
}

fn mounts(own: &[&Path], lines: &mut BTreeSet<String>) {
    let text = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    for line in text.lines() {
        // Their numbers are given anew; what is mounted where, and how, is what counts.
        let words: Vec<&str> = line.split(' ').skip(3).collect();
        let is_own = words.get(1).is_some_and(|place| is_below(Path::new(place), own));
        if !is_own {
            lines.insert(format!("mount {}", words.join(" ")));
        }
    }
}

fn files(directory: &Path, own: &[&Path], lines: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if is_below(&path, own) {
            continue;
        }
        lines.insert(format!("file {}", path.display()));
        // What others do in folders of their own is nothing of a lab's.
        let is_ours = ["netns", "c1m"].iter().any(|word| path.to_string_lossy().contains(word));
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&path, own, lines);
        }
    }
}

fn is_below(path: &Path, folders: &[&Path]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

/// A namespace with a link, an address and a route, which was there before any lab: a lab must not touch
/// it either.
pub struct Bystander(pub String);

impl Bystander {
    pub fn new(what: &str) -> Bystander {
        let name = format!("bystander-{what}-{}", std::process::id());
        ip(&["netns", "add", &name]);
        let bystander = Bystander(name);
        let name = bystander.0.as_str();
        ip(&["-n", name, "link", "add", "pair-a", "type", "veth", "peer", "name", "pair-b"]);
        ip(&["-n", name, "address", "add", "192.0.2.1/24", "dev", "pair-a"]);
        ip(&["-n", name, "link", "set", "pair-a", "up"]);
        ip(&["-n", name, "link", "set", "pair-b", "up"]);
        ip(&["-n", name, "route", "add", "198.51.100.0/24", "via", "192.0.2.2"]);
        // IPv6 addresses settle for a while after their link is up.
        std::thread::sleep(Duration::from_secs(2));
        bystander
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip(8) is there");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {}: {told}", arguments.join(" "));
}

/// Whether this host lets a lab make a cgroup with a memory limit. That a lab says so is not enough to leave a test
/// out: the host is asked too, and both must agree. Where it cannot be had, `what` is told to be left out.
pub fn can_limit_memory(lab: &super::common::TestLab, what: &str) -> bool {
    let file: PathBuf = lab.folder.join("limit.yaml");
    let name = format!("{}-limit", lab.name);
    let text = format!("name: {name}\nconnections: 10\nhold: 0s\nlimits: {{server: {{memory: 512MiB}}}}\n");
    std::fs::write(&file, text).expect("a lab file");
    let out = lab.folder.join("limit").display().to_string();
    let output = super::common::run(&["up", &file.display().to_string(), "--quiet", "--out", &out]);
    let told = super::common::stderr(&output);
    match (output.status.code(), place_for_a_limit()) {
        (Some(0), _) => true,
        (Some(3), Err(why)) if told.contains("cannot be set on this host") => {
            super::common::left_out(what, &format!("no memory can be limited: {why}"));
            false
        }
        (code, place) => panic!("{code:?}, and on the host it is {place:?}: {told}"),
    }
}
