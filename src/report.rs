//! What a run came to: every connection accounted for, in JSON and in a few lines of text. Pure.

mod ends;
pub mod expectations;
mod findings;
pub mod folder;
pub mod junit;
mod kernel;
pub mod machines;
pub mod memory;
mod plateaus;
#[cfg(test)]
mod properties;
mod rounding;
mod sides;
mod sources;
pub mod text;
mod whole;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::agent::tally::{Operation, Row, Tally};
use crate::diagnose::{self, Verdict};
use crate::event::Phase;
use crate::exit::Exit;
use crate::origin::Origin;
use crate::plan::Plan;
use crate::spec::Until;
use crate::teardown::{Leftover, Restored};
pub use expectations::Expectation;
pub use kernel::Kernel;
pub use plateaus::Plateau;

/// What one run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    #[serde(flatten)]
    pub origin: Origin,
    /// The lab's name.
    pub lab: String,
    /// Connections that were to be opened, in all rounds: asked = established + failed + untried, always.
    pub asked: u64,
    /// Connections that were established, seen from the clients.
    pub established: u64,
    /// Established connections whose handshake of what they say was done too; with idle and echo traffic, all.
    pub ready: u64,
    /// Attempts to connect that failed.
    pub failed: Ends,
    /// Connections that were never tried, because the run ended before.
    pub untried: u64,
    /// Established connections that ended before they were to be closed, seen from the clients.
    pub lost: Ends,
    /// Established connections when the first one failed or was lost, where `ramp.until` is `breaks`.
    pub breaks_at: Option<u64>,
    /// What stood at each of `ramp.plateaus` that was reached, at the end of its pause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plateaus: Vec<Plateau>,
    /// How long each phase took.
    pub seconds: Seconds,
    /// Connections established per second, over the whole ramp.
    pub rate_per_second: Option<u64>,
    /// The most connections per second between two tellings of the progress, four in a second.
    pub peak_rate_per_second: Option<u64>,
    /// The end that accepts.
    pub server: Side,
    /// The ends that connect, all clients together.
    pub clients: Side,
    /// What the kernel counted.
    pub kernel: Kernel,
    /// The machines, where the nodes are machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<machines::Machine>,
    /// What looking at the kernel's counters has cost.
    pub observing: Observing,
    /// Echo traffic during the hold; zeros where the connections were idle.
    pub echo: Echo,
    /// Host-wide settings that were moved, and what became of them.
    pub host_settings: Vec<Restored>,
    /// Why connections are missing, the largest cause first; empty when none is.
    pub verdicts: Vec<Verdict>,
    /// Where client, server and kernel do not agree, and agents that ended early.
    pub findings: Vec<String>,
    /// What the lab file expected, against what was measured.
    pub expectations: Vec<Expectation>,
    /// What could not be taken down; empty: the host is as it was.
    pub left_behind: Vec<Leftover>,
    /// The signal that ended the run before its time.
    pub interrupted: Option<String>,
    /// Why the run could not go on.
    pub broke: Option<String>,
    /// The exit code of the command that made the run.
    pub exit: u8,
    /// Measured fields that are null, by their path, each with the reason.
    pub not_measured: BTreeMap<String, String>,
}

/// Ends of one kind, counted by what the kernel said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ends {
    /// All of them.
    pub total: u64,
    /// The same, by operation and errno.
    pub by: Vec<Row>,
}

/// Seconds of each phase; null for a phase that did not end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Seconds {
    /// From the first change to the host until all agents were ready.
    pub build: Option<f64>,
    /// From the first attempt to connect until the last was answered and the server held as many.
    pub ramp: Option<f64>,
    /// Holding, with the measuring before it and the last look at every connection after it; plateaus too.
    pub hold: Option<f64>,
    /// Closing, until both sides had closed everything.
    pub drain: Option<f64>,
    /// Ending the agents and undoing every change to the host.
    pub down: Option<f64>,
}

/// The server's end of all connections, or the clients'.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Connections the server accepted; the clients have no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
    /// Connections closed as planned.
    pub closed: u64,
    /// Processes that were started.
    pub processes: usize,
    /// Threads that work, one in each process; the first of each only waits for it.
    pub threads: usize,
    /// Private memory of all processes beyond what they had when empty, for each connection.
    pub user_bytes_per_connection: Option<f64>,
    /// Private memory of all processes while the connections were held.
    pub private_bytes: Option<u64>,
    /// What the kernel keeps for this side's own ends, for each connection: no other's, whatever runs beside.
    pub kernel_bytes_per_connection: Option<f64>,
    /// Where that figure comes from.
    pub kernel_bytes_source: Option<String>,
    /// The objects that were counted for it, by their slab cache: bytes for each connection.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kernel_bytes_by: BTreeMap<String, f64>,
}

/// What looking at the kernel's counters has cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observing {
    /// How often everything was looked at.
    pub looks: u64,
    /// The time that took, as a share of one core over the whole run.
    pub share_of_a_core: f64,
}

