//! Everything that happened, with its time. Screen and report read events; nobody else says what happened.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::agent::Counts;
use crate::driver::{AgentId, Built};
use crate::observe::Sample;
use crate::teardown::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Check,
    Build,
    Ramp,
    Hold,
    Drain,
    Down,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Check => "check",
            Phase::Build => "build",
            Phase::Ramp => "ramp",
            Phase::Hold => "hold",
            Phase::Drain => "drain",
            Phase::Down => "down",
        })
    }
}

/// The moments at which the kernel's counters are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    Before,
    Peak,
    Drained,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Began {
        phase: Phase,
    },
    Ended {
        phase: Phase,
        seconds: f64,
    },
    Built(Built),
    AgentStarted {
        agent: AgentId,
        pid: u32,
    },
    AgentReady {
        agent: AgentId,
        nofile: u64,
        private_bytes: Option<u64>,
    },
    /// An agent's counts so far.
    Counts {
        agent: AgentId,
        counts: Counts,
    },
    /// This reactor accepts from now on.
    Accepting {
        agent: AgentId,
    },
    Full {
        agent: AgentId,
    },
    Ramped {
        agent: AgentId,
    },
    /// All clients together.
    Progress {
        established: u64,
        open: u64,
        per_second: u64,
    },
    Weight {
        agent: AgentId,
        private_bytes: Option<u64>,
    },
    Latencies {
        agent: AgentId,
        latencies: Vec<(u64, u64)>,
    },
    Kernel {
        moment: Moment,
        sample: Sample,
    },
    AgentFailed {
        agent: AgentId,
        why: String,
    },
    AgentEnded {
        agent: AgentId,
        how: String,
        planned: bool,
    },
    /// It owes an answer and does not give it: nobody waits for it any more.
    AgentSilent {
        agent: AgentId,
    },
    /// A signal while the lab is on its way down already: what is still to do.
    Impatient {
        connections: u64,
        agents: usize,
    },
    /// Client and server did not come to agree in time.
    Unsettled {
        phase: Phase,
        clients: u64,
        server: u64,
    },
    /// `--keep`: the lab stays until it is told to go.
    Standing,
    Interrupted {
        signal: String,
    },
    Broke {
        why: String,
    },
    TakenDown(Outcome),
}

#[derive(Serialize)]
struct Timed<'a> {
    ms: u64,
    #[serde(flatten)]
    event: &'a Event,
}

/// Something that reads events as they happen, with the figures so far.
pub trait Listener {
    fn hear(&mut self, at: Duration, event: &Event, account: &Account);
}

/// Hands every event to the file and to all listeners.
pub struct Log {
    began: Instant,
    file: Option<BufWriter<File>>,
    listeners: Vec<Box<dyn Listener>>,
    pub account: Account,
    /// Why events are no longer written, once they are not.
    pub trouble: Option<String>,
}

impl Log {
    pub fn new(path: Option<&Path>, listeners: Vec<Box<dyn Listener>>) -> Log {
        let mut trouble = None;
        let file = path.and_then(|path| match File::create(path) {
            Ok(file) => Some(BufWriter::new(file)),
            Err(error) => {
                trouble = Some(format!("{}: {error}", path.display()));
                None
            }
        });
        Log { began: Instant::now(), file, listeners, account: Account::default(), trouble }
    }

    pub fn tell(&mut self, event: Event) {
        let at = self.began.elapsed();
        if let Some(file) = &mut self.file {
            let timed = Timed { ms: at.as_millis() as u64, event: &event };
            let written = serde_json::to_writer(&mut *file, &timed)
                .map_err(std::io::Error::from)
                .and_then(|()| file.write_all(b"\n"));
            if let Err(error) = written {
                // A full disk does not stop the run; its report says what is missing.
                self.trouble = Some(error.to_string());
                self.file = None;
            }
        }
        self.account.see(&event);
        for listener in &mut self.listeners {
            listener.hear(at, &event, &self.account);
        }
    }

    pub fn flush(&mut self) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.flush()
        {
            self.trouble = Some(error.to_string());
        }
    }
}
