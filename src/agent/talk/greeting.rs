//! A talk for tests whose handshake is the server's: a connection is ready when its greeting has come.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::{Step, Talk, Turn};
use crate::agent::tally::TalkCounts;

pub const GREETING: &[u8] = b"hello";

#[derive(Default)]
pub struct Greeting {
    greeted: BTreeSet<usize>,
}

impl Talk for Greeting {
    fn listens(&self) -> bool {
        true
    }

    fn opened(&mut self, turn: Turn<'_>) -> Step {
        self.readable(turn)
    }

    fn is_busy(&self, slot: usize) -> bool {
        !self.greeted.contains(&slot)
    }

    fn due(&mut self, _: Turn<'_>) -> Step {
        Step::Waits
    }

    fn writable(&mut self, _: Turn<'_>) -> Step {
        Step::Waits
    }

    fn readable(&mut self, turn: Turn<'_>) -> Step {
        let mut buffer = [0; 16];
        match turn.wire.receive(&mut buffer) {
            Ok(0) => Step::Ended(None),
            Ok(length) if buffer[..length] == *GREETING => {
                self.greeted.insert(turn.slot);
                Step::Ready
            }
            Ok(length) => Step::Refused(String::from_utf8_lossy(&buffer[..length]).into_owned()),
            Err(Errno::AGAIN) => Step::Waits,
            Err(error) => Step::Ended(Some(error)),
        }
    }

    fn forget(&mut self, slot: usize) {
        self.greeted.remove(&slot);
    }

    fn counts(&self) -> TalkCounts {
        TalkCounts::default()
    }

    fn outstanding(&self) -> u64 {
        0
    }
}
