//! Labs that meet a limit on purpose, and what they may do to the host for it.

mod common;

use std::process::Output;

use common::*;
use serde_json::Value;

fn setting(key: &str) -> u64 {
    let path = format!("/proc/sys/{}", key.replace('.', "/"));
    let text = std::fs::read_to_string(&path).expect(&path);
    text.trim().parse().expect("a number")
}

/// asked = established + failed + untried, whatever happened; and nothing is left.
fn is_accounted_for(lab: &TestLab, report: &Value) {
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value}: {report:#}"));
    let sum =
        number(&report["established"]) + number(&report["failed"]["total"]) + number(&report["untried"]);
    assert_eq!(number(&report["asked"]), sum, "{report:#}");
    assert_eq!(report["left_behind"], Value::Array(vec![]), "{report:#}");
    lab.assert_gone();
}

fn failed(report: &Value, operation: &str, errno: &str) -> u64 {
    let rows = report["failed"]["by"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["operation"] == operation && row["errno"] == errno);
    row.map_or(0, |row| row["count"].as_u64().expect("a count"))
}

#[test]
fn processes_go_on_at_their_descriptor_limit() {
    need_root();
    let lab = TestLab::new("emfile");
    let text = "connections: 3K\nanyway: true\nserver: {reactors: 1, ports: 9900-9903}\n\
                clients: {processes: 1}\nlimits: {server: {nofile: 1500}, client: {nofile: 2006}}\n\
                ramp: {timeout: 1s}\nhold: 1s\n";
    let (_, report) = lab.up(text, &[]);
    is_accounted_for(&lab, &report);
    // A descriptor more or less is open for the process itself.
    assert!((990..=1_000).contains(&failed(&report, "socket", "EMFILE")), "{report:#}");
    let accepted = report["server"]["accepted"].as_u64().expect("a count");
    assert!((1_480..1_500).contains(&accepted), "{accepted}");
    // It asks the kernel again now and then, and not all the time.
    let refused = report["findings"].to_string();
    let times =
        refused.split("accept failed ").nth(1).and_then(|rest| rest.split(' ').next()).expect(&refused);
    let times: u64 = times.replace(',', "").parse().expect("a number");
    assert!((10..1_000).contains(&times), "{refused}");
}

#[test]
fn a_lab_with_too_little_is_refused_unless_it_is_run_anyway() {
    need_root();
    let lab = TestLab::new("short");
    let output = run(&["up", &lab.file("connections: 3K\nclients: {server_ports: 9990-10009}\n")]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("anyway: true"), "{}", stderr(&output));
    let (_, report) =
        lab.up("connections: 3K\nclients: {server_ports: 9990-10009}\nanyway: true\nhold: 0s\n", &[]);
    is_accounted_for(&lab, &report);
    assert!(failed(&report, "connect", "ECONNREFUSED") >= 256, "{report:#}");
}

#[test]
fn rounds_close_in_order_and_open_again() {
    need_root();
    let lab = TestLab::new("rounds");
    let (output, report) = lab.up("connections: 2K\nclients: {count: 2}\nramp: {rounds: 3}\nhold: 0s\n", &[]);
    assert_all_established(&output, &report, 6_000);
    is_accounted_for(&lab, &report);
    assert_eq!((&report["clients"]["closed"], &report["server"]["closed"]), (&6_000.into(), &6_000.into()));
    let waiting = report["kernel"]["time_wait_after_drain"].as_u64();
    assert!(waiting > Some(3_000), "two rounds were closed in order: {waiting:?}");
}

#[test]
fn a_ramp_pauses_on_plateaus_and_goes_on() {
    need_root();
    let lab = TestLab::new("plateaus");
    let text = "connections: 9K\nclients: {count: 2, processes: 2}\nserver: {reactors: 2}\nhold: 1s\n\
                traffic: {kind: echo, every: 300ms}\nramp: {plateaus: [1500, 6K], rate: 20K/s}\n\
                faults: [{at: ramp, established: 6000, do: kill, agent: swarm-1}]\n";
    let (_, report) = lab.up(text, &[]);
    is_accounted_for(&lab, &report);
    let [first, second] = report["plateaus"].as_array().expect("plateaus").as_slice() else {
        panic!("two plateaus: {report:#}");
    };
    for field in ["connections", "established", "open", "server_open"] {
        assert_eq!(first[field], 1_500, "{first:#}");
    }
    assert!(first["kernel_bytes_per_connection"].as_f64() > Some(2_000.0), "{first:#}");
    // A fourth of the 6,000 was lost on the second.
    assert_eq!((&second["established"], &second["lost"]), (&6_000.into(), &1_500.into()), "{second:#}");
    assert_eq!((&second["open"], &second["server_open"]), (&4_500.into(), &4_500.into()), "{second:#}");
    assert_eq!((&report["established"], &report["untried"]), (&8_250.into(), &750.into()), "{report:#}");
    let seconds = |at: &Value| at["ramp_seconds"].as_f64().expect("seconds");
    assert!(seconds(second) > 0.25 && seconds(second) > seconds(first), "6,000 at 20K/s: {second:#}");
    let echo = &report["echo"];
    let answered = echo["answered"].as_u64().expect("answers");
    assert!(answered > 3_000 && echo["wrong"] == 0, "messages on every plateau: {echo:#}");
}

