//! The last lines of a run, for people.

use super::machines::Machine;
use super::{Ends, Plateau, Report, Side};
use crate::agent::errno;
use crate::agent::tally::{Operation, Row};
use crate::diagnose::explain;
use crate::teardown::Restored;
use crate::units::grouped;

pub fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut line = |label: &str, text: String| lines.push(format!(" {label:<8} {text}"));
    line(
        "asked",
        format!(
            "{} = established {} + failed {} + untried {}",
            grouped(report.asked),
            grouped(report.established),
            grouped(report.failed.total),
            grouped(report.untried)
        ),
    );
    report.plateaus.iter().for_each(|passed| line("plateau", plateau(passed)));
    if let Some(established) = report.breaks_at {
        line("breaks", format!("the first connection was missing at {} established", grouped(established)));
    }
    ends(&report.failed).into_iter().for_each(|text| line("failed", text));
    ends(&report.lost).into_iter().for_each(|text| line("lost", text));
    for verdict in &report.verdicts {
        let mut texts = explain::verdict(verdict).into_iter();
        texts.next().into_iter().for_each(|text| line("cause", text));
        texts.for_each(|text| line("", text));
    }
    memory(report).into_iter().for_each(|text| line("memory", text));
    report.machines.iter().filter_map(machine).for_each(|text| line("machine", text));
    report.findings.iter().for_each(|finding| line("finding", finding.clone()));
    report.host_settings.iter().for_each(|restored| line("setting", setting(restored)));
    if let Some(why) = report.broke.as_ref().filter(|_| report.interrupted.is_none()) {
        line("broke", why.clone());
    }
    report
        .left_behind
        .iter()
        .for_each(|leftover| line("left", format!("{}: {}", leftover.what, leftover.why)));
    for unmet in report.expectations.iter().filter(|expectation| !expectation.met) {
        line("expected", format!("{} {}, got {}", unmet.name, unmet.wanted, unmet.got));
    }
    lines
}

fn plateau(plateau: &Plateau) -> String {
    let held = plateau.open.min(plateau.server_open);
    let (of, lost) = (grouped(plateau.connections), grouped(plateau.lost));
    let mut text = format!("{} of {of} held, {lost} lost · {:.1} s", grouped(held), plateau.ramp_seconds);
    if let Some(bytes) = plateau.kernel_bytes_per_connection {
        text += &format!(" · kernel {:.2} KB each", bytes / 1000.0);
    }
    for (node, growth) in &plateau.machines_growth {
        text += &format!(" · {node} +{:.2} GB", *growth as f64 / 1e9);
    }
    text
}

fn setting(restored: &Restored) -> String {
    let Restored { key, before, during, after, note } = restored;
    match note {
        Some(note) => format!("{key}: {note}"),
        None => format!("{key} was {before}, {during} during the run, {after} again"),
    }
}

fn ends(ends: &Ends) -> Vec<String> {
    let row = |row: &Row| {
        let how = match row.operation {
            Operation::Agent => format!("the loss of their process: {}", row.errno),
            operation => format!("{} {}: {}", name(operation), row.errno, errno::meaning(&row.errno)),
        };
        format!("{} by {how}", grouped(row.count))
    };
    ends.by.iter().map(row).collect()
}

fn name(operation: Operation) -> String {
    format!("{operation:?}").to_lowercase()
}

fn memory(report: &Report) -> Option<String> {
    let (server, clients) = (side(&report.server)?, side(&report.clients)?);
    Some(format!("per connection: server {server} · clients {clients}"))
}

fn machine(machine: &Machine) -> Option<String> {
    let gb = |bytes: u64| bytes as f64 / 1e9;
    Some(format!(
        "{}: {:.2} GB of {:.2} in use, {:.2} more than before",
        machine.node,
        gb(machine.memory_peak?),
        gb(machine.memory_total?),
        gb(machine.memory_growth?),
    ))
}

fn side(side: &Side) -> Option<String> {
    let (user, kernel) = (side.user_bytes_per_connection?, side.kernel_bytes_per_connection?);
    let kb = |bytes: f64| bytes / 1000.0;
    Some(format!("{:.2} KB (kernel {:.2}, user {:.3})", kb(user + kernel), kb(kernel), kb(user)))
}
