//! What of the events is written: figures that come again and again are held back and merged, so that the file of a long
//! run stays small. Pure.
//!
//! Merged figures are to an account what the single ones were. What an account reads at an event, such as the figures
//! at the end of a phase, is written before that event.

use std::collections::{BTreeMap, BTreeSet};

use super::Timed;
use crate::agent::Counts;
use crate::event::{Event, Phase};
use crate::launch::AgentId;
use crate::observe::Sample;

/// Figures are written at most so often.
const EVERY_MS: u64 = 250;

/// What figures may take of the file: so much at once in each phase that begins, and more as time goes by.
/// That makes at most 23 MB in an hour.
const BYTES_PER_PHASE: u64 = 750_000;
const BYTES_PER_SECOND: u64 = 5_000;

#[derive(Default)]
pub struct Thin {
    held: Held,
    /// What each agent's counts were in the file.
    counts: BTreeMap<AgentId, Counts>,
    /// The last progress in the file.
    progress: Option<Event>,
    /// When figures were last written.
    written_at: u64,
    /// What figures have taken of the file.
    written: u64,
    phases: BTreeSet<Phase>,
}

/// Figures that are not written yet, each with the time of the last one that was merged.
#[derive(Default)]
struct Held {
    counts: BTreeMap<AgentId, (u64, Counts)>,
    observed: Option<(u64, Observed)>,
    latencies: Option<(u64, BTreeMap<u64, u64>)>,
    /// The one with the highest rate, and the last.
    fastest: Option<Timed>,
    progress: Option<Timed>,
}

#[derive(Default)]
struct Observed {
    looks: u64,
    micros: u64,
    changes: Sample,
    highest: Sample,
}

impl Thin {
    /// Takes an event; the lines that are to be written now.
    pub fn take(&mut self, ms: u64, event: &Event) -> Vec<u8> {
        let mut lines = Vec::new();
        if self.hold(ms, event) {
            if self.is_time(ms) {
                lines = self.rest();
                self.written_at = ms;
            }
            return lines;
        }
        lines = self.rest();
        match event {
            Event::Began { phase } => {
                self.phases.insert(*phase);
            }
            // Its counts change by this: the next it tells are news, even if they are the same as its last.
            Event::AgentStarted { agent, .. }
            | Event::AgentEnded { agent, .. }
            | Event::AgentSilent { agent } => {
                self.counts.remove(agent);
            }
            _ => {}
        }
        line(&mut lines, ms, event.clone());
        lines
    }

    /// The lines that were held back.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        for timed in self.released() {
            line(&mut lines, timed.ms, timed.event);
        }
        self.written = self.written.saturating_add(lines.len() as u64);
        lines
    }

    /// Whether this is a figure, which is held back.
    fn hold(&mut self, ms: u64, event: &Event) -> bool {
        match event {
            Event::Counts { agent, counts } => {
                if self.counts.get(agent) == Some(counts) {
                    self.held.counts.remove(agent);
                } else {
                    self.held.counts.insert(*agent, (ms, counts.clone()));
                }
            }
            Event::Observed { looks, micros, changes, highest } => {
                let (at, held) = self.held.observed.get_or_insert_default();
                *at = ms;
                held.add(*looks, *micros, changes, highest);
            }
            Event::Latencies { latencies } => {
                let (at, held) = self.held.latencies.get_or_insert_default();
                *at = ms;
                for (micros, count) in latencies {
                    let sum = held.entry(*micros).or_default();
                    *sum = sum.saturating_add(*count);
                }
            }
            Event::Progress { per_second, .. } => {
                let timed = Timed { ms, event: event.clone() };
                let fastest = self.held.fastest.as_ref().and_then(|fastest| rate(&fastest.event));
                if fastest.is_none_or(|fastest| *per_second > fastest) {
                    self.held.fastest = Some(timed.clone());
                }
                self.held.progress = Some(timed);
            }
            _ => return false,
        }
        true
    }

    fn is_time(&self, ms: u64) -> bool {
        let phases = self.phases.len() as u64;
        let allowed = phases * BYTES_PER_PHASE + (ms / 1000).saturating_mul(BYTES_PER_SECOND);
        ms >= self.written_at.saturating_add(EVERY_MS) && self.written <= allowed
    }

    /// What was held back, in the order of time.
    fn released(&mut self) -> Vec<Timed> {
        let held = std::mem::take(&mut self.held);
        let mut released = Vec::new();
        for (agent, (ms, counts)) in held.counts {
            self.counts.insert(agent, counts.clone());
            released.push(Timed { ms, event: Event::Counts { agent, counts } });
        }
        if let Some((ms, Observed { looks, micros, changes, highest })) = held.observed {
            released.push(Timed { ms, event: Event::Observed { looks, micros, changes, highest } });
        }
        if let Some((ms, latencies)) = held.latencies {
            let latencies = latencies.into_iter().collect();
            released.push(Timed { ms, event: Event::Latencies { latencies } });
        }
        let fastest = held.fastest.filter(|fastest| held.progress.as_ref() != Some(fastest));
        for timed in fastest.into_iter().chain(held.progress) {
            if self.progress.as_ref() != Some(&timed.event) {
                self.progress = Some(timed.event.clone());
                released.push(timed);
            }
        }
        released.sort_by_key(|timed| timed.ms);
        released
    }
}

impl Observed {
    /// Levels: the last value, and the highest where that was more. Counters: the sum of how much they grew.
    fn add(&mut self, looks: u64, micros: u64, changes: &Sample, highest: &Sample) {
        self.looks = self.looks.saturating_add(looks);
        self.micros = self.micros.saturating_add(micros);
        for (place, reading) in &changes.places {
            let held = self.changes.places.entry(place.clone()).or_default();
            for (name, grown) in &reading.counters {
                let sum = held.counters.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*grown);
            }
            for (name, value) in &reading.levels {
                let before = held.levels.insert(name.clone(), *value);
                if let Some(before) = before {
                    raise(&mut self.highest, place, name, before);
                }
            }
        }
        for (place, reading) in &highest.places {
            reading.levels.iter().for_each(|(name, value)| raise(&mut self.highest, place, name, *value));
        }
        // What the last value reaches need not be told twice.
        for (place, reading) in &mut self.highest.places {
            let last = self.changes.places.get(place);
            reading.levels.retain(|name, value| last.and_then(|last| last.levels.get(name)) < Some(value));
        }
        self.highest.places.retain(|_, reading| !reading.is_empty());
    }
}

fn raise(highest: &mut Sample, place: &str, name: &str, value: u64) {
    let reading = highest.places.entry(place.to_owned()).or_default();
    let known = reading.levels.entry(name.to_owned()).or_default();
    *known = (*known).max(value);
}

fn rate(event: &Event) -> Option<u64> {
    match event {
        Event::Progress { per_second, .. } => Some(*per_second),
        _ => None,
    }
}

fn line(lines: &mut Vec<u8>, ms: u64, event: Event) {
    // An event is made of texts and numbers, which are always JSON.
    let Ok(text) = serde_json::to_vec(&Timed { ms, event }) else { return };
    lines.extend(text);
    lines.push(b'\n');
}
