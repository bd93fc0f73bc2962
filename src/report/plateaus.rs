//! What stood at each pause on the way up. Pure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rounding::rounded;
use super::sides::{self, Seen};
use super::{Report, machines, whole};
use crate::account::{self, Account};
use crate::event::Moment;
use crate::observe::Sample;
use crate::plan::{Plan, Role};

/// A pause of the ramp, as it was when it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plateau {
    /// Connections that were to stand there.
    pub connections: u64,
    /// Connections that were established till then.
    pub established: u64,
    /// Attempts to connect that had failed.
    pub failed: u64,
    /// Established connections that had ended.
    pub lost: u64,
    /// Connections that the clients held.
    pub open: u64,
    /// Connections that the server held.
    pub server_open: u64,
    /// How long opening them took, in all.
    pub ramp_seconds: f64,
    /// What the kernel kept for the ends of both sides, for each connection.
    pub kernel_bytes_per_connection: Option<f64>,
    /// By how much the memory in use of each machine had grown, where the nodes are machines.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub machines_growth: BTreeMap<String, u64>,
}

pub fn fill(report: &mut Report, plan: &Plan, account: &Account) {
    let before = account.sample(Moment::Before);
    let mut unmeasured = None;
    let passed = plan.course.ramp.plateaus.iter().zip(plan.plateau_shares()).zip(&account.plateaus);
    let passed = passed.map(|((planned, tried), passed)| {
        let kernel = both_sides(plan, passed, before, tried).map_err(|why| unmeasured = Some(why)).ok();
        Plateau { kernel_bytes_per_connection: kernel, ..plateau(plan, *planned, passed, before) }
    });
    report.plateaus = passed.collect();
    if let Some(why) = unmeasured {
        report.not_measured.insert("plateaus.kernel_bytes_per_connection".to_owned(), why);
    }
}

fn both_sides(
    plan: &Plan,
    passed: &account::Plateau,
    before: Option<&Sample>,
    tried: Vec<u64>,
) -> Result<f64, String> {
    let before = before.ok_or("the build did not end")?;
    if let Some(node) = whole::absent(plan, before).or_else(|| whole::absent(plan, &passed.sample)) {
        return Err(format!("the machine of {node} did not answer then"));
    }
    let seen = Seen { before, then: &passed.sample, tried };
    let of = |role| sides::figure(plan, &seen, role).map(|figure| figure.bytes);
    Ok(rounded(of(Role::Server)? + of(Role::Client)?))
}

fn plateau(plan: &Plan, planned: u64, passed: &account::Plateau, before: Option<&Sample>) -> Plateau {
    let (clients, server) = (&passed.totals.clients, &passed.totals.server);
    let growth = |name: &str| {
        let used = machines::used(&passed.sample, name)?;
        Some(used.saturating_sub(machines::used(before?, name)?))
    };
    let nodes = plan.ends.nodes.iter().filter(|_| plan.is_on_machines());
    Plateau {
        connections: planned,
        established: clients.established,
        failed: clients.failed.total(),
        lost: clients.lost.total(),
        open: clients.open,
        server_open: server.open,
        ramp_seconds: (passed.seconds * 1e4).round() / 1e4,
        kernel_bytes_per_connection: None,
        machines_growth: nodes.filter_map(|node| Some((node.name.clone(), growth(&node.name)?))).collect(),
    }
}
