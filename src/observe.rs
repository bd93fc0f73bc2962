//! What the kernel counts: on the host, in each node, for each agent, as deltas and levels.

mod agent;
mod probes;
mod file;
mod history;
mod host;
mod machines;
pub mod names;
mod node;
pub mod objects;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use agent::AgentProbes;
pub use history::{History, Track};
pub use host::HostProbes;
pub use machines::Machines;
pub use node::{NodeProbes, ProbedNode};
pub use probes::Probes;
pub use watch::{Cost, Watch};

pub type Values = BTreeMap<String, u64>;

/// How much is read: slab caches take the kernel long, and agents are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Depth {
    /// What a look every 250 ms can afford.
    Quick,
    /// And the agents.
    Agents,
    /// And the slab caches.
    Full,
}

/// What was read at one place. Levels go up and down; counters only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reading {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: Values,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: Values,
}

impl Reading {
    pub fn level(&mut self, name: impl Into<String>, value: u64) {
        self.levels.insert(name.into(), value);
    }

    pub fn counter(&mut self, name: impl Into<String>, value: u64) {
        self.counters.insert(name.into(), value);
    }

    pub fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.counters.is_empty()
    }
}

/// Readings of all places: `host`, each node by its name, each agent by its.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Sample {
    pub places: BTreeMap<String, Reading>,
}

/// A look, and how long whoever looked was busy with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub sample: Sample,
    pub spent: Duration,
}

impl Sample {
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub fn level(&self, place: &str, name: &str) -> Option<u64> {
        self.places.get(place)?.levels.get(name).copied()
    }

    /// The sum over all places that have this level.
    pub fn all_levels(&self, name: &str) -> u64 {
        self.places.values().filter_map(|reading| reading.levels.get(name)).sum()
    }

    /// Memory the kernel uses for itself.
    pub fn kernel_bytes(&self) -> u64 {
        names::KERNEL_MEMORY.iter().filter_map(|name| self.level(names::HOST, name)).sum()
    }

    /// TCP sockets in use, over all nodes.
    pub fn tcp_in_use(&self) -> u64 {
        self.all_levels(names::SOCKETS_IN_USE)
    }

    /// Tells how many TCP sockets of the machine are in none of the nodes. While connections open this is rather too
    /// low than too high, for the machine was looked at before the nodes.
    fn tell_others(&mut self) {
        let ours = self.tcp_in_use();
        if let Some(host) = self.places.get_mut(names::HOST)
            && let Some(all) = host.levels.get(names::SOCKETS_OF_MACHINE)
        {
            host.level(names::OTHER_SOCKETS, all.saturating_sub(ours));
        }
    }

    pub fn time_wait(&self) -> u64 {
        self.all_levels(names::TIME_WAIT)
    }

    /// What is different from an earlier sample: levels as they are now, counters by how much they grew.
    /// A counter that was not there before has no beginning to be compared with.
    pub fn since(&self, earlier: &Sample) -> Sample {
        let nothing = Reading::default();
        let changed = |(place, now): (&String, &Reading)| {
            let before = earlier.places.get(place).unwrap_or(&nothing);
            let levels = now.levels.iter().filter(|(name, value)| before.levels.get(*name) != Some(*value));
            let counters = now.counters.iter().filter_map(|(name, value)| {
                let grown = value.saturating_sub(*before.counters.get(name)?);
                (grown > 0).then(|| (name.clone(), grown))
            });
            let reading = Reading {
                levels: levels.map(|(name, value)| (name.clone(), *value)).collect(),
                counters: counters.collect(),
            };
            (!reading.is_empty()).then(|| (place.clone(), reading))
        };
        Sample { places: self.places.iter().filter_map(changed).collect() }
    }

    /// Takes over what a later look has read; places and values it did not read stay.
    pub fn update(&mut self, later: Sample) {
        for (place, reading) in later.places {
            let known = self.places.entry(place).or_default();
            known.levels.extend(reading.levels);
            known.counters.extend(reading.counters);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(level: u64, counter: u64) -> Sample {
        let mut reading = Reading::default();
        reading.level("sockets.used", level);
        reading.counter("TcpExt.ListenDrops", counter);
        Sample { places: BTreeMap::from([("server".to_owned(), reading)]) }
    }

    #[test]
    fn a_change_has_the_new_level_and_the_growth() {
        let change = sample(7, 15).since(&sample(9, 10));
        assert_eq!(change, sample(7, 5));
    }

    #[test]
    fn what_is_the_same_is_not_told_again() {
        assert_eq!(sample(7, 15).since(&sample(7, 15)), Sample::default());
    }

    #[test]
    fn a_counter_without_a_beginning_has_not_grown() {
        let change = sample(7, 15).since(&Sample::default());
        assert_eq!(change.places["server"].counters, Values::new());
        assert_eq!(change.level("server", "sockets.used"), Some(7));
    }

    #[test]
    fn what_a_quick_look_leaves_out_stays_known() {
        let mut known = sample(1, 1);
        let mut agent = Reading::default();
        agent.counter("agent.cpu_ms", 3);
        known.places.insert("swarm 1".to_owned(), agent);
        known.update(sample(2, 2));
        assert_eq!((known.places.len(), known.level("server", "sockets.used")), (2, Some(2)));
    }
}
