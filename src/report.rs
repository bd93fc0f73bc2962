//! What a run came to: every connection accounted for, in JSON and in a few lines of text. Pure.

pub mod expectations;
pub mod folder;
pub mod memory;
pub mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::account::Account;
use crate::agent::tally::{Operation, Row, Tally};
use crate::event::{Moment, Phase};
use crate::exit::Exit;
use crate::plan::Plan;
use crate::teardown::{Leftover, Restored};
pub use expectations::Expectation;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub lab: String,
    pub version: &'static str,
    /// asked = established + failed + untried, always.
    pub asked: u64,
    pub established: u64,
    pub failed: Ends,
    pub untried: u64,
    pub lost: Ends,
    pub seconds: Seconds,
    pub rate_per_second: Option<u64>,
    pub peak_rate_per_second: Option<u64>,
    pub server: Side,
    pub clients: Side,
    pub kernel: Kernel,
    pub echo: Echo,
    pub host_settings: Vec<Restored>,
    /// Where client, server and kernel do not agree, and agents that ended early.
    pub findings: Vec<String>,
    pub expectations: Vec<Expectation>,
    pub left_behind: Vec<Leftover>,
    pub interrupted: Option<String>,
    pub broke: Option<String>,
    pub exit: u8,
    /// Fields that are null, each with the reason.
    pub not_measured: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Ends {
    pub total: u64,
    pub by: Vec<Row>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    pub build: Option<f64>,
    pub ramp: Option<f64>,
    pub hold: Option<f64>,
    pub drain: Option<f64>,
    pub down: Option<f64>,
}