/// Echo traffic during the hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Echo {
    /// Payloads that were sent.
    pub sent: u64,
    /// Payloads that came back as they were sent.
    pub answered: u64,
    /// Payloads that came back otherwise.
    pub wrong: u64,
    /// Payloads that were due and not sent: the answer before was still out, or the process was late.
    pub skipped: u64,
    /// The latency in microseconds that 50 % of the answers did not exceed.
    pub p50_us: Option<u64>,
    /// The latency in microseconds that 90 % of the answers did not exceed.
    pub p90_us: Option<u64>,
    /// The latency in microseconds that 99 % of the answers did not exceed.
    pub p99_us: Option<u64>,
    /// The latency in microseconds that 99.9 % of the answers did not exceed.
    pub p999_us: Option<u64>,
    /// The longest latency, in microseconds.
    pub max_us: Option<u64>,
}

/// Settles the account of a run that has ended.
pub fn settle(plan: &Plan, account: &Account) -> Report {
    let mut totals = account.totals();
    // A swarm that was let go of while it was connecting never said how that went.
    let clients = &mut totals.clients;
    let unanswered = clients.unanswered();
    clients.failed.add_named(Operation::Connect, "ECANCELED", unanswered);
    // What a swarm still held when all was over, nobody ever told to be closed.
    clients.lost.add_named(Operation::Agent, "no answer", std::mem::take(&mut clients.open));
    let outcome = account.outcome.clone().unwrap_or_default();
    let mut report = Report {
        origin: account.origin.clone(),
        lab: plan.lab.clone(),
        asked: plan.asked(),
        established: totals.clients.established,
        ready: totals.clients.ready.min(totals.clients.established),
        failed: ends(&totals.clients.failed),
        untried: plan.asked().saturating_sub(totals.clients.tried),
        lost: ends(&totals.clients.lost),
        breaks_at: account.broke_at,
        plateaus: Vec::new(),
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
        kernel: kernel::counted(plan, account),
        machines: Vec::new(),
        observing: observing(account),
        echo: echo(account),
        host_settings: outcome.restored,
        verdicts: diagnose::diagnose(plan, account),
        findings: findings::all(account),
        expectations: Vec::new(),
        left_behind: outcome.left_behind,
        interrupted: account.interrupted.clone(),
        broke: account.broke.clone(),
        exit: Exit::Done.code(),
        not_measured: BTreeMap::new(),
    };
    memory::fill(&mut report, plan, account);
    machines::fill(&mut report, plan, account);
    plateaus::fill(&mut report, plan, account);
    whole::explain_nulls(&mut report, plan, account);
    explain_nulls(&mut report, plan);
    report.expectations = expectations::check(&plan.course.expect, &report);
    report.exit = account.never_built.unwrap_or_else(|| exit(&report).code());
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

fn observing(account: &Account) -> Observing {
    let seconds: f64 = account.seconds.values().sum();
    let spent = account.looking_us as f64 / 1e6;
    let share = if seconds > 0.0 { (spent / seconds * 1e5).round() / 1e5 } else { 0.0 };
    Observing { looks: account.looks, share_of_a_core: share }
}

fn echo(account: &Account) -> Echo {
    let counts = account.totals().clients.talk;
    Echo {
        sent: counts.sent,
        answered: counts.answered,
        wrong: counts.wrong,
        skipped: counts.skipped,
        p50_us: account.latency_us(0.5),
        p90_us: account.latency_us(0.9),
        p99_us: account.latency_us(0.99),
        p999_us: account.latency_us(0.999),
        max_us: account.latency_us(1.0),
    }
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
    if report.breaks_at.is_none() {
        let why = match plan.course.ramp.until {
            Until::Breaks => "nothing broke",
            Until::Done => "the ramp was not to go on until something breaks",
        };
        missing("breaks_at", why);
    }
    if report.rate_per_second.is_none() {
        missing("rate_per_second", "the ramp did not end");
    }
    if report.peak_rate_per_second.is_none() {
        missing("peak_rate_per_second", "the ramp was over before a first progress was told");
    }
    if report.echo.p50_us.is_none() {
        let talks = plan.course.talk.watches_clients();
        let why = if talks { "no echo was answered" } else { "the connections were idle" };
        for name in ["p50_us", "p90_us", "p99_us", "p999_us", "max_us"] {
            missing(&format!("echo.{name}"), why);
        }
    }
    if report.kernel.sockets_before.is_none() {
        for name in ["sockets_before", "bytes_before", "other_sockets_before"] {
            missing(&format!("kernel.{name}"), "the build did not end");
        }
    }
    if report.kernel.sockets_peak.is_none() {
        for name in ["sockets_peak", "bytes_peak", "files_open_peak", "other_sockets_most"] {
            missing(&format!("kernel.{name}"), "the ramp did not end");
        }
    }
    let others = [
        ("other_sockets_before", report.kernel.other_sockets_before),
        ("other_sockets_most", report.kernel.other_sockets_most),
    ];
    for (name, _) in others.iter().filter(|(_, sockets)| sockets.is_none()) {
        missing(&format!("kernel.{name}"), "the machine's sockets could not be counted");
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
