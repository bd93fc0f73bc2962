//! The figures of a run so far: events folded into what everyone else asks for. Pure.

use std::collections::BTreeMap;

use crate::agent::Counts;
use crate::agent::tally::Operation;
use crate::driver::Built;
use crate::event::{Event, Moment, Phase};
use crate::launch::AgentId;
use crate::observe::{History, Sample, names};
use crate::origin::Origin;
use crate::teardown::Outcome;

/// How an agent that answers no more is told: it may be stopped, or too slow, but it has not ended.
pub const SILENT: &str = "no answer";

#[derive(Debug, Default)]
pub struct Account {
    pub seconds: BTreeMap<Phase, f64>,
    pub built: Built,
    counts: BTreeMap<AgentId, Counts>,
    /// Private memory of each agent: empty, and at the peak.
    pub agent_memory: BTreeMap<AgentId, AgentMemory>,
    /// Where the record of the run comes from.
    pub origin: Origin,
    /// Echo latencies in microseconds, and how many.
    latencies: BTreeMap<u64, u64>,
    pub samples: Vec<(Moment, Sample)>,
    /// The most TCP sockets that others had on the machine, from before the ramp until the peak.
    pub others_most: Option<u64>,
    /// What stood at each pause on the way up.
    pub plateaus: Vec<Plateau>,
    pub history: History,
    /// The same as it was when everything was about to be closed.
    pub until_drain: Option<History>,
    pub looks: u64,
    pub looking_us: u64,
    pub open: u64,
    pub per_second: u64,
    pub peak_per_second: u64,
    /// The clients' count when the ramp was over.
    pub ramped: u64,
    /// How many were established when the first one failed, where the ramp was to go on until then.
    pub broke_at: Option<u64>,
    /// For how long nobody had answered when the ramp was given up for it.
    pub gave_up: Option<f64>,
    pub ended_early: Vec<(AgentId, String)>,
    /// What the kernel said of agents that it ended.
    pub kernel_said: Vec<(AgentId, String)>,
    pub unsettled: Vec<(Phase, u64, u64)>,
    /// Connections that waited to be accepted when the ramp was over and both sides did not agree.
    pub waiting: u64,
    /// The signal that cut the run short. Ending a lab that only stands is no interruption.
    pub interrupted: Option<String>,
    standing: bool,
    pub broke: Option<String>,
    pub outcome: Option<Outcome>,
    /// The exit code of a run that ended before anything was built.
    pub never_built: Option<u8>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plateau {
    /// Spent on opening connections until then.
    pub seconds: f64,
    pub totals: Totals,
    pub sample: Sample,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentMemory {
    pub empty: Option<u64>,
    pub peak: Option<u64>,
}

/// What all agents of one kind have counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    pub clients: Counts,
    pub server: Counts,
}

impl Account {
    pub fn see(&mut self, event: &Event) {
        match event {
            Event::Run(origin) => self.origin = Origin::clone(origin),
            Event::Ended { phase, seconds } => {
                *self.seconds.entry(*phase).or_default() += seconds;
                if *phase == Phase::Ramp {
                    self.ramped = self.totals().clients.established;
                }
            }
            Event::Began { phase: Phase::Drain } => self.until_drain = Some(self.history.clone()),
            Event::Built(built) => self.built = built.clone(),
            Event::AgentStarted { agent, .. } => {
                self.counts.insert(*agent, Counts::default());
            }
            Event::AgentReady { agent, private_bytes, .. } => {
                self.agent_memory.entry(*agent).or_default().empty = *private_bytes;
            }
            Event::AgentMemory { agent, private_bytes } => {
                self.agent_memory.entry(*agent).or_default().peak = *private_bytes;
            }
            Event::Counts { agent, counts } => {
                self.counts.insert(*agent, counts.clone());
            }
            Event::Progress { open, per_second, .. } => {
                (self.open, self.per_second) = (*open, *per_second);
                self.peak_per_second = self.peak_per_second.max(*per_second);
            }
            Event::Latencies { latencies } => {
                for (micros, count) in latencies {
                    let sum = self.latencies.entry(*micros).or_default();
                    *sum = sum.saturating_add(*count);
                }
            }
            Event::Observed { looks, micros, changes, highest } => {
                self.history.see(changes);
                self.history.see_highest(highest);
                self.looks = self.looks.saturating_add(*looks);
                self.looking_us = self.looking_us.saturating_add(*micros);
            }
            Event::Kernel { moment: Moment::Plateau, sample } => self.plateaus.push(Plateau {
                seconds: self.seconds.get(&Phase::Ramp).copied().unwrap_or_default(),
                totals: self.totals(),
                sample: sample.clone(),
            }),
            Event::Kernel { moment, sample } => {
                if *moment == Moment::Peak {
                    self.others_most = self.history.highest(names::HOST, names::OTHER_SOCKETS);
                }
                self.samples.push((*moment, sample.clone()));
            }
            Event::AgentEnded { agent, how, planned: false } => self.lose_agent(*agent, how),
            Event::KernelSaid { agent, line } => self.kernel_said.push((*agent, line.clone())),
            Event::AgentSilent { agent } => self.lose_agent(*agent, SILENT),
            Event::Unsettled { phase, clients, server } => {
                self.unsettled.push((*phase, *clients, *server));
                if *phase == Phase::Ramp {
                    self.waiting = self.history.highest_last(names::WAITING);
                }
            }
            Event::Breaks { established } => self.broke_at = Some(*established),
            Event::Unanswered { seconds } => self.gave_up = Some(*seconds),
            Event::Standing => self.standing = true,
            Event::Interrupted { .. } if self.standing => {}
            Event::Interrupted { signal } => self.interrupted = Some(signal.clone()),
            Event::Broke { why } => {
                self.broke.get_or_insert_with(|| why.clone());
            }
            Event::Over { left_behind, never_built } => {
                self.never_built = *never_built;
                if let Some(outcome) = &mut self.outcome {
                    outcome.left_behind.extend_from_slice(left_behind);
                }
            }
            Event::TakenDown(outcome) => self.outcome = Some(outcome.clone()),
            Event::Began { .. }
            | Event::Accepting { .. }
            | Event::Full { .. }
            | Event::Ramped { .. }
            | Event::RoundOver { .. }
            | Event::Fault { .. }
            | Event::Ignored { .. }
            | Event::Impatient { .. }
            | Event::AgentFailed { .. }
            | Event::AgentEnded { .. } => {}
        }
    }

