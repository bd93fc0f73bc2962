//! What goes wrong during a run is a result: the run ends by itself and in time, every connection is
//! accounted for, the report is written, and the host is as it was.

mod common;
#[path = "common/running.rs"]
mod running;
#[path = "common/snapshot.rs"]
mod snapshot;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::*;
use running::*;
use rustix::process::Signal;
use serde_json::Value;
use snapshot::*;

/// Two or three reactors, four swarms; long enough that something can happen to them.
const LAB: &str = "connections: 3000\nserver: {ports: 9900-9909}\nclients: {count: 2}\nhold: 2s\n\
    traffic: {kind: echo, every: 200ms, size: 64B}\n\
    limits: {server: {nofile: 1300}, client: {nofile: 900}}\n";
/// What a reactor has room for under that limit, beside its listeners and its own descriptors.
const ROOM: u64 = 1280;
/// At full speed the ramp would be over before anything can happen in it.
const QUICK: &str = "ramp: {timeout: 1s}\n";
const SLOW: &str = "ramp: {timeout: 1s, rate: 1500/s}\n";

/// The time to try a connection, and what a run may take beyond that whatever happens.
const PATIENCE: Duration = Duration::from_secs(1 + 30);

/// One fault in one phase of a run. Gives the exit and the report, after what every fault has in common.
fn suffer(what: &str, text: &str, phase: &str, harm: impl FnOnce(&TestLab, &Running)) -> (i32, Value) {
    need_root();
    let _turn = alone();
    let lab = TestLab::new(what);
    let before = Snapshot::take(&[&lab.folder]);
    let mut running = Running::up(&lab, text);
    assert!(running.reach(phase), "{}", running.told());
    std::thread::sleep(Duration::from_millis(400));
    harm(&lab, &running);
    let end = running.end(PATIENCE);
    let told = running.told();
    assert!(!told.contains("panicked"), "{told}");
    let report = report(&lab);
    assert_accounted(&report);
    let exit = end.unwrap_or_else(|signal| panic!("ended by signal {signal}: {told}"));
    assert_eq!(report["exit"], exit, "{told}");
    before.assert_unchanged(&[&lab.folder]);
    lab.assert_gone();
    (exit, report)
}

