//! Memory per connection: what the agents took themselves, and what the kernel took for each end.

use super::sides::{self, Figure, Seen};
use super::{Report, whole};
use crate::account::{Account, AgentMemory};
use crate::driver::AgentId;
use crate::event::Moment;
use crate::observe::{Sample, names};
use crate::plan::{Plan, Role};
use crate::units::grouped;

/// Below this many connections the noise of the machine is larger than what they take.
pub(super) const TOO_FEW: u64 = 1_000;

/// What others' sockets may change by, as a part of the lab's own, before the growth of the machine is not the lab's.
const OTHERS_SHARE: u64 = 50;
/// So many come and go on any machine.
const OTHERS_ALWAYS: u64 = 256;

pub fn fill(report: &mut Report, plan: &Plan, account: &Account) {
    let Some(peak) = whole::sample(plan, account, Moment::Peak) else {
        return absent(report, &whole::why(plan, account, Moment::Peak, "the ramp did not end"));
    };
    // Both ends of every connection that stood when the sample was taken.
    let open = (peak.tcp_in_use() / 2).min(report.established);
    if open < TOO_FEW {
        return absent(report, "fewer than 1,000 connections stood: the machine's own changes are larger");
    }
    user(report, account, open);
    let Some(before) = whole::sample(plan, account, Moment::Before) else {
        let why = whole::why(plan, account, Moment::Before, "the build did not end");
        absent_kernel(report, &why);
        return ["server", "clients"].into_iter().for_each(|name| absent_side(report, name, &why));
    };
    let seen = Seen { before, then: peak, tried: sides::tried(plan, account) };
    for (name, role) in [("server", Role::Server), ("clients", Role::Client)] {
        match sides::figure(plan, &seen, role) {
            Ok(figure) => tell(report, role, figure),
            Err(why) => absent_side(report, name, &why),
        }
    }
    let total = peak.kernel_bytes().saturating_sub(before.kernel_bytes());
    match disturbed(before, peak, account.others_most, open) {
        Some(why) => absent_kernel(report, &why),
        None if total == 0 => {
            absent_kernel(report, "the kernel's memory did not grow: others gave back more");
        }
        None => report.kernel.bytes_per_connection = Some(rounded(total as f64 / open as f64)),
    }
}

fn tell(report: &mut Report, role: Role, figure: Figure) {
    let side = if role == Role::Server { &mut report.server } else { &mut report.clients };
    side.kernel_bytes_per_connection = Some(figure.bytes);
    side.kernel_bytes_source = Some(figure.source);
    side.kernel_bytes_by = figure.by;
}

/// Why the growth of the whole machine is not the lab's: others opened or closed connections meanwhile.
fn disturbed(before: &Sample, peak: &Sample, most: Option<u64>, open: u64) -> Option<String> {
    let others = |sample: &Sample| sample.level(names::HOST, names::OTHER_SOCKETS);
    let (before, peak) = (others(before)?, others(peak)?);
    let most = most.unwrap_or(0).max(before).max(peak);
    let allowed = (open.saturating_mul(2) / OTHERS_SHARE).max(OTHERS_ALWAYS);
    (most - before.min(peak) > allowed).then(|| {
        format!(
            "others had {} TCP sockets on this machine before the ramp, up to {} during it and {} at its end: what the \
             machine's kernel took for them cannot be told from the lab's",
            grouped(before),
            grouped(most),
            grouped(peak),
        )
    })
}

fn user(report: &mut Report, account: &Account, open: u64) {
    let side = |which: fn(&AgentId) -> bool| {
        let agent_memory: Vec<&AgentMemory> =
            account.agent_memory.iter().filter(|(agent, _)| which(agent)).map(|(_, weight)| weight).collect();
        let peak = sum(agent_memory.iter().map(|weight| weight.peak));
        let grown = sum(agent_memory.iter().map(|weight| Some(weight.peak?.saturating_sub(weight.empty?))));
        (peak, grown.map(|grown| rounded(grown as f64 / open as f64)))
    };
    let server = side(|agent| matches!(agent, AgentId::Reactor(_)));
    let clients = side(|agent| matches!(agent, AgentId::Swarm(_)));
    (report.server.private_bytes, report.server.user_bytes_per_connection) = server;
    (report.clients.private_bytes, report.clients.user_bytes_per_connection) = clients;
    for (name, (peak, _)) in [("server", server), ("clients", clients)] {
        if peak.is_none() {
            let why = "an agent could not read its own memory, or had ended";
            for field in ["private_bytes", "user_bytes_per_connection"] {
                report.not_measured.insert(format!("{name}.{field}"), why.to_owned());
            }
        }
    }
}

/// None as soon as one is not known.
fn sum(mut bytes: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    bytes.try_fold(0, |sum: u64, one| Some(sum.saturating_add(one?)))
}

fn absent(report: &mut Report, why: &str) {
    for side in ["server", "clients"] {
        for field in ["private_bytes", "user_bytes_per_connection"] {
            report.not_measured.insert(format!("{side}.{field}"), why.to_owned());
        }
        absent_side(report, side, why);
    }
    absent_kernel(report, why);
}

fn absent_kernel(report: &mut Report, why: &str) {
    report.not_measured.insert("kernel.bytes_per_connection".to_owned(), why.to_owned());
}

fn absent_side(report: &mut Report, side: &str, why: &str) {
    for field in ["kernel_bytes_per_connection", "kernel_bytes_source"] {
        report.not_measured.insert(format!("{side}.{field}"), why.to_owned());
    }
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::observe::Reading;

    fn others(sockets: u64) -> Sample {
        let mut host = Reading::default();
        host.level(names::OTHER_SOCKETS, sockets);
        Sample { places: BTreeMap::from([(names::HOST.to_owned(), host)]) }
    }

    #[test]
    fn a_lab_that_came_or_went_meanwhile_is_noticed() {
        let is_disturbed =
            |before, peak, most| disturbed(&others(before), &others(peak), most, 100_000).is_some();
        assert!(!is_disturbed(7, 9, Some(20)));
        assert!(!is_disturbed(400_000, 400_010, Some(400_020)), "it stood and stayed");
        assert!(is_disturbed(7, 400_000, Some(400_000)), "it came");
        assert!(is_disturbed(400_000, 7, Some(400_000)), "it went");
        assert!(is_disturbed(7, 9, Some(300_000)), "it came and went");
        assert!(!is_disturbed(0, 4_000, None) && is_disturbed(0, 4_001, None), "one part in fifty");
        assert_eq!(disturbed(&Sample::default(), &others(9), Some(9), 1_000), None, "not known");
    }
}
