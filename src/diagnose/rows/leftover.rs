//! What no other row explains: silence that nobody owns up to, and the rest, with all that is known of it.

use super::Row;
use crate::agent::tally::{self, Operation};
use crate::cause::Cause;
use crate::diagnose::Finding;
use crate::diagnose::case::{Case, grew};
use crate::diagnose::missing::Missing;
use crate::observe::names;
use crate::units::grouped;

pub const FILTERED: Row = Row {
    cause: Cause::Filtered,
    title: "packets vanish on their way, and nothing of the lab dropped them",
    sees: "Connects hang until they time out. No counter of either end or of the router moves.",
    evidence: "`connect` timed out more often than all limits of the lab together have dropped packets.",
    remedy: "look for a firewall or a policy between the ends: a packet filter's own counters, `tcpdump` on \
             both sides; where packets still waited in the machine's own queues, give it more processors or \
             `ramp: {timeout}` more time",
    example: "",
    met: "",
    find: None,
    suspect: None,
};

pub const UNEXPLAINED: Row = Row {
    cause: Cause::Unexplained,
    title: "no known limit explains it",
    sees: "Connections are missing, and nothing that is known to cost connections was observed.",
    evidence: "All errors that no other row takes, and every counter that grew and may have to do with it.",
    remedy: "the evidence is all that is known: please report it, it may become a row of its own",
    example: "",
    met: "",
    find: None,
    suspect: None,
};

pub fn filtered(case: &Case, missing: &mut Missing) -> Finding {
    let connections = missing.take_failed(Operation::Connect, &["ETIMEDOUT"], u64::MAX);
    let clients = case.in_role(crate::plan::Role::Client, names::SYN_RETRANSMITS);
    let mut evidence = vec![
        format!("connect timed out {} times without a drop that is known", grouped(connections)),
        grew("clients", names::SYN_RETRANSMITS, clients),
    ];
    // As seen where processors were taken away for half a second and more: nothing was dropped.
    let queued = case.in_role(crate::plan::Role::Client, names::STILL_QUEUED);
    if queued > 0 {
        evidence.push(format!(
            "{}: they still waited in this machine's own queues, which its processors did not get to",
            grew("clients", names::STILL_QUEUED, queued)
        ));
    }
    Finding { connections, evidence, changes: Vec::new() }
}

/// Counters of trouble: whatever of them grew is told, since nobody knows what matters.
const TELLING: &[&str] = &[
    "Drop", "Abort", "Fail", "Overflow", "Err", "Rsts", "Resets", "Retrans", "Timeout", "Prune", "drop",
    "full", "invalid", "oom", "NoRoutes", "Discards",
];

pub fn unexplained(case: &Case, missing: &Missing) -> Finding {
    let mut evidence = Vec::new();
    for (what, rows) in [("failed", &missing.failed), ("lost", &missing.lost)] {
        for tally::Row { operation, errno, count } in rows {
            evidence.push(format!("{} {what} by {operation:?} {errno}", grouped(*count)).to_lowercase());
        }
    }
    let others = [
        (missing.unserved, "established by clients and never accepted"),
        (missing.aborted, "ended with an error at the server after the clients had closed them"),
        (missing.untried, "never tried"),
        (missing.given_up, "let go of or never tried, when nobody answered any more"),
    ];
    for (count, what) in others {
        if count > 0 {
            evidence.push(format!("{} {what}", grouped(count)));
        }
    }
    for (place, tracks) in case.history().places() {
        for (name, track) in tracks {
            if track.growth > 0 && TELLING.iter().any(|word| name.contains(word)) {
                evidence.push(grew(place, name, track.growth));
            }
        }
    }
    Finding { connections: missing.total(), evidence, changes: Vec::new() }
}
