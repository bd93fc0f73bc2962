//! When to look, and what has changed since the last time. Looking never takes more than its share.

use std::time::Duration;

use tokio::time::Instant;

use super::{Depth, Sample};

/// How often the machine is looked at, where that costs little enough.
pub const EVERY: Duration = Duration::from_millis(250);

/// Of one core, looking takes at most one part in so many: it waits longer where a look costs more.
const SHARE: u32 = 100;

/// Agents are looked at every so many times.
const AGENTS_EVERY: u64 = 4;

/// What looking has cost so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub looks: u64,
    pub spent: Duration,
}

#[derive(Default)]
pub struct Watch {
    known: Sample,
    next: Option<Instant>,
    pub cost: Cost,
}

impl Watch {
    /// When the next look is due; none before the first one.
    pub fn due(&self) -> Option<Instant> {
        self.next
    }

    pub fn depth(&self) -> Depth {
        if self.cost.looks.is_multiple_of(AGENTS_EVERY) { Depth::Agents } else { Depth::Quick }
    }

    /// Takes what a look has read, and returns what is new in it. The few looks at everything do not keep the others
    /// waiting: a run of seconds would be over before the next.
    pub fn take(&mut self, sample: Sample, spent: Duration, depth: Depth) -> Sample {
        let changes = sample.since(&self.known);
        self.known.update(sample);
        self.cost.looks += 1;
        self.cost.spent += spent;
        let wait = if depth == Depth::Full { EVERY } else { EVERY.max(spent * SHARE) };
        self.next = Some(Instant::now() + wait);
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_costs_much_is_not_repeated_soon() {
        let mut watch = Watch::default();
        assert_eq!(watch.due(), None);
        let before = Instant::now();
        watch.take(Sample::default(), Duration::from_micros(500), Depth::Quick);
        let soon = watch.due().expect("a next time");
        assert!(soon >= before + EVERY && soon <= Instant::now() + EVERY);
        watch.take(Sample::default(), Duration::from_millis(30), Depth::Quick);
        assert!(watch.due().expect("a next time") > Instant::now() + Duration::from_millis(2_900));
        watch.take(Sample::default(), Duration::from_millis(30), Depth::Full);
        assert!(watch.due().expect("a next time") <= Instant::now() + EVERY);
    }
}
