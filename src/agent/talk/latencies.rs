//! How long answers took, at a bounded size and a known precision.

use std::io;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies are kept to two digits, from 1 µs to 60 s: 20 KB for each swarm.
const LONGEST_US: u64 = 60_000_000;
const DIGITS: u8 = 2;

/// Up to here a histogram of two digits has a step for each microsecond; each doubling beyond has half as many.
const EXACT_BITS: u32 = 8;

/// The step of the histogram that a latency belongs to. Whoever tells latencies of its own making tells as few
/// different ones as a good agent.
pub fn step_of(micros: u64) -> u64 {
    let micros = micros.min(LONGEST_US);
    let width = (u64::BITS - micros.leading_zeros()).saturating_sub(EXACT_BITS);
    micros | ((1 << width) - 1)
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_an_agent_tells_is_a_step_already(micros in prop_oneof![1..=LONGEST_US, 1..=2_000_u64]) {
            let mut latencies = Latencies::new().expect("a histogram");
            latencies.record(Duration::from_micros(micros));
            let told = latencies.take();
            prop_assert_eq!(&told, &[(step_of(micros), 1)]);
            prop_assert_eq!(step_of(told[0].0), told[0].0);
        }
    }

    #[test]
    fn there_are_few_steps_whatever_is_told() {
        let steps: std::collections::BTreeSet<u64> = (0..1 << 20)
            .map(|number: u64| step_of(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (number % 60)))
            .collect();
        assert!(steps.len() < 3_000, "{}", steps.len());
    }
}
