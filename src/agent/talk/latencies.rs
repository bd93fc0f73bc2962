//! How long answers took, at a bounded size and a known precision.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies are kept to two digits, from 1 µs to 60 s: 20 KB for each swarm.
const LONGEST_US: u64 = 60_000_000;
const DIGITS: u8 = 2;

pub struct Latencies(Histogram<u32>);

impl Latencies {
    pub fn new() -> io::Result<Self> {
        Histogram::new_with_max(LONGEST_US, DIGITS).map(Latencies).map_err(io::Error::other)
    }

    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    /// Those since they were last taken, as (microseconds, how many).
    pub fn take(&mut self) -> Vec<(u64, u64)> {
        let recorded = self.0.iter_recorded();
        let taken =
            recorded.map(|step| (step.value_iterated_to(), step.count_since_last_iteration())).collect();
        self.0.reset();
        taken
    }
}
