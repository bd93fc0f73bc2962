//! Every limit is met on purpose, and named; its twin has the remedy, and everything is there.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use common::*;
use serde_json::Value;

/// The second file of each pair.
const LIFTED: &str = "-lifted";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("labs/limits")
}

/// The labs, each without its twin: `accept_queue`.
fn labs() -> Vec<String> {
    let names = names(&folder().display().to_string());
    let labs = names.iter().filter_map(|name| name.strip_suffix(".yaml"));
    labs.filter(|name| !name.ends_with(LIFTED)).map(ToOwned::to_owned).collect()
}

/// What one lab came to.
struct Ran {
    report: Value,
    /// Its exit code, and what it said.
    code: Option<i32>,
    told: String,
    seconds: f64,
}

fn run_lab(name: &str) -> Ran {
    let lab = TestLab::new(&name.replace(LIFTED, "-l").replace('_', "-"));
    let file = folder().join(format!("{name}.yaml")).display().to_string();
    let began = Instant::now();
    let set = format!("name={}", lab.name);
    let arguments = ["up", &file, "--set", &set, "--json", "--out", &lab.out(), "--lower-host-limits"];
    let output = run(&arguments);
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    lab.assert_gone();
    Ran { report, code: output.status.code(), told: stderr(&output), seconds: began.elapsed().as_secs_f64() }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// `conntrack_full 2,000 (100 %)`.
fn verdicts(report: &Value) -> String {
    let verdicts = report["verdicts"].as_array().cloned().unwrap_or_default();
    let one = |verdict: &Value| {
        let share = verdict["share"].as_f64().unwrap_or(0.0) * 100.0;
        format!("{} {} ({share:.0} %)", verdict["cause"].as_str().unwrap_or("?"), verdict["connections"])
    };
    if verdicts.is_empty() {
        "none".to_owned()
    } else {
        verdicts.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// Every missing connection is named once, and no other.
fn complaints(name: &str, ran: &Ran) -> Vec<String> {
    let report = &ran.report;
    let mut complaints = Vec::new();
    if ran.code != Some(0) {
        complaints.push(format!("{name} ended with {:?}:\n{}", ran.code, ran.told));
    }
    let sum =
        number(&report["established"]) + number(&report["failed"]["total"]) + number(&report["untried"]);
    if report.is_null() || number(&report["asked"]) != sum {
        complaints.push(format!("{name}: asked {} is not {sum}", report["asked"]));
    }
    let all = report["verdicts"].as_array().cloned().unwrap_or_default();
    let named: u64 = all.iter().map(|verdict| number(&verdict["connections"])).sum();
    if named > number(&report["asked"]) {
        complaints
            .push(format!("{name}: {named} connections are named, and only {} were asked", report["asked"]));
    }
    for verdict in &all {
        if verdict["evidence"].as_array().is_none_or(Vec::is_empty) {
            complaints.push(format!("{name}: {} has no evidence", verdict["cause"]));
        }
    }
    complaints
}

#[test]
fn every_limit_is_named_and_lifted() {
    need_root();
    let mut complaints = Vec::new();
    let mut table = vec![format!("{:<20} {:>6}  {:<58} {:<12} {:>6}", "lab", "s", "verdict", "lifted", "s")];
    for name in labs() {
        let (met, lifted) = (run_lab(&name), run_lab(&format!("{name}{LIFTED}")));
        let reached = number(&lifted.report["established"]) * 100 / number(&lifted.report["asked"]).max(1);
        if lifted.report["established"] != lifted.report["asked"] {
            complaints.push(format!("{name}{LIFTED}: {reached} % of what was asked stood"));
        }
        let twin = format!("{reached} %, {}", verdicts(&lifted.report));
        let verdict = verdicts(&met.report);
        table.push(format!(
            "{name:<20} {:>6.1}  {verdict:<58} {twin:<12} {:>6.1}",
            met.seconds, lifted.seconds
        ));
        complaints.extend(self::complaints(&name, &met));
        complaints.extend(self::complaints(&format!("{name}{LIFTED}"), &lifted));
    }
    println!("{}", table.join("\n"));
    assert!(complaints.is_empty(), "{}\n\n{}", table.join("\n"), complaints.join("\n\n"));
}

/// The pairs are whole: each cause has its lab, each lab its twin, and each says what is expected of it.
#[test]
fn every_cause_has_a_lab() {
    let _turn = beside();
    assert!(labs().len() > 15, "{:?}", labs());
    let listed = run(&["explain"]);
    assert_eq!(listed.status.code(), Some(0), "{}", stderr(&listed));
    let causes = String::from_utf8_lossy(&listed.stdout).into_owned();
    let expected: BTreeMap<String, String> =
        labs().into_iter().map(|name| (expected_verdict(&name), name)).collect();
    for cause in causes.lines().filter_map(|line| line.split_whitespace().next()) {
        let is_cause = cause.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if is_cause {
            assert!(expected.contains_key(cause), "no lab in labs/limits meets {cause}: {expected:?}");
        }
    }
    for name in labs() {
        assert_eq!(expected_verdict(&format!("{name}{LIFTED}")), "none", "{name}");
    }
    assert!(expected.keys().any(|verdicts| verdicts.contains(", ")), "two causes at once");
}

fn expected_verdict(name: &str) -> String {
    let path = folder().join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let line = text.lines().find_map(|line| line.trim().strip_prefix("verdict: "));
    line.unwrap_or_else(|| panic!("{name} expects no verdict")).to_owned()
}
