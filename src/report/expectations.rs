//! What the lab file expects, against what was measured.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Report;
use crate::cause::Causes;
use crate::spec::ExpectSpec;
use crate::units::grouped;

/// One expectation of the lab file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// Its key below `expect`.
    pub name: Cow<'static, str>,
    /// What was wanted, such as `at least 1,000,000`.
    pub wanted: String,
    /// What was measured.
    pub got: String,
    /// Whether it was met; what could not be measured was not.
    pub met: bool,
}

pub fn check(expect: &ExpectSpec, report: &Report) -> Vec<Expectation> {
    let mut checked = Vec::new();
    if let Some(share) = expect.established {
        let wanted = share.of(report.asked);
        checked.push(at_least("established", wanted as f64, Some(report.established as f64)));
    }
    if let Some(rate) = expect.rate_per_second {
        let got = report.rate_per_second.map(|rate| rate as f64);
        checked.push(at_least("rate_per_second", rate.0 as f64, got));
    }
    let server = total(report.server.user_bytes_per_connection, report.server.kernel_bytes_per_connection);
    let clients = total(report.clients.user_bytes_per_connection, report.clients.kernel_bytes_per_connection);
    let most = [
        ("failed", expect.failed.map(|most| most.0 as f64), Some(report.failed.total as f64)),
        ("lost", expect.lost.map(|most| most.0 as f64), Some(report.lost.total as f64)),
        ("echo_wrong", expect.echo_wrong.map(|most| most.0 as f64), Some(report.echo.wrong as f64)),
        ("server_bytes_per_connection", expect.server_bytes_per_connection.map(|most| most.0 as f64), server),
        (
            "client_bytes_per_connection",
            expect.client_bytes_per_connection.map(|most| most.0 as f64),
            clients,
        ),
        ("seconds", expect.seconds.map(|most| most.0.as_secs_f64()), report.seconds.ramp),
    ];
    for (name, wanted, got) in most {
        if let Some(wanted) = wanted {
            checked.push(at_most(name, wanted, got));
        }
    }
    checked.extend(expect.verdict.as_ref().map(|wanted| verdict(wanted, report)));
    checked
}

/// Exactly the causes that were expected: one more is as much a surprise as one less.
fn verdict(wanted: &Causes, report: &Report) -> Expectation {
    let got = Causes(report.verdicts.iter().map(|verdict| verdict.cause).collect());
    Expectation {
        name: "verdict".into(),
        wanted: wanted.to_string(),
        got: got.to_string(),
        met: got == *wanted,
    }
}

fn total(user: Option<f64>, kernel: Option<f64>) -> Option<f64> {
    Some(user? + kernel?)
}

fn at_least(name: &'static str, wanted: f64, got: Option<f64>) -> Expectation {
    Expectation {
        name: name.into(),
        wanted: format!("at least {}", figure(wanted)),
        got: got.map_or_else(|| "not measured".to_owned(), figure),
        met: got.is_some_and(|got| got >= wanted),
    }
}

/// What could not be measured was not met: a check that cannot fail is none.
fn at_most(name: &'static str, wanted: f64, got: Option<f64>) -> Expectation {
    Expectation {
        name: name.into(),
        wanted: format!("at most {}", figure(wanted)),
        got: got.map_or_else(|| "not measured".to_owned(), figure),
        met: got.is_some_and(|got| got <= wanted),
    }
}

fn figure(value: f64) -> String {
    match value {
        whole if whole.fract() == 0.0 => grouped(whole as u64),
        small if small < 1.0 => format!("{small:.4}"),
        other => format!("{other:.2}"),
    }
}
