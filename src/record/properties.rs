//! What is written is to an account what happened, and an hour of it is small.

use proptest::prelude::*;

use crate::account::Account;
use crate::agent::Counts;
use crate::agent::tally::{Operation, TalkCounts};
use crate::event::{Event, Moment, Phase};
use crate::launch::AgentId;
use crate::log::Timed;
use crate::log::thin::Thin;
use crate::observe::{Reading, Sample, names};

/// What is written of these events, each with its time.
fn written(events: &[(u64, Event)]) -> Vec<u8> {
    let mut thin = Thin::default();
    let mut lines: Vec<u8> = events.iter().flat_map(|(ms, event)| thin.take(*ms, event)).collect();
    lines.extend(thin.rest());
    lines
}

fn read(lines: &[u8]) -> Vec<Timed> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("an event")).collect()
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_u64, Just(u64::MAX), any::<u64>()]
}

fn sample() -> impl Strategy<Value = Sample> {
    let values = || prop::collection::btree_map("[ab]", number(), 0..3);
    let place = (values(), values()).prop_map(|(levels, counters)| Reading { levels, counters });
    let host = number().prop_map(|sockets| {
        let mut reading = Reading::default();
        reading.level(names::OTHER_SOCKETS, sockets);
        reading
    });
    (prop::collection::btree_map("server|client-1", place, 0..3), host).prop_map(|(mut places, host)| {
        places.insert(names::HOST.to_owned(), host);
        Sample { places }
    })
}

fn agent() -> impl Strategy<Value = AgentId> {
    prop_oneof![(0..3_u32).prop_map(AgentId::Swarm), (0..2_u32).prop_map(AgentId::Reactor)]
}

fn counts() -> impl Strategy<Value = Counts> {
    // Few numbers, so that the same counts come again.
    (0..3_u64, 0..3_u64, 0..2_u64, number()).prop_map(|(tried, open, failed, sent)| {
        let mut counts = Counts { tried, established: open, open, ..Counts::default() };
        counts.failed.add_named(Operation::Connect, "ETIMEDOUT", failed);
        counts.talk = TalkCounts { sent, ..TalkCounts::default() };
        counts
    })
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![Just(Phase::Ramp), Just(Phase::Hold), Just(Phase::Drain), Just(Phase::Down)]
}

fn figure() -> impl Strategy<Value = Event> {
    let latencies = prop::collection::vec((0..9_u64, number()), 1..4);
    prop_oneof![
        4 => (agent(), counts()).prop_map(|(agent, counts)| Event::Counts { agent, counts }),
        4 => (1..3_u64, number(), sample(), sample()).prop_map(|(looks, micros, changes, raised)| {
            // What is told to have been higher is of what is told.
            let raised = raised.places.into_iter().filter_map(|(place, mut reading)| {
                let told = changes.places.get(&place)?;
                reading.levels.retain(|name, _| told.levels.contains_key(name));
                reading.counters.clear();
                Some((place, reading))
            });
            let highest = Sample { places: raised.collect() };
            Event::Observed { looks, micros, changes, highest }
        }),
        1 => latencies.prop_map(|latencies| Event::Latencies { latencies }),
        2 => (0..3_u64, number()).prop_map(|(open, per_second)| Event::Progress { established: open, open, per_second }),
    ]
}

fn other() -> impl Strategy<Value = Event> {
    prop_oneof![
        phase().prop_map(|phase| Event::Began { phase }),
        (phase(), 0.0..9.0).prop_map(|(phase, seconds)| Event::Ended { phase, seconds }),
        agent().prop_map(|agent| Event::AgentStarted { agent, pid: 1 }),
        agent().prop_map(|agent| Event::AgentSilent { agent }),
        (agent(), any::<bool>()).prop_map(|(agent, planned)| Event::AgentEnded {
            agent,
            how: "signal 9".to_owned(),
            planned
        }),
        sample().prop_map(|sample| Event::Kernel { moment: Moment::Plateau, sample }),
        sample().prop_map(|sample| Event::Kernel { moment: Moment::Peak, sample }),
        Just(Event::Unsettled { phase: Phase::Ramp, clients: 1, server: 2 }),
    ]
}

