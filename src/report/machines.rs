//! The machines of a run that was not on this host: what each was, and what it went through. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Report;
use crate::account::Account;
use crate::event::Moment;
use crate::launch::node_of;
use crate::observe::{Sample, names};
use crate::plan::machines::{Clock, Placed};
use crate::plan::{Node, Plan};
use crate::units::Address;

/// One machine of a lab that is not on this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// The node that it was.
    pub node: String,
    /// As ssh knows it.
    pub ssh: String,
    /// Its address in the test traffic.
    pub address: Address,
    /// The release of its kernel.
    pub kernel: String,
    /// How its clock differed from the runner's, whose time all events have.
    pub clock: Clock,
    /// All its memory, in bytes.
    pub memory_total: Option<u64>,
    /// Memory in use before the ramp: all but what was available.
    pub memory_before: Option<u64>,
    /// Memory in use when the connections were open.
    pub memory_peak: Option<u64>,
    /// The growth between the two.
    pub memory_growth: Option<u64>,
    /// Processes that its kernel ended during the run for want of memory.
    pub oom_kills: Option<u64>,
    /// The kernel's line about the last of them.
    pub oom_line: Option<String>,
}

pub fn fill(report: &mut Report, plan: &Plan, account: &Account) {
    let machine = |(index, (node, placed)): (usize, (&Node, &Placed))| {
        let at = |moment| account.sample(moment).filter(|sample| sample.places.contains_key(&node.name));
        let (before, peak) = (at(Moment::Before), at(Moment::Peak));
        let level = |sample: Option<&Sample>, name| sample?.level(&node.name, name);
        let used = |sample: Option<&Sample>| used(sample?, &node.name);
        let kills = |sample: &Sample| sample.places.get(&node.name)?.counters.get(names::HOST_KILLS).copied();
        let last = account.samples.iter().rev().find_map(|(_, sample)| kills(sample));
        let mut lines = account.kernel_said.iter().filter(|(agent, _)| node_of(plan, *agent) == index);
        Machine {
            node: node.name.clone(),
            ssh: placed.ssh.clone(),
            address: placed.address,
            kernel: placed.kernel.clone(),
            clock: placed.clock,
            memory_total: level(before, names::MEMORY_TOTAL),
            memory_before: used(before),
            memory_peak: used(peak),
            memory_growth: used(peak).zip(used(before)).map(|(peak, before)| peak.saturating_sub(before)),
            oom_kills: last.zip(before.and_then(kills)).map(|(last, before)| last.saturating_sub(before)),
            oom_line: lines.next_back().map(|(_, line)| line.clone()),
        }
    };
    let machines = plan.ends.nodes.iter().zip(plan.machines()).enumerate();
    report.machines = machines.map(machine).collect();
    explain_nulls(report);
}

/// A machine's memory in use: all but what is available.
pub(super) fn used(sample: &Sample, node: &str) -> Option<u64> {
    let (total, free) =
        (sample.level(node, names::MEMORY_TOTAL), sample.level(node, names::MEMORY_AVAILABLE));
    total.zip(free).map(|(total, free)| total.saturating_sub(free))
}

fn explain_nulls(report: &mut Report) {
    let missing = |of: fn(&Machine) -> bool| report.machines.iter().any(of);
    let rows = [
        ("memory_total", missing(|one| one.memory_total.is_none()), "it could not be asked before the ramp"),
        (
            "memory_before",
            missing(|one| one.memory_before.is_none()),
            "it could not be asked before the ramp",
        ),
        ("memory_peak", missing(|one| one.memory_peak.is_none()), "it could not be asked at the peak"),
        ("memory_growth", missing(|one| one.memory_growth.is_none()), "it could not be asked at the peak"),
        (
            "oom_kills",
            missing(|one| one.oom_kills.is_none()),
            "its kernel does not count them, or it was gone",
        ),
        (
            "oom_line",
            missing(|one| one.oom_line.is_none()),
            "no process was ended, or its log cannot be read there, as without root or in a container",
        ),
    ];
    for (name, _, why) in rows.into_iter().filter(|(_, missing, _)| *missing) {
        report.not_measured.insert(format!("machines.{name}"), why.to_owned());
    }
}
