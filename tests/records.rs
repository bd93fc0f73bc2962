//! What a run writes can be followed while it goes on, and says afterwards all that its report was made from. That every
//! record comes to the report of its run is compared for every lab of the tests, when it is dropped (`common/record.rs`).

mod common;
#[path = "common/running.rs"]
mod running;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use c1m_lab::event::Event;
use c1m_lab::record;
use common::*;
use running::Running;
use serde_json::Value;

/// Both families behind a translating router, echoes, a pause on the way up, agents that are stopped and killed, a link
/// that goes down and comes back.
const EVERYTHING: &str = "connections: 4K
clients: {count: 2, addresses: 4, processes: 2}
network: {kind: nat, nat: {addresses: 4}}
ramp: {rate: 4K/s, plateaus: [1K]}
hold: 7s
traffic: {kind: echo, every: 200ms, size: 64B}
faults:
- {at: hold, after: 1s, do: link_down, node: client-1}
- {at: hold, after: 1200ms, do: link_up, node: client-1}
- {at: hold, after: 3s, do: kill, agent: swarm-2}
";

/// The kinds of events that such a run has.
const KINDS: [&str; 18] = [
    "run",
    "began",
    "ended",
    "built",
    "agent_started",
    "agent_ready",
    "accepting",
    "counts",
    "progress",
    "ramped",
    "agent_memory",
    "kernel",
    "observed",
    "latencies",
    "fault",
    "agent_ended",
    "taken_down",
    "over",
];

#[test]
fn a_run_with_everything_can_be_followed_and_read_back() {
    need_root();
    let lab = TestLab::new("record");
    let mut run = Running::up(&lab, EVERYTHING);
    let path = lab.folder.join("out/events.jsonl");
    wait_for("the first event", Duration::from_secs(10), || {
        std::fs::metadata(&path).is_ok_and(|file| file.len() > 0)
    });
    // When this program looked, the file had so many lines.
    let mut looks: Vec<(Instant, usize)> = Vec::new();
    let mut text = String::new();
    while run.runner.try_wait().expect("a child").is_none() {
        let at = Instant::now();
        text = std::fs::read_to_string(&path).expect("events");
        // Of a long line the beginning may be seen before its end.
        looks.push((at, text.matches('\n').count()));
        std::thread::sleep(Duration::from_millis(20));
    }
    run.end(Duration::from_secs(5)).expect("no signal");

    let record = record::read(&lab.folder.join("out")).expect("a record");
    assert!(record.is_whole && record.events.len() >= text.matches('\n').count());
    let kinds: BTreeSet<String> = record
        .events
        .iter()
        .map(|timed| serde_json::to_value(timed).expect("JSON")["event"].as_str().expect("a kind").to_owned())
        .collect();
    let missing: Vec<&str> = KINDS.into_iter().filter(|kind| !kinds.contains(*kind)).collect();
    assert_eq!(missing, [""; 0], "{kinds:?}");

    // Latencies come while the echoes go on, and not only when all is over.
    let latencies: Vec<u64> = record
        .events
        .iter()
        .filter(|timed| matches!(timed.event, Event::Latencies { .. }))
        .map(|timed| timed.ms)
        .collect();
    assert!(latencies.last() > latencies.first().map(|first| first + 1_000).as_ref(), "{latencies:?}");

    // Nine of ten lines were there half a second after their time; a busy machine may look late.
    let began = looks[0].0 - Duration::from_millis(record.events[looks[0].1 - 1].ms);
    let mut lines = 0;
    let mut late = 0;
    for pair in looks.windows(2) {
        for timed in &record.events[pair[0].1..pair[1].1] {
            lines += 1;
            late += usize::from(pair[1].0 - began > Duration::from_millis(timed.ms + 500));
        }
    }
    assert!(lines > 100 && late * 10 <= lines, "{late} of {lines} lines were late");

    let report: Value = running::report(&lab);
    assert_eq!((&report["format"], &report["established"]), (&1.into(), &4_000.into()), "{report:#}");
    assert_eq!(report["began"], serde_json::to_value(record.report().origin.began).expect("JSON"));
    assert!(report["lab_file"]["text"].as_str().is_some_and(|text| text.ends_with(EVERYTHING)), "{report:#}");
    lab.assert_gone();
}
