//! The smoke run, by the binary, with every field of its report.

mod common;
#[path = "common/floor.rs"]
mod floor;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use common::*;
use serde_json::Value;

fn smoke() -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("labs/smoke.yaml"));
    text.expect("the smoke lab").replace("name: smoke\n", "")
}

#[test]
fn ten_thousand_connections_are_accounted_for() {
    need_root();
    let lab = TestLab::new("smoke");
    let (output, report) = lab.up(&smoke(), &[]);
    assert_all_established(&output, &report, 10_000);
    echoes(&report["echo"]);
    seconds(&report["seconds"]);
    sides(&report);
    kernel(&report["kernel"]);
    expectations(&report["expectations"]);
    nulls_have_reasons(&report);
    assert_eq!(
        (&report["lab"], &report["version"]),
        (&lab.name.as_str().into(), &env!("CARGO_PKG_VERSION").into())
    );
    let told = stderr(&output);
    for part in ["10,000 = established 10,000 + failed 0 + untried 0", "host as it was", "report.json"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    run_folder(&lab, &report);
    lab.assert_gone();
}

/// How many times the time of plain sockets the smoke run may need, with the second that it holds taken off. With 2
/// processors it needed 1.1 times the processors' time and 1.4 times the time (in a debug build 1.8 and 1.2), while some
/// 20 other processes wanted them.
const MOST_CPU: f64 = if cfg!(debug_assertions) { 4.0 } else { 2.5 };
const MOST_WALL: f64 = if cfg!(debug_assertions) { 5.0 } else { 4.0 };
const HOLD: f64 = 1.0;
/// Somebody else may come in between one floor and its run, and hardly each time: a lab that is slower is so each time.
const TRIES: usize = 5;

#[test]
fn the_smoke_run_needs_a_few_times_what_plain_sockets_need() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("pace");
    let (file, out) = (lab.file(&smoke()), lab.out());
    let (mut cpu, mut wall) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..TRIES {
        let floor = floor::measure();
        let began = Instant::now();
        let needed = cpu_of(&["up", &file, "--quiet", "--out", &out]);
        let took = began.elapsed().as_secs_f64() - HOLD;
        println!("{floor:?}, and the run: {needed:.3} s of processors in {took:.3} s beside the hold");
        (cpu, wall) = (cpu.min(needed / floor.cpu), wall.min(took / floor.wall));
        std::fs::remove_dir_all(&out).expect("the run's folder");
        if cpu <= MOST_CPU && wall <= MOST_WALL {
            break;
        }
    }
    println!("at best {cpu:.2} times the processors' time, {wall:.2} times the time");
    assert!(cpu <= MOST_CPU, "{cpu:.2} times the processors' time of plain sockets, of {MOST_CPU} at most");
    assert!(wall <= MOST_WALL, "{wall:.2} times the time of plain sockets, of {MOST_WALL} at most");
}

