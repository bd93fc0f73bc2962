//! Observations in, verdicts out: every missing connection gets a cause, with evidence and remedy. Pure.

mod case;
pub mod explain;
mod missing;
mod rows;
mod silent;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::cause::Cause;
use crate::plan::Plan;
use case::Case;
use missing::Missing;
pub use rows::{Row, row};

/// Why so many connections are missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The cause's name; `c1m-lab explain` tells more of it.
    pub cause: Cause,
    /// How many connections it explains.
    pub connections: u64,
    /// Their share of all that are missing, from 0 to 1.
    pub share: f64,
    /// What was observed that speaks for it.
    pub evidence: Vec<String>,
    /// What to do.
    pub remedy: String,
    /// The same as changes to the lab file, where a change to it helps.
    pub changes: Vec<Change>,
}

/// A key of the lab file, and the value that lifts the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The key with the sections before it, such as `server.backlog`.
    pub path: String,
    /// Its value, written as in the lab file.
    pub value: String,
}

impl Change {
    pub fn new(path: impl Into<String>, value: impl ToString) -> Change {
        Change { path: path.into(), value: value.to_string() }
    }
}

/// What one row has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    pub connections: u64,
    pub evidence: Vec<String>,
    pub changes: Vec<Change>,
}

/// The causes of what is missing, the largest first. Nothing missing: no verdict, whatever the counters say.
pub fn diagnose(plan: &Plan, account: &Account) -> Vec<Verdict> {
    let case = Case::new(plan, account);
    let mut missing = Missing::of(&case);
    let total = missing.total();
    let mut verdicts = Vec::new();
    let mut name = |cause: Cause, finding: Finding| {
        if finding.connections > 0 {
            verdicts.push(Verdict {
                cause,
                connections: finding.connections,
                share: (finding.connections as f64 / total as f64 * 1e4).round() / 1e4,
                evidence: finding.evidence,
                remedy: row(cause).remedy.to_owned(),
                changes: finding.changes,
            });
        }
    };
    for row in rows::all() {
        if let Some(find) = row.find {
            name(row.cause, find(&case, &mut missing));
        }
    }
    for (cause, finding) in silent::share_out(&case, &mut missing) {
        name(cause, finding);
    }
    name(Cause::Unexplained, rows::leftover::unexplained(&case, &missing));
    let mut merged = merge(verdicts, total);
    merged.sort_by_key(|verdict| std::cmp::Reverse(verdict.connections));
    merged
}

fn add_new<T: PartialEq>(known: &mut Vec<T>, more: Vec<T>) {
    for one in more {
        if !known.contains(&one) {
            known.push(one);
        }
    }
}

/// A cause that explains failures of two kinds is one verdict.
fn merge(verdicts: Vec<Verdict>, total: u64) -> Vec<Verdict> {
    let mut merged: Vec<Verdict> = Vec::new();
    for verdict in verdicts {
        match merged.iter_mut().find(|known| known.cause == verdict.cause) {
            None => merged.push(verdict),
            Some(known) => {
                known.connections += verdict.connections;
                known.share = (known.connections as f64 / total as f64 * 1e4).round() / 1e4;
                add_new(&mut known.evidence, verdict.evidence);
                add_new(&mut known.changes, verdict.changes);
            }
        }
    }
    merged
}
