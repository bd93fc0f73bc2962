//! Descriptor tables: of the server's processes, of the clients', of the whole machine.

use super::{Row, Suspect, overflow};
use crate::agent::tally::Operation;
use crate::cause::Cause;
use crate::diagnose::case::{Case, reached};
use crate::diagnose::missing::Missing;
use crate::diagnose::{Change, Finding};
use crate::observe::names;
use crate::units::grouped;

pub const CLIENT_DESCRIPTORS: Row = Row {
    cause: Cause::ClientDescriptors,
    title: "a client process may open no more descriptors",
    sees: "`Too many open files` at the client, at a round number of connections such as 1,024.",
    evidence: "The clients' `socket` failed with EMFILE.",
    remedy: "let the lab take as many client processes as it needs, or raise the limit of each",
    example: "clients:\n  processes: auto\n",
    met: "All runs: `ulimit -n` was 1,024 at first, and had to be raised on both sides.",
    find: Some(client_descriptors),
    suspect: None,
};

pub const SERVER_DESCRIPTORS: Row = Row {
    cause: Cause::ServerDescriptors,
    title: "the server's process may open no more descriptors",
    sees: "`Too many open files` at the server. The clients see nothing of it at first: the kernel completes \
           the handshake of those that wait to be accepted; then connects hang until they time out.",
    evidence: "The server's `accept` failed with EMFILE.",
    remedy: "let another reactor take over when one is full, or raise the limit of the one",
    example: "server:\n  reactors: auto\n",
    met: "All runs: `ulimit -n` was 1,024 at first; one limits.conf held 104857 where 1048576 was meant.",
    find: Some(server_descriptors),
    suspect: Some(|case| suspect(case, Cause::ServerDescriptors)),
};

pub const SYSTEM_FILE_TABLE: Row = Row {
    cause: Cause::SystemFileTable,
    title: "the machine's table of open files is full",
    sees: "`Too many open files in system`, in any process of the machine.",
    evidence: "`socket` or `accept` failed with ENFILE, and fs.file-nr reached fs.file-max.",
    remedy: "raise fs.file-max: both ends of every connection count where both are on one machine",
    example: "sysctl:\n  host:\n    fs.file-max: 4000000\n",
    met: "Forty addresses: `Too many open files in system` at about 820,000 connections. Eleven adjustments: \
          the seventh.",
    find: Some(system_file_table),
    suspect: Some(|case| suspect(case, Cause::SystemFileTable)),
};

fn client_descriptors(case: &Case, missing: &mut Missing) -> Finding {
    let connections = missing.take_failed(Operation::Socket, &["EMFILE"], u64::MAX);
    let nofile = case.plan.ends.swarms.iter().map(|swarm| swarm.nofile).max().unwrap_or(0);
    let evidence = vec![
        format!("socket failed with EMFILE {} times", grouped(connections)),
        format!("a client process may open {} descriptors", grouped(nofile)),
    ];
    Finding {
        connections,
        evidence,
        changes: more_descriptors(case, ("clients.processes", "limits.client.nofile"), nofile),
    }
}

fn server_descriptors(case: &Case, missing: &mut Missing) -> Finding {
    if overflow::owner(case) != Cause::ServerDescriptors {
        return Finding::default();
    }
    let connections = missing.take_unserved(u64::MAX);
    Finding { connections, evidence: full_server(case), changes: more_room(case) }
}

pub fn full_server(case: &Case) -> Vec<String> {
    vec![
        format!("the server's accept failed with EMFILE {} times", grouped(case.accept_failed("EMFILE"))),
        format!(
            "{} reactors may open {} descriptors each",
            grouped(case.plan.ends.reactors.count.into()),
            grouped(case.plan.ends.reactors.nofile)
        ),
    ]
}

pub fn more_room(case: &Case) -> Vec<Change> {
    more_descriptors(case, ("server.reactors", "limits.server.nofile"), case.plan.ends.reactors.nofile)
}

/// As many processes as it takes, each with as much as it can be given here.
fn more_descriptors(case: &Case, (processes, nofile): (&str, &str), now: u64) -> Vec<Change> {
    const SPARE: u64 = 1_000;
    let mut changes = vec![Change::new(processes, "auto")];
    let wanted = case.plan.ends.most_descriptors.min(case.plan.course.connections + SPARE);
    if now < wanted {
        changes.push(Change::new(nofile, wanted));
    }
    changes
}

fn system_file_table(case: &Case, missing: &mut Missing) -> Finding {
    let mut connections = missing.take_failed(Operation::Socket, &["ENFILE"], u64::MAX);
    if overflow::owner(case) == Cause::SystemFileTable {
        connections += missing.take_unserved(u64::MAX);
    }
    Finding { connections, evidence: full_table(case), changes: larger_table(case) }
}

pub fn full_table(case: &Case) -> Vec<String> {
    let mut evidence = Vec::new();
    if let (Some(open), Some(most)) = (case.host_level(names::FILES_OPEN), case.host_level(names::FILES_MAX))
    {
        evidence.push(reached("host", "open files", (open, most)));
    }
    let accepts = case.accept_failed("ENFILE");
    if accepts > 0 {
        evidence.push(format!("the server's accept failed with ENFILE {} times", grouped(accepts)));
    }
    evidence
}

pub fn larger_table(case: &Case) -> Vec<Change> {
    const SPARE: u64 = 100_000;
    let others = case.host_level(names::FILES_OPEN).unwrap_or(0);
    let needed = 2 * case.plan.course.connections + others + SPARE;
    vec![Change::new("sysctl.host.fs.file-max", needed)]
}

fn suspect(case: &Case, cause: Cause) -> Option<Suspect> {
    let drops = overflow::drops_owed_to(case, cause)?;
    let (mut evidence, changes) = match cause {
        Cause::ServerDescriptors => (full_server(case), more_room(case)),
        _ => (full_table(case), larger_table(case)),
    };
    evidence.push(overflow::overflow_line(case));
    Some(Suspect { drops, evidence, changes, holds_back: false })
}
