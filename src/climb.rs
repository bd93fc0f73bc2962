//! Limit after limit until the target is reached: what the next step is, and the ladder so far. Pure.

use serde::Serialize;

use crate::cause::Cause;
use crate::diagnose::{Change, Verdict};
use crate::report::Report;
use crate::units::grouped;

/// One run on the way up.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// The limit that bit; none when nothing was missing.
    pub limit: Option<Cause>,
    /// Connections that stood, and that both ends agree on.
    pub reached: u64,
    /// What was seen of it.
    pub symptom: String,
    /// What was changed for the next run.
    pub remedy: Vec<Change>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ladder {
    pub asked: u64,
    pub rungs: Vec<Rung>,
    pub end: Option<End>,
}

/// How a climb ends.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every connection that was asked for stood.
    Reached,
    /// The way up ends here, and why.
    Stuck(String),
}

/// More steps than there are limits go round in circles.
const MOST_RUNGS: usize = 3 * Cause::ALL.len();

impl Ladder {
    pub fn new(asked: u64) -> Ladder {
        Ladder { asked, ..Ladder::default() }
    }

    /// Takes what a run came to, and decides whether and with which changes there is another.
    pub fn climb(&mut self, report: &Report) -> Option<&Rung> {
        let rung = self.rung(report);
        let (limit, changed) = (rung.limit, !rung.remedy.is_empty());
        let reached = rung.reached;
        self.rungs.push(rung);
        let stuck = |why: String| Some(End::Stuck(why));
        self.end = match limit {
            _ if report.interrupted.is_some() => stuck("interrupted".to_owned()),
            None if reached >= self.asked => Some(End::Reached),
            None => stuck(
                report.broke.clone().unwrap_or_else(|| "connections are missing, and no cause".to_owned()),
            ),
            Some(_) if self.rungs.len() >= MOST_RUNGS => {
                stuck("too many steps: it goes round in circles".to_owned())
            }
            Some(cause) if !changed => {
                stuck(format!("no change to the lab file that is not made yet lifts {cause}"))
            }
            Some(_) => None,
        };
        if self.end.is_some() { None } else { self.rungs.last() }
    }

    fn rung(&self, report: &Report) -> Rung {
        let missing: u64 = report.verdicts.iter().map(|verdict| verdict.connections).sum();
        let reached = report.established.min(report.asked.saturating_sub(missing));
        match report.verdicts.iter().find(|verdict| !self.is_new(&verdict.changes).is_empty()) {
            Some(verdict) => Rung {
                limit: Some(verdict.cause),
                reached,
                symptom: symptom(verdict),
                remedy: self.is_new(&verdict.changes),
            },
            // None of them can be lifted: the largest is what the climb ends with.
            None => {
                let first = report.verdicts.first();
                let symptom = first.map(symptom).unwrap_or_default();
                Rung { limit: first.map(|verdict| verdict.cause), reached, symptom, remedy: Vec::new() }
            }
        }
    }

    /// What of these changes has not been made already.
    fn is_new(&self, changes: &[Change]) -> Vec<Change> {
        let made = |change: &&Change| !self.rungs.iter().any(|rung| rung.remedy.contains(change));
        changes.iter().filter(made).cloned().collect()
    }

    /// All changes so far, as `--set` takes them. Of two to the same key the later one holds.
    pub fn changes(&self) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        for change in self.rungs.iter().flat_map(|rung| &rung.remedy) {
            changes.retain(|known| known.path != change.path);
            changes.push(change.clone());
        }
        changes
    }
}

fn symptom(verdict: &Verdict) -> String {
    let missing = grouped(verdict.connections);
    match verdict.evidence.first() {
        Some(evidence) => format!("{missing} missing; {evidence}"),
        None => format!("{missing} missing"),
    }
}

impl Rung {
    /// A line of the ladder, for people.
    pub fn line(&self, step: usize) -> String {
        let limit = self.limit.map_or("-", Cause::name);
        format!(" {step:>4}  {limit:<20} {:>11}  {}", grouped(self.reached), self.symptom)
    }

    pub fn remedies(&self) -> impl Iterator<Item = String> + '_ {
        self.remedy.iter().map(|change| format!("{:>42}→ {}: {}", "", change.path, change.value))
    }
}

/// The head of the ladder's lines.
pub fn head() -> String {
    format!(" {:>4}  {:<20} {:>11}  {}", "step", "limit", "connections", "symptom, and → remedy")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(cause: Cause, connections: u64, changes: &[(&str, u64)]) -> Verdict {
        Verdict {
            cause,
            connections,
            share: 1.0,
            evidence: vec!["seen".to_owned()],
            remedy: String::new(),
            changes: changes.iter().map(|(path, value)| Change::new(*path, value)).collect(),
        }
    }

    fn report(established: u64, verdicts: Vec<Verdict>) -> Report {
        let lab = crate::spec::parse("lab.yaml", "connections: 1000\n", &[]).expect("a lab");
        let plan = crate::plan::decide(&lab, &crate::host::Host::example()).expect("a plan");
        let report = crate::report::settle(&plan, &crate::account::Account::default());
        Report { established, verdicts, ..report }
    }

    #[test]
    fn each_step_lifts_the_limit_that_bit() {
        let mut ladder = Ladder::new(1000);
        let first = verdict(Cause::ClientDescriptors, 600, &[("clients.processes", 2)]);
        let rung = ladder.climb(&report(400, vec![first])).expect("another run").clone();
        assert_eq!((rung.limit, rung.reached), (Some(Cause::ClientDescriptors), 400));
        let second = verdict(Cause::AcceptQueue, 100, &[("server.backlog", 4096)]);
        // The client believes in all of them: what is missing still counts as missing.
        assert_eq!(ladder.climb(&report(1000, vec![second])).expect("another run").reached, 900);
        assert_eq!(ladder.changes().len(), 2);
        assert!(ladder.climb(&report(1000, Vec::new())).is_none());
        assert_eq!(ladder.end, Some(End::Reached));
    }

    #[test]
    fn a_remedy_that_did_not_help_is_not_tried_again() {
        let mut ladder = Ladder::new(1000);
        let stubborn = || verdict(Cause::AcceptQueue, 100, &[("server.backlog", 4096)]);
        let other =
            || verdict(Cause::ConntrackFull, 50, &[("sysctl.host.net.netfilter.nf_conntrack_max", 9)]);
        assert!(ladder.climb(&report(850, vec![stubborn(), other()])).is_some());
        let next = ladder.climb(&report(850, vec![stubborn(), other()])).expect("the other is tried");
        assert_eq!(next.limit, Some(Cause::ConntrackFull));
        assert!(ladder.climb(&report(850, vec![stubborn(), other()])).is_none());
        assert!(
            matches!(&ladder.end, Some(End::Stuck(why)) if why.contains("accept_queue")),
            "{:?}",
            ladder.end
        );
    }

    #[test]
    fn the_later_of_two_changes_to_a_key_holds() {
        let mut ladder = Ladder::new(1000);
        for value in [1, 2] {
            ladder.climb(&report(
                10,
                vec![verdict(Cause::ServerMemory, 990, &[("limits.server.memory", value)])],
            ));
        }
        assert_eq!(ladder.changes(), [Change::new("limits.server.memory", 2)]);
    }
}
