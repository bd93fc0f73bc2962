//! Between the ends: neighbours, the queue behind an interface, and what answers instead of the server.

use super::{Row, Suspect};
use crate::agent::tally::Operation;
use crate::cause::Cause;
use crate::diagnose::case::{Case, grew, reached};
use crate::diagnose::missing::Missing;
use crate::diagnose::{Change, Finding};
use crate::observe::names;
use crate::units::grouped;

pub const NEIGHBOUR_TABLE: Row = Row {
    cause: Cause::NeighbourTable,
    title: "the table of neighbours is full",
    sees: "Connects fail or hang for some clients and not for others, when many addresses share a link. The \
           kernel's log says `neighbour: arp_cache: neighbor table overflow!`.",
    evidence: "The count of overflows of the neighbour table grew, while connects failed with ENOBUFS or \
               EHOSTUNREACH, or timed out.",
    remedy: "raise net.ipv4.neigh.default.gc_thresh3; it is one table for all namespaces of a host",
    example: "sysctl:\n  host:\n    net.ipv4.neigh.default.gc_thresh3: 16384\n",
    met: "",
    find: Some(neighbour_table),
    suspect: Some(neighbours_dropped),
};

pub const RX_BACKLOG: Row = Row {
    cause: Cause::RxBacklog,
    title: "packets were dropped between interface and TCP",
    sees: "Some connects take a second or three longer, or time out, when many are opened at once.",
    evidence: "The drops in /proc/net/softnet_stat grew: the queue of a CPU was full.",
    remedy: "raise net.core.netdev_max_backlog, or open connections at a lower rate",
    example: "sysctl:\n  host:\n    net.core.netdev_max_backlog: 10000\n",
    met: "",
    find: Some(last_packets_dropped),
    suspect: Some(rx_backlog),
};

pub const REFUSED: Row = Row {
    cause: Cause::Refused,
    title: "nobody listens at that address and port",
    sees: "`Connection refused`, at once.",
    evidence: "`connect` failed with ECONNREFUSED, no process of the server had ended, and it does not listen on \
               all ports that the clients connect to.",
    remedy: "connect to the ports that the server listens on",
    example: "server:\n  ports: 9900-9999\n",
    met: "",
    find: Some(refused),
    suspect: None,
};

pub const UNREACHABLE: Row = Row {
    cause: Cause::Unreachable,
    title: "there is no way to the server",
    sees: "`Network is unreachable` or `No route to host`.",
    evidence: "`connect` failed with ENETUNREACH, EHOSTUNREACH, ENETDOWN or EACCES, or connections were lost \
               with one of them, and the neighbour table had room.",
    remedy: "a route, a link that is up, and no rule that rejects",
    example: "",
    met: "",
    find: Some(unreachable),
    suspect: None,
};

const NO_WAY: &[&str] = &["ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EACCES", "EPERM"];

fn overflows(case: &Case) -> u64 {
    case.on_host(names::NEIGHBOURS_FULL) + case.in_nodes(names::NEIGHBOURS_FULL)
}

fn full_table(case: &Case) -> Vec<String> {
    let mut evidence = vec![grew("host", names::NEIGHBOURS_FULL, overflows(case))];
    if let (Some(most), Some(limit)) =
        (case.host_level(names::NEIGHBOURS), case.host_level(names::NEIGHBOURS_MAX))
    {
        evidence.push(reached("host", "neighbours", (most, limit)));
    }
    evidence
}

fn larger_table(case: &Case) -> Vec<Change> {
    let now = case.host_level(names::NEIGHBOURS_MAX).unwrap_or(0);
    let needed = (8 * case.plan.ends.nodes.len() as u64 + 1024).max(now * 4).next_power_of_two();
    vec![Change::new("sysctl.host.net.ipv4.neigh.default.gc_thresh3", needed)]
}

fn neighbour_table(case: &Case, missing: &mut Missing) -> Finding {
    if overflows(case) == 0 {
        return Finding::default();
    }
    let connections = missing.take_failed(Operation::Connect, &["ENOBUFS", "EHOSTUNREACH"], u64::MAX);
    Finding { connections, evidence: full_table(case), changes: larger_table(case) }
}

/// Whoever waits for an answer that cannot be given waits together with all other packets to that neighbour.
fn neighbours_dropped(case: &Case) -> Option<Suspect> {
    let drops = overflows(case);
    let suspect =
        Suspect { drops, evidence: full_table(case), changes: larger_table(case), holds_back: true };
    (drops > 0).then_some(suspect)
}

/// What completes a handshake was dropped: the client is connected, the server waits.
fn last_packets_dropped(case: &Case, missing: &mut Missing) -> Finding {
    let Some(suspect) = rx_backlog(case) else { return Finding::default() };
    let connections = missing.take_unserved(suspect.drops);
    Finding { connections, evidence: suspect.evidence, changes: suspect.changes }
}

fn rx_backlog(case: &Case) -> Option<Suspect> {
    let drops = case.on_host(names::BACKLOG_DROPS) + case.in_nodes(names::BACKLOG_DROPS);
    let evidence = vec![grew("host", names::BACKLOG_DROPS, drops)];
    let changes = vec![Change::new("sysctl.host.net.core.netdev_max_backlog", 10_000)];
    (drops > 0).then_some(Suspect { drops, evidence, changes, holds_back: false })
}

fn refused(case: &Case, missing: &mut Missing) -> Finding {
    // Where somebody listens on every port, it was not for want of a listener.
    if case.listened_everywhere() {
        return Finding::default();
    }
    let connections = missing.take_failed(Operation::Connect, &["ECONNREFUSED"], u64::MAX);
    let (listened, dialled) = (&case.plan.ends.server_ports, &case.plan.ends.dialled_ports);
    let evidence = vec![
        format!("connect failed with ECONNREFUSED {} times", grouped(connections)),
        format!("the server listens on {listened}, and the clients connect to {dialled}"),
    ];
    Finding { connections, evidence, changes: Vec::new() }
}

fn unreachable(_: &Case, missing: &mut Missing) -> Finding {
    let failed = missing.take_failed(Operation::Connect, NO_WAY, u64::MAX);
    let lost = missing.take_lost(NO_WAY, u64::MAX);
    let evidence = vec![format!(
        "{} connects failed and {} connections were lost for want of a way",
        grouped(failed),
        grouped(lost)
    )];
    Finding { connections: failed + lost, evidence, changes: Vec::new() }
}
