//! A run's record: its files as they are written, and read back.

#[cfg(test)]
mod properties;
pub mod schema;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::error::{Attempt, Error, Result};
use crate::event::Event;
use crate::exit::Exit;
use crate::log::Timed;
use crate::origin::{FORMAT, Origin};
use crate::plan::Plan;
use crate::report::{self, Report};

pub const PLAN: &str = "plan.json";
pub const EVENTS: &str = "events.jsonl";
pub const REPORT: &str = "report.json";

/// The most that is read of `plan.json` and `report.json`, and of a line of `events.jsonl`.
const LARGEST: u64 = 256 << 20;

/// What `plan.json` is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanRecord {
    #[serde(flatten)]
    pub origin: Origin,
    #[serde(flatten)]
    pub plan: Plan,
}

impl PlanRecord {
    pub fn of(origin: Origin, plan: &Plan) -> PlanRecord {
        PlanRecord { origin, plan: plan.clone() }
    }
}

/// A run that was recorded.
#[derive(Debug)]
pub struct Record {
    pub plan: Plan,
    pub events: Vec<Timed>,
    /// The last event is there: the run came to its end, and all of it was written.
    pub is_whole: bool,
}

impl Record {
    pub fn account(&self) -> Account {
        let mut account = Account::default();
        self.events.iter().for_each(|timed| account.see(&timed.event));
        account
    }

    /// What the run came to; of one that was cut off, what it had come to by then.
    pub fn report(&self) -> Report {
        report::settle(&self.plan, &self.account())
    }
}

/// Reads plan and events from the folder of a run.
pub fn read(folder: &Path) -> Result<Record> {
    let PlanRecord { origin, plan } = read_one(folder, PLAN)?;
    let events = events(folder)?.collect::<Result<Vec<Timed>>>()?;
    let path = folder.join(EVENTS);
    let Some(Timed { event: Event::Run(begun), .. }) = events.first() else {
        return Err(wrong(&path, "its first line does not say which run it is of").remedy(UNREADABLE));
    };
    if begun.began != origin.began {
        let why = format!("it is of the run of {}, and {PLAN} of that of {}", begun.began, origin.began);
        return Err(wrong(&path, why).remedy("keep the files of a run together"));
    }
    let is_whole = matches!(events.last(), Some(Timed { event: Event::Over { .. }, .. }));
    Ok(Record { plan, events, is_whole })
}

/// Reads the report from the folder of a run.
pub fn read_report(folder: &Path) -> Result<Report> {
    read_one(folder, REPORT)
}

/// The events of a run, one after the other: those of a long run are not all kept in memory.
pub fn events(folder: &Path) -> Result<Events> {
    let path = folder.join(EVENTS);
    let file = BufReader::new(open(&path)?);
    Ok(Events { path, file, number: 0 })
}

pub struct Events {
    path: PathBuf,
    file: BufReader<File>,
    /// Of the line that was read last.
    number: u64,
}

impl Iterator for Events {
    type Item = Result<Timed>;

    fn next(&mut self) -> Option<Result<Timed>> {
        let mut line = Vec::new();
        self.number += 1;
        let read = (&mut self.file).take(LARGEST).read_until(b'\n', &mut line);
        match read.attempt(Exit::Input, || format!("reading {}", self.path.display())) {
            Err(error) => Some(Err(error)),
            // A line without an end: the run is being written, or was cut off in the middle of it.
            Ok(_) if line.last() != Some(&b'\n') && (line.len() as u64) < LARGEST => None,
            Ok(_) => Some(self.event(&line)),
        }
    }
}

impl Events {
    fn event(&self, line: &[u8]) -> Result<Timed> {
        if self.number == 1 {
            check_format(&self.path, line)?;
        }
        serde_json::from_slice(line).map_err(|why| {
            wrong(&self.path, format!("line {} is no event: {why}", self.number)).remedy(UNREADABLE)
        })
    }
}

const UNREADABLE: &str = "make the run again with this version of c1m-lab";

fn read_one<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let path = folder.join(name);
    let mut text = Vec::new();
    let read = open(&path)?.take(LARGEST + 1).read_to_end(&mut text);
    read.attempt(Exit::Input, || format!("reading {}", path.display()))?;
    if text.len() as u64 > LARGEST {
        return Err(wrong(&path, "it is larger than 256 MiB").remedy("is this the folder of a run?"));
    }
    check_format(&path, &text)?;
    serde_json::from_slice(&text).map_err(|why| wrong(&path, why).remedy(UNREADABLE))
}

/// A pipe or a device of that name would keep whoever opens it waiting.
fn open(path: &Path) -> Result<File> {
    let missing =
        |why: std::io::Error| wrong(path, why).remedy("name the folder of a run, such as runs/NAME-TIME");
    let about = std::fs::metadata(path).map_err(missing)?;
    if !about.is_file() {
        return Err(wrong(path, "it is no file").remedy("name the folder of a run, such as runs/NAME-TIME"));
    }
    File::open(path).map_err(missing)
}

fn wrong(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::input(format!("reading {}", path.display()), why)
}

/// What of a record is read first: whether the rest can be.
#[derive(Deserialize)]
struct Head {
    format: Option<u64>,
    version: Option<String>,
}

fn check_format(path: &Path, text: &[u8]) -> Result<()> {
    let head: Head = serde_json::from_slice(text)
        .map_err(|why| wrong(path, format!("it is no record of a run: {why}")))?;
    let by = head.version.map_or_else(String::new, |version| format!(", by c1m-lab {version}"));
    let why = match head.format {
        Some(FORMAT) => return Ok(()),
        Some(other) => format!("it was written in format {other}{by}; this version reads format {FORMAT}"),
        None => format!("it was written before records had a format{by}; this version reads format {FORMAT}"),
    };
    Err(wrong(path, why).remedy("read it with the version that wrote it, or make the run again"))
}
