//! Any line from a pipe is an order, a word, or neither; what was understood says the same when said again.
//! Whatever agents say, line by line, there is a report of it in the end.
#![no_main]

use std::sync::LazyLock;

use c1m_lab::account::Account;
use c1m_lab::agent::{Order, Word};
use c1m_lab::launch::AgentId;
use c1m_lab::event::Event;
use c1m_lab::host::Host;
use c1m_lab::plan::{self, Plan};
use c1m_lab::report::{self, text};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let lab = c1m_lab::spec::parse("lab.yaml", "connections: 10K", &[]).expect("a lab");
    plan::decide(&lab, &Host::example()).expect("a plan")
});

fn understand<T: PartialEq + Serialize>(
    read: fn(&[u8]) -> serde_json::Result<T>,
    line: &[u8],
) -> Option<T> {
    let understood = read(line).ok()?;
    let said = serde_json::to_vec(&understood).expect("what was read can be written");
    assert!(read(&said).is_ok_and(|again| again == understood));
    Some(understood)
}

/// The event that a word becomes, as far as the account counts it.
fn event(agent: AgentId, word: Word) -> Option<Event> {
    match word {
        Word::Ready { nofile, private_bytes, .. } => Some(Event::AgentReady { agent, nofile, private_bytes }),
        Word::Counts(counts) => Some(Event::Counts { agent, counts }),
        Word::Memory { private_bytes } => Some(Event::AgentMemory { agent, private_bytes }),
        Word::Quiesced { latencies } | Word::Latencies { latencies } => Some(Event::Latencies { latencies }),
        Word::Failed { why } => Some(Event::AgentEnded { agent, how: why, planned: false }),
        Word::Here | Word::Accepting | Word::Full | Word::Expecting | Word::Ramped | Word::Drained => None,
    }
}

/// Who says the line at this place. Which agent it hears the runner knows by the pipe, so it is one of the plan's.
fn speaker(place: u32) -> AgentId {
    match place % 2 {
        0 => AgentId::Swarm(place / 4 % PLAN.ends.swarms.len() as u32),
        _ => AgentId::Reactor(place / 4 % PLAN.ends.reactors.count),
    }
}

fuzz_target!(|said: &[u8]| {
    let mut account = Account::default();
    for (line, place) in said.split(|byte| *byte == b'\n').zip(0..) {
        understand(Order::read, line);
        let agent = speaker(place);
        if let Some(event) = understand(Word::read, line).and_then(|word| event(agent, word)) {
            account.see(&event);
        }
    }
    let report = report::settle(&PLAN, &account);
    text::lines(&report);
    serde_json::to_string(&report).expect("a report can be written");
});
