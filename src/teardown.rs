//! Undoing what a journal says was done: in reverse, past every failure, and only what is ours.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::journal::{Change, Journal, Standing};
use crate::kernel::{cgroup, netns, proc, sysctl};

/// How long a killed process may take to go: it may have tens of thousands of sockets to close.
const PROCESS_END: Duration = Duration::from_secs(20);

/// Something that could not be taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Leftover {
    /// What is still there.
    pub what: String,
    /// Why it could not be taken down.
    pub why: String,
}

/// A host setting after it was put back, or why it was left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Restored {
    /// The setting's dotted name.
    pub key: String,
    /// Its value before the run.
    pub before: String,
    /// Its value during the run.
    pub during: String,
    /// Its value after the run.
    pub after: String,
    /// Why it was not put back.
    pub note: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub left_behind: Vec<Leftover>,
    pub restored: Vec<Restored>,
}

/// Takes down everything that the journal knows to stand.
pub fn undo(journal: &mut Journal) -> Result<Outcome> {
    let standing = journal.standing();
    let mut outcome = Outcome::default();
    let rebooted = journal.header().is_some_and(|header| header.boot_id != proc::boot_id());
    kill_processes(&standing);
    let mut undone = Vec::new();
    for one in &standing {
        // After a reboot only files on disk can still be there, and none of these are.
        let result = if rebooted { Ok(()) } else { undo_one(one, &mut outcome) };
        match result {
            Ok(()) => undone.push(one.id),
            Err(leftover) => outcome.left_behind.push(leftover),
        }
    }
    journal.undone(&undone)?;
    Ok(outcome)
}

/// All are told to end before any is waited for.
fn kill_processes(standing: &[Standing]) {
    for one in standing {
        if let Change::Process { pid, start_time, .. } = &one.change
            && proc::start_time(Some(*pid)).ok() == Some(*start_time)
        {
            signal(*pid);
        }
    }
}

fn signal(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // A process that has gone meanwhile is what was wanted.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

fn undo_one(standing: &Standing, outcome: &mut Outcome) -> Result<(), Leftover> {
    match &standing.change {
        Change::Process { name, pid, start_time } => wait_for_end(name, *pid, *start_time),
        Change::Namespace { name, inode } => remove_namespace(name, *inode),
        Change::Cgroup { path, inode } => cgroup::remove(path, *inode)
            .map_err(|why| Leftover { what: format!("cgroup {}", path.display()), why: why.to_string() }),
        Change::Directory { path } => {
            // Someone else may use it by now; it goes only when it is empty.
            let _ = std::fs::remove_dir(path);
            Ok(())
        }
        Change::Setting { key, before, during } => {
            let restored = restore(key, before, during)?;
            outcome.restored.push(restored);
            Ok(())
        }
    }
}

fn wait_for_end(name: &str, pid: u32, start_time: u64) -> Result<(), Leftover> {
    let began = Instant::now();
    while proc::start_time(Some(pid)).ok() == Some(start_time) && !proc::is_zombie(pid) {
        if began.elapsed() > PROCESS_END {
            return Err(Leftover {
                what: format!("process {pid} ({name})"),
                why: "it does not end".to_owned(),
            });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn remove_namespace(name: &str, inode: Option<u64>) -> Result<(), Leftover> {
    let leftover = |why: String| Leftover { what: format!("namespace {name}"), why };
    match (netns::inode(name), inode) {
        // Gone already, or the name now belongs to another namespace, which is not ours.
        (None, _) => netns::remove_unused_name(name).map_err(|error| leftover(error.to_string())),
        (Some(now), Some(ours)) if now != ours => Ok(()),
        _ => netns::remove(name).map_err(|error| leftover(error.to_string())),
    }
}

/// Puts a setting back, unless someone else has changed it meanwhile.
fn restore(key: &str, before: &str, during: &str) -> Result<Restored, Leftover> {
    let leftover = |why: String| Leftover { what: format!("setting {key}"), why };
    let same = |one: &str, other: &str| one.split_whitespace().eq(other.split_whitespace());
    let now = proc::read_sysctl(key).map_err(|error| leftover(error.to_string()))?;
    let mut restored = Restored {
        key: key.to_owned(),
        before: before.to_owned(),
        during: during.to_owned(),
        after: now.clone(),
        note: None,
    };
    if !same(&now, during) {
        if !same(&now, before) {
            restored.note = Some(format!("someone else set it to {now} meanwhile; left alone"));
        }
        return Ok(restored);
    }
    sysctl::write(key, before).map_err(|error| leftover(error.to_string()))?;
    restored.after = proc::read_sysctl(key).map_err(|error| leftover(error.to_string()))?;
    if same(&restored.after, before) {
        Ok(restored)
    } else {
        Err(leftover(format!("it reads {} after {before} was written", restored.after)))
    }
}
