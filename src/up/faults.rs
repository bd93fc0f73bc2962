//! What breaks on purpose during a run: when it is due, and striking it.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::Run;
use crate::crew;
use crate::driver::{AgentId, Driver, Part, node_of};
use crate::event::Event;
use crate::plan::{Fault, Whom};
use crate::spec::{FaultAction, Moment};

/// Faults that have not happened yet.
#[derive(Default)]
pub struct Faults {
    pending: Vec<Pending>,
    begun: BTreeSet<Moment>,
}

struct Pending {
    fault: Fault,
    /// When its moment had come and enough was established.
    armed: Option<Instant>,
}

impl Faults {
    pub fn of(faults: &[Fault]) -> Faults {
        let pending = faults.iter().map(|fault| Pending { fault: fault.clone(), armed: None });
        Faults { pending: pending.collect(), begun: BTreeSet::new() }
    }

    pub fn begin(&mut self, moment: Moment) {
        self.begun.insert(moment);
    }

    pub fn arm(&mut self, established: u64, now: Instant) {
        for one in &mut self.pending {
            if self.begun.contains(&one.fault.at) && established >= one.fault.established {
                one.armed.get_or_insert(now);
            }
        }
    }

    /// When the next one is due that only time is missing for.
    pub fn due(&self) -> Option<Instant> {
        self.pending.iter().filter_map(Pending::due).min()
    }

    /// Whether every fault has happened.
    pub fn is_over(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes those that are due, in the order of the lab file.
    pub fn take(&mut self, now: Instant) -> Vec<Fault> {
        let is_due = |one: &Pending| one.due().is_some_and(|due| due <= now);
        let (due, pending): (Vec<Pending>, _) =
            std::mem::take(&mut self.pending).into_iter().partition(is_due);
        self.pending = pending;
        due.into_iter().map(|one| one.fault).collect()
    }
}

impl Pending {
    fn due(&self) -> Option<Instant> {
        self.armed?.checked_add(self.fault.after)
    }
}

impl<D: Driver> Run<'_, D> {
    /// Faults of this moment may happen from now on; those that wait for nothing else happen at once.
    pub(super) async fn faults_begin(&mut self, moment: Moment) {
        self.faults.begin(moment);
        self.strike_due().await;
    }

    pub(super) async fn strike_due(&mut self) {
        if self.faults.pending.is_empty() {
            return;
        }
        let now = Instant::now();
        self.faults.arm(self.log.account.totals().clients.established, now);
        for fault in self.faults.take(now) {
            self.strike(&fault).await;
        }
    }

    async fn strike(&mut self, fault: &Fault) {
        let agents = self.struck(fault.whom);
        let parts: Vec<Part> = match fault.whom {
            Whom::LinkOf(node) => vec![Part::Link(node)],
            Whom::WayToPorts => fault.ports.clone().map(Part::Ports).into_iter().collect(),
            _ => agents.iter().map(|agent| Part::Agent(*agent)).collect(),
        };
        let mut failed = parts.is_empty().then(|| "nobody of them is there".to_owned());
        for part in parts {
            match (self.driver.strike(self.plan, part.clone(), fault.action).await, part) {
                (Ok(()), Part::Agent(agent)) => {
                    self.crew.set_stopped(agent, fault.action == FaultAction::Stop)
                }
                (Ok(()), Part::Link(_) | Part::Ports(_)) => {}
                (Err(error), _) => failed = Some(error.to_string()),
            }
        }
        self.log.tell(Event::Fault { what: fault.to_string(), agents, failed });
    }

    fn struck(&self, whom: Whom) -> Vec<AgentId> {
        self.crew.living(|agent| match whom {
            Whom::Reactor(place) => agent == AgentId::Reactor(place),
            Whom::Swarm(index) => agent == AgentId::Swarm(index),
            Whom::Server => crew::reactors(agent),
            Whom::Clients => crew::swarms(agent),
            Whom::SwarmsOf(node) => crew::swarms(agent) && node_of(self.plan, agent) == node,
            Whom::LinkOf(_) | Whom::WayToPorts => false,
        })
    }

    /// Whoever is stopped goes on, to close what it holds.
    pub(super) async fn wake_the_stopped(&mut self) {
        for agent in self.crew.stopped() {
            // If it cannot be woken, it is killed in the end.
            let _ = self.driver.strike(self.plan, Part::Agent(agent), FaultAction::Resume).await;
            self.crew.set_stopped(agent, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn fault(at: Moment, established: u64, after: u64) -> Fault {
        let after = Duration::from_secs(after);
        Fault { at, established, after, action: FaultAction::Kill, whom: Whom::Server, ports: None }
    }

    #[test]
    fn a_fault_waits_for_its_moment_its_connections_and_its_time() {
        let (sure, late) = (fault(Moment::Ramp, 10, 2), fault(Moment::Hold, 0, 0));
        let mut faults = Faults::of(&[sure.clone(), late.clone()]);
        let began = Instant::now();
        faults.arm(100, began);
        assert_eq!(faults.due(), None, "nothing has begun");
        faults.begin(Moment::Ramp);
        faults.arm(9, began);
        assert_eq!(faults.due(), None, "too few connections");
        faults.arm(10, began);
        faults.arm(11, began + Duration::from_secs(1));
        assert_eq!(faults.due(), Some(began + Duration::from_secs(2)));
        assert_eq!(faults.take(began + Duration::from_secs(1)), []);
        assert_eq!(faults.take(began + Duration::from_secs(2)), [sure]);
        faults.begin(Moment::Hold);
        faults.arm(0, began);
        assert_eq!(faults.take(began), [late]);
        assert_eq!(faults.due(), None);
    }
}
