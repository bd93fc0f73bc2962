//! Whose turn it is to say something: the connections speak one after the other, evenly over a period. Pure.

use std::time::{Duration, Instant};

/// A message that is due since less than this is not late.
const LATE: Duration = Duration::from_millis(100);

pub struct Schedule {
    every: Duration,
    connections: u64,
    /// None: nothing is due.
    began: Option<Instant>,
    /// Messages due since the beginning that were looked at: connection `due % connections` in each round.
    due: u64,
    /// Messages that were due and not said.
    skipped: u64,
}

impl Schedule {
    pub fn new(every: Duration, connections: u64) -> Self {
        Schedule { every, connections, began: None, due: 0, skipped: 0 }
    }

    pub fn begin(&mut self, now: Instant) {
        (self.began, self.due) = (Some(now), 0);
    }

    /// What is due by now and was not looked at is skipped.
    pub fn end(&mut self, now: Instant) {
        let Some(began) = self.began.take() else { return };
        let until = now.saturating_duration_since(began).saturating_sub(LATE);
        let rounds = until.as_secs_f64() / self.every.as_secs_f64();
        let due = (rounds * self.connections as f64) as u64;
        self.skipped += due.saturating_sub(self.due);
    }

    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next connection whose turn it is, or how long nobody's turn comes; none: nobody's ever. One that is busy
    /// is passed over: its turn comes again in the next round.
    pub fn next(&mut self, now: Instant, is_busy: impl Fn(usize) -> bool) -> Result<usize, Option<Duration>> {
        let began = self.began.filter(|_| self.connections > 0).ok_or(None)?;
        let elapsed = now.saturating_duration_since(began);
        loop {
            let due_at = self.every.mul_f64(self.due as f64 / self.connections as f64);
            if due_at > elapsed {
                return Err(Some(due_at - elapsed));
            }
            let slot = (self.due % self.connections) as usize;
            self.due += 1;
            if !is_busy(slot) {
                return Ok(slot);
            }
            self.skipped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_spread_over_the_period() {
        let mut schedule = Schedule::new(Duration::from_secs(10), 5);
        let began = Instant::now();
        assert_eq!(schedule.next(began, |_| false), Err(None), "not begun");
        schedule.begin(began);
        assert_eq!(schedule.next(began, |_| false), Ok(0));
        assert_eq!(schedule.next(began, |_| false), Err(Some(Duration::from_secs(2))));
        let later = began + Duration::from_secs(4);
        assert_eq!((schedule.next(later, |_| false), schedule.next(later, |_| false)), (Ok(1), Ok(2)));
    }

    #[test]
    fn what_is_busy_or_late_is_skipped() {
        let mut schedule = Schedule::new(Duration::from_secs(1), 10);
        let began = Instant::now();
        schedule.begin(began);
        assert_eq!(schedule.next(began + Duration::from_millis(200), |slot| slot == 0), Ok(1));
        assert_eq!(schedule.skipped(), 1);
        // Two were looked at; 20 are due after 2 s, and those of the last tenth of a second are not late.
        schedule.end(began + Duration::from_secs(2));
        assert_eq!(schedule.skipped(), 1 + 19 - 2);
        assert_eq!(schedule.next(began + Duration::from_secs(3), |_| false), Err(None));
    }
}
