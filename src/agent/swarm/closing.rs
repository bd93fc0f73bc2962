//! How a swarm closes what it holds: a round in order, or everything at once.

use std::time::{Duration, Instant};

use super::{BATCH, Swarm};
use crate::agent::close_at_once;
use crate::agent::tally::Operation;

/// How a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// As a program does: this side says that it is done, and remembers the connection for a while.
    Orderly,
    /// With at most one packet, and without TIME_WAIT.
    AtOnce,
}

impl Swarm {
    /// Gives up what is still being tried: a run that is cut short.
    pub fn give_up(&mut self) {
        self.began = None;
        let waiting = self.waiting.drain().count();
        self.deadlines.clear();
        self.counts.failed.add_named(Operation::Connect, "ECANCELED", waiting as u64);
    }

    /// Closes some of the connections, at once. True: all are closed.
    pub fn close_some(&mut self) -> bool {
        self.close_up_to(BATCH, How::AtOnce)
    }

    /// Closes a round, at most as fast as it was opened. How long until there is more to close; none: all are closed.
    pub fn close_round(&mut self) -> Option<Duration> {
        const PAUSE: Duration = Duration::from_millis(2);
        let (began, before) = *self.round_closing.get_or_insert((Instant::now(), self.counts.closed));
        let most = match self.order.rate {
            None => BATCH,
            Some(rate) => {
                let due = (began.elapsed().as_secs_f64() * rate as f64) as u64 + 1;
                due.saturating_sub(self.counts.closed - before).min(BATCH)
            }
        };
        if self.close_up_to(most, How::Orderly) {
            self.round_closing = None;
            return None;
        }
        Some(if self.order.rate.is_some() { PAUSE } else { Duration::ZERO })
    }

    fn close_up_to(&mut self, most: u64, how: How) -> bool {
        for _ in 0..most {
            match self.open.pop() {
                None => return true,
                Some(None) => {}
                Some(Some(connection)) => {
                    if how == How::AtOnce {
                        close_at_once(connection);
                    }
                    self.counts.open -= 1;
                    self.counts.closed += 1;
                }
            }
        }
        self.open.is_empty()
    }
}
