//! Hands every event to the run's file, to the account, and to whoever listens.

pub mod thin;

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::event::Event;
use crate::origin::Beginning;
use thin::Thin;

/// A line of `events.jsonl`: an event and its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timed {
    /// Milliseconds since the run began.
    pub ms: u64,
    #[serde(flatten)]
    pub event: Event,
}

/// Something that reads events as they happen, with the figures so far.
pub trait Listener {
    fn hear(&mut self, at: Duration, event: &Event, account: &Account);
}

/// Hands every event to the file and to all listeners.
pub struct Log {
    began: Instant,
    file: Option<File>,
    thin: Thin,
    listeners: Vec<Box<dyn Listener>>,
    pub account: Account,
    /// Why events are no longer written, once they are not.
    pub trouble: Option<String>,
}

impl Log {
    pub fn new(file: Option<File>, listeners: Vec<Box<dyn Listener>>) -> Log {
        Log {
            began: Instant::now(),
            file,
            thin: Thin::default(),
            listeners,
            account: Account::default(),
            trouble: None,
        }
    }

    /// The first event. Times count from when the run began.
    pub fn begin(&mut self, beginning: Beginning) {
        self.began = beginning.at;
        self.tell(Event::Run(Box::new(beginning.origin)));
    }

    pub fn tell(&mut self, event: Event) {
        let at = self.began.elapsed();
        if self.file.is_some() {
            let lines = self.thin.take(ms(at), &event);
            self.write(&lines);
        }
        self.account.see(&event);
        for listener in &mut self.listeners {
            listener.hear(at, &event, &self.account);
        }
    }

    /// Writes what was held back to be written less often.
    pub fn flush(&mut self) {
        let lines = self.thin.rest();
        self.write(&lines);
    }

    /// Whole lines, in one call: no half of one stays there for long.
    fn write(&mut self, lines: &[u8]) {
        let Some(file) = self.file.as_mut().filter(|_| !lines.is_empty()) else { return };
        if let Err(error) = file.write_all(lines) {
            // A full disk does not stop the run; its report says what is missing.
            self.trouble = Some(error.to_string());
            self.file = None;
        }
    }
}

fn ms(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}