/// Seconds of processors that c1m-lab and its agents take, as the shell counts for its children.
fn cpu_of(arguments: &[&str]) -> f64 {
    let script = "\"$@\" && times";
    let output = Command::new("sh")
        .args(["-c", script, "sh", BINARY])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    // `0m0.01s 0m0.02s`: of the shell itself, and then of its children.
    let children = told.lines().last().expect("two lines");
    let seconds = |field: &str| {
        let (minutes, seconds) = field.strip_suffix('s')?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    children.split_whitespace().map(|field| seconds(field).unwrap_or_else(|| panic!("{told}"))).sum()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn echoes(echo: &Value) {
    let sent = echo["sent"].as_u64().expect("a count");
    // 10,000 connections every half second, for a second.
    assert!((10_000..=40_000).contains(&sent), "{echo}");
    assert_eq!((echo["answered"].as_u64(), echo["wrong"].as_u64()), (Some(sent), Some(0)));
    let latencies = ["p50_us", "p90_us", "p99_us", "p999_us", "max_us"].map(|name| number(&echo[name]));
    assert!(latencies[0] > 0.0 && latencies.is_sorted(), "{echo}");
}

fn seconds(seconds: &Value) {
    for phase in ["build", "ramp", "hold", "drain", "down"] {
        assert!((0.0..20.0).contains(&number(&seconds[phase])), "{seconds}");
    }
    assert!(number(&seconds["hold"]) >= 1.0, "{seconds}");
}

fn sides(report: &Value) {
    for (side, processes) in [("server", 1), ("clients", 2)] {
        let side = &report[side];
        assert_eq!(side["closed"].as_u64(), Some(10_000), "{side}");
        assert_eq!((&side["processes"], &side["threads"]), (&processes.into(), &processes.into()));
        // An agent keeps next to nothing for a connection: the kernel does.
        assert!((0.0..200.0).contains(&number(&side["user_bytes_per_connection"])), "{side}");
        assert!(number(&side["private_bytes"]) > 0.0, "{side}");
    }
    assert!(number(&report["rate_per_second"]) > 1_000.0, "{report:#}");
}

fn kernel(kernel: &Value) {
    assert!(number(&kernel["sockets_peak"]) >= 20_000.0, "{kernel}");
    assert_eq!(kernel["sockets_before"].as_u64(), Some(100), "the listeners: {kernel}");
    assert!(number(&kernel["sockets_after_drain"]) <= 100.0, "{kernel}");
    assert_eq!(kernel["time_wait_after_drain"].as_u64(), Some(0), "{kernel}");
    assert!(number(&kernel["files_open_peak"]) >= 20_000.0, "{kernel}");
    assert!(number(&kernel["bytes_before"]) > 0.0 && number(&kernel["bytes_peak"]) > 0.0, "{kernel}");
}

fn expectations(expectations: &Value) {
    let expectations = expectations.as_array().expect("a list");
    let names: Vec<_> = expectations.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["established", "lost", "echo_wrong"]);
    assert!(expectations.iter().all(|one| one["met"] == true), "{expectations:?}");
}

/// Every figure that is null says why, and no figure that is there is said to be missing.
fn nulls_have_reasons(report: &Value) {
    let mut nulls = Vec::new();
    find_nulls(report, "", &mut nulls);
    // These are no figures: a limit of the machine that is null is none.
    nulls.retain(|path| path != "interrupted" && path != "broke" && !path.starts_with("machine."));
    nulls.sort();
    let reasons = report["not_measured"].as_object().expect("a map");
    assert_eq!(nulls, reasons.keys().cloned().collect::<Vec<_>>(), "{report:#}");
}

fn find_nulls(value: &Value, path: &str, nulls: &mut Vec<String>) {
    match value {
        Value::Null => nulls.push(path.trim_start_matches('.').to_owned()),
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| find_nulls(value, &format!("{path}.{key}"), nulls));
        }
        Value::Array(list) => list.iter().for_each(|value| find_nulls(value, path, nulls)),
        _ => {}
    }
}

fn run_folder(lab: &TestLab, report: &Value) {
    let read = |name: &str| std::fs::read_to_string(lab.folder.join("out").join(name)).expect(name);
    let plan: Value = serde_json::from_str(&read("plan.json")).expect("a plan");
    assert_eq!(
        (plan["course"]["connections"].as_u64(), plan["ends"]["nodes"].as_array().map(Vec::len)),
        (Some(10_000), Some(3))
    );
    assert_eq!(&serde_json::from_str::<Value>(&read("report.json")).expect("a report"), report);
    let events: Vec<Value> =
        read("events.jsonl").lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let times: Vec<u64> = events.iter().map(|event| event["ms"].as_u64().expect("a time")).collect();
    assert!(times.is_sorted());
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((count("began"), count("ended"), count("taken_down")), (5, 5, 1));
    assert_eq!((count("agent_started"), count("agent_ended"), count("ramped")), (3, 3, 2));
}

#[test]
fn looking_at_connections_takes_nothing_from_their_echoes() {
    need_root();
    let lab = TestLab::new("talk");
    // Passes over all connections go on meanwhile, at a pace that a machine that pauses can follow.
    let text = "connections: 2K\nclients: {count: 2}\nhold: 3s\ntraffic: {kind: echo, every: 1s, size: 64B}";
    let (output, report) = lab.up(text, &[]);
    assert_all_established(&output, &report, 2_000);
    let echo = &report["echo"];
    assert_eq!((&echo["answered"], &echo["wrong"]), (&echo["sent"], &0.into()), "{report:#}");
    lab.assert_gone();
}

#[test]
fn a_reader_that_goes_away_does_not_end_a_run() {
    need_root();
    let lab = TestLab::new("deaf");
    let file = lab.file("connections: 500\nhold: 0s");
    let mut runner = c1m_lab(&["up", &file, "--json", "--out", &lab.out()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("c1m-lab runs");
    drop((runner.stdout.take(), runner.stderr.take()));
    assert_eq!(runner.wait().expect("a child").code(), Some(0));
    lab.assert_gone();
}