/// A first agent of this node, which is there.
fn one_of(running: &Running, lab: &TestLab, node: &str) -> u32 {
    *running.agents_of(lab, node).first().expect("an agent")
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn finds(report: &Value, part: &str) -> bool {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().any(|finding| finding.as_str().is_some_and(|text| text.contains(part)))
}

/// How many were lost by this operation and error.
fn lost_by(report: &Value, operation: &str, errno: &str) -> u64 {
    let rows = report["lost"]["by"].as_array().expect("rows");
    let fits = |row: &&Value| row["operation"] == operation && row["errno"] == errno;
    rows.iter().filter(fits).map(|row| count(&row["count"])).sum()
}

#[test]
fn a_swarm_killed_in_the_ramp() {
    let (_, report) = suffer("f-ramp", &format!("{LAB}{SLOW}"), "ramp", |lab, running| {
        send(one_of(running, lab, "client-1"), Signal::KILL);
    });
    assert!(finds(&report, "was lost during the run: signal 9"), "{report:#}");
    let (established, asked) = (count(&report["established"]), count(&report["asked"]));
    assert!(established >= 1500 && established < asked, "the others go on: {report:#}");
}

#[test]
fn a_swarm_killed_in_the_hold() {
    let (_, report) = suffer("f-hold", &format!("{LAB}{QUICK}"), "hold", |lab, running| {
        send(one_of(running, lab, "client-1"), Signal::KILL);
    });
    assert_eq!((count(&report["established"]), count(&report["lost"]["total"])), (3000, 750), "{report:#}");
    assert_eq!(lost_by(&report, "agent", "signal 9"), 750, "{report:#}");
    assert!(finds(&report, "was lost during the run: signal 9"), "{report:#}");
}

#[test]
fn a_reactor_killed_in_the_hold() {
    let (_, report) = suffer("f-reactor", &format!("{LAB}{QUICK}"), "hold", |lab, running| {
        send(one_of(running, lab, "server"), Signal::KILL);
    });
    let lost = count(&report["lost"]["total"]);
    assert!(lost > 0 && lost < 3000, "what the other reactors hold stays: {report:#}");
    assert!(finds(&report, "was lost during the run: signal 9"), "{report:#}");
}

#[test]
fn a_swarm_stopped_in_the_hold() {
    let (_, report) = suffer("f-stop-s", &format!("{LAB}{QUICK}"), "hold", |lab, running| {
        send(one_of(running, lab, "client-2"), Signal::STOP);
    });
    assert_eq!(count(&report["established"]), 3000, "{report:#}");
    assert!(finds(&report, "was lost during the run: no answer"), "{report:#}");
    assert_eq!(lost_by(&report, "agent", "no answer"), 750, "{report:#}");
}

#[test]
fn a_reactor_stopped_in_the_hold() {
    let (_, report) = suffer("f-stop-r", &format!("{LAB}{QUICK}"), "hold", |lab, running| {
        send(one_of(running, lab, "server"), Signal::STOP);
    });
    assert_eq!(count(&report["established"]), 3000, "{report:#}");
    // The first is full. It can be killed, so the run is not broken; what it had is told.
    assert!(finds(&report, "clients held 0 connections, the server 1,280"), "{report:#}");
    assert!(finds(&report, "echoes were never answered"), "{report:#}");
}

#[test]
fn a_link_taken_down() {
    let (_, report) = suffer("f-link", &format!("{LAB}{QUICK}"), "hold", |lab, _| {
        ip(&["-n", &format!("c1m-{}-server", lab.name), "link", "set", "client-1", "down"]);
    });
    assert_eq!(count(&report["established"]), 3000, "{report:#}");
    assert!(finds(&report, "echoes were never answered"), "{report:#}");
}

#[test]
fn a_namespace_deleted_from_outside() {
    let (_, report) = suffer("f-netns", &format!("{LAB}{QUICK}"), "hold", |lab, _| {
        ip(&["netns", "del", &format!("c1m-{}-client-1", lab.name)]);
    });
    // Its agents are in it, so only its name has gone.
    assert_eq!((count(&report["established"]), count(&report["lost"]["total"])), (3000, 0), "{report:#}");
}

#[test]
fn a_namespace_deleted_before_all_agents_are_started() {
    let (_, report) = suffer("f-early", &format!("{LAB}{SLOW}"), "ramp", |lab, _| {
        ip(&["netns", "del", &format!("c1m-{}-server", lab.name)]);
    });
    // The kernel's own queues take what no reactor accepts: the clients have them all.
    assert_eq!(count(&report["established"]), 3000, "{report:#}");
    let accepted = count(&report["server"]["accepted"]);
    if finds(&report, "reactor 3 was lost during the run: exit code 3") {
        // It could not be started: what the first two have no room for is missing at the server, and named.
        assert_eq!(accepted, 2 * ROOM, "{report:#}");
        let verdict = &report["verdicts"][0];
        assert_eq!(
            (&verdict["cause"], count(&verdict["connections"])),
            (&"agent_died".into(), 3000 - accepted)
        );
    } else {
        // It was started in the namespace itself, whatever its name: nothing is missing.
        assert_eq!((accepted, &report["findings"]), (3000, &serde_json::json!([])), "{report:#}");
    }
}

#[test]
fn the_memory_limit_is_hit() {
    need_root();
    let _turn = alone();
    let probe = TestLab::new("f-limits");
    let limits = can_limit_memory(&probe, "faults: the_memory_limit_is_hit");
    drop(probe);
    if !limits {
        return;
    }
    let lab = TestLab::new("f-oom");
    let before = Snapshot::take(&[&lab.folder]);
    // The plan knows that this is too little: it is told to run all the same.
    let text = format!("{LAB}{QUICK}anyway: true\n").replace("nofile: 1300", "nofile: 1300, memory: 1MiB");
    let mut running = Running::up(&lab, &text);
    let end = running.end(PATIENCE);
    let told = running.told();
    assert!(!told.contains("panicked"), "{told}");
    before.assert_unchanged(&[&lab.folder]);
    lab.assert_gone();
    // It may hit before the agents are ready: that is reported too.
    assert_accounted(&report(&lab));
    assert!(matches!(end, Ok(0 | 4)), "{end:?}: {told}");
    assert!(told.contains("signal 9"), "{told}");
}

#[test]
fn the_reader_of_its_lines_goes_away() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("f-pipe");
    let before = Snapshot::take(&[&lab.folder]);
    let file = lab.file(&format!("{LAB}{QUICK}"));
    let mut runner = c1m_lab(&["up", &file, "--json", "--out", &lab.out()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("c1m-lab runs");
    drop(runner.stdout.take());
    let mut first = String::new();
    let mut told = BufReader::new(runner.stderr.take().expect("its stderr"));
    told.read_line(&mut first).expect("a line");
    drop(told);
    assert!(first.contains(&lab.name), "{first}");
    assert_eq!(runner.wait().expect("a child").code(), Some(0));
    let report = report(&lab);
    assert_accounted(&report);
    assert_eq!(count(&report["established"]), 3000);
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn the_terminal_goes_away() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("f-term");
    let before = Snapshot::take(&[&lab.folder]);
    let (file, out) = (lab.file(&format!("{LAB}{QUICK}")), lab.out());
    // script(1) is the terminal: the runner is the only one in it.
    let command = format!("exec {BINARY} up {file} --out {out}");
    let mut terminal = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(&lab.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("script(1) is there");
    wait_for("all connections", PATIENCE, || lab.status()["connections"] == 3000);
    terminal.kill().expect("it is there");
    terminal.wait().expect("a child");
    wait_for("the lab to be gone", PATIENCE, || lab.status().is_null());
    wait_for("the report", Duration::from_secs(5), || lab.folder.join("out/report.json").exists());
    before.assert_unchanged(&[&lab.folder]);
    let report = report(&lab);
    assert_accounted(&report);
    assert_eq!((&report["interrupted"], &report["exit"]), (&"SIGHUP".into(), &4.into()), "{report:#}");
}

#[test]
fn whoever_presses_ctrl_c_over_and_over_is_told_what_stands() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("f-press");
    let before = Snapshot::take(&[&lab.folder]);
    let mut running = Running::up(&lab, &format!("{LAB}{QUICK}"));
    assert!(running.reach("hold"), "{}", running.told());
    // One that does not get on keeps the way down waiting for seconds.
    send(one_of(&running, &lab, "client-1"), Signal::STOP);
    let press = |running: &Running, answer: &str| {
        running.signal(Signal::INT);
        wait_for(answer, Duration::from_secs(2), || running.told().contains(answer));
    };
    press(&running, "SIGINT: ending in order");
    press(&running, "SIGINT: it is going down already");
    assert!(!running.told().contains("still going down"), "{}", running.told());
    press(&running, "still going down: ");
    let told = running.told();
    let line = told.lines().find(|line| line.contains("still going down: ")).expect("a line");
    for part in [" agent", " connections, 3 namespaces", "c1m-lab down"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    assert_eq!(running.end(PATIENCE), Ok(4), "{}", running.told());
    assert_accounted(&report(&lab));
    before.assert_unchanged(&[&lab.folder]);
    lab.assert_gone();
}