    /// Everything an agent still held is lost when it ends before its time, or answers no more.
    fn lose_agent(&mut self, agent: AgentId, how: &str) {
        let counts = self.counts.entry(agent).or_default();
        let held = std::mem::take(&mut counts.open);
        counts.lost.add_named(Operation::Agent, how, held);
        // What it was trying at that moment was never answered.
        let unanswered = counts.unanswered();
        counts.failed.add_named(Operation::Agent, how, unanswered);
        self.ended_early.push((agent, how.to_owned()));
    }

    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (agent, counts) in &self.counts {
            match agent {
                AgentId::Reactor(_) => totals.server.merge(counts),
                AgentId::Swarm(_) => totals.clients.merge(counts),
            }
        }
        totals
    }

    /// What one agent has counted so far.
    pub fn counts(&self, agent: AgentId) -> Counts {
        self.counts.get(&agent).cloned().unwrap_or_default()
    }

    pub fn reactors(&self) -> usize {
        self.counts.keys().filter(|agent| matches!(agent, AgentId::Reactor(_))).count()
    }

    pub fn swarms(&self) -> usize {
        self.counts.len() - self.reactors()
    }

    pub fn sample(&self, moment: Moment) -> Option<&Sample> {
        self.samples.iter().find(|(at, _)| *at == moment).map(|(_, sample)| sample)
    }

    /// The latency that this share of all answers did not exceed; none without answers.
    pub fn latency_us(&self, share: f64) -> Option<u64> {
        let total: u128 = self.latencies.values().map(|count| u128::from(*count)).sum();
        let wanted = ((total as f64 * share).ceil() as u128).clamp(1, total.max(1));
        let mut seen = 0;
        self.latencies.iter().find_map(|(micros, count)| {
            seen += u128::from(*count);
            (seen >= wanted).then_some(*micros)
        })
    }

    /// Connections per second over the whole ramp.
    pub fn rate_per_second(&self) -> Option<f64> {
        let seconds = *self.seconds.get(&Phase::Ramp)?;
        (seconds > 0.0).then(|| self.ramped as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWARM: AgentId = AgentId::Swarm(0);

    fn counts(established: u64, open: u64) -> Event {
        Event::Counts { agent: SWARM, counts: Counts { established, open, ..Counts::default() } }
    }

    #[test]
    fn what_a_dead_agent_held_is_lost() {
        let mut account = Account::default();
        account.see(&counts(10, 9));
        account.see(&Event::AgentEnded { agent: SWARM, how: "signal 9".to_owned(), planned: false });
        let clients = account.totals().clients;
        assert_eq!((clients.established, clients.open, clients.lost.total()), (10, 0, 9));
    }

    #[test]
    fn what_a_planned_end_closes_is_not_lost() {
        let mut account = Account::default();
        account.see(&counts(10, 9));
        account.see(&Event::AgentEnded { agent: SWARM, how: "exit code 0".to_owned(), planned: true });
        assert_eq!(account.totals().clients.lost.total(), 0);
    }

    #[test]
    fn latencies_of_all_agents_are_one_distribution() {
        let mut account = Account::default();
        assert_eq!(account.latency_us(0.5), None);
        for latencies in [vec![(10, 50)], vec![(20, 40), (90, 10)]] {
            account.see(&Event::Latencies { latencies });
        }
        assert_eq!(account.latency_us(0.5), Some(10));
        assert_eq!(account.latency_us(0.9), Some(20));
        assert_eq!(account.latency_us(0.99), Some(90));
        assert_eq!(account.latency_us(1.0), Some(90));
    }
}
