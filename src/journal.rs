//! What was changed on this machine and how it is undone: written before each change, read by `down`.
//!
//! One folder for each standing lab, `/run/c1m-lab/<lab>/`: the journal, and a lock held by its runner. A line
//! is an intent, its identity once made, or that it was undone.

pub mod beside;
pub mod host_lock;
pub mod kept;
mod lock;
mod moved;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::host::Reservation;
use crate::kernel::files::{self, Readers};
use crate::kernel::netlink::Borrowed;
use crate::kernel::netns::Identity;
use crate::kernel::proc;
use crate::units::Block;
use host_lock::HostLock;
use kept::Kept;
pub use moved::{Moved, moved_by_others};

/// One folder for each standing lab.
pub const DIRECTORY: &str = "/run/c1m-lab";

/// A journal has some hundred bytes for each change.
const LONGEST: u64 = 64 << 20;

/// A change to the machine, with what identifies the thing changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Change {
    Directory { path: PathBuf },
    Setting { key: String, before: String, during: String },
    Namespace { name: String, identity: Option<Identity> },
    Cgroup { path: PathBuf, inode: Option<u64> },
    Process { name: String, pid: u32, start_time: u64 },
    Route { route: Borrowed },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Header { header: Header },
    Intent { id: u64, intent: Change },
    Made { id: u64, made: Change },
    Undone { id: u64, undone: bool },
}

/// Who runs the lab, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub lab: String,
    pub runner: u32,
    pub runner_start_time: u64,
    /// After a reboot nothing of the journal stands any more, but perhaps a setting.
    pub boot_id: String,
    pub began_unix_ms: u64,
    pub run_directory: PathBuf,
    pub connections: u64,
    #[serde(default)]
    pub subnets: Vec<Block>,
    /// What it has planned to take of this host; none: it takes nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Reservation>,
}

impl Header {
    /// Whether the runner is still at work.
    pub fn is_running(&self) -> bool {
        !self.is_of_an_earlier_boot() && proc::is_alive(self.runner, self.runner_start_time)
    }

    pub fn is_of_an_earlier_boot(&self) -> bool {
        self.boot_id != proc::boot_id()
    }
}

/// A change that may still stand. `certain`: it was made, and its identity is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub id: u64,
    pub change: Change,
    pub certain: bool,
}

/// An opened journal, locked against every other runner.
pub struct Journal {
    pub lab: String,
    directory: PathBuf,
    file: File,
    next: u64,
    header: Option<Header>,
    standing: Vec<Standing>,
    /// Why the host settings are not kept for after a reboot, once they could not be.
    unkept: Option<String>,
    _lock: File,
}

pub fn directory_of(lab: &str) -> PathBuf {
    Path::new(DIRECTORY).join(lab)
}

/// The labs that stand, or are being built, or were ended by a reboot.
pub fn labs() -> Vec<String> {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    // The lock of the host is beside them.
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut labs: Vec<String> = folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    labs.extend(kept::labs());
    labs.sort();
    labs.dedup();
    labs
}

impl Journal {
    /// Begins the journal of a new run that takes nothing of this host. Refused while the lab stands.
    pub fn begin(header: Header) -> Result<Journal> {
        let lab = header.lab.clone();
        Journal::begin_if(&lab, || Ok((header, ()))).map(|(journal, ())| journal)
    }

    /// Begins the journal of a new run, if what is decided now admits it. From the decision until the journal tells
    /// other labs of it, none of them can decide.
    pub fn begin_if<T>(lab: &str, decide: impl FnOnce() -> Result<(Header, T)>) -> Result<(Journal, T)> {
        let mut journal = Journal::open(lab)?;
        if !journal.standing.is_empty() || journal.header.is_some() {
            return Err(Error::host(
                format!("starting the lab `{lab}`"),
                "it still stands from an earlier run",
            )
            .remedy(format!("`c1m-lab down {lab}` takes it down")));
        }
        let host_lock = host_lock::take().inspect_err(|_| {
            let _ = std::fs::remove_dir_all(&journal.directory);
        })?;
        let begun = decide().and_then(|(header, decided)| {
            journal.append(&[Line::Header { header: header.clone() }])?;
            Ok((header, decided))
        });
        match begun {
            Ok((header, decided)) => {
                journal.header = Some(header);
                Ok((journal, decided))
            }
            Err(error) => {
                // Nothing stands yet: the next run must not be told otherwise.
                let _ = journal.end_under(&host_lock);
                Err(error)
            }
        }
    }