#[test]
fn processes_and_links_break_on_purpose() {
    need_root();
    let lab = TestLab::new("broken");
    let text = "connections: 2K\nclients: {count: 2}\nhold: 2s\nramp: {timeout: 2s}\nfaults:\n\
                - {at: hold, do: stop, agent: server}\n\
                - {at: hold, after: 500ms, do: resume, agent: server}\n\
                - {at: hold, do: link_down, node: client-1}\n\
                - {at: hold, after: 300ms, do: link_up, node: client-1}\n\
                - {at: hold, after: 1s, do: kill, agent: swarm-2}\n";
    let (_, report) = lab.up(text, &[]);
    is_accounted_for(&lab, &report);
    assert_eq!(
        (&report["established"], &report["lost"]["total"]),
        (&2_000.into(), &1_000.into()),
        "{report:#}"
    );
    let events = std::fs::read_to_string(lab.folder.join("out/events.jsonl")).expect("events");
    let faults: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event"))
        .filter(|event| event["event"] == "fault")
        .collect();
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert!(faults.iter().all(|fault| fault["failed"].is_null()), "{faults:?}");
}

#[test]
fn a_small_server_is_killed_and_everything_is_accounted_for() {
    need_root();
    let lab = TestLab::new("oom");
    let text =
        "connections: 20K\nanyway: true\nlimits: {server: {memory: 24MiB}}\nramp: {timeout: 1s}\nhold: 0s\n";
    let (_, report) = lab.up(text, &[]);
    is_accounted_for(&lab, &report);
    assert_eq!(report["verdicts"][0]["cause"], "server_memory", "{report:#}");
    assert!(report["seconds"]["ramp"].as_f64() < Some(20.0), "{report:#}");
}

fn refused(output: &Output, part: &str) {
    assert_eq!(output.status.code(), Some(3), "{}", stderr(output));
    assert!(stderr(output).contains(part), "{}", stderr(output));
}

#[test]
fn host_limits_are_lowered_only_when_allowed_and_put_back() {
    need_root();
    const KEY: &str = "net.ipv4.tcp_max_orphans";
    let before = setting(KEY);
    let lab = TestLab::new("lower");
    // Lower, and yet far from what anyone needs.
    let text = |to: u64| format!("connections: 100\nhold: 0s\nsysctl: {{host: {{{KEY}: {to}}}}}\n");
    let file = lab.file(&text(before - 1));
    refused(&run(&["up", &file]), &format!("{KEY} from {before} to {}", before - 1));
    refused(&run(&["up", &lab.file(&text(1)), "--lower-host-limits"]), "present use is");
    assert_eq!(setting(KEY), before);

    let (mut standing, other) =
        (lab.keep_with(&text(before - 1), &["--lower-host-limits"]), TestLab::new("lower-too"));
    assert_eq!(setting(KEY), before - 1);
    // Another lab may neither lower it too, nor raise it.
    for to in [before - 2, before + 1] {
        let output = run(&["up", &other.file(&text(to)), "--lower-host-limits", "--out", &other.out()]);
        refused(&output, &format!("`{}` has made it", lab.name));
        other.assert_gone();
    }
    // One that has nothing to do with it does not hold it down.
    let mut beside = other.keep("connections: 100\nhold: 0s\n");
    standing.signal("INT");
    assert_eq!(standing.ends_with(), Some(0));
    assert_eq!(setting(KEY), before);
    beside.signal("INT");
    assert_eq!(beside.ends_with(), Some(0));
    assert_eq!(setting(KEY), before);
}
