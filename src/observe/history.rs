//! What was observed so far, folded: how far each counter grew, and how high each level went. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Sample;

/// Beyond this a number is not believed: another machine may have told it. Sums of such stay numbers.
const MOST: u64 = 1 << 48;

/// One value at one place, over the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Track {
    /// How far the counter grew; 0 for a level.
    pub growth: u64,
    pub last: u64,
    pub highest: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    places: BTreeMap<String, BTreeMap<String, Track>>,
}

impl History {
    pub fn see(&mut self, changes: &Sample) {
        for (place, reading) in &changes.places {
            let tracks = self.places.entry(place.clone()).or_default();
            for (name, grown) in &reading.counters {
                let track = tracks.entry(name.clone()).or_default();
                track.growth = track.growth.saturating_add(*grown);
            }
            for (name, value) in &reading.levels {
                let track = tracks.entry(name.clone()).or_default();
                track.last = *value;
                track.highest = track.highest.max(*value);
            }
        }
    }

    /// Levels that were higher than they are now.
    pub fn see_highest(&mut self, highest: &Sample) {
        for (place, reading) in &highest.places {
            let tracks = self.places.entry(place.clone()).or_default();
            for (name, value) in &reading.levels {
                let track = tracks.entry(name.clone()).or_default();
                track.highest = track.highest.max(*value);
            }
        }
    }

    fn track(&self, place: &str, name: &str) -> Option<&Track> {
        self.places.get(place)?.get(name)
    }

    /// How far a counter grew at one place.
    pub fn growth(&self, place: &str, name: &str) -> u64 {
        self.track(place, name).map_or(0, |track| track.growth.min(MOST))
    }

    /// How far a counter grew at all places together.
    pub fn growth_everywhere(&self, name: &str) -> u64 {
        self.places.values().filter_map(|tracks| tracks.get(name)).map(|track| track.growth.min(MOST)).sum()
    }

    pub fn highest(&self, place: &str, name: &str) -> Option<u64> {
        self.track(place, name).map(|track| track.highest.min(MOST))
    }

    pub fn last(&self, place: &str, name: &str) -> Option<u64> {
        self.track(place, name).map(|track| track.last)
    }

    /// The largest of what a level was last, anywhere.
    pub fn highest_last(&self, name: &str) -> u64 {
        let last =
            self.places.values().filter_map(|tracks| tracks.get(name)).map(|track| track.last.min(MOST));
        last.max().unwrap_or(0)
    }

    pub fn places(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, Track>)> {
        self.places.iter().map(|(place, tracks)| (place.as_str(), tracks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Reading;

    #[test]
    fn growth_adds_up_and_levels_are_remembered_at_their_highest() {
        let mut history = History::default();
        for (level, grown) in [(5, 1), (9, 0), (2, 4)] {
            let mut reading = Reading::default();
            reading.level("sockets.used", level);
            reading.counter("Tcp.RetransSegs", grown);
            history.see(&Sample { places: BTreeMap::from([("server".to_owned(), reading)]) });
        }
        assert_eq!(history.growth("server", "Tcp.RetransSegs"), 5);
        assert_eq!(history.growth_everywhere("Tcp.RetransSegs"), 5);
        let level = |of: fn(&History, &str, &str) -> Option<u64>| of(&history, "server", "sockets.used");
        assert_eq!((level(History::highest), level(History::last)), (Some(9), Some(2)));
        assert_eq!(history.growth("client-1", "Tcp.RetransSegs"), 0);
    }
}
