//! Two labs of which each would fit alone, and both do not: the second is refused by what the first has planned, long
//! before that is in use.

mod common;
#[path = "common/running.rs"]
mod running;
#[path = "common/snapshot.rs"]
mod snapshot;

use std::time::{Duration, Instant};

use common::*;
use running::*;
use rustix::process::Signal;
use serde_json::Value;
use snapshot::alone;

/// As many as need six tenths of the memory, so slowly that hardly any of it is ever taken.
const SLOW: &str = "server: {ports: 9000-9999}\nclients: {count: 2, addresses: 16}\nhold: 0s\n\
                    ramp: {rate: 20/s, timeout: 120s}\n";
const END: Duration = Duration::from_secs(60);
const ROUNDS: usize = 4;

fn text(connections: u64) -> String {
    format!("connections: {connections}\n{SLOW}")
}

/// How many would fit now.
fn fitting(lab: &TestLab) -> u64 {
    let output = run(&["plan", &lab.file(&text(1000)), "--connections", "fit", "--json"]);
    let plan: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    plan["course"]["connections"].as_u64().expect("a number")
}

fn refused(told: &str, other: &TestLab) {
    let name = &other.name;
    for part in
        [format!("the lab `{name}` has planned"), format!("c1m-lab down {name}"), "connections".to_owned()]
    {
        assert!(told.contains(&part), "no {part:?} in {told}");
    }
}

#[test]
fn what_a_standing_lab_has_planned_is_not_planned_again() {
    need_root();
    let _turn = alone();
    let (first, second) = (TestLab::new("a-first"), TestLab::new("a-second"));
    let all = fitting(&first);
    let share = all * 6 / 10;
    let mut running = Running::up(&first, &text(share));
    assert!(running.reach("ramp"), "{}", running.told());
    let file = second.file(&text(share));
    for command in [vec!["up", &file, "--out", &second.out()], vec!["plan", &file], vec!["check", &file]] {
        let output = run(&command);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {}", stderr(&output));
        refused(&stderr(&output), &first);
    }
    second.assert_gone();
    let fits = fitting(&second);
    assert!(fits > all * 3 / 10 && fits < all * 5 / 10, "{fits} of {all} fit beside {share}");
    // A small one does not wait for anybody.
    let (output, report) = second.up("connections: 400\nserver: {ports: 9900-9909}\nhold: 0s\n", &[]);
    assert_eq!((output.status.code(), &report["established"]), (Some(0), &400.into()), "{}", stderr(&output));
    running.signal(Signal::INT);
    assert_eq!(running.end(END), Ok(4), "{}", running.told());
    assert_eq!(run(&["plan", &second.file(&text(share))]).status.code(), Some(0));
}

/// What it has taken by then is in the host's own figures, and is not counted once more.
#[test]
fn what_a_standing_lab_uses_is_counted_once() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("a-stands");
    let before = fitting(&lab);
    let mut kept = lab.keep("connections: 20K\nserver: {ports: 9900-9919}\nhold: 0s\n");
    let beside = TestLab::new("a-beside");
    let after = fitting(&beside);
    let taken = before.saturating_sub(after);
    assert!(taken < 60_000, "{before} before, {after} after: 20,000 connections count as {taken}");
    kept.signal("INT");
    assert_eq!(kept.ends_with(), Some(0));
}

#[test]
fn of_two_that_start_together_one_is_admitted() {
    need_root();
    let _turn = alone();
    let labs = [TestLab::new("a-left"), TestLab::new("a-right")];
    let share = fitting(&labs[0]) * 6 / 10;
    for round in 0..ROUNDS {
        for lab in &labs {
            let _ = std::fs::remove_dir_all(lab.out());
        }
        let mut both = labs.each_ref().map(|lab| Running::up(lab, &text(share)));
        let began = Instant::now();
        // One ends at once, and the other goes on.
        let ended = loop {
            let ended = both.each_mut().map(|one| one.runner.try_wait().expect("a child").is_some());
            let in_ramp = both.each_ref().map(|one| one.phase() >= 2);
            assert!(in_ramp != [true, true], "round {round}: both are admitted");
            match ended.iter().position(|ended| *ended) {
                Some(place) if in_ramp[1 - place] => break place,
                _ => {}
            }
            let told = || both.each_ref().map(Running::told).join("\n");
            assert!(began.elapsed() < END, "round {round}: {}", told());
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(both[ended].end(END), Ok(3), "{}", both[ended].told());
        refused(&both[ended].told(), &labs[1 - ended]);
        both[1 - ended].signal(Signal::INT);
        assert_eq!(both[1 - ended].end(END), Ok(4), "{}", both[1 - ended].told());
        labs.iter().for_each(TestLab::assert_gone);
    }
}