    /// Opens the journal of a standing lab and takes its lock. The copy stands in for one that is gone.
    pub fn open(lab: &str) -> Result<Journal> {
        let directory = directory_of(lab);
        let lock = lock::take(lab, &directory)?;
        let what = || format!("opening the journal of the lab `{lab}` in {}", directory.display());
        let mut file =
            lock::open_own(&directory, "journal.jsonl", Readers::Everyone).attempt(Exit::Host, what)?;
        let mut text = String::new();
        file.seek(io::SeekFrom::Start(0)).attempt(Exit::Broke, what)?;
        let mut bytes = Vec::new();
        (&file).take(LONGEST + 1).read_to_end(&mut bytes).attempt(Exit::Broke, what)?;
        if bytes.len() as u64 > LONGEST {
            let why = format!("it has more than {LONGEST} bytes, which no lab writes");
            return Err(Error::new(Exit::Leftover, what(), why));
        }
        text.push_str(&String::from_utf8_lossy(&bytes));
        if !text.is_empty() && !text.ends_with('\n') {
            // A torn last line, from a runner that died writing it: the next line begins afresh.
            file.write_all(b"\n").attempt(Exit::Broke, what)?;
        }
        let (mut header, mut standing, next) = read_lines(&text);
        if header.is_none() && standing.is_empty() {
            (header, standing) =
                kept::look(lab).map_or((None, standing), |(header, kept)| (Some(header), kept));
        }
        let lab = lab.to_owned();
        Ok(Journal { lab, directory, file, next, header, standing, unkept: None, _lock: lock })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where namespaces have their first names, which are nobody else's.
    pub fn staging(&self) -> PathBuf {
        self.directory.join("staging")
    }

    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// What may still stand, the latest first.
    pub fn standing(&self) -> Vec<Standing> {
        self.standing.iter().rev().cloned().collect()
    }

    /// Why the host settings are not kept for after a reboot, if they are not.
    pub fn unkept(&self) -> Option<String> {
        self.unkept.clone()
    }

    /// Writes and syncs what is about to be done.
    pub fn intend(&mut self, changes: Vec<Change>) -> Result<Vec<u64>> {
        let first = self.next;
        let lines: Vec<Line> =
            changes.into_iter().zip(first..).map(|(intent, id)| Line::Intent { id, intent }).collect();
        self.next += lines.len() as u64;
        self.append(&lines)?;
        self.file.sync_data().attempt(Exit::Broke, || self.what())?;
        let mut settings = false;
        for line in lines {
            if let Line::Intent { id, intent } = line {
                settings |= matches!(intent, Change::Setting { .. });
                self.standing.push(Standing { id, change: intent, certain: false });
            }
        }
        if settings {
            self.keep_settings();
        }
        Ok((first..self.next).collect())
    }

    /// Where no copy can be kept the run goes on: it is told, and only a reboot in between would need it.
    fn keep_settings(&mut self) {
        let Some(header) = &self.header else { return };
        if let Err(error) = Kept::of(header, &self.standing).write() {
            self.unkept = Some(format!("writing below {}: {error}", kept::DIRECTORY));
        }
    }

    /// Writes the identities of what was done.
    pub fn made(&mut self, made: Vec<(u64, Change)>) -> Result<()> {
        let lines: Vec<Line> =
            made.iter().map(|(id, made)| Line::Made { id: *id, made: made.clone() }).collect();
        self.append(&lines)?;
        for (id, change) in made {
            if let Some(standing) = self.standing.iter_mut().find(|standing| standing.id == id) {
                *standing = Standing { id, change, certain: true };
            }
        }
        Ok(())
    }

    /// Notes agents that were started. They end with their runner whatever happens, so this follows.
    pub fn note_processes(&mut self, processes: Vec<Change>) -> Result<()> {
        let mut lines = Vec::with_capacity(processes.len());
        for change in processes {
            lines.push(Line::Intent { id: self.next, intent: change.clone() });
            self.standing.push(Standing { id: self.next, change, certain: true });
            self.next += 1;
        }
        self.append(&lines)
    }

    pub fn undone(&mut self, ids: &[u64]) -> Result<()> {
        let lines: Vec<Line> = ids.iter().map(|id| Line::Undone { id: *id, undone: true }).collect();
        self.standing.retain(|standing| !ids.contains(&standing.id));
        self.append(&lines)
    }

    /// Ends the journal when nothing stands any more.
    pub fn end(self) -> Result<()> {
        let host_lock = host_lock::take()?;
        self.end_under(&host_lock)
    }

    /// Under the lock no folder is taken away while another lab makes one in it.
    fn end_under(self, host_lock: &HostLock) -> Result<()> {
        kept::remove(&self.lab)
            .attempt(Exit::Leftover, || format!("removing the copy in {}", kept::DIRECTORY))?;
        host_lock
            .remove_lab(&self.directory)
            .attempt(Exit::Leftover, || format!("removing {}", self.directory.display()))
    }

    fn append(&mut self, lines: &[Line]) -> Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).attempt(Exit::Broke, || self.what())?;
            text.push(b'\n');
        }
        let what = self.what();
        self.file.write_all(&text).attempt(Exit::Broke, || what)
    }

    fn what(&self) -> String {
        format!("writing the journal in {}", self.directory.display())
    }
}

/// Looks at a journal without taking its lock: for `status`.
pub fn look(lab: &str) -> (Option<Header>, Vec<Standing>) {
    match read_file(&directory_of(lab).join("journal.jsonl")) {
        (None, standing) if standing.is_empty() => {
            kept::look(lab).map_or((None, standing), |(header, kept)| (Some(header), kept))
        }
        read => read,
    }
}

fn read_file(path: &Path) -> (Option<Header>, Vec<Standing>) {
    let text = files::read(path, LONGEST).unwrap_or_default();
    let (header, standing, _) = read_lines(&String::from_utf8_lossy(&text));
    (header, standing)
}

/// What a journal says: its header, what may still stand, and the next free number. Lines that cannot be read
/// are passed over: a torn line's change was never made.
pub fn read_lines(text: &str) -> (Option<Header>, Vec<Standing>, u64) {
    let (mut header, mut standing, mut next) = (None, Vec::<Standing>::new(), 1);
    for line in text.lines() {
        match serde_json::from_str(line) {
            Ok(Line::Header { header: read }) => header = Some(read),
            Ok(Line::Intent { id, intent }) => {
                next = next.max(id.saturating_add(1));
                standing.push(Standing { id, change: intent, certain: false });
            }
            Ok(Line::Made { id, made }) => {
                if let Some(found) = standing.iter_mut().find(|standing| standing.id == id) {
                    *found = Standing { id, change: made, certain: true };
                }
            }
            Ok(Line::Undone { id, .. }) => standing.retain(|standing| standing.id != id),
            Err(_) => {}
        }
    }
    (header, standing, next)
}
