//! The last lines of a run, for people.

use super::{Ends, Report, Side};
use crate::agent::errno;
use crate::agent::tally::Operation;
use crate::units::grouped;

pub fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        format!(
            " asked {} = established {} + failed {} + untried {}",
            grouped(report.asked),
            grouped(report.established),
            grouped(report.failed.total),
            grouped(report.untried)
        ),
    ];
    lines.extend(ends("failed", &report.failed));
    lines.extend(ends("lost", &report.lost));
    if let Some(memory) = memory(report) {
        lines.push(memory);
    }
    for finding in &report.findings {
        lines.push(format!(" finding {finding}"));
    }
    for setting in &report.host_settings {
        let mut line =
            format!(" setting {} was {}, {} during the run", setting.key, setting.before, setting.during);
        line += &format!(", {} again", setting.after);
        if let Some(note) = &setting.note {
            line = format!(" setting {}: {note}", setting.key);
        }
        lines.push(line);
    }
    for leftover in &report.left_behind {
        lines.push(format!(" left behind  {}: {}", leftover.what, leftover.why));
    }
    for expectation in report.expectations.iter().filter(|expectation| !expectation.met) {
        lines.push(format!(" expected {} {}, got {}", expectation.name, expectation.wanted, expectation.got));
    }
    lines
}

fn ends(what: &str, ends: &Ends) -> Vec<String> {
    let row = |row: &crate::agent::tally::Row| {
        let how = match row.operation {
            Operation::Agent => format!("the loss of their process: {}", row.errno),
            operation => format!("{} {}: {}", name(operation), row.errno, errno::meaning(&row.errno)),
        };
        format!("   {what} {} by {how}", grouped(row.count))
    };
    ends.by.iter().map(row).collect()
}

fn name(operation: Operation) -> String {
    format!("{operation:?}").to_lowercase()
}

fn memory(report: &Report) -> Option<String> {
    Some(format!(" memory server {} · clients {}", side(&report.server)?, side(&report.clients)?))
}

fn side(side: &Side) -> Option<String> {
    let (user, kernel) = (side.user_bytes_per_connection?, side.kernel_bytes_per_connection?);
    let kb = |bytes: f64| bytes / 1000.0;
    Some(format!(
        "{:.2} KB per connection (kernel {:.2}, user {:.3})",
        kb(user + kernel),
        kb(kernel),
        kb(user)
    ))
}
