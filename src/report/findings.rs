//! Where clients, server and kernel do not agree, and what else a reader should know. Pure.

use crate::account::Account;
use crate::units::grouped;

/// One echo in so many not sent is worth a finding.
const LAGGING: u64 = 20;

/// A difference is told, never rounded away.
pub fn all(account: &Account) -> Vec<String> {
    let mut findings = Vec::new();
    let totals = account.totals();
    let (clients, server) = (totals.clients.established, totals.server.established);
    if clients != server {
        findings.push(format!(
            "clients established {} connections, the server accepted {}",
            grouped(clients),
            grouped(server)
        ));
    }
    for (phase, clients, server) in &account.unsettled {
        let (clients, server) = (grouped(*clients), grouped(*server));
        findings
            .push(format!("at the end of {phase} clients held {clients} connections, the server {server}"));
    }
    if let Some(seconds) = account.gave_up {
        findings.push(format!(
            "the ramp was given up: for {seconds:.1} s the server accepted nothing, from any client or at any port"
        ));
    }
    if let Some(why) = &account.built.unkept {
        findings
            .push(format!("the host settings that were moved could not be kept for after a reboot: {why}"));
    }
    for (agent, how) in &account.ended_early {
        findings.push(format!("{agent} was lost during the run: {how}"));
    }
    for (agent, line) in &account.kernel_said {
        findings.push(format!("the kernel ended {agent}, and said: {line}"));
    }
    let echo = totals.clients.talk;
    if echo.skipped.saturating_mul(LAGGING) > echo.sent {
        let skipped = grouped(echo.skipped);
        findings
            .push(format!("{skipped} echoes were due and not sent: the ends did not keep up with the plan"));
    }
    let unanswered = echo.unanswered();
    if unanswered > 0 {
        findings.push(format!("{} echoes were never answered", grouped(unanswered)));
    }
    for row in totals.server.lost.rows() {
        findings.push(format!("the server lost {} connections with {}", grouped(row.count), row.errno));
    }
    for row in totals.server.failed.rows() {
        findings.push(format!("the server's accept failed {} times with {}", grouped(row.count), row.errno));
    }
    findings
}
