//! Processes that ended before their time, and what they took with them.

use super::{Row, Suspect};
use crate::account::SILENT;
use crate::agent::tally::Operation;
use crate::cause::Cause;
use crate::crew::{reactors, swarms};
use crate::diagnose::case::{Case, grew};
use crate::diagnose::missing::Missing;
use crate::diagnose::{Change, Finding};
use crate::launch::{AgentId, node_of};
use crate::observe::names;
use crate::plan::Role;
use crate::units::{grouped, human_bytes};

const KILLED: &str = "signal 9";

pub const SERVER_MEMORY: Row = Row {
    cause: Cause::ServerMemory,
    title: "the server ran out of memory and was killed",
    sees: "All or many connections vanish at once, near the top of the ramp. The server's process is gone \
           without a word of its own; only the kernel's log says `Out of memory: Killed process`.",
    evidence: "A reactor ended with signal 9, while the count of out-of-memory kills grew (in its cgroup or \
               on its machine).",
    remedy: "more memory for the server, or fewer connections; an idle connection takes about 4 KB at each end",
    example: "limits:\n  server:\n    memory: 8GiB\n",
    met: "C1000K reactor: a server of 6 GiB was killed at 1,150,000 connections.",
    find: Some(|case, missing| killed(case, missing, Role::Server)),
    suspect: Some(gasping),
};

pub const CLIENT_MEMORY: Row = Row {
    cause: Cause::ClientMemory,
    title: "a client ran out of memory and was killed",
    sees: "Tens of thousands of connections are lost in one moment, and one client opens no more.",
    evidence: "A swarm ended with signal 9, while the count of out-of-memory kills grew (in its cgroup or on \
               its machine).",
    remedy: "more memory for the clients, or more clients with fewer connections each",
    example: "limits:\n  client:\n    memory: 4GiB\n",
    met: "Eleven adjustments: client machines were killed at about 900,000 and at 960,000 connections.",
    find: Some(|case, missing| killed(case, missing, Role::Client)),
    suspect: None,
};

pub const AGENT_DIED: Row = Row {
    cause: Cause::AgentDied,
    title: "a process of the lab ended before its time",
    sees: "The number of connections plummets after the peak, without any limit being near.",
    evidence: "A reactor or swarm ended during the run, by a signal or an exit of its own, and not for want \
               of memory.",
    remedy: "find out who ended it: its exit code or signal is in the evidence",
    example: "",
    met: "Forty addresses: server processes left their accept loop at the descriptor limit, slept and exited; \
          connections plummeted after the peak.",
    find: Some(died),
    suspect: None,
};

/// Whether this agent was killed by the kernel for want of memory. The kernel's own line about it is enough: with
/// a machine's memory, the connection to it may go too.
fn is_out_of_memory(case: &Case, agent: AgentId, how: &str) -> bool {
    if case.kernel_said(agent).is_some() {
        return true;
    }
    let node = &case.plan.ends.nodes[node_of(case.plan, agent)].name;
    how == KILLED
        && [
            case.history().growth(node, names::CGROUP_KILLS),
            case.history().growth(node, names::HOST_KILLS),
            case.on_host(names::HOST_KILLS),
        ]
        .iter()
        .any(|kills| *kills > 0)
}

fn killed(case: &Case, missing: &mut Missing, role: Role) -> Finding {
    let of_role = |agent| (role == Role::Server) == reactors(agent);
    let mut dead = case.ended(of_role);
    dead.retain(|(agent, how)| is_out_of_memory(case, *agent, how));
    if dead.is_empty() {
        return Finding::default();
    }
    let mut finding = take_with_them(case, missing, &dead);
    finding.evidence.extend(dead.iter().filter_map(|(agent, _)| case.kernel_said(*agent)).cloned());
    for (name, place) in [(names::CGROUP_KILLS, "cgroup"), (names::HOST_KILLS, "machine")] {
        let kills = case.in_role(role, name) + case.on_host(name);
        if kills > 0 {
            finding.evidence.push(grew(place, name, kills));
        }
    }
    let most = case.highest_at(role, names::CGROUP_BYTES);
    let of_role = case.plan.ends.nodes.iter().position(|node| node.role == role);
    let limit = of_role.and_then(|node| case.plan.memory_limit(node));
    if let Some(limit) = limit {
        let (most, limit) = (human_bytes(most), human_bytes(limit));
        finding.evidence.push(format!("its cgroup reached {most} of {limit}"));
    }
    finding.changes = more_memory(case, role, limit);
    finding
}

