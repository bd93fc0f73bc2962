//! Runs that someone ends.

use futures::StreamExt;

use super::*;
use crate::driver::Remains;

#[test]
fn an_interrupt_during_the_ramp_ends_it_in_order() {
    let lived = live_interrupted(false, |good, voices, agent, order, send| {
        let third = agent == AgentId::Swarm(2) && matches!(order, Order::Connect { .. });
        if third {
            good.connect(voices, agent, 10);
            send("SIGINT");
        }
        third
    });
    let report = &lived.report;
    assert_eq!(report.interrupted.as_deref(), Some("SIGINT"));
    assert_eq!(report.exit(), Exit::Broke);
    assert!(report.established >= 110 && report.untried >= 600, "{report:#?}");
    assert!(!lived.phases.contains(&Phase::Hold), "{:?}", lived.phases);
    assert_eq!(report.clients.closed, report.established);
}

#[test]
fn on_the_way_down_no_swarm_begins() {
    // The word of a swarm that is done arrives while everyone is being told to close.
    let lived = live_interrupted(false, |good, voices, agent, order, send| {
        if agent == AgentId::Swarm(0) && matches!(order, Order::Connect { .. }) {
            good.connect(voices, agent, 10);
            send("SIGINT");
            return true;
        }
        if agent == AgentId::Swarm(0) && *order == Order::Drain {
            voices.say(agent, Word::Ramped);
        }
        false
    });
    let drain = lived.done.iter().position(|done| done.starts_with("Drain")).expect("a drain");
    assert!(!lived.done[drain..].iter().any(|done| done.starts_with("Connect")), "{:?}", lived.done);
    assert_eq!(lived.report.clients.closed, lived.report.established);
}

#[test]
fn an_interrupt_during_the_build_opens_nothing() {
    let lived = live_interrupted(false, |_, _, agent, _, send| {
        if agent == SERVER {
            send("SIGTERM");
        }
        false
    });
    assert!(lived.orders("Accept").is_empty() && lived.orders("Connect").is_empty(), "{:?}", lived.done);
    assert_eq!((lived.report.established, lived.report.untried), (0, 1000));
    assert_eq!(lived.report.interrupted.as_deref(), Some("SIGTERM"));
}

#[test]
fn an_interrupt_during_the_hold_cuts_it_short() {
    let lived = live_interrupted(false, |_, _, agent, order, send| {
        if agent == AgentId::Swarm(0) && *order == Order::Hold {
            send("SIGTERM");
        }
        // A second one changes nothing about the way down.
        if agent == SERVER && *order == Order::Drain {
            send("SIGINT");
        }
        false
    });
    let report = &lived.report;
    assert!(report.seconds.hold < Some(1.0), "{:?}", report.seconds);
    assert_eq!(report.interrupted.as_deref(), Some("SIGTERM"));
    assert_eq!((report.exit(), report.clients.closed), (Exit::Broke, 1000));
}

#[test]
fn an_interrupt_is_heard_when_every_agent_has_ended() {
    let lived = live_interrupted(false, |_, voices, agent, order, send| {
        if agent == AgentId::Swarm(9) && *order == Order::Hold {
            (0..2).for_each(|place| voices.end(AgentId::Reactor(place), "signal 9"));
            (0..10).for_each(|swarm| voices.end(AgentId::Swarm(swarm), "signal 9"));
            send("SIGINT");
        }
        false
    });
    assert!(lived.report.seconds.hold < Some(1.0), "{:?}", lived.report.seconds);
    assert_eq!(lived.report.lost.total, 1000);
}

#[test]
fn ending_a_lab_that_only_stands_is_no_interruption() {
    let an_hour_later = futures::stream::once(async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        "SIGINT"
    });
    let driver = MockDriver::new(script(|_, _, _, _| false));
    let lived = live_with(driver, Interrupts::from(an_hour_later), true);
    lived.result.as_ref().expect("a good run");
    assert_eq!((lived.report.interrupted.as_deref(), lived.report.exit()), (None, Exit::Done));
    assert_eq!(lived.report.clients.closed, 1000);
}

/// A run whose way down takes ten seconds, and what is told of Ctrl-C, pressed first in its hold, each time so many
/// milliseconds after the last.
fn pressed(gaps_ms: &'static [u64]) -> Vec<Event> {
    let presses = futures::stream::iter(gaps_ms).then(|gap| async {
        tokio::time::sleep(Duration::from_millis(*gap)).await;
        "SIGINT"
    });
    let mut driver = MockDriver::new(script(|_, _, _, _| false));
    driver.down_takes = Duration::from_secs(10);
    live_with(driver, Interrupts::from(presses), false).presses
}

fn is_ignored(event: &Event) -> bool {
    matches!(event, Event::Ignored { signal } if signal == "SIGINT")
}

#[test]
fn the_second_is_ignored_and_the_third_soon_after_is_told_what_stands() {
    let presses = pressed(&[1000, 500, 1000, 1500]);
    let [first, second, third, fourth] = &presses[..] else { panic!("{presses:?}") };
    assert!(matches!(first, Event::Interrupted { .. }) && is_ignored(second), "{presses:?}");
    let remains = Remains { namespaces: 2, cgroups: 1, settings: 0 };
    for told in [third, fourth] {
        assert_eq!(*told, Event::Impatient { agents: 0, connections: 0, remains });
    }
}

#[test]
fn a_third_that_comes_late_is_ignored_too() {
    let presses = pressed(&[1000, 500, 2100, 1900]);
    let [_, second, third, fourth] = &presses[..] else { panic!("{presses:?}") };
    assert!(is_ignored(second) && is_ignored(third), "{presses:?}");
    assert!(matches!(fourth, Event::Impatient { .. }), "{presses:?}");
}

#[test]
fn during_the_drain_whoever_is_impatient_is_told_of_agents_and_connections() {
    let lived = live_interrupted(false, |_, _, agent, order, send| {
        // One that does not answer keeps the drain waiting.
        let mute = agent == AgentId::Swarm(9) && *order == Order::Drain;
        if mute {
            (0..2).for_each(|_| send("SIGINT"));
        }
        mute
    });
    let [first, second] = &lived.presses[..] else { panic!("{:?}", lived.presses) };
    assert!(is_ignored(first), "{first:?}");
    // Some have closed by then and were let go of; the one that does not answer, and those after it, have not.
    let Event::Impatient { agents, connections, .. } = second else { panic!("{second:?}") };
    assert!((1..12).contains(agents) && (100..1000).contains(connections), "{second:?}");
}
