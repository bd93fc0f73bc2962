//! How many swarms connect at the same time, and which part of the rate each of them has. Pure.

use super::ends::Swarm;
use crate::units::Rate;

/// On one host all clients share its processors.
pub fn on_one_host(cpus: u32, swarms: &[Swarm], rate: Rate) -> usize {
    bounded(busy(cpus, swarms.len()), rate)
}

/// Each client's machine has processors and swarms of its own; `cpus` are those of the first client, the second, and
/// so on.
pub fn on_machines(cpus: impl IntoIterator<Item = u32>, swarms: &[Swarm], rate: Rate) -> usize {
    let own = |node| swarms.iter().filter(|swarm| swarm.node == node).count();
    let all = cpus.into_iter().enumerate().map(|(client, cpus)| busy(cpus, own(client + 1))).sum();
    bounded(all, rate)
}

/// One swarm for each CPU keeps it busy; one more costs nothing, and keeps a fair share of a busy machine.
fn busy(cpus: u32, swarms: usize) -> usize {
    (cpus as usize + 1).min(swarms)
}

/// No swarm connects more slowly than one connection in a second.
fn bounded(at_once: usize, rate: Rate) -> usize {
    let most = match rate {
        Rate::Max => usize::MAX,
        Rate::PerSecond(rate) => usize::try_from(rate).unwrap_or(usize::MAX),
    };
    at_once.min(most).max(1)
}

/// The connections per second of the swarm at this index. Those of any `at_once` swarms in a row are the whole rate
/// together.
pub fn rate_of(index: usize, at_once: usize, rate: Rate) -> Option<u64> {
    let Rate::PerSecond(rate) = rate else { return None };
    let at_once = at_once.max(1) as u64;
    Some(rate / at_once + u64::from(index as u64 % at_once < rate % at_once))
}
