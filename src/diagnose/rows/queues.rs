//! The server's queues: of handshakes under way, and of connections that wait to be accepted.

use super::{Row, Suspect, tables};
use crate::account::SILENT;
use crate::agent::tally::Operation;
use crate::cause::Cause;
use crate::crew::reactors;
use crate::diagnose::case::{Case, grew};
use crate::diagnose::missing::Missing;
use crate::diagnose::{Change, Finding};
use crate::event::Phase;
use crate::observe::names;
use crate::units::grouped;

/// As many as a queue may ever need here: the kernel gives memory only to what is in it.
const LONG: u64 = 65_536;
const SYN_BACKLOG: &str = "net.ipv4.tcp_max_syn_backlog";

pub const ACCEPT_QUEUE: Row = Row {
    cause: Cause::AcceptQueue,
    title: "the accept queue was full",
    sees: "Some hundreds of many are always missing. The client believes it is connected, the server has never \
           heard of it; or the connect hangs until it times out.",
    evidence: "ListenOverflows grew at the server: a handshake was dropped because as many connections as \
               `listen` allows waited to be accepted. The late kind shows as connections that clients have \
               and the server never accepted.",
    remedy: "a longer queue (`listen` and net.core.somaxconn, whichever is smaller), or accept faster",
    example: "server:\n  backlog: 65536\n",
    met: "Forty addresses: 399,300 of 400,000, 997,000 of 1,000,000; why some hundreds were always missing \
          stayed open there.",
    find: Some(accept_queue),
    suspect: Some(|case| overflows(case, Cause::AcceptQueue)),
};

pub const SYN_QUEUE: Row = Row {
    cause: Cause::SynQueue,
    title: "the queue of handshakes under way was full",
    sees: "Connects hang and time out in a burst, more of them with a longer way between client and server.",
    evidence: "SYN cookies are off, and first packets were dropped at the server: TCPReqQFullDrop grew, when as many \
               handshakes were under way as `listen` allows; or only ListenDrops, when they were three quarters of \
               net.ipv4.tcp_max_syn_backlog (the rest is kept for peers that are known).",
    remedy: "a longer queue: net.ipv4.tcp_max_syn_backlog and the listener's backlog; or SYN cookies",
    example: "server:\n  backlog: 65536\nsysctl:\n  server:\n    net.ipv4.tcp_max_syn_backlog: 65536\n",
    met: "",
    find: None,
    suspect: Some(syn_queue),
};

pub const SYN_COOKIES: Row = Row {
    cause: Cause::SynCookies,
    title: "handshakes with SYN cookies were forgotten",
    sees: "The client believes it is connected; the server has never heard of it, and never will: with a \
           cookie it keeps nothing, so nothing is sent again.",
    evidence: "SyncookiesSent grew at the server, and clients have connections that it never accepted.",
    remedy: "queues long enough that cookies are not needed; net.ipv4.tcp_syncookies 1 sends them only if they are",
    example: "server:\n  backlog: 65536\nsysctl:\n  server:\n    net.ipv4.tcp_syncookies: 1\n",
    met: "",
    find: Some(syn_cookies),
    suspect: None,
};

