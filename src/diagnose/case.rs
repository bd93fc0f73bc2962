//! What is known of a run when its missing connections are to be explained.

use crate::account::Account;
use crate::agent::Counts;
use crate::agent::tally::Operation;
use crate::launch::AgentId;
use crate::observe::{History, names};
use crate::plan::{Plan, Role};
use crate::units::grouped;

pub struct Case<'a> {
    pub plan: &'a Plan,
    pub account: &'a Account,
    pub clients: Counts,
    pub server: Counts,
}

impl<'a> Case<'a> {
    pub fn new(plan: &'a Plan, account: &'a Account) -> Case<'a> {
        let totals = account.totals();
        let (clients, server) = (believable(&totals.clients), believable(&totals.server));
        Case { plan, account, clients, server }
    }

    pub fn history(&self) -> &History {
        &self.account.history
    }

    /// How far a counter grew in the server's node.
    pub fn at_server(&self, name: &str) -> u64 {
        self.history().growth(&self.plan.server().name, name)
    }

    /// How far a counter grew in all nodes of the lab; what the host counts is not among them.
    pub fn in_nodes(&self, name: &str) -> u64 {
        self.plan.ends.nodes.iter().map(|node| self.history().growth(&node.name, name)).sum()
    }

    /// The highest value of a level in any node of the lab.
    pub fn highest_in_nodes(&self, name: &str) -> u64 {
        let of = |node: &crate::plan::Node| self.history().highest(&node.name, name);
        self.plan.ends.nodes.iter().filter_map(of).max().unwrap_or(0)
    }

    /// The highest value of a level in the nodes of one role.
    pub fn highest_at(&self, role: Role, name: &str) -> u64 {
        let of_role = self.plan.ends.nodes.iter().filter(|node| node.role == role);
        of_role.filter_map(|node| self.history().highest(&node.name, name)).max().unwrap_or(0)
    }

    pub fn in_role(&self, role: Role, name: &str) -> u64 {
        let of_role = self.plan.ends.nodes.iter().filter(|node| node.role == role);
        of_role.map(|node| self.history().growth(&node.name, name)).sum()
    }

    /// The same, until everything was to be closed: closing at once sends resets of its own.
    pub fn in_role_until_drain(&self, role: Role, name: &str) -> u64 {
        let history = self.account.until_drain.as_ref().unwrap_or(self.history());
        let of_role = self.plan.ends.nodes.iter().filter(|node| node.role == role);
        of_role.map(|node| history.growth(&node.name, name)).sum()
    }

    /// Whether the server listens on every port that the clients connect to. Where it was not seen to listen on
    /// fewer, it did what it was told.
    pub fn listened_everywhere(&self) -> bool {
        let (dialled, listened) = (&self.plan.ends.dialled_ports, &self.plan.ends.server_ports);
        let seen = self.history().highest(&self.plan.server().name, names::LISTENERS);
        let all = seen.is_none_or(|seen| seen >= listened.len() as u64);
        all && dialled.iter().all(|port| listened.0.iter().any(|range| range.contains(port)))
    }

    pub fn on_host(&self, name: &str) -> u64 {
        self.history().growth(names::HOST, name)
    }

    pub fn host_level(&self, name: &str) -> Option<u64> {
        self.history().highest(names::HOST, name)
    }

    /// How often the server's accept failed so.
    pub fn accept_failed(&self, errno: &str) -> u64 {
        let rows = self.server.failed.rows();
        let matching = rows.iter().filter(|row| row.operation == Operation::Accept && row.errno == errno);
        matching.map(|row| row.count).sum()
    }

    /// The agents of one kind that ended too early, and how.
    pub fn ended(&self, which: impl Fn(AgentId) -> bool) -> Vec<(AgentId, &str)> {
        let ended = self.account.ended_early.iter();
        ended.filter(|(agent, _)| which(*agent)).map(|(agent, how)| (*agent, how.as_str())).collect()
    }

    /// What the kernel said of an agent that it ended.
    pub fn kernel_said(&self, agent: AgentId) -> Option<&String> {
        self.account.kernel_said.iter().find(|(of, _)| *of == agent).map(|(_, line)| line)
    }

    /// A setting as the plan writes it into the server's node.
    pub fn server_setting(&self, key: &str) -> Option<&str> {
        self.plan.server().settings.get(key).map(String::as_str)
    }
}

/// An agent is not believed to be able to count: sums of what is left here stay numbers.
fn believable(counts: &Counts) -> Counts {
    const MOST: u64 = 1 << 40;
    Counts {
        tried: counts.tried.min(MOST),
        established: counts.established.min(MOST),
        open: counts.open.min(MOST),
        closed: counts.closed.min(MOST),
        failed: counts.failed.at_most(MOST),
        lost: counts.lost.at_most(MOST),
        ready: counts.ready.min(MOST),
        talk: counts.talk,
    }
}

/// A line of evidence about a counter: `server: TcpExt.ListenOverflows grew by 1,204`.
pub fn grew(place: &str, name: &str, by: u64) -> String {
    format!("{place}: {name} grew by {}", grouped(by))
}

/// A line of evidence about a level and its limit.
pub fn reached(place: &str, name: &str, (value, limit): (u64, u64)) -> String {
    format!("{place}: {name} reached {} of {}", grouped(value), grouped(limit))
}
