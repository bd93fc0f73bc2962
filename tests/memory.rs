//! Each side's kernel memory is its own: the same alone and beside another lab that comes and goes.

mod common;
#[path = "common/running.rs"]
mod running;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::*;
use running::Running;
use serde_json::Value;

const SIDES: [&str; 2] = ["server", "clients"];

/// One test at a time: alone is alone.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn figure(report: &Value, side: &str) -> f64 {
    let figure = &report[side]["kernel_bytes_per_connection"];
    figure.as_f64().unwrap_or_else(|| panic!("{side} has no figure: {:#}", report["not_measured"]))
}

fn source<'a>(report: &'a Value, side: &str) -> &'a str {
    report[side]["kernel_bytes_source"].as_str().expect("a source")
}

/// Runs the lab with so many connections of another lab coming before its ramp and going in its hold.
fn beside(name: &str, text: &str, others: &str) -> Value {
    let (lab, neighbour) = (TestLab::new(name), TestLab::new(&format!("{name}-by")));
    let mut by = Running::up(&neighbour, others);
    assert!(by.reach("hold"), "{}", by.told());
    let mut one = Running::up(&lab, text);
    assert!(one.reach("hold"), "{}", one.told());
    assert_eq!(by.end(Duration::from_secs(60)), Ok(0), "{}", by.told());
    assert_eq!(one.end(Duration::from_secs(60)), Ok(0), "{}", one.told());
    neighbour.assert_gone();
    lab.assert_gone();
    running::report(&lab)
}

#[test]
fn a_sides_memory_is_its_own_beside_a_lab_that_comes_and_goes() {
    need_root();
    let _turn = turn();
    // Slow enough that the other lab comes and goes within its ramp.
    let text = "connections: 20K\nclients: {count: 2, addresses: 4}\nramp: {rate: 2K/s}\nhold: 0s\n";
    let (output, quiet) = TestLab::new("quiet").up(text, &[]);
    assert_all_established(&output, &quiet, 20_000);

    let (lab, neighbour) = (TestLab::new("beside"), TestLab::new("noise"));
    let mut one = Running::up(&lab, text);
    assert!(one.reach("ramp"), "{}", one.told());
    let mut by = Running::up(&neighbour, "connections: 20K\nhold: 0s\n");
    assert_eq!(by.end(Duration::from_secs(120)), Ok(0), "{}", by.told());
    assert_eq!(one.phase(), 2, "the other lab has gone before the ramp was over: {}", one.told());
    assert_eq!(one.end(Duration::from_secs(120)), Ok(0), "{}", one.told());
    let noisy = running::report(&lab);
    for side in SIDES {
        let (quiet, noisy) = (figure(&quiet, side), figure(&noisy, side));
        assert!((noisy / quiet - 1.0).abs() < 0.05, "{side}: {quiet} B alone, {noisy} B beside another lab");
        assert!((3_000.0..6_000.0).contains(&quiet), "{side}: {quiet} B");
    }
    // The machine's growth is not the lab's, and the report says so.
    let others = noisy["kernel"]["other_sockets_most"].as_u64().expect("counted");
    assert!(others >= 20_000, "the other lab was seen: {others}");
    assert_eq!(noisy["kernel"]["bytes_per_connection"], Value::Null);
    let why = noisy["not_measured"]["kernel.bytes_per_connection"].as_str().expect("a reason");
    assert!(why.contains("others had"), "{why}");
}

#[test]
fn a_lab_that_is_there_before_and_goes_takes_nothing_away() {
    need_root();
    let _turn = turn();
    let text = "connections: 20K\nclients: {count: 2, addresses: 4}\nhold: 6s\n";
    let noisy = beside("went", text, "connections: 20K\nhold: 4s\n");
    for side in SIDES {
        assert!((3_000.0..6_000.0).contains(&figure(&noisy, side)), "{side}: {noisy:#}");
    }
}

#[test]
fn the_sides_differ_by_what_only_one_of_them_has() {
    need_root();
    let _turn = turn();
    let lab = TestLab::new("apart");
    let (output, report) = lab.up("connections: 10K\nclients: {count: 2, addresses: 1}\nhold: 0s\n", &[]);
    assert_all_established(&output, &report, 10_000);
    let (server, clients) = (&report["server"]["kernel_bytes_by"], &report["clients"]["kernel_bytes_by"]);
    // With one address each connection has a port of its own, whatever the kernel lists its buckets as.
    assert!(clients["tcp_bind_bucket"].as_f64() > Some(30.0), "{clients}");
    assert!(server["eventpoll_epi"].as_f64() > Some(60.0) && server["eventpoll_pwq"].is_f64(), "{server}");
    assert_eq!((&server["tcp_bind_bucket"], &clients["eventpoll_epi"]), (&Value::Null, &Value::Null));
    for side in SIDES {
        let sum: f64 = report[side]["kernel_bytes_by"]
            .as_object()
            .expect("a map")
            .values()
            .filter_map(Value::as_f64)
            .sum();
        assert!((sum - figure(&report, side)).abs() < 1.0, "{side}: {sum} B in all");
        assert!(source(&report, side).contains("/proc/slabinfo"));
    }
}

#[test]
fn a_cgroup_that_is_charged_for_all_is_the_source() {
    need_root();
    let _turn = turn();
    let lab = TestLab::new("charged");
    let text = "connections: 20K\nhold: 0s\nlimits: {server: {memory: 512MiB}, client: {memory: 512MiB}}\n";
    let (output, report) = lab.up(text, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for side in SIDES {
        assert!(source(&report, side).contains("memory cgroups"), "{side}: {}", source(&report, side));
        assert!((3_000.0..6_000.0).contains(&figure(&report, side)), "{side}: {report:#}");
    }
}
