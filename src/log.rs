//! Hands every event to the run's file, to the account, and to whoever listens.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::account::Account;
use crate::event::Event;

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
    pub fn new(file: Option<File>, listeners: Vec<Box<dyn Listener>>) -> Log {
        let file = file.map(BufWriter::new);
        Log { began: Instant::now(), file, listeners, account: Account::default(), trouble: None }
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