/// Before its kernel ends the server, a machine without memory drops packets and counts none: what then timed out, and
/// nobody else has dropped, waited for it.
fn gasping(case: &Case) -> Option<Suspect> {
    // A limit of its own keeps nobody else from answering.
    let unlimited = |agent| case.plan.memory_limit(node_of(case.plan, agent)).is_none();
    let dead = case.ended(|agent| reactors(agent) && unlimited(agent));
    dead.iter().any(|(agent, how)| is_out_of_memory(case, *agent, how)).then(|| Suspect {
        drops: 1,
        evidence: vec!["connects timed out while its machine had no memory".to_owned()],
        changes: Vec::new(),
        holds_back: true,
    })
}

/// What the connections asked for take, by what those that stood took; with something to spare.
fn more_memory(case: &Case, role: Role, limit: Option<u64>) -> Vec<Change> {
    const MIB: u64 = 1 << 20;
    let Some(limit) = limit else { return Vec::new() };
    let (path, nodes) = if role == Role::Server {
        ("limits.server.memory", 1)
    } else {
        ("limits.client.memory", case.plan.clients().len().max(1) as u64)
    };
    let stood = case.clients.established.max(1);
    let asked = case.plan.course.connections.max(stood);
    let scaled = u128::from(limit) * u128::from(asked) / u128::from(stood);
    let enough = (scaled as u64).saturating_mul(5) / 4;
    let expected = case.plan.course.connections.saturating_mul(6 << 10) / nodes;
    let enough = enough.max(expected).max(limit * 2).div_ceil(MIB);
    vec![Change::new(path, format!("{enough}MiB"))]
}

fn died(case: &Case, missing: &mut Missing) -> Finding {
    let mut dead = case.ended(|_| true);
    // A server that gives no answer is not dead.
    let other = |agent: AgentId, how: &str| reactors(agent) && how == SILENT;
    dead.retain(|(agent, how)| !is_out_of_memory(case, *agent, how) && !other(*agent, how));
    if dead.is_empty() { Finding::default() } else { take_with_them(case, missing, &dead) }
}

fn take_with_them(case: &Case, missing: &mut Missing, dead: &[(AgentId, &str)]) -> Finding {
    let mut connections = 0;
    if dead.iter().any(|(agent, _)| swarms(*agent)) {
        for how in hows(dead) {
            connections += missing.take_of_agents(how);
        }
        connections += missing.take_untried(u64::MAX);
    }
    if dead.iter().any(|(agent, _)| reactors(*agent)) {
        let rows = case.server.lost.rows();
        let of_agents = rows.iter().filter(|row| row.operation == Operation::Agent);
        let held: u64 = of_agents.map(|row| row.count).sum();
        // What waited in its queues was cut off as well, and whoever came later found nobody.
        let waited = case.clients.established.saturating_sub(case.server.established);
        let cut_off = missing.take_cut_off(held + waited);
        // Whom nobody told believes in the connection still.
        connections += cut_off + missing.take_unserved(held + waited - cut_off);
        connections += missing.take_failed(Operation::Connect, &["ECONNREFUSED", "ECONNRESET"], u64::MAX);
    }
    let evidence = dead.iter().map(|(agent, how)| format!("{agent} ended with {how}")).collect();
    Finding { connections, evidence: shortened(evidence, connections), changes: Vec::new() }
}

fn hows<'a>(dead: &[(AgentId, &'a str)]) -> Vec<&'a str> {
    let mut hows: Vec<&str> = dead.iter().map(|(_, how)| *how).collect();
    hows.sort_unstable();
    hows.dedup();
    hows
}

/// Fifty processes that ended alike are one line.
fn shortened(mut evidence: Vec<String>, connections: u64) -> Vec<String> {
    const SHOWN: usize = 3;
    if evidence.len() > SHOWN {
        let more = evidence.len() - SHOWN;
        evidence.truncate(SHOWN);
        evidence.push(format!("and {more} more; together {} connections", grouped(connections)));
    }
    evidence
}
