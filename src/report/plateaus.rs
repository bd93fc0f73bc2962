//! What stood at each pause on the way up. Pure.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::memory::{TOO_FEW, rounded};
use super::{Report, machines, whole};
use crate::account::{self, Account};
use crate::event::Moment;
use crate::observe::Sample;
use crate::plan::Plan;

/// A pause of the ramp, as it was when it ended.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
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
    /// Memory that the kernel had taken since before the ramp, for each connection: both ends together.
    pub kernel_bytes_per_connection: Option<f64>,
    /// By how much the memory in use of each machine had grown, where the nodes are machines.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub machines_growth: BTreeMap<String, u64>,
}

pub fn fill(report: &mut Report, plan: &Plan, account: &Account) {
    let before = account.sample(Moment::Before);
    let passed = plan.ramp.plateaus.iter().zip(&account.plateaus);
    report.plateaus = passed.map(|(planned, passed)| plateau(plan, *planned, passed, before)).collect();
    if report.plateaus.iter().any(|plateau| plateau.kernel_bytes_per_connection.is_none()) {
        let why = "fewer than 1,000 connections stood, others gave back more than they took, or a machine did not answer";
        report.not_measured.insert("plateaus.kernel_bytes_per_connection".to_owned(), why.to_owned());
    }
}

fn plateau(plan: &Plan, planned: u64, passed: &account::Plateau, before: Option<&Sample>) -> Plateau {
    let (clients, server) = (&passed.totals.clients, &passed.totals.server);
    let is_whole = |sample: &Sample| whole::absent(plan, sample).is_none();
    let both = before.filter(|before| is_whole(before) && is_whole(&passed.sample));
    let grown = both.map(|before| passed.sample.kernel_bytes().saturating_sub(before.kernel_bytes()));
    let grown = grown.filter(|grown| *grown > 0 && clients.open >= TOO_FEW);
    let growth = |name: &str| {
        let used = machines::used(&passed.sample, name)?;
        Some(used.saturating_sub(machines::used(before?, name)?))
    };
    let nodes = plan.nodes.iter().filter(|_| !plan.machines.is_empty());
    Plateau {
        connections: planned,
        established: clients.established,
        failed: clients.failed.total(),
        lost: clients.lost.total(),
        open: clients.open,
        server_open: server.open,
        ramp_seconds: (passed.seconds * 1e4).round() / 1e4,
        kernel_bytes_per_connection: grown.map(|grown| rounded(grown as f64 / clients.open as f64)),
        machines_growth: nodes.filter_map(|node| Some((node.name.clone(), growth(&node.name)?))).collect(),
    }
}
