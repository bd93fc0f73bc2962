//! Why the accept queue overflows: who does not accept, and what speaks for it. Several rows ask this.

use crate::account::SILENT;
use crate::cause::Cause;
use crate::crew::reactors;
use crate::diagnose::case::{Case, grew};
use crate::event::Phase;
use crate::observe::names;
use crate::units::grouped;

/// A full queue has a reason: who does not accept, or cannot, or nobody in particular.
pub fn owner(case: &Case) -> Cause {
    if case.accept_failed("EMFILE") > 0 {
        Cause::ServerDescriptors
    } else if case.accept_failed("ENFILE") > 0 {
        Cause::SystemFileTable
    } else if !stalled(case).is_empty() {
        Cause::ServerStalled
    } else {
        Cause::AcceptQueue
    }
}

/// What speaks for a server that did not get on.
pub fn stalled(case: &Case) -> Vec<String> {
    let mut evidence: Vec<String> = Vec::new();
    for (agent, how) in case.ended(reactors) {
        if how == SILENT {
            evidence.push(format!("{agent} gave no answer"));
        }
    }
    for place in 0..case.plan.ends.reactors.count {
        let name = crate::launch::AgentId::Reactor(place).to_string();
        if case.history().highest(&name, names::AGENT_STOPPED) == Some(1) {
            let cpu = case.history().growth(&name, names::AGENT_CPU);
            evidence.push(format!("{name} was stopped; it used {} ms of CPU in all", grouped(cpu)));
        }
    }
    if evidence.is_empty() {
        evidence.extend(too_slow(case));
    }
    evidence
}

/// Connections waited to be accepted when everyone had long been connected.
pub fn too_slow(case: &Case) -> Option<String> {
    let (_, clients, server) = case.account.unsettled.iter().find(|(phase, ..)| *phase == Phase::Ramp)?;
    let waited = case.account.waiting;
    let behind = clients.checked_sub(*server).filter(|behind| *behind > 0 && waited >= *behind)?;
    let cpu: u64 = (0..case.plan.ends.reactors.count)
        .map(|place| crate::launch::AgentId::Reactor(place).to_string())
        .map(|name| case.history().growth(&name, names::AGENT_CPU))
        .sum();
    Some(format!(
        "{} connections waited to be accepted when the ramp was over; the reactors used {} ms of CPU",
        grouped(behind),
        grouped(cpu)
    ))
}

pub fn overflow_line(case: &Case) -> String {
    grew("server", names::LISTEN_OVERFLOWS, case.at_server(names::LISTEN_OVERFLOWS))
}

/// What the accept queue dropped, if this is why it was full.
pub fn drops_owed_to(case: &Case, cause: Cause) -> Option<u64> {
    let drops = case.at_server(names::LISTEN_OVERFLOWS);
    (drops > 0 && owner(case) == cause).then_some(drops)
}
