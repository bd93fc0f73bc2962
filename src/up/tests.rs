//! The life of a run, with agents played by a script and a clock that leaps over waiting.

mod course;
mod faults;
mod interrupts;
mod silence;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::agent::{Counts, Word};
use crate::driver::mock::{MockDriver, Script, Voices};
use crate::exit::Exit;
use crate::host::Host;
use crate::log::Listener;
use crate::origin::{Beginning, LabFile};
use crate::record::{self, PlanRecord};
use crate::report::{self, Report};

/// 1,000 connections by 10 swarms, of which 2 connect at a time, to a chain of 4 reactors.
const LAB: &str = "
name: mock
connections: 1000
server: {ports: 9900-9909}
clients: {count: 1}
limits: {server: {nofile: 270}, client: {nofile: 106}}
hold: 60s
";

fn plan(more: &str) -> Plan {
    let lab = crate::spec::parse("lab.yaml", &format!("{LAB}{more}"), &[]).expect("lab");
    let plan = crate::plan::decide(&lab, &Host { machine_cpus: 1, ..Host::example() }).expect("plan");
    assert_eq!((plan.ends.reactors.count, plan.ends.swarms.len(), plan.ends.swarms_at_once), (4, 10, 2));
    plan
}

/// Agents that do what they are told: swarms connect all at once, and one reactor takes everything.
struct Good {
    counts: BTreeMap<AgentId, Counts>,
    share: BTreeMap<AgentId, u64>,
}

const SERVER: AgentId = AgentId::Reactor(0);

impl Good {
    fn new() -> Self {
        Good { counts: BTreeMap::new(), share: BTreeMap::new() }
    }

    fn count(&mut self, voices: &Voices, agent: AgentId, change: impl Fn(&mut Counts)) {
        let counts = self.counts.entry(agent).or_default();
        change(counts);
        voices.say(agent, Word::Counts(counts.clone()));
    }

    fn connect(&mut self, voices: &Voices, swarm: AgentId, connections: u64) {
        for agent in [swarm, SERVER] {
            self.count(voices, agent, |counts| {
                counts.tried += connections;
                counts.established += connections;
                counts.open += connections;
            });
        }
    }

    fn obey(&mut self, voices: &mut Voices, agent: AgentId, order: &Order) {
        match order {
            Order::Reactor(_) => voices.say(agent, ready()),
            Order::Swarm(swarm) => {
                self.share.insert(agent, swarm.count);
                voices.say(agent, ready());
            }
            Order::Accept => voices.say(agent, Word::Accepting),
            Order::Connect { up_to } => {
                let open = self.counts.get(&agent).map_or(0, |counts| counts.open);
                self.connect(voices, agent, up_to - open);
                voices.say(agent, Word::Ramped);
            }
            Order::MeasureMemory => voices.say(agent, Word::Memory { private_bytes: Some(1) }),
            Order::Hold | Order::Tell | Order::Probe { .. } => {}
            Order::Call => voices.say(agent, Word::Here),
            Order::Ending | Order::RoundEnds { .. } => voices.say(agent, Word::Expecting),
            Order::Quiesce => voices.say(agent, Word::Quiesced { latencies: Vec::new() }),
            Order::Close => {
                let open = self.counts.get(&agent).map_or(0, |counts| counts.open);
                for agent in [agent, SERVER] {
                    self.count(voices, agent, |counts| {
                        counts.open -= open;
                        counts.closed += open;
                    });
                }
            }
            Order::Drain => {
                self.count(voices, agent, |counts| counts.closed += std::mem::take(&mut counts.open));
                voices.say(agent, Word::Drained);
            }
        }
    }
}

fn ready() -> Word {
    Word::Ready { pid: 1, nofile: 100, private_bytes: Some(1) }
}

/// Good agents, but for what `differs` does: true, and the good agent does nothing.
fn script(mut differs: impl FnMut(&mut Good, &mut Voices, AgentId, &Order) -> bool + 'static) -> Script {
    let mut good = Good::new();
    Box::new(move |voices, agent, order| {
        if !differs(&mut good, voices, agent, order) {
            good.obey(voices, agent, order);
        }
    })
}

/// Where the record of a run is, for the time of a test.
struct RecordFolder(std::path::PathBuf);

