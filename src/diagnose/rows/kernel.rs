//! Memory that the kernel sets aside for TCP, and the orphans it is willing to keep.

use super::Row;
use crate::agent::tally::Operation;
use crate::cause::Cause;
use crate::diagnose::case::{Case, grew, reached};
use crate::diagnose::missing::Missing;
use crate::diagnose::{Change, Finding};
use crate::observe::names;

pub const TCP_MEMORY: Row = Row {
    cause: Cause::TcpMemory,
    title: "TCP's memory was used up",
    sees: "Connections that carry data stall, and are lost after their retransmissions; idle ones stay. The \
           kernel's log says `TCP: out of memory -- consider tuning tcp_mem`.",
    evidence: "Connections were lost with ETIMEDOUT or could not be opened (ENOBUFS, ENOMEM), while TCP's \
               pages were at the last value of tcp_mem, or TCPAbortOnMemory grew.",
    remedy: "raise net.ipv4.tcp_mem (in pages, of the whole host), or smaller buffers and messages",
    example: "sysctl:\n  host:\n    net.ipv4.tcp_mem: 524288 1048576 1572864\n",
    met: "Eleven adjustments: steps seven to eleven; 1,000,000 was reached when reclaim was made to start \
          later.",
    find: Some(tcp_memory),
    suspect: None,
};

pub const ORPHANS: Row = Row {
    cause: Cause::Orphans,
    title: "too many closed connections waited for their last packets",
    sees: "Connections that one side has closed in order end with a reset at the other. The kernel's log says \
           `TCP: too many orphaned sockets`.",
    evidence: "TCPAbortOnMemory grew, while the number of orphans was near net.ipv4.tcp_max_orphans, or TCP's \
               pages were far from their limit.",
    remedy: "raise net.ipv4.tcp_max_orphans (of the whole host), or close more slowly",
    example: "sysctl:\n  host:\n    net.ipv4.tcp_max_orphans: 262144\n",
    met: "Forty addresses: clients that exited left their connections behind in FIN-WAIT-2.",
    find: Some(orphans),
    suspect: None,
};

/// Pages are read now and then: the very last ones may not be seen.
fn near((value, limit): (u64, u64)) -> bool {
    limit > 0 && value >= limit - limit / 5
}

fn pages(case: &Case) -> (u64, u64) {
    let level = |name| case.host_level(name).unwrap_or(0);
    (level(names::TCP_PAGES), level(names::TCP_PAGES_MAX))
}

fn orphaned(case: &Case) -> (u64, u64) {
    let level = |name| case.host_level(name).unwrap_or(0);
    (level(names::ORPHANS), level(names::ORPHANS_MAX))
}

fn tcp_memory(case: &Case, missing: &mut Missing) -> Finding {
    let aborted = case.in_nodes(names::ABORT_ON_MEMORY);
    let pages = pages(case);
    if !near(pages) {
        return Finding::default();
    }
    let mut connections = missing.take_failed(Operation::Connect, &["ENOBUFS", "ENOMEM"], u64::MAX);
    connections += missing.take_failed(Operation::Socket, &["ENOBUFS", "ENOMEM"], u64::MAX);
    connections += missing.take_lost(&["ETIMEDOUT", "ENOBUFS", "ENOMEM"], u64::MAX);
    // Whoever gives up first after its retransmissions resets the other end.
    let mut cut_off = case.in_nodes(names::ABORT_ON_TIMEOUT);
    if !near(orphaned(case)) {
        cut_off += aborted;
    }
    connections += missing.take_cut_off(cut_off);
    connections += missing.take_aborted(cut_off);
    let mut evidence = vec![reached("host", "TCP's pages", pages)];
    for (name, by) in [
        (names::ABORT_ON_MEMORY, aborted),
        (names::ABORT_ON_TIMEOUT, case.in_nodes(names::ABORT_ON_TIMEOUT)),
        (names::RECEIVE_QUEUE_DROPS, case.in_nodes(names::RECEIVE_QUEUE_DROPS)),
        (names::PRUNED, case.in_nodes(names::PRUNED)),
        (names::MEMORY_PRESSURES, case.in_nodes(names::MEMORY_PRESSURES)),
    ] {
        if by > 0 {
            evidence.push(grew("nodes", name, by));
        }
    }
    // One page for each end, three times: begin to save, save harder, stop.
    let most = (2 * case.plan.course.connections).max(pages.1.saturating_mul(16)).max(196_608);
    let value = format!("{} {} {}", most / 3, most / 3 * 2, most);
    Finding { connections, evidence, changes: vec![Change::new("sysctl.host.net.ipv4.tcp_mem", value)] }
}

fn orphans(case: &Case, missing: &mut Missing) -> Finding {
    let aborted = case.in_nodes(names::ABORT_ON_MEMORY);
    // The kernel adds up its orphans ten times a second, and tolerates fewer when in doubt. They come and go, and
    // may not have been seen; but a connection is given up so for one of two reasons only.
    let (most, limit) = orphaned(case);
    if aborted == 0 || (most < limit / 4 && near(pages(case))) {
        return Finding::default();
    }
    let mut connections = missing.take_aborted(aborted);
    connections += missing.take_cut_off(aborted - connections.min(aborted));
    let evidence = vec![
        grew("nodes", names::ABORT_ON_MEMORY, aborted),
        reached("host", "orphans", (most, limit)),
        reached("host", "TCP's pages", pages(case)),
    ];
    let needed = (2 * case.plan.course.connections).next_power_of_two().max(65_536);
    let changes = vec![Change::new("sysctl.host.net.ipv4.tcp_max_orphans", needed)];
    Finding { connections, evidence, changes }
}
