//! The result as JUnit XML, which every CI shows: the run itself is a test case, and so is each expectation. Pure.

#[cfg(test)]
mod tests;

use super::{Report, text};
use crate::error::Error;

/// A run that ended, however it did.
pub fn of_report(report: &Report) -> String {
    let seconds = &report.seconds;
    let phases = [seconds.build, seconds.ramp, seconds.hold, seconds.drain, seconds.down];
    let mut suite = Suite::new(&report.lab, phases.into_iter().flatten().sum());
    suite.properties = vec![
        ("version", report.origin.version.clone()),
        ("asked", report.asked.to_string()),
        ("established", report.established.to_string()),
        ("failed", report.failed.total.to_string()),
        ("untried", report.untried.to_string()),
        ("lost", report.lost.total.to_string()),
    ];
    if let Some(rate) = report.rate_per_second {
        suite.properties.push(("rate_per_second", rate.to_string()));
    }
    suite.cases.push(TestCase { name: "run".to_owned(), seconds: suite.seconds, trouble: trouble(report) });
    for expectation in &report.expectations {
        let unmet = format!("wanted {}, got {}", expectation.wanted, expectation.got);
        suite.cases.push(TestCase {
            name: format!("expect {}", expectation.name),
            seconds: 0.0,
            trouble: (!expectation.met).then_some(("failure", unmet)),
        });
    }
    suite.told = text::lines(report).join("\n").trim_start().to_owned();
    suite.xml()
}

/// A run that could not begin.
pub fn of_error(lab: &str, error: &Error) -> String {
    let mut suite = Suite::new(lab, 0.0);
    suite.cases.push(TestCase {
        name: "run".to_owned(),
        seconds: 0.0,
        trouble: Some(("error", format!("{}: {}", error.attempted, error.why))),
    });
    suite.told = error.to_string();
    suite.xml()
}

/// What went wrong with the run as such, not with what it measured.
fn trouble(report: &Report) -> Option<(&'static str, String)> {
    let left = report.left_behind.iter().map(|left| format!("left behind {}: {}", left.what, left.why));
    let interrupted = report.interrupted.iter().map(|signal| format!("interrupted by {signal}"));
    let broke = report.broke.iter().cloned();
    let all: Vec<String> = left.chain(interrupted).chain(broke).collect();
    (!all.is_empty()).then(|| ("error", all.join("; ")))
}

struct Suite {
    lab: String,
    seconds: f64,
    properties: Vec<(&'static str, String)>,
    cases: Vec<TestCase>,
    /// What the run told at its end.
    told: String,
}

struct TestCase {
    name: String,
    seconds: f64,
    /// `failure` or `error`, and its message.
    trouble: Option<(&'static str, String)>,
}

impl Suite {
    fn new(lab: &str, seconds: f64) -> Suite {
        Suite { lab: lab.to_owned(), seconds, properties: Vec::new(), cases: Vec::new(), told: String::new() }
    }

    fn xml(&self) -> String {
        let count = |kind: &str| {
            self.cases.iter().filter(|case| case.trouble.as_ref().is_some_and(|(is, _)| *is == kind)).count()
        };
        let sums = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"0\" time=\"{:.3}\"",
            self.cases.len(),
            count("failure"),
            count("error"),
            self.seconds
        );
        let suite = escaped(&format!("c1m-lab.{}", self.lab));
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let mut line = |text: String| {
            xml.push_str(&text);
            xml.push('\n');
        };
        line(format!("<testsuites name=\"c1m-lab\" {sums}>"));
        line(format!("  <testsuite name=\"{suite}\" {sums}>"));
        if !self.properties.is_empty() {
            line("    <properties>".to_owned());
            for (name, value) in &self.properties {
                line(format!("      <property name=\"{name}\" value=\"{}\"/>", escaped(value)));
            }
            line("    </properties>".to_owned());
        }
        for case in &self.cases {
            let name = escaped(&case.name);
            let head =
                format!("<testcase classname=\"{suite}\" name=\"{name}\" time=\"{:.3}\"", case.seconds);
            match &case.trouble {
                None => line(format!("    {head}/>")),
                Some((kind, message)) => {
                    line(format!("    {head}>"));
                    line(format!("      <{kind} message=\"{}\"/>", escaped(message)));
                    line("    </testcase>".to_owned());
                }
            }
        }
        line(format!("    <system-out>{}</system-out>", escaped(&self.told)));
        line("  </testsuite>".to_owned());
        line("</testsuites>".to_owned());
        xml
    }
}

/// Text as it may stand in an element and in an attribute. A newline in an attribute would be read as a space,
/// and most control characters may not stand in XML at all, not even escaped.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            '\t' => safe.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            other if other.is_control() && other < '\u{80}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}
