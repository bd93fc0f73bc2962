//! Files of runs: those that can be read, and those that are refused with a reason.

#[path = "../../tests/common/schema.rs"]
mod schema_check;

use serde_json::{Value, json};

use super::schema::Kind;
use super::*;
use crate::agent::Counts;
use crate::agent::tally::{Operation, TalkCounts};
use crate::driver::{Built, Remains};
use crate::event::{Moment, Phase};
use crate::host::Host;
use crate::launch::AgentId;
use crate::observe::{Reading, Sample};
use crate::origin::{Beginning, LabFile};
use crate::teardown::{Leftover, Outcome, Restored};

const LAB: &str = "
connections: 10K
clients: {count: 2, addresses: 4}
network: {kind: nat, nat: {addresses: 4}, family: dual}
traffic: {kind: echo, every: 1s}
ramp: {plateaus: [5K], rounds: 1, rate: 5K/s}
faults: [{at: hold, do: kill, agent: reactor-1}, {at: ramp, established: 100, do: link_down, node: client-1}]
sysctl: {host: {fs.file-max: 4000000}, server: {net.ipv4.tcp_max_syn_backlog: 65536}}
expect: {established: 99.9%, lost: 0, verdict: none}
";

fn lab() -> crate::spec::Lab {
    let given = crate::spec::Override::parse("hold=3s").expect("an override");
    crate::spec::parse("lab.yaml", LAB, &[given]).expect("a lab")
}

fn plan() -> Plan {
    crate::plan::decide(&lab(), &Host::example()).expect("a plan")
}

fn origin() -> Origin {
    Beginning::now(LabFile::of(&lab().source, true), &Host::example()).origin
}

struct Folder(PathBuf);

impl Folder {
    fn new(what: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("c1m-record-{what}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file");
    }

    /// A record of these events.
    fn record(&self, origin: &Origin, events: &[Event]) {
        let plan = PlanRecord::of(origin.clone(), &plan());
        self.write(PLAN, &serde_json::to_string_pretty(&plan).expect("JSON"));
        let line = |event: &Event| {
            let timed = Timed { ms: 7, event: event.clone() };
            serde_json::to_string(&timed).expect("JSON") + "\n"
        };
        let lines: String =
            std::iter::once(&Event::Run(Box::new(origin.clone()))).chain(events).map(line).collect();
        self.write(EVENTS, &lines);
    }

