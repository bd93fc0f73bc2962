//! Memory per connection: what the agents took themselves, and what the kernel took for each end.

use super::{Report, whole};
use crate::account::{Account, Weight};
use crate::driver::AgentId;
use crate::event::Moment;
use crate::observe::Sample;
use crate::plan::Plan;

/// Caches that hold an end for epoll.
const WATCHED: &[&str] = &["eventpoll_epi", "eventpoll_pwq"];
/// Caches that only a client's end needs: its source port is bound.
const BOUND: &[&str] = &["tcp_bind_bucket", "tcp_bind2_bucket"];
/// Caches of which both ends need alike.
const ALIKE: &[&str] = &["TCP", "sock_inode_cache", "filp", "dentry", "request_sock_TCP"];

/// Below this many connections the noise of the machine is larger than what they take.
pub(super) const TOO_FEW: u64 = 1_000;

pub fn fill(report: &mut Report, plan: &Plan, account: &Account) {
    let Some(peak) = whole::sample(plan, account, Moment::Peak) else {
        return absent(report, &whole::why(plan, account, Moment::Peak, "the ramp did not end"));
    };
    // Both ends of every connection that stood when the sample was taken.
    let open = (peak.tcp_in_use() / 2).min(report.established);
    if open < TOO_FEW {
        return absent(report, "fewer than 1,000 connections stood: the machine's own changes are larger");
    }
    user(report, account, open);
    let Some(before) = whole::sample(plan, account, Moment::Before) else {
        let why = whole::why(plan, account, Moment::Before, "the build did not end");
        absent_kernel(report, &why);
        return absent_split(report, &why);
    };
    split(report, plan, (before, peak), open);
    let total = peak.kernel_bytes().saturating_sub(before.kernel_bytes());
    if total == 0 {
        return absent_kernel(report, "the kernel's memory did not grow: others gave back more");
    }
    report.kernel.bytes_per_connection = Some(rounded(total as f64 / open as f64));
}

/// Each side's part of the caches that connections live in: what they grew by, object by object.
fn split(report: &mut Report, plan: &Plan, samples: (&Sample, &Sample), open: u64) {
    let grown = |caches| grown(samples.0, samples.1, caches);
    let (Some(alike), Some(watched), Some(bound)) = (grown(ALIKE), grown(WATCHED), grown(BOUND)) else {
        return absent_split(report, "/proc/slabinfo can be read by root only");
    };
    // With echo traffic the clients' ends are watched too.
    let server_watched = if plan.talk.watches_clients() { watched / 2 } else { watched };
    let per_connection = |bytes: u64| Some(rounded(bytes as f64 / open as f64));
    report.server.kernel_bytes_per_connection = per_connection(alike / 2 + server_watched);
    report.clients.kernel_bytes_per_connection =
        per_connection(alike / 2 + (watched - server_watched) + bound);
}

fn user(report: &mut Report, account: &Account, open: u64) {
    let side = |which: fn(&AgentId) -> bool| {
        let weights: Vec<&Weight> =
            account.weights.iter().filter(|(agent, _)| which(agent)).map(|(_, weight)| weight).collect();
        let peak = sum(weights.iter().map(|weight| weight.peak));
        let grown = sum(weights.iter().map(|weight| Some(weight.peak?.saturating_sub(weight.empty?))));
        (peak, grown.map(|grown| rounded(grown as f64 / open as f64)))
    };
    let server = side(|agent| matches!(agent, AgentId::Reactor(_)));
    let clients = side(|agent| matches!(agent, AgentId::Swarm(_)));
    (report.server.private_bytes, report.server.user_bytes_per_connection) = server;
    (report.clients.private_bytes, report.clients.user_bytes_per_connection) = clients;
    for (name, (peak, _)) in [("server", server), ("clients", clients)] {
        if peak.is_none() {
            let why = "an agent could not read its own memory, or had ended";
            for field in ["private_bytes", "user_bytes_per_connection"] {
                report.not_measured.insert(format!("{name}.{field}"), why.to_owned());
            }
        }
    }
}

/// None as soon as one is not known.
fn sum(mut bytes: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    bytes.try_fold(0, |sum: u64, one| Some(sum.saturating_add(one?)))
}

fn grown(before: &Sample, peak: &Sample, caches: &[&str]) -> Option<u64> {
    let sum = |sample: &Sample| caches.iter().map(|cache| sample.cache(cache)).sum::<Option<u64>>();
    Some(sum(peak)?.saturating_sub(sum(before)?))
}

fn absent(report: &mut Report, why: &str) {
    for side in ["server", "clients"] {
        for field in ["private_bytes", "user_bytes_per_connection"] {
            report.not_measured.insert(format!("{side}.{field}"), why.to_owned());
        }
    }
    absent_kernel(report, why);
    absent_split(report, why);
}

fn absent_kernel(report: &mut Report, why: &str) {
    report.not_measured.insert("kernel.bytes_per_connection".to_owned(), why.to_owned());
}

fn absent_split(report: &mut Report, why: &str) {
    for side in ["server", "clients"] {
        report.not_measured.insert(format!("{side}.kernel_bytes_per_connection"), why.to_owned());
    }
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
