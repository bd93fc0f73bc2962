//! How a swarm closes what it holds: a round in order, or everything at once.

use std::time::{Duration, Instant};

use super::{BATCH, Swarm};
use crate::agent::opener::{Close, Opener};
use crate::agent::tally::Operation;

impl<O: Opener> Swarm<O> {
    /// Gives up what is still being tried: a run that is cut short.
    pub fn give_up(&mut self) {
        self.began = None;
        let waiting = self.opener.give_up();
        self.counts.failed.add_named(Operation::Connect, "ECANCELED", waiting);
    }

    /// Closes some of the connections, at once. True: all are closed.
    pub fn close_some(&mut self) -> bool {
        self.close_up_to(BATCH, Close::AtOnce)
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
        if self.close_up_to(most, Close::Orderly) {
            self.round_closing = None;
            return None;
        }
        Some(if self.order.rate.is_some() { PAUSE } else { Duration::ZERO })
    }

    fn close_up_to(&mut self, most: u64, how: Close) -> bool {
        for _ in 0..most {
            match self.opener.close_last(how) {
                None => return true,
                Some(false) => {}
                Some(true) => {
                    self.counts.open -= 1;
                    self.counts.closed += 1;
                }
            }
        }
        self.opener.is_empty()
    }
}