    fn why(&self) -> String {
        read(&self.0).expect_err("it cannot be read").to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn reading() -> Sample {
    let mut reading = Reading::default();
    reading.level("sockets.used", u64::MAX);
    reading.counter("TcpExt.ListenDrops", 3);
    Sample { places: [("server".to_owned(), reading)].into() }
}

/// One of each kind at least.
fn every_event() -> Vec<Event> {
    let (agent, swarm) = (AgentId::Reactor(0), AgentId::Swarm(3));
    let mut counts = Counts { tried: 7, established: 5, open: 4, closed: 1, ready: 5, ..Counts::default() };
    counts.failed.add_named(Operation::Connect, "ETIMEDOUT", 2);
    counts.talk = TalkCounts { sent: 9, answered: 8, wrong: 1, skipped: 2 };
    let phases = [Phase::Check, Phase::Build, Phase::Ramp, Phase::Hold, Phase::Drain, Phase::Down];
    let moments = [Moment::Before, Moment::Plateau, Moment::Peak, Moment::Drained];
    let leftover = Leftover { what: "a cgroup".to_owned(), why: "busy".to_owned() };
    let restored = Restored {
        key: "fs.file-max".to_owned(),
        before: "1".to_owned(),
        during: "2".to_owned(),
        after: "1".to_owned(),
        note: None,
    };
    let text = || "text".to_owned();
    let mut events = vec![
        Event::Run(Box::new(origin())),
        Event::Built(Built { namespaces: 3, links: 2, addresses: 33, ..Built::default() }),
        Event::Built(Built { machines: 2, unkept: Some(text()), ..Built::default() }),
        Event::AgentStarted { agent, pid: 1 },
        Event::AgentReady { agent, nofile: u64::MAX, private_bytes: Some(1) },
        Event::AgentReady { agent: swarm, nofile: 20_000, private_bytes: None },
        Event::Counts { agent: swarm, counts },
        Event::Counts { agent, counts: Counts::default() },
        Event::Accepting { agent },
        Event::Full { agent },
        Event::Ramped { agent: swarm },
        Event::Progress { established: 1, open: 1, per_second: 4 },
        Event::AgentMemory { agent, private_bytes: Some(1 << 20) },
        Event::Latencies { latencies: vec![(120, 4), (60_000_000, 1)] },
        Event::Observed { looks: 1, micros: 90, changes: reading(), highest: Sample::default() },
        Event::Observed { looks: 9, micros: 900, changes: reading(), highest: reading() },
        Event::KernelSaid { agent, line: text() },
        Event::RoundOver { round: 1 },
        Event::Fault { what: text(), agents: vec![agent, swarm], failed: None },
        Event::Fault { what: text(), agents: Vec::new(), failed: Some(text()) },
        Event::AgentFailed { agent, why: text() },
        Event::AgentEnded { agent, how: "signal 9".to_owned(), planned: false },
        Event::AgentSilent { agent },
        Event::Ignored { signal: "SIGINT".to_owned() },
        Event::Impatient { agents: 2, connections: 9, remains: Remains::default() },
        Event::Breaks { established: 7 },
        Event::Unanswered { seconds: 1.25 },
        Event::Unsettled { phase: Phase::Ramp, clients: 3, server: 2 },
        Event::Standing,
        Event::Interrupted { signal: "SIGTERM".to_owned() },
        Event::Broke { why: text() },
        Event::TakenDown(Outcome { left_behind: vec![leftover.clone()], restored: vec![restored] }),
        Event::Over { left_behind: vec![leftover], never_built: Some(3) },
    ];
    events.extend(phases.map(|phase| Event::Began { phase }));
    // No decimal fraction of few digits is this number.
    events.extend(phases.map(|phase| Event::Ended { phase, seconds: 0.1 + 0.2 }));
    events.extend(moments.map(|moment| Event::Kernel { moment, sample: reading() }));
    events
}

#[test]
fn every_event_is_what_the_schema_says_and_is_read_as_it_was_written() {
    let schema = Kind::Events.schema();
    let mut kinds = std::collections::BTreeSet::new();
    for event in every_event() {
        let timed = Timed { ms: u64::MAX, event };
        let text = serde_json::to_string(&timed).expect("JSON");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(schema_check::faults(&schema, &value), [""; 0], "{text}");
        kinds.insert(value["event"].as_str().expect("a kind").to_owned());
        assert_eq!(serde_json::from_str::<Timed>(&text).expect("an event"), timed);
    }
    // A kind that is new has to be among them.
    let all = schema["oneOf"].as_array().expect("kinds");
    let missing: Vec<&Value> = all
        .iter()
        .map(|kind| &kind["properties"]["event"]["const"])
        .filter(|kind| !kind.as_str().is_some_and(|kind| kinds.contains(kind)))
        .collect();
    assert_eq!(missing, [&Value::Null; 0], "{kinds:?}");
}

#[test]
fn the_check_finds_what_is_wrong() {
    let schema = Kind::Events.schema();
    for wrong in [
        json!({"ms": 1, "event": "nothing"}),
        json!({"ms": -1, "event": "standing"}),
        json!({"event": "standing"}),
        json!({"ms": 1, "event": "began", "phase": "night"}),
        json!({"ms": 1, "event": "latencies", "latencies": [[1]]}),
        json!({"ms": 1, "event": "counts", "agent": {"swarm": 1}, "counts": {"failed": [{"operation": "connect"}]}}),
    ] {
        assert!(!schema_check::faults(&schema, &wrong).is_empty(), "{wrong}");
    }
}

#[test]
fn plan_and_report_are_what_their_schemas_say_and_are_read_as_they_were_written() {
    let record = PlanRecord::of(origin(), &plan());
    let value = serde_json::to_value(&record).expect("JSON");
    assert_eq!(schema_check::faults(&Kind::Plan.schema(), &value), [""; 0]);
    let read: PlanRecord = serde_json::from_value(value.clone()).expect("a plan");
    assert_eq!((serde_json::to_value(&read).expect("JSON"), &read.origin), (value, &record.origin));

    let mut account = Account::default();
    every_event().iter().for_each(|event| account.see(event));
    let report = crate::report::settle(&plan(), &account);
    let text = serde_json::to_string(&report).expect("JSON");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(schema_check::faults(&Kind::Report.schema(), &value), [""; 0]);
    assert_eq!(serde_json::from_str::<Report>(&text).expect("a report"), report);
    assert_eq!((report.exit, report.left_behind.len()), (3, 2));
}

#[test]
fn a_record_says_where_it_comes_from() {
    let origin = origin();
    let lab = &origin.lab_file;
    assert_eq!((lab.path.as_str(), lab.text.as_str()), ("lab.yaml", LAB));
    assert_eq!(lab.overrides, ["--set hold=3s", "--connections fit"]);
    assert_eq!((origin.format, origin.machine.kernel.as_str()), (1, "6.12.0"));
    assert_eq!(origin.machine.limits.nofile_hard, 1_048_576);
}

#[test]
fn what_was_written_is_read() {
    let folder = Folder::new("read");
    folder.record(&origin(), &[Event::Standing, Event::Over { left_behind: Vec::new(), never_built: None }]);
    let record = read(&folder.0).expect("a record");
    assert_eq!((record.events.len(), record.is_whole), (3, true));
    assert_eq!(record.report().origin, record.account().origin);
}

#[test]
fn a_record_that_was_cut_off_is_read_as_far_as_it_goes() {
    let folder = Folder::new("torn");
    folder.record(&origin(), &[Event::Standing]);
    let mut text = std::fs::read_to_string(folder.0.join(EVENTS)).expect("events");
    text += r#"{"ms":9,"event":"stan"#;
    folder.write(EVENTS, &text);
    let record = read(&folder.0).expect("a record");
    assert_eq!((record.events.len(), record.is_whole), (2, false));
}

#[test]
fn a_record_of_another_form_is_refused_with_the_reason() {
    let folder = Folder::new("old");
    folder.write(PLAN, "{\"lab\": \"old\", \"connections\": 10}");
    assert!(folder.why().contains("before records had a format"), "{}", folder.why());
    folder.record(&Origin { format: 2, version: "7.0.0".to_owned(), ..origin() }, &[]);
    assert!(folder.why().contains("format 2, by c1m-lab 7.0.0"), "{}", folder.why());
    folder.record(&origin(), &[]);
    folder.write(EVENTS, "{\"ms\":0,\"event\":\"began\",\"phase\":\"build\"}\n");
    assert!(folder.why().contains("events.jsonl: it was written before"), "{}", folder.why());
}

#[test]
fn what_is_no_record_is_refused_with_the_reason() {
    let folder = Folder::new("none");
    assert!(folder.why().contains("plan.json"), "{}", folder.why());
    folder.write(PLAN, "nothing");
    assert!(folder.why().contains("no record of a run"), "{}", folder.why());
    folder.record(&origin(), &[]);
    let other = Origin { began: crate::units::Utc::from_unix_ms(5), ..origin() };
    folder.write(PLAN, &serde_json::to_string(&PlanRecord::of(other, &plan())).expect("JSON"));
    assert!(folder.why().contains("it is of the run of"), "{}", folder.why());
    folder.record(&origin(), &[]);
    let events = std::fs::read_to_string(folder.0.join(EVENTS)).expect("events");
    folder.write(EVENTS, &format!("{events}{{\"ms\":1,\"event\":\"unheard_of\"}}\n"));
    assert!(folder.why().contains("line 2 is no event"), "{}", folder.why());
    std::fs::remove_file(folder.0.join(EVENTS)).expect("a file");
    std::fs::create_dir(folder.0.join(EVENTS)).expect("a folder");
    assert!(folder.why().contains("it is no file"), "{}", folder.why());
}