impl RecordFolder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("c1m-mock-run-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        RecordFolder(path)
    }

    fn events(&self) -> std::fs::File {
        std::fs::File::create(self.0.join(record::EVENTS)).expect("a file")
    }

    fn write_plan(&self, plan: &PlanRecord) {
        std::fs::write(self.0.join(record::PLAN), serde_json::to_vec(plan).expect("JSON")).expect("a file");
    }
}

impl Drop for RecordFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Phases(std::rc::Rc<std::cell::RefCell<Vec<Phase>>>);

/// What of the events is about signals on the way down.
#[derive(Clone, Default)]
struct Presses(std::rc::Rc<std::cell::RefCell<Vec<Event>>>);

impl Listener for Presses {
    fn hear(&mut self, _: Duration, event: &Event, _: &crate::account::Account) {
        if matches!(event, Event::Interrupted { .. } | Event::Ignored { .. } | Event::Impatient { .. }) {
            self.0.borrow_mut().push(event.clone());
        }
    }
}

impl Listener for Phases {
    fn hear(&mut self, _: Duration, event: &Event, _: &crate::account::Account) {
        if let Event::Ended { phase, .. } = event {
            self.0.borrow_mut().push(*phase);
        }
    }
}

/// A run that is over.
struct Lived {
    done: Vec<String>,
    phases: Vec<Phase>,
    presses: Vec<Event>,
    result: Result<()>,
    report: Report,
}

impl Lived {
    /// What was asked of agents: `Go swarm 1`.
    fn orders(&self, order: &str) -> Vec<&str> {
        let told = self.done.iter().filter_map(|done| done.strip_prefix(order));
        told.map(str::trim_start).collect()
    }

    /// What holds for every run, however it went.
    fn checked(self) -> Self {
        let report = &self.report;
        assert_eq!(report.asked, report.established + report.failed.total + report.untried, "{report:#?}");
        assert_eq!(self.done.iter().filter(|done| *done == "down").count(), 1, "{:?}", self.done);
        assert_eq!(self.done.last().map(String::as_str), Some("down"));
        assert_eq!(self.phases.last(), Some(&Phase::Down));
        self
    }
}

fn live_with(driver: MockDriver, interrupts: Interrupts, keep: bool) -> Lived {
    live_planned(&plan(""), driver, interrupts, keep)
}

fn live_planned(plan: &Plan, driver: MockDriver, interrupts: Interrupts, keep: bool) -> Lived {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("runtime");
    let phases = std::rc::Rc::default();
    let presses = Presses::default();
    let listeners: Vec<Box<dyn Listener>> =
        vec![Box::new(Phases(std::rc::Rc::clone(&phases))), Box::new(presses.clone())];
    let folder = RecordFolder::new();
    let mut log = Log::new(Some(folder.events()), listeners);
    let beginning = Beginning::now(LabFile::default(), &Host::example());
    folder.write_plan(&PlanRecord::of(beginning.origin.clone(), plan));
    log.begin(beginning);
    let (driver, result) = runtime.block_on(Run::new(plan, driver, &mut log, interrupts).live(keep));
    log.tell(Event::Over { left_behind: Vec::new(), never_built: None });
    let report = report::settle(plan, &log.account);
    let record = record::read(&folder.0).expect("a record");
    assert!(record.is_whole);
    assert_eq!(record.report(), report, "what was written comes to something else");
    let (phases, presses) = (phases.take(), presses.0.take());
    Lived { done: driver.done(), phases, presses, result, report }.checked()
}

/// The lab with more in its file.
fn live_more(more: &str, script: Script) -> Lived {
    live_planned(&plan(more), MockDriver::new(script), Interrupts::from(futures::stream::empty()), false)
}

fn live(script: Script) -> Lived {
    live_with(MockDriver::new(script), Interrupts::from(futures::stream::empty()), false)
}

/// A run in which the script may send signals.
fn live_interrupted(
    keep: bool,
    mut differs: impl FnMut(&mut Good, &mut Voices, AgentId, &Order, &dyn Fn(Stop)) -> bool + 'static,
) -> Lived {
    let (sender, mut signals) = unbounded_channel();
    let send = move |signal: Stop| sender.send(signal).expect("someone listens");
    let script = script(move |good, voices, agent, order| differs(good, voices, agent, order, &send));
    let signals = futures::stream::poll_fn(move |context| signals.poll_recv(context));
    live_with(MockDriver::new(script), Interrupts::from(signals), keep)
}

fn is_swarm(agent: AgentId) -> bool {
    matches!(agent, AgentId::Swarm(_))
}
