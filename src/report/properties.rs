//! The report under agents that say anything: the bounded form of the fuzz target.

use proptest::prelude::*;

use super::*;
use crate::agent::{Counts, tally::TalkCounts};
use crate::event::Event;
use crate::host::Host;
use crate::launch::AgentId;

/// Any number, and often one at an end.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()]
}

fn tally() -> impl Strategy<Value = Tally> {
    let row = ("EIO|EOF|[a-z]{0,3}", number());
    let row = row.prop_map(|(errno, count)| Row { operation: Operation::Connect, errno, count });
    prop::collection::vec(row, 0..3).prop_map(Tally::from)
}

fn counts() -> impl Strategy<Value = Counts> {
    let numbers = prop::collection::vec(number(), 8);
    (numbers, tally(), tally()).prop_map(|(numbers, failed, lost)| {
        let talk =
            TalkCounts { sent: numbers[4], answered: numbers[5], wrong: numbers[6], skipped: numbers[7] };
        let (tried, established, open, closed) = (numbers[0], numbers[1], numbers[2], numbers[3]);
        Counts { tried, established, open, closed, failed, lost, ready: established, talk }
    })
}

fn event() -> impl Strategy<Value = Event> {
    let agent = prop_oneof![(0..3_u32).prop_map(AgentId::Swarm), (0..3_u32).prop_map(AgentId::Reactor)];
    let latencies = prop::collection::vec((number(), number()), 0..4);
    (agent, 0..5, counts(), number(), latencies).prop_map(|(agent, kind, counts, number, latencies)| {
        match kind {
            0 | 1 => Event::Counts { agent, counts },
            2 => Event::AgentMemory { agent, private_bytes: Some(number) },
            3 => Event::Latencies { latencies },
            _ => Event::AgentEnded { agent, how: "signal 9".to_owned(), planned: false },
        }
    })
}

proptest! {
    #[test]
    fn a_report_is_settled_whatever_the_agents_say(events in prop::collection::vec(event(), 0..12)) {
        let lab = crate::spec::parse("lab.yaml", "connections: 10", &[]).expect("lab");
        let plan = crate::plan::decide(&lab, &Host::example()).expect("plan");
        let mut account = Account::default();
        events.iter().for_each(|event| account.see(event));
        let report = settle(&plan, &account);
        text::lines(&report);
        serde_json::to_string(&report).expect("JSON");
    }
}
