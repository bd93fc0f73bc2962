//! Connections that say nothing.

use super::{Step, Talk, Turn};
use crate::agent::tally::TalkCounts;

pub struct Idle;

impl Talk for Idle {
    fn listens(&self) -> bool {
        false
    }

    fn opened(&mut self, _: Turn<'_>) -> Step {
        Step::Ready
    }

    fn is_busy(&self, _: usize) -> bool {
        false
    }

    fn due(&mut self, _: Turn<'_>) -> Step {
        Step::Waits
    }

    fn writable(&mut self, _: Turn<'_>) -> Step {
        Step::Waits
    }

    /// Bytes that nobody asked for stay where they are.
    fn readable(&mut self, _: Turn<'_>) -> Step {
        Step::Waits
    }

    fn forget(&mut self, _: usize) {}

    fn counts(&self) -> TalkCounts {
        TalkCounts::default()
    }

    fn outstanding(&self) -> u64 {
        0
    }
}