proptest! {
    #[test]
    fn an_account_of_what_is_written_is_that_of_what_happened(
        events in prop::collection::vec((0..400_u64, prop_oneof![3 => figure(), 1 => other()]), 0..60)
    ) {
        let mut ms = 0;
        let timed: Vec<(u64, Event)> = events.into_iter().map(|(later, event)| { ms += later; (ms, event) }).collect();
        let (mut live, mut back) = (Account::default(), Account::default());
        timed.iter().for_each(|(_, event)| live.see(event));
        let lines = read(&written(&timed));
        lines.iter().for_each(|timed| back.see(&timed.event));
        prop_assert_eq!(format!("{back:#?}"), format!("{live:#?}"));
        prop_assert!(lines.is_sorted_by_key(|timed| timed.ms), "times go back");
    }
}

const REACTORS: u32 = 53;
const SWARMS: u32 = 54;
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// A million connections that echo every ten seconds, with all that is told of them: counts ten times a second,
/// counters of the host, of three nodes and, once a second, of all agents, latencies every six seconds.
struct Million {
    noise: u64,
}

impl Million {
    fn random(&mut self) -> u64 {
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.noise >> 33
    }

    fn observed(&mut self, ms: u64) -> Event {
        let mut changes = Sample::default();
        for (place, levels, counters) in
            [("host", 24, 14), ("server", 8, 24), ("client-1", 6, 20), ("client-2", 6, 20)]
        {
            let mut reading = Reading::default();
            (0..levels).for_each(|name| {
                reading.level(format!("some.level_of_{name}"), 1_000_000_000 + self.random() % 99_999)
            });
            (0..counters).for_each(|name| {
                reading.counter(format!("TcpExt.SomeCounter{name}"), 20_000 + self.random() % 9_999)
            });
            changes.places.insert(place.to_owned(), reading);
        }
        if ms.is_multiple_of(SECOND) {
            for agent in agents() {
                let mut reading = Reading::default();
                reading.counter(names::AGENT_CPU, self.random() % 99);
                (0..3).for_each(|name| {
                    reading.level(format!("agent.level_{name}"), 20_000_000 + self.random() % 999_999)
                });
                changes.places.insert(agent.to_string(), reading);
            }
        }
        Event::Observed { looks: 1, micros: 900 + self.random() % 99, changes, highest: Sample::default() }
    }

    fn counts(&mut self, agent: AgentId, ms: u64) -> Event {
        let open = 18_520;
        let mut counts = Counts { tried: open, established: open, open, ready: open, ..Counts::default() };
        if matches!(agent, AgentId::Swarm(_)) {
            let sent = ms * open / 10_000;
            counts.talk =
                TalkCounts { sent, answered: sent - self.random() % 99, wrong: 0, skipped: sent / 1_000 };
        }
        Event::Counts { agent, counts }
    }

    /// Latencies all over the range that a histogram has steps for.
    fn latencies(&mut self) -> Event {
        let steps = (0..1_200_u64)
            .map(|step| crate::agent::talk::step_of(((1.01_f64).powi(step as i32) * 40.0) as u64));
        let steps: std::collections::BTreeSet<u64> = steps.collect();
        Event::Latencies {
            latencies: steps.into_iter().map(|step| (step, 1 + self.random() % 200)).collect(),
        }
    }
}

fn agents() -> impl Iterator<Item = AgentId> {
    (0..REACTORS).map(AgentId::Reactor).chain((0..SWARMS).map(AgentId::Swarm))
}

