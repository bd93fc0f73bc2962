//! What stands between the ends and speaks for itself: resets that neither end has sent, and reverse path filters.

use super::{Row, Suspect};
use crate::agent::tally::{Operation, Tally};
use crate::cause::Cause;
use crate::diagnose::case::{Case, grew};
use crate::diagnose::missing::Missing;
use crate::diagnose::{Change, Finding};
use crate::observe::names;
use crate::plan::Role;
use crate::units::grouped;

pub const RESET_ON_THE_WAY: Row = Row {
    cause: Cause::ResetOnTheWay,
    title: "something on the way resets connections",
    sees: "`Connection refused` at ports where the server listens, or standing connections that end with \
           `Connection reset by peer` while the process at the other end still holds them.",
    evidence: "One end met more resets than the other has sent: connects failed with ECONNREFUSED, or connections \
               were lost with ECONNRESET, more often than Tcp.OutRsts grew at the other end until the end of the \
               hold. A kernel counts every reset of its own there: of a port without listener, of a process that \
               died, of a full queue with tcp_abort_on_overflow, of what it gave up for want of memory.",
    remedy: "look for what answers in the server's name: a firewall rule that rejects with a reset, a load balancer, \
             a NAT that forgot its connections; `tcpdump` at both ends shows resets that only one of them knows of",
    example: "",
    met: "",
    find: Some(reset_on_the_way),
    suspect: None,
};

pub const REVERSE_PATH: Row = Row {
    cause: Cause::ReversePath,
    title: "a reverse path filter dropped packets",
    sees: "Connects hang until they time out, where packets come over another link than the one that leads back to \
           their sender: two uplinks, a second router, a VPN.",
    evidence: "IPReversePathFilter grew: with net.ipv4.conf.*.rp_filter 1 a kernel drops what comes over a link by \
               which it would not answer.",
    remedy: "net.ipv4.conf.all.rp_filter 2, which asks only for any way back; or routes that are the same both ways",
    example: "sysctl:\n  server:\n    net.ipv4.conf.all.rp_filter: 2\n",
    met: "",
    find: None,
    suspect: Some(reverse_path),
};

const RESET: &[&str] = &["ECONNRESET", "EPIPE"];
/// Also what says that a node's TCP was read at all.
const ESTABLISHED_NOW: &str = "Tcp.CurrEstab";

/// Resets that one kind of end met, and those that the other end's kernel sent, until everything was to be closed.
#[derive(Clone, Copy)]
struct Resets {
    met: u64,
    sent: u64,
}

impl Resets {
    /// Those that nobody at the ends has sent.
    fn foreign(self) -> u64 {
        self.met.saturating_sub(self.sent)
    }

    /// What this role's kernels have sent; none: that was not read at each of its nodes.
    fn sent_by(case: &Case, role: Role) -> Option<u64> {
        let mut nodes = case.plan.ends.nodes.iter().filter(|node| node.role == role);
        nodes.all(|node| case.history().highest(&node.name, ESTABLISHED_NOW).is_some()).then_some(())?;
        Some(case.in_role_until_drain(role, names::RESETS_SENT))
    }

    fn met_by_clients(case: &Case) -> Option<Resets> {
        let refused = count(&case.clients.failed, Operation::Connect, &["ECONNREFUSED", "ECONNRESET"]);
        let met = refused.saturating_add(count(&case.clients.lost, Operation::Receive, RESET));
        Some(Resets { met, sent: Resets::sent_by(case, Role::Server)? })
    }

    fn met_by_server(case: &Case) -> Option<Resets> {
        let met = count(&case.server.lost, Operation::Receive, RESET);
        Some(Resets { met, sent: Resets::sent_by(case, Role::Client)? })
    }
}

fn count(tally: &Tally, operation: Operation, errnos: &[&str]) -> u64 {
    let rows = tally.rows().into_iter();
    let matching = rows.filter(|row| row.operation == operation && errnos.contains(&row.errno.as_str()));
    matching.map(|row| row.count).sum()
}

fn reset_on_the_way(case: &Case, missing: &mut Missing) -> Finding {
    let none = Resets { met: 0, sent: 0 };
    let clients = Resets::met_by_clients(case).unwrap_or(none);
    let server = Resets::met_by_server(case).unwrap_or(none);
    // A port with a listener refuses nothing: where one reset is foreign, all refusals are. Where some ports have
    // none, the server's own resets are theirs.
    let refusals = match clients.foreign() {
        0 => 0,
        _ if case.listened_everywhere() => u64::MAX,
        foreign => foreign,
    };
    let refused = missing.take_failed(Operation::Connect, &["ECONNREFUSED"], refusals);
    let left = clients.foreign().saturating_sub(refused);
    let mut cut = missing.take_failed(Operation::Connect, &["ECONNRESET"], left);
    cut += missing.take_lost(RESET, left - cut);
    // Where both ends were told, it is one connection. Where only the server was, its kernel has reset the client then.
    let only_server = server.foreign().saturating_sub(cut);
    let mut told_server = missing.take_lost(RESET, only_server);
    told_server += missing.take_aborted(only_server - told_server);
    let mut evidence = Vec::new();
    if refused > 0 {
        let ports = &case.plan.ends.server_ports;
        evidence.push(format!("connect failed with ECONNREFUSED {} times", grouped(refused)));
        evidence.push(format!("the server listens on {ports}"));
    }
    for (who, other, resets) in [("clients", "server", clients), ("server", "clients", server)] {
        if resets.foreign() > 0 {
            let met = grouped(resets.met);
            let sent = grew(other, names::RESETS_SENT, resets.sent);
            evidence.push(format!("{who}: {met} resets came in; {sent} until the end of the hold"));
        }
    }
    for role in [Role::Client, Role::Server] {
        let grown = case.in_role_until_drain(role, names::ESTABLISHED_RESET);
        if grown > 0 {
            let place = if role == Role::Client { "clients" } else { "server" };
            evidence.push(grew(place, names::ESTABLISHED_RESET, grown));
        }
    }
    Finding { connections: refused + cut + told_server, evidence, changes: Vec::new() }
}

fn reverse_path(case: &Case) -> Option<Suspect> {
    let (mut drops, mut evidence, mut changes) = (0_u64, Vec::new(), Vec::new());
    for node in &case.plan.ends.nodes {
        let grown = case.history().growth(&node.name, names::REVERSE_PATH_DROPS);
        if grown == 0 {
            continue;
        }
        drops = drops.saturating_add(grown);
        evidence.push(grew(&node.name, names::REVERSE_PATH_DROPS, grown));
        let section = match node.role {
            Role::Server => "server",
            Role::Client => "client",
            Role::Router => "router",
        };
        let change = Change::new(format!("sysctl.{section}.net.ipv4.conf.all.rp_filter"), 2);
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    (drops > 0).then_some(Suspect { drops, evidence, changes, holds_back: false })
}