pub const SERVER_STALLED: Row = Row {
    cause: Cause::ServerStalled,
    title: "the server's process was stopped, or too slow",
    sees: "Clients are connected, and nobody serves them; later connects hang.",
    evidence: "A reactor was stopped, or gave no answer in time, while connections waited to be accepted. Its \
               CPU time is in the evidence.",
    remedy: "if it was stopped, let it go on; if it was too slow, open connections at a lower rate",
    example: "ramp:\n  rate: 20K/s\n",
    met: "Eleven adjustments: the sixth; with small buffers the server came to a stop when one client did.",
    find: Some(server_stalled),
    suspect: Some(|case| overflows(case, Cause::ServerStalled)),
};

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
fn stalled(case: &Case) -> Vec<String> {
    let mut evidence: Vec<String> = Vec::new();
    for (agent, how) in case.ended(reactors) {
        if how == SILENT {
            evidence.push(format!("{agent} gave no answer"));
        }
    }
    for place in 0..case.plan.reactors.count {
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
fn too_slow(case: &Case) -> Option<String> {
    let (_, clients, server) = case.account.unsettled.iter().find(|(phase, ..)| *phase == Phase::Ramp)?;
    let waited = case.account.waiting;
    let behind = clients.checked_sub(*server).filter(|behind| *behind > 0 && waited >= *behind)?;
    let cpu: u64 = (0..case.plan.reactors.count)
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

/// What the accept queue dropped, for whoever is to blame for its being full.
pub fn overflows(case: &Case, cause: Cause) -> Option<Suspect> {
    let drops = case.at_server(names::LISTEN_OVERFLOWS);
    if drops == 0 || owner(case) != cause {
        return None;
    }
    Some(match cause {
        Cause::ServerDescriptors | Cause::SystemFileTable => tables::suspect(case, drops, cause),
        Cause::ServerStalled => {
            let mut evidence = stalled(case);
            evidence.push(overflow_line(case));
            Suspect { drops, evidence, changes: slower(case), holds_back: false }
        }
        _ => Suspect { drops, evidence: full_queue(case), changes: longer_queue(case), holds_back: false },
    })
}

fn full_queue(case: &Case) -> Vec<String> {
    let mut evidence = vec![overflow_line(case)];
    let server = &case.plan.server().name;
    let longest = case.history().highest(server, names::LONGEST_QUEUE).unwrap_or(0);
    let backlog = case.history().highest(server, names::BACKLOG).unwrap_or(0);
    evidence.push(format!(
        "the queues hold {} connections each; the longest was seen at {}",
        grouped(backlog),
        grouped(longest)
    ));
    evidence
}

fn longer_queue(case: &Case) -> Vec<Change> {
    let mut changes = vec![Change::new("server.backlog", LONG)];
    if case.server_setting("net.core.somaxconn").and_then(|value| value.parse().ok()) < Some(LONG) {
        changes.push(Change::new("sysctl.server.net.core.somaxconn", LONG));
    }
    changes
}

fn accept_queue(case: &Case, missing: &mut Missing) -> Finding {
    let overflows = case.at_server(names::LISTEN_OVERFLOWS);
    if overflows == 0 || owner(case) != Cause::AcceptQueue {
        return Finding::default();
    }
    let mut connections = missing.take_unserved(u64::MAX);
    // The server may be told to say so when its queue is full.
    if case.server_setting("net.ipv4.tcp_abort_on_overflow") == Some("1") {
        connections += missing.take_failed(Operation::Connect, &["ECONNRESET"], overflows);
        connections += missing.take_cut_off(overflows);
    }
    let mut evidence = full_queue(case);
    if connections > 0 {
        evidence.push(format!(
            "clients established {} connections, the server accepted {}",
            grouped(case.clients.established),
            grouped(case.server.established)
        ));
    }
    Finding { connections, evidence, changes: longer_queue(case) }
}

fn syn_queue(case: &Case) -> Option<Suspect> {
    let full = case.at_server(names::SYN_QUEUE_DROPS);
    let beyond = beyond_syn_backlog(case);
    let mut evidence = Vec::new();
    let mut changes = vec![Change::new(format!("sysctl.server.{SYN_BACKLOG}"), LONG)];
    if full > 0 {
        evidence.push(grew("server", names::SYN_QUEUE_DROPS, full));
        changes.extend(longer_queue(case));
    }
    if beyond > 0 {
        let dropped = grew("server", names::LISTEN_DROPS, case.at_server(names::LISTEN_DROPS));
        let backlog = case.server_setting(SYN_BACKLOG).unwrap_or("the machine's own");
        evidence.push(format!(
            "{dropped}; {} of them beyond three quarters of {SYN_BACKLOG}, which is {backlog}",
            grouped(beyond)
        ));
    }
    let drops = full.saturating_add(beyond);
    (drops > 0).then_some(Suspect { drops, evidence, changes, holds_back: false })
}

/// First packets dropped since too many handshakes were under way for the setting: without cookies, and counted
/// only among all that a listener drops.
fn beyond_syn_backlog(case: &Case) -> u64 {
    if case.server_setting("net.ipv4.tcp_syncookies") != Some("0") {
        return 0;
    }
    let overflows = case.at_server(names::LISTEN_OVERFLOWS);
    let rest = case.at_server(names::LISTEN_DROPS).saturating_sub(overflows);
    rest.saturating_sub(case.at_server(names::SYN_QUEUE_DROPS))
}

fn syn_cookies(case: &Case, missing: &mut Missing) -> Finding {
    let sent = case.at_server(names::COOKIES_SENT);
    if sent == 0 || owner(case) != Cause::AcceptQueue {
        return Finding::default();
    }
    let connections = missing.take_unserved(sent);
    let mut evidence = vec![grew("server", names::COOKIES_SENT, sent), overflow_line(case)];
    evidence.push(format!(
        "clients established {} connections, the server accepted {}",
        grouped(case.clients.established),
        grouped(case.server.established)
    ));
    let mut changes = longer_queue(case);
    // Where they are always sent, a longer queue alone does not stop them.
    if case.server_setting("net.ipv4.tcp_syncookies") == Some("2") {
        changes.push(Change::new("sysctl.server.net.ipv4.tcp_syncookies", 1));
    }
    Finding { connections, evidence, changes }
}

fn server_stalled(case: &Case, missing: &mut Missing) -> Finding {
    let evidence = stalled(case);
    if evidence.is_empty() {
        return Finding::default();
    }
    let connections = missing.take_unserved(u64::MAX);
    Finding { connections, evidence, changes: slower(case) }
}

/// Half of what the ramp has reached, where it was too slow; who was stopped is not helped by that.
fn slower(case: &Case) -> Vec<Change> {
    let evidence = stalled(case);
    let is_slow = too_slow(case).is_some_and(|line| evidence.contains(&line));
    match (is_slow, case.account.rate_per_second()) {
        (true, Some(rate)) => vec![Change::new("ramp.rate", format!("{}/s", (rate as u64 / 2).max(1)))],
        _ => Vec::new(),
    }
}
