//! What CI is shown, letter by letter.

use super::*;
use crate::account::Account;
use crate::exit::Exit;
use crate::host::Host;
use crate::report::{Expectation, Seconds, settle};
use crate::teardown::Leftover;

/// A run of nothing: what it says is then set by each test.
fn report() -> Report {
    let lab = crate::spec::parse("lab.yaml", "name: unit\nconnections: 10K\n", &[]).expect("a lab");
    let plan = crate::plan::decide(&lab, &Host::example()).expect("a plan");
    let mut report = settle(&plan, &Account::default());
    report.expectations = Vec::new();
    report.seconds = Seconds { build: Some(0.25), ramp: Some(1.5), ..Seconds::default() };
    report
}

fn expectation(name: &'static str, met: bool) -> Expectation {
    Expectation { name: name.into(), wanted: "at least 10,000".to_owned(), got: "9,999".to_owned(), met }
}

#[test]
fn a_good_run_is_one_good_case_and_one_for_each_expectation() {
    let mut report = report();
    report.expectations = vec![expectation("established", true)];
    let xml = of_report(&report);
    let (head, told) = xml.split_once("    <system-out>").expect("what was told");
    let expected = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="c1m-lab" tests="2" failures="0" errors="0" skipped="0" time="1.750">
  <testsuite name="c1m-lab.unit" tests="2" failures="0" errors="0" skipped="0" time="1.750">
    <properties>
      <property name="version" value="{}"/>
      <property name="asked" value="10000"/>
      <property name="established" value="0"/>
      <property name="failed" value="0"/>
      <property name="untried" value="10000"/>
      <property name="lost" value="0"/>
    </properties>
    <testcase classname="c1m-lab.unit" name="run" time="1.750"/>
    <testcase classname="c1m-lab.unit" name="expect established" time="0.000"/>
"#,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(head, expected);
    let account = "asked    10,000 = established 0 + failed 0 + untried 10,000";
    assert_eq!(told, format!("{account}</system-out>\n  </testsuite>\n</testsuites>\n"));
}

#[test]
fn an_expectation_that_was_not_met_is_a_failure() {
    let mut report = report();
    report.expectations = vec![expectation("established", false), expectation("lost", true)];
    let xml = of_report(&report);
    assert!(xml.contains(r#"tests="3" failures="1" errors="0""#), "{xml}");
    let failure = r#"name="expect established" time="0.000">
      <failure message="wanted at least 10,000, got 9,999"/>
    </testcase>"#;
    assert!(xml.contains(failure), "{xml}");
}

#[test]
fn a_run_that_broke_or_left_something_is_an_error() {
    let mut report = report();
    report.broke = Some("the server <ended>".to_owned());
    report.interrupted = Some("SIGINT".to_owned());
    report.left_behind = vec![Leftover { what: "namespace a".to_owned(), why: "in \"use\"".to_owned() }];
    let xml = of_report(&report);
    assert!(xml.contains(r#"tests="1" failures="0" errors="1""#), "{xml}");
    let error = "<error message=\"left behind namespace a: in &quot;use&quot;; interrupted by SIGINT; \
                 the server &lt;ended&gt;\"/>";
    assert!(xml.contains(error), "{xml}");
}

#[test]
fn a_run_that_could_not_begin_is_an_error_with_its_remedy() {
    let error = Error::new(Exit::Host, "starting & all", "no right").remedy("be root");
    let xml = of_error("lab.yaml", &error);
    assert!(xml.contains(r#"<testsuite name="c1m-lab.lab.yaml" tests="1" failures="0" errors="1""#), "{xml}");
    assert!(xml.contains(r#"<error message="starting &amp; all: no right"/>"#), "{xml}");
    assert!(xml.contains("no right&#10;help: be root</system-out>"), "{xml}");
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_out(text in "\\PC*|[\u{0}-\u{40}]*") {
        let safe = escaped(&text);
        proptest::prop_assert!(!safe.contains(['<', '>', '"', '\n', '\r', '\0']), "{safe}");
        // Every ampersand left begins one of the five.
        for rest in safe.split('&').skip(1) {
            let known = ["amp;", "lt;", "gt;", "quot;", "#10;", "#9;"];
            proptest::prop_assert!(known.iter().any(|one| rest.starts_with(one)), "{safe}");
        }
    }
}
