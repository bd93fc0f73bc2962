//! Asking whether anybody answers: a few connects ahead of their turn, spread over what is not tried yet.

use std::time::Instant;

use super::Swarm;
use crate::agent::opener::Opener;

/// Each is a connection of the plan and stays one: so many say whether a port or an address is special.
const PROBES: u64 = 8;

impl<O: Opener> Swarm<O> {
    /// Tries a few of the connections below `up_to`, beyond the window. Those are passed over when it is their turn.
    pub fn probe(&mut self, up_to: u64) {
        if self.began.is_none() {
            self.begin_round();
            self.began = Some((Instant::now(), self.tried()));
        }
        let end = up_to.min(self.order.count);
        let ahead: Vec<u64> = (self.next..end).filter(|slot| !self.probed.contains(slot)).collect();
        for slot in spread(&ahead, PROBES) {
            self.probed.insert(slot);
            self.try_slot(slot);
        }
    }

    /// The next slot that was not tried ahead of its turn.
    pub(super) fn take_next(&mut self) -> u64 {
        while self.probed.remove(&self.next) {
            self.next += 1;
        }
        let slot = self.next;
        self.next += 1;
        slot
    }
}

/// At most so many of them, the first and the last among them where there are two.
fn spread(of: &[u64], most: u64) -> Vec<u64> {
    let count = (of.len() as u64).min(most);
    let last = (of.len() as u64).saturating_sub(1);
    let place = |step: u64| (step * last / (count - 1).max(1)) as usize;
    (0..count).filter_map(|step| of.get(place(step)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_spread_over_all_that_is_left() {
        let left: Vec<u64> = (100..1_000).collect();
        let spread = spread(&left, PROBES);
        assert_eq!((spread.len(), spread[0], spread[7]), (8, 100, 999));
        assert!(spread.windows(2).all(|pair| pair[1] - pair[0] >= 128), "{spread:?}");
        assert_eq!(super::spread(&[3, 5], PROBES), [3, 5]);
        assert_eq!(super::spread(&[7], PROBES), [7]);
        assert_eq!(super::spread(&[], PROBES), Vec::<u64>::new());
    }
}