/// Hands over what is told, in steps of a tenth of a second at the beginning and at the end, and of two seconds between.
fn hour(mut told: impl FnMut(u64, Event)) {
    let mut million = Million { noise: 7 };
    told(0, Event::Began { phase: Phase::Build });
    for agent in agents() {
        told(300, Event::AgentStarted { agent, pid: 4_711 });
        told(400, Event::AgentReady { agent, nofile: 20_000, private_bytes: Some(1 << 20) });
    }
    told(500, Event::Began { phase: Phase::Ramp });
    let (young, old) = ((600..60 * SECOND).step_by(100), (HOUR - 10 * SECOND..HOUR).step_by(100));
    for ms in young.chain((60 * SECOND..HOUR - 10 * SECOND).step_by(2_000)).chain(old) {
        if ms == 30 * SECOND {
            told(ms, Event::Began { phase: Phase::Hold });
        }
        if ms == HOUR - 10 * SECOND {
            told(ms, Event::Began { phase: Phase::Drain });
        }
        for swarm in 0..SWARMS {
            told(ms, million.counts(AgentId::Swarm(swarm), ms));
            if ms / SECOND % 6 == u64::from(swarm) % 6 && ms.is_multiple_of(SECOND) {
                told(ms, million.latencies());
            }
        }
        if !(30 * SECOND..=HOUR - 10 * SECOND).contains(&ms) {
            for reactor in 0..REACTORS {
                told(ms, million.counts(AgentId::Reactor(reactor), ms));
            }
        }
        if ms.is_multiple_of(500) || ms % 500 == 200 {
            told(ms, million.observed(ms));
            let per_second = million.random();
            told(ms, Event::Progress { established: 1_000_000, open: 1_000_000, per_second });
        }
    }
    for agent in agents() {
        told(HOUR, Event::AgentEnded { agent, how: "exit code 0".to_owned(), planned: true });
    }
    told(HOUR, Event::Over { left_behind: Vec::new(), never_built: None });
}

#[test]
fn an_hour_of_a_million_echoing_connections_is_at_most_25_mb() {
    let mut thin = Thin::default();
    let (mut bytes, mut by_kind) = (0_usize, std::collections::BTreeMap::<String, (u64, usize)>::new());
    let (mut last_latencies, mut longest_gap) = (0, 0);
    hour(|ms, event| {
        let lines = thin.take(ms, &event);
        bytes += lines.len();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let text = std::str::from_utf8(line).expect("text");
            let kind =
                text.split_once("\"event\":\"").and_then(|(_, rest)| rest.split_once('"')).expect("a kind").0;
            let (lines, sum) = by_kind.entry(kind.to_owned()).or_default();
            (*lines, *sum) = (*lines + 1, *sum + line.len());
            if kind == "latencies" {
                longest_gap = longest_gap.max(ms - last_latencies);
                last_latencies = ms;
            }
        }
    });
    println!("{bytes} bytes: {by_kind:?}; latencies at least every {longest_gap} ms");
    assert!(bytes <= 25_000_000, "{bytes} bytes: {by_kind:?}");
    // It is thinned out, not left out.
    assert!(by_kind["counts"].0 > 20_000 && longest_gap < 15_000, "{by_kind:?}, {longest_gap} ms");
}

#[test]
fn figures_are_written_within_half_a_second_while_a_phase_is_young() {
    let mut thin = Thin::default();
    thin.take(0, &Event::Began { phase: Phase::Ramp });
    let mut last = 0;
    for ms in (0..10_000).step_by(100) {
        let counts = Counts { open: ms, ..Counts::default() };
        if !thin.take(ms, &Event::Counts { agent: AgentId::Swarm(0), counts }).is_empty() {
            assert!(ms - last <= 500, "nothing between {last} and {ms} ms");
            last = ms;
        }
    }
    assert!(last > 9_000);
}

#[test]
fn what_has_not_changed_is_not_written_again() {
    let counts = Event::Counts { agent: AgentId::Swarm(0), counts: Counts { open: 1, ..Counts::default() } };
    let progress = Event::Progress { established: 1, open: 1, per_second: 0 };
    let events: Vec<(u64, Event)> = (0..40)
        .flat_map(|quarter| [(quarter * 250, counts.clone()), (quarter * 250, progress.clone())])
        .collect();
    assert_eq!(read(&written(&events)).len(), 2);
}
