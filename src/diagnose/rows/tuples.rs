//! Five-tuples: the source ports of the clients, what connection tracking keeps, what NAT can translate to.

use super::{Row, Suspect};
use crate::agent::tally::Operation;
use crate::cause::Cause;
use crate::diagnose::case::{Case, grew, reached};
use crate::diagnose::missing::Missing;
use crate::diagnose::{Change, Finding};
use crate::observe::names;
use crate::plan::Role;
use crate::units::grouped;

/// No more source ports for this server's address and port.
const NO_TUPLE: &[&str] = &["EADDRNOTAVAIL", "EADDRINUSE"];

/// All ports that need no privilege.
const ALL_PORTS: u64 = 65_536 - 1024;

pub const SOURCE_TUPLES: Row = Row {
    cause: Cause::SourceTuples,
    title: "the clients have no source port left",
    sees: "`Cannot assign requested address` at about 28,200 connections for each source address and server \
           port: the ports 32768 to 60999.",
    evidence: "`connect` or `bind` failed with EADDRNOTAVAIL or EADDRINUSE, and few sockets are in TIME-WAIT.",
    remedy: "more source ports, more client addresses, or more server ports: their product is what counts",
    example: "clients:\n  addresses: 16\n  ports: 1024-65535\n",
    met: "Four machines and the libev server: port range 32768-60999 (28,200 connections). Forty addresses: \
          the addresses were not configured, everything came from one, 28,234 and EADDRNOTAVAIL. Eleven \
          adjustments: the fourth.",
    find: Some(source_tuples),
    suspect: None,
};

pub const TIME_WAIT: Row = Row {
    cause: Cause::TimeWait,
    title: "the source ports are still in TIME-WAIT",
    sees: "`Cannot assign requested address` when connections are opened again soon after they were closed.",
    evidence: "`connect` or `bind` failed with EADDRNOTAVAIL or EADDRINUSE, while as many sockets of the \
               clients were in TIME-WAIT.",
    remedy: "more five-tuples than are opened in a minute; or reuse, which needs TCP timestamps",
    example: "sysctl:\n  client:\n    net.ipv4.tcp_tw_reuse: 1\n    net.ipv4.tcp_timestamps: 1\n",
    met: "Forty addresses: clients that exited left their connections behind in FIN-WAIT-2 and TIME-WAIT.",
    find: Some(time_wait),
    suspect: None,
};

pub const CONNTRACK_FULL: Row = Row {
    cause: Cause::ConntrackFull,
    title: "the table of tracked connections is full",
    sees: "No error at all: connects hang, and then time out. Only the kernel's log says `nf_conntrack: table \
           full, dropping packet`.",
    evidence: "Connects timed out, while nf_conntrack counted drops and its count was at nf_conntrack_max.",
    remedy: "raise nf_conntrack_max; it is one setting of the whole host, and each namespace counts for itself",
    example: "sysctl:\n  host:\n    net.netfilter.nf_conntrack_max: 1048576\n",
    met: "Four machines: nf_conntrack_max was 65,535; connects simply hung. The libev server: 65,536.",
    find: None,
    suspect: Some(conntrack_full),
};

pub const NAT_TUPLES: Row = Row {
    cause: Cause::NatTuples,
    title: "the translation finds no free tuple",
    sees: "No error: connects hang, and then time out, while the table of tracked connections has room.",
    evidence: "Connects timed out, while nf_conntrack counted failed inserts (insert_failed): the translated \
               tuple was taken already.",
    remedy: "more addresses to translate to, or more server ports",
    example: "network:\n  kind: nat\n  nat:\n    addresses: 4\n",
    met: "Virtual router: how many connections a NAT in front of a cloud stands.",
    find: None,
    suspect: Some(nat_tuples),
};

fn source_tuples(case: &Case, missing: &mut Missing) -> Finding {
    let connections = take(missing, u64::MAX);
    let tuples = &case.plan.ends.tuples;
    let evidence = vec![
        format!("connect or bind failed with EADDRNOTAVAIL or EADDRINUSE {} times", grouped(connections)),
        format!(
            "{} client addresses × {} client ports × {} server ports = {} five-tuples",
            grouped(tuples.addresses),
            grouped(tuples.client_ports),
            grouped(tuples.server_ports),
            grouped(tuples.possible)
        ),
    ];
    let mut changes = Vec::new();
    if tuples.client_ports < ALL_PORTS {
        changes.push(Change::new("clients.ports", "1024-65535"));
    }
    let clients = case.plan.clients().len().max(1) as u64;
    let needed =
        case.plan.course.connections.div_ceil(ALL_PORTS * tuples.server_ports.max(1)).div_ceil(clients);
    if needed > tuples.addresses / clients {
        changes.push(Change::new("clients.addresses", needed));
    }
    Finding { connections, evidence, changes }
}

fn take(missing: &mut Missing, most: u64) -> u64 {
    let connect = missing.take_failed(Operation::Connect, NO_TUPLE, most);
    connect + missing.take_failed(Operation::Bind, NO_TUPLE, most - connect)
}

fn time_wait(case: &Case, missing: &mut Missing) -> Finding {
    let waiting = case.highest_at(Role::Client, names::TIME_WAIT);
    if waiting == 0 {
        return Finding::default();
    }
    let connections = take(missing, waiting);
    let evidence = vec![
        format!("connect or bind failed with EADDRNOTAVAIL or EADDRINUSE {} times", grouped(connections)),
        format!("clients: up to {} sockets in TIME-WAIT", grouped(waiting)),
    ];
    let changes = vec![
        Change::new("sysctl.client.net.ipv4.tcp_tw_reuse", 1),
        Change::new("sysctl.client.net.ipv4.tcp_timestamps", 1),
    ];
    Finding { connections, evidence, changes }
}

/// What has no room is dropped; what clashes is counted as a drop as well, but is another limit.
fn conntrack_full(case: &Case) -> Option<Suspect> {
    let clashes = case.in_nodes(names::CONNTRACK_CLASHES);
    let drops = case.in_nodes(names::CONNTRACK_DROPS).saturating_sub(clashes);
    let (count, max) =
        (case.highest_in_nodes(names::CONNTRACK_COUNT), case.highest_in_nodes(names::CONNTRACK_MAX));
    // A look every now and then may miss the last entries.
    if drops == 0 || count < max - max / 10 {
        return None;
    }
    let evidence = vec![
        grew("router", names::CONNTRACK_DROPS, drops),
        reached("router", "tracked connections", (count, max)),
    ];
    let needed =
        (case.plan.course.connections + case.plan.course.connections / 10).next_power_of_two().max(65_536);
    let changes = vec![Change::new("sysctl.host.net.netfilter.nf_conntrack_max", needed)];
    Some(Suspect { drops, evidence, changes, holds_back: false })
}

fn nat_tuples(case: &Case) -> Option<Suspect> {
    let clashes = case.in_nodes(names::CONNTRACK_CLASHES);
    let evidence = vec![
        grew("router", names::CONNTRACK_CLASHES, clashes),
        format!("up to {} tracked connections", grouped(case.highest_in_nodes(names::CONNTRACK_COUNT))),
    ];
    // A translation looks at a few ports only: with twice as many as needed it finds one.
    let each = ALL_PORTS * case.plan.ends.tuples.server_ports.max(1);
    let enough = (2 * case.plan.course.connections).div_ceil(each).max(1);
    let changes = vec![Change::new("network.nat.addresses", enough)];
    (clashes > 0).then_some(Suspect { drops: clashes, evidence, changes, holds_back: false })
}