/// The server's end of all connections, or the clients'.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Side {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
    pub closed: u64,
    /// Processes that were started.
    pub processes: usize,
    /// Every agent is one thread.
    pub threads: usize,
    /// Private memory of all processes, full and beyond what they had when empty, for each connection.
    pub user_bytes_per_connection: Option<f64>,
    pub private_bytes: Option<u64>,
    pub kernel_bytes_per_connection: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Kernel {
    /// TCP sockets in use in all namespaces of the lab.
    pub sockets_before: Option<u64>,
    pub sockets_peak: Option<u64>,
    pub sockets_after_drain: Option<u64>,
    pub time_wait_after_drain: Option<u64>,
    pub files_open_peak: Option<u64>,
    pub bytes_before: Option<u64>,
    pub bytes_peak: Option<u64>,
    pub bytes_per_connection: Option<f64>,
    pub memory_source: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Echo {
    pub sent: u64,
    pub answered: u64,
    pub wrong: u64,
    pub p50_us: Option<u64>,
    pub p90_us: Option<u64>,
    pub p99_us: Option<u64>,
    pub p999_us: Option<u64>,
    pub max_us: Option<u64>,
}

/// Settles the account of a run that has ended.
pub fn settle(plan: &Plan, account: &Account) -> Report {
    let mut totals = account.totals();
    // A swarm that was let go of while it was connecting never said how that went.
    let clients = &mut totals.clients;
    let unanswered = clients.tried.saturating_sub(clients.established + clients.failed.total());
    clients.failed.add_named(Operation::Connect, "ECANCELED", unanswered);
    let outcome = account.outcome.clone().unwrap_or_default();
    let mut report = Report {
        lab: plan.lab.clone(),
        version: env!("CARGO_PKG_VERSION"),
        asked: plan.connections,
        established: totals.clients.established,
        failed: ends(&totals.clients.failed),
        untried: plan.connections.saturating_sub(totals.clients.tried),
        lost: ends(&totals.clients.lost),
        seconds: seconds(account),
        rate_per_second: account.rate_per_second().map(|rate| rate as u64),
        peak_rate_per_second: (account.peak_per_second > 0).then_some(account.peak_per_second),
        server: Side {
            accepted: Some(totals.server.established),
            closed: totals.server.closed,
            processes: account.reactors(),
            threads: account.reactors(),
            ..Side::default()
        },
        clients: Side {
            closed: totals.clients.closed,
            processes: account.swarms(),
            threads: account.swarms(),
            ..Side::default()
        },
        kernel: kernel(account),
        echo: echo(account),
        host_settings: outcome.restored,
        findings: findings(account),
        expectations: Vec::new(),
        left_behind: outcome.left_behind,
        interrupted: account.interrupted.clone(),
        broke: account.broke.clone(),
        exit: Exit::Done.code(),
        not_measured: BTreeMap::new(),
    };
    memory::fill(&mut report, plan, account);
    explain_nulls(&mut report, plan);
    report.expectations = expectations::check(&plan.expect, &report);
    report.exit = exit(&report).code();
    report
}

fn ends(tally: &Tally) -> Ends {
    Ends { total: tally.total(), by: tally.rows() }
}

fn seconds(account: &Account) -> Seconds {
    let of = |phase| account.seconds.get(&phase).map(|seconds: &f64| (seconds * 1e4).round() / 1e4);
    Seconds {
        build: of(Phase::Build),
        ramp: of(Phase::Ramp),
        hold: of(Phase::Hold),
        drain: of(Phase::Drain),
        down: of(Phase::Down),
    }
}

fn kernel(account: &Account) -> Kernel {
    let (before, peak) = (account.sample(Moment::Before), account.sample(Moment::Peak));
    let drained = account.sample(Moment::Drained);
    Kernel {
        sockets_before: before.map(|sample| sample.tcp_in_use()),
        sockets_peak: peak.map(|sample| sample.tcp_in_use()),
        sockets_after_drain: drained.map(|sample| sample.tcp_in_use()),
        time_wait_after_drain: drained.map(|sample| sample.time_wait()),
        files_open_peak: peak.and_then(|sample| sample.files_open),
        bytes_before: before.map(|sample| sample.kernel_bytes()),
        bytes_peak: peak.map(|sample| sample.kernel_bytes()),
        bytes_per_connection: None,
        memory_source: "/proc/meminfo: Slab, KernelStack, PageTables, VmallocUsed, Percpu; split by /proc/slabinfo",
    }
}

fn echo(account: &Account) -> Echo {
    let counts = account.totals().clients.echo;
    Echo {
        sent: counts.sent,
        answered: counts.answered,
        wrong: counts.wrong,
        p50_us: account.latency_us(0.5),
        p90_us: account.latency_us(0.9),
        p99_us: account.latency_us(0.99),
        p999_us: account.latency_us(0.999),
        max_us: account.latency_us(1.0),
    }
}

/// A difference is told, never rounded away.
fn findings(account: &Account) -> Vec<String> {
    use crate::units::grouped;
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
    for (agent, how) in &account.ended_early {
        findings.push(format!("{agent} ended before its time: {how}"));
    }
    let unanswered = totals.clients.echo.sent - totals.clients.echo.answered - totals.clients.echo.wrong;
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

fn explain_nulls(report: &mut Report, plan: &Plan) {
    let mut missing = |path: &str, why: &str| {
        report.not_measured.entry(path.to_owned()).or_insert_with(|| why.to_owned());
    };
    let phases = [
        ("build", report.seconds.build),
        ("ramp", report.seconds.ramp),
        ("hold", report.seconds.hold),
        ("drain", report.seconds.drain),
        ("down", report.seconds.down),
    ];
    for (phase, seconds) in phases {
        if seconds.is_none() {
            missing(&format!("seconds.{phase}"), "the run ended before this phase did");
        }
    }
    if report.rate_per_second.is_none() {
        missing("rate_per_second", "the ramp did not end");
    }
    if report.peak_rate_per_second.is_none() {
        missing("peak_rate_per_second", "the ramp was over before a first progress was told");
    }
    if report.echo.p50_us.is_none() {
        let why = if plan.echo.is_some() { "no echo was answered" } else { "the connections were idle" };
        for name in ["p50_us", "p90_us", "p99_us", "p999_us", "max_us"] {
            missing(&format!("echo.{name}"), why);
        }
    }
    if report.kernel.sockets_before.is_none() {
        for name in ["sockets_before", "bytes_before"] {
            missing(&format!("kernel.{name}"), "the build did not end");
        }
    }
    if report.kernel.sockets_peak.is_none() {
        for name in ["sockets_peak", "bytes_peak", "files_open_peak"] {
            missing(&format!("kernel.{name}"), "the ramp did not end");
        }
    }
    if report.kernel.sockets_after_drain.is_none() {
        for name in ["sockets_after_drain", "time_wait_after_drain"] {
            missing(&format!("kernel.{name}"), "nothing was drained");
        }
    }
}

fn exit(report: &Report) -> Exit {
    if !report.left_behind.is_empty() {
        Exit::Leftover
    } else if report.broke.is_some() || report.interrupted.is_some() {
        Exit::Broke
    } else if report.expectations.iter().any(|expectation| !expectation.met) {
        Exit::Expectation
    } else {
        Exit::Done
    }
}

impl Report {
    /// How the command that made this run ends.
    pub fn exit(&self) -> Exit {
        Exit::ALL.into_iter().find(|exit| exit.code() == self.exit).unwrap_or(Exit::Broke)
    }
}
