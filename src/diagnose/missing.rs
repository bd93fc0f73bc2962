//! The connections that are not there, each waiting to be explained once.

use super::case::Case;
use crate::agent::Counts;
use crate::agent::errno::CLOSED_BY_PEER;
use crate::agent::tally::{Operation, Row};
use crate::launch::AgentId;

/// A connect that was given up before its time.
const CANCELED: &str = "ECANCELED";

/// What is still unexplained. Whoever explains a connection takes it away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Attempts that failed, at the clients.
    pub failed: Vec<Row>,
    /// Established connections that ended too early, at the clients.
    pub lost: Vec<Row>,
    /// Established for the client, and never accepted by the server.
    pub unserved: u64,
    /// Lost by the server alone: the client had closed it in order.
    pub aborted: u64,
    /// Never tried, because the process that should have tried has ended.
    pub untried: u64,
    /// Let go of, or not tried any more, when nobody answered: they go with what has timed out.
    pub given_up: u64,
}

impl Missing {
    pub fn of(case: &Case) -> Missing {
        let (clients, server) = (&case.clients, &case.server);
        // Who was interrupted, or let go of, has not met a limit.
        let planned = |row: &Row| row.errno == CANCELED;
        let lost_by_ends = |rows: Vec<Row>| -> u64 {
            rows.iter().filter(|row| row.operation != Operation::Agent).map(|row| row.count).sum()
        };
        // A client that was killed did not live to tell of its last ones: they are among those it never tried.
        let untold = server.established.saturating_sub(clients.established);
        let aborted = lost_by_ends(server.lost.rows()).saturating_sub(clients.lost.total() + untold);
        Missing {
            failed: clients.failed.rows().into_iter().filter(|row| !planned(row)).collect(),
            lost: clients.lost.rows(),
            unserved: standing(clients).saturating_sub(standing(server) + aborted),
            aborted,
            untried: untried(case),
            given_up: given_up(case),
        }
    }

    pub fn total(&self) -> u64 {
        count(&self.failed) + count(&self.lost) + self.unserved + self.aborted + self.untried + self.given_up
    }

    /// Takes at most so many failed attempts of this kind, and says how many it were.
    pub fn take_failed(&mut self, operation: Operation, errnos: &[&str], most: u64) -> u64 {
        take(&mut self.failed, most, |row| row.operation == operation && errnos.contains(&row.errno.as_str()))
    }

    pub fn failed(&self, operation: Operation, errnos: &[&str]) -> u64 {
        let matching = |row: &&Row| row.operation == operation && errnos.contains(&row.errno.as_str());
        self.failed.iter().filter(matching).map(|row| row.count).sum()
    }

    /// Takes connections that the other side's end has cut off.
    pub fn take_cut_off(&mut self, most: u64) -> u64 {
        const CUT_OFF: &[&str] = &[CLOSED_BY_PEER, "ECONNRESET", "EPIPE"];
        take(&mut self.lost, most, |row| CUT_OFF.contains(&row.errno.as_str()))
    }

    pub fn take_lost(&mut self, errnos: &[&str], most: u64) -> u64 {
        take(&mut self.lost, most, |row| errnos.contains(&row.errno.as_str()))
    }

    /// Takes what a dead process of the clients held or tried, by how it ended.
    pub fn take_of_agents(&mut self, how: &str) -> u64 {
        let of_agents = |row: &Row| row.operation == Operation::Agent && row.errno == how;
        take(&mut self.failed, u64::MAX, of_agents) + take(&mut self.lost, u64::MAX, of_agents)
    }

    pub fn take_unserved(&mut self, most: u64) -> u64 {
        take_number(&mut self.unserved, most)
    }

    pub fn take_aborted(&mut self, most: u64) -> u64 {
        take_number(&mut self.aborted, most)
    }

    pub fn take_given_up(&mut self, most: u64) -> u64 {
        take_number(&mut self.given_up, most)
    }

    pub fn take_untried(&mut self, most: u64) -> u64 {
        take_number(&mut self.untried, most)
    }
}

/// Opened, and not lost: closed in order, or still there.
fn standing(counts: &Counts) -> u64 {
    counts.established.saturating_sub(counts.lost.total())
}

/// What the swarms that ended early had not tried yet. An interrupted run leaves out the rest by request.
fn untried(case: &Case) -> u64 {
    let rest = |(agent, _): &(AgentId, String)| match agent {
        AgentId::Swarm(index) => {
            let planned = case.plan.ends.swarms.get(*index as usize).map_or(0, |swarm| swarm.count);
            let planned = planned.saturating_mul(case.plan.course.ramp.rounds.into());
            planned.saturating_sub(case.account.counts(*agent).tried)
        }
        AgentId::Reactor(_) => 0,
    };
    case.account.ended_early.iter().map(rest).sum()
}

/// What a ramp that nobody answered has left out.
fn given_up(case: &Case) -> u64 {
    if case.account.gave_up.is_none() {
        return 0;
    }
    let rows = case.clients.failed.rows();
    let canceled = rows.into_iter().filter(|row| row.errno == CANCELED).map(|row| row.count).sum::<u64>();
    let left_out = case.plan.asked().saturating_sub(case.clients.tried).saturating_sub(untried(case));
    canceled + left_out
}

fn count(rows: &[Row]) -> u64 {
    rows.iter().map(|row| row.count).sum()
}

fn take(rows: &mut Vec<Row>, most: u64, which: impl Fn(&Row) -> bool) -> u64 {
    let mut left = most;
    for row in rows.iter_mut().filter(|row| which(row)) {
        left -= take_number(&mut row.count, left);
    }
    rows.retain(|row| row.count > 0);
    most - left
}

fn take_number(number: &mut u64, most: u64) -> u64 {
    let taken = (*number).min(most);
    *number -= taken;
    taken
}
