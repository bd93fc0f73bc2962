//! Runs that someone ends.

use super::*;

#[test]
fn an_interrupt_during_the_ramp_ends_it_in_order() {
    let lived = live_interrupted(false, |good, voices, agent, order, send| {
        let third = agent == AgentId::Swarm(2) && *order == Order::Go;
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
        if agent == AgentId::Swarm(0) && *order == Order::Go {
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
    assert!(!lived.done[drain..].iter().any(|done| done.starts_with("Go")), "{:?}", lived.done);
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
    assert!(lived.orders("Go").is_empty(), "{:?}", lived.done);
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
