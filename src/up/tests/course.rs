//! Runs that take their course, with agents that may fail on the way.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::agent::tally::Operation;

#[test]
fn all_goes_well() {
    let lived = live(script(|_, _, _, _| false));
    lived.result.as_ref().expect("a good run");
    let report = &lived.report;
    assert_eq!(lived.phases, [Phase::Build, Phase::Ramp, Phase::Hold, Phase::Drain, Phase::Down]);
    assert_eq!((report.established, report.failed.total, report.untried), (1000, 0, 0));
    assert_eq!(
        (report.server.accepted, report.clients.closed, report.server.closed),
        (Some(1000), 1000, 1000)
    );
    assert_eq!(report.findings, [""; 0]);
    assert_eq!(report.exit(), Exit::Done);
    assert_eq!((lived.orders("Accept").len(), lived.orders("Connect").len()), (1, 10), "{:?}", lived.done);
    assert!(report.seconds.hold >= Some(60.0), "{:?}", report.seconds);
}

#[test]
fn the_ramp_pauses_on_plateaus() {
    let lived = live_more("ramp: {plateaus: [205, 700]}\n", script(|_, _, _, _| false));
    lived.result.as_ref().expect("a good run");
    let (ramp, hold) = (Phase::Ramp, Phase::Hold);
    assert_eq!(lived.phases, [Phase::Build, ramp, hold, ramp, hold, ramp, hold, Phase::Drain, Phase::Down]);
    let plateaus = &lived.report.plateaus;
    let counts: Vec<[u64; 4]> =
        plateaus.iter().map(|at| [at.connections, at.established, at.open, at.server_open]).collect();
    assert_eq!(counts, [[205; 4], [700; 4]]);
    assert_eq!((lived.report.established, lived.report.exit()), (1000, Exit::Done));
    assert_eq!(lived.orders("Connect").len(), 3 * 10);
    assert!(lived.report.seconds.hold >= Some(180.0), "three times 60 s: {:?}", lived.report.seconds);
}

#[test]
fn a_run_that_breaks_before_a_plateau_goes_no_further() {
    let lived = live_more(
        "ramp: {plateaus: [500, 700], until: breaks}\n",
        script(|good, voices, agent, order| {
            let breaks = agent == AgentId::Swarm(9) && *order == (Order::Connect { up_to: 70 });
            if breaks {
                good.count(voices, agent, |counts| {
                    counts.tried += 1;
                    counts.failed.add(Operation::Connect, rustix::io::Errno::TIMEDOUT);
                });
            }
            breaks
        }),
    );
    let report = &lived.report;
    assert_eq!((report.breaks_at, report.plateaus.len()), (Some(680), 1));
    assert_eq!((report.failed.total, report.untried), (1, 319));
    assert_eq!(lived.orders("Connect").len(), 2 * 10, "no swarm goes further: {:?}", lived.done);
}

#[test]
fn what_is_lost_on_a_plateau_is_where_it_breaks() {
    let script = script(|good, voices, agent, order| {
        if agent == AgentId::Swarm(3) && *order == Order::Hold {
            good.count(voices, agent, |counts| {
                counts.lost.add(Operation::Receive, rustix::io::Errno::CONNRESET);
                counts.open -= 1;
            });
        }
        false
    });
    let lived = live_more("ramp: {plateaus: [500], until: breaks}\n", script);
    let report = &lived.report;
    assert_eq!((report.breaks_at, report.established, report.untried), (Some(500), 500, 500));
    assert_eq!((report.plateaus[0].lost, report.plateaus[0].open), (1, 499));
}

#[test]
fn a_few_at_a_time_close_until_they_do_not_get_on() {
    let told: Rc<RefCell<Vec<(AgentId, Instant)>>> = Rc::default();
    let list = Rc::clone(&told);
    let lived = live(script(move |good, voices, agent, order| {
        if *order != Order::Drain {
            return false;
        }
        list.borrow_mut().push((agent, Instant::now()));
        // Only the first one ever closes: one more has its turn, and then nothing moves.
        if list.borrow().len() == 4 {
            good.obey(voices, SERVER, order);
        }
        true
    }));
    assert_eq!(lived.orders("Ending").len(), 12, "all know that the end is near: {:?}", lived.done);
    let told = told.borrow();
    let first: Vec<String> = told[..5].iter().map(|(agent, _)| agent.to_string()).collect();
    assert_eq!(first, ["reactor 1", "swarm 1", "reactor 2", "swarm 2", "swarm 3"]);
    assert_eq!((plan("").drains_at_once, told.len()), (4, 12));
    let since = |place: usize| told[place].1 - told[0].1;
    assert!(since(4) < SETTLE && since(5) >= SETTLE, "{told:?}");
    assert_eq!((lived.report.server.closed, lived.report.clients.closed), (1000, 0));
    assert!(
        lived.report.findings.iter().any(|finding| finding.contains("drain")),
        "{:?}",
        lived.report.findings
    );
}

#[test]
fn each_reactor_is_started_when_the_one_before_accepts() {
    // Every second swarm makes a reactor full, and the next accepts.
    let lived = live(script(|_, voices, agent, order| {
        if let (AgentId::Swarm(swarm @ (4 | 6 | 8)), Order::Connect { .. }) = (agent, order) {
            voices.say(AgentId::Reactor(swarm / 2 - 2), Word::Full);
            voices.say(AgentId::Reactor(swarm / 2 - 1), Word::Accepting);
        }
        false
    }));
    let started: Vec<&str> =
        lived.orders("start").into_iter().filter(|who| who.starts_with("reactor")).collect();
    assert_eq!(started, ["reactor 1", "reactor 2", "reactor 3", "reactor 4"]);
    let alone = live(script(|_, _, _, _| false));
    let started: Vec<&str> =
        alone.orders("start").into_iter().filter(|who| who.starts_with("reactor")).collect();
    assert_eq!(started, ["reactor 1", "reactor 2"], "one stands by, no more");
}

#[test]
fn only_so_many_swarms_connect_at_a_time() {
    // Every swarm that is told to go waits for the third before it says that it is done.
    let mut going = Vec::new();
    let lived = live(script(move |good, voices, agent, order| {
        if !is_swarm(agent) || !matches!(order, Order::Connect { .. }) {
            return false;
        }
        good.connect(voices, agent, good.share[&agent]);
        going.push(agent);
        assert!(going.len() <= 2, "{going:?} at the same time");
        if going.len() == 2 {
            // The first of the two is done: exactly one other may begin.
            voices.say(going.remove(0), Word::Ramped);
        }
        if agent == AgentId::Swarm(9) {
            going.drain(..).for_each(|last| voices.say(last, Word::Ramped));
        }
        true
    }));
    assert_eq!(lived.report.established, 1000);
    assert_eq!(lived.orders("Connect").len(), 10);
}

#[test]
fn a_swarm_that_ends_during_the_ramp_is_accounted_for() {
    let lived = live(script(|good, voices, agent, order| {
        if agent != AgentId::Swarm(3) || !matches!(order, Order::Connect { .. }) {
            return false;
        }
        good.connect(voices, agent, 30);
        good.count(voices, agent, |counts| counts.tried += 20);
        voices.end(agent, "signal 9");
        good.count(voices, SERVER, |counts| counts.open -= 30);
        true
    }));
    lived.result.as_ref().expect("the others go on");
    let report = &lived.report;
    assert_eq!(lived.orders("Connect").len(), 10, "the next swarm took its place");
    assert_eq!((report.established, report.failed.total, report.untried), (930, 20, 50));
    assert_eq!((report.lost.total, report.failed.by[0].errno.as_str()), (30, "signal 9"));
    assert!(
        report.findings.iter().any(|finding| finding.contains("swarm 4 was lost during the run: signal 9"))
    );
    assert_eq!(report.broke, None);
}

#[test]
fn a_reactor_that_ends_during_the_hold_is_a_finding() {
    let lived = live(script(|good, voices, agent, order| {
        if agent == AgentId::Swarm(0) && *order == Order::Hold {
            voices.end(SERVER, "signal 9");
        }
        if is_swarm(agent) && *order == Order::Quiesce {
            good.count(voices, agent, |counts| {
                counts.lost.add_named(crate::agent::tally::Operation::Receive, "ECONNRESET", counts.open);
                counts.open = 0;
            });
        }
        false
    }));
    let report = &lived.report;
    assert_eq!((report.established, report.lost.total), (1000, 1000));
    assert!(report.findings.iter().any(|finding| finding == "reactor 1 was lost during the run: signal 9"));
    assert!(
        report.findings.iter().any(|finding| finding == "the server lost 1,000 connections with signal 9")
    );
    assert!(lived.phases.contains(&Phase::Drain));
}

#[test]
fn an_agent_that_fails_at_the_start_is_named() {
    let lived = live(script(|_, voices, agent, order| {
        let fails = agent == AgentId::Swarm(2) && matches!(order, Order::Swarm(_));
        if fails {
            voices.say(agent, Word::Failed { why: "setting the descriptor limit: EPERM".to_owned() });
            voices.end(agent, "exit code 3");
        }
        fails
    }));
    let error = lived.result.as_ref().expect_err("it cannot go on").to_string();
    assert!(error.contains("setting the descriptor limit: EPERM"), "{error}");
    assert!(lived.orders("Accept").is_empty() && lived.orders("Connect").is_empty(), "{:?}", lived.done);
    assert_eq!(lived.report.exit(), Exit::Broke);
}

#[test]
fn an_agent_that_says_nothing_is_not_waited_for_for_ever() {
    let lived = live(script(|_, _, agent, _| agent == AgentId::Swarm(2)));
    let error = lived.result.as_ref().expect_err("it cannot go on").to_string();
    assert!(error.contains("starting the agents"), "{error}");
    assert_eq!(lived.report.untried, 1000);
}

#[test]
fn an_agent_that_falls_silent_in_the_ramp_is_accounted_for() {
    let lived = live(script(|good, voices, agent, order| {
        let silent = agent == AgentId::Swarm(9) && !matches!(order, Order::Swarm(_));
        if silent && matches!(order, Order::Connect { .. }) {
            good.count(voices, agent, |counts| counts.tried += 40);
            voices.say(agent, Word::Ramped);
        }
        silent
    }));
    assert_eq!((lived.report.established, lived.report.failed.total, lived.report.untried), (900, 40, 60));
}

#[test]
fn a_build_that_breaks_is_taken_down() {
    let mut driver = MockDriver::new(script(|_, _, _, _| false));
    driver.build_breaks = true;
    let lived = live_with(driver, Interrupts::from(futures::stream::empty()), false);
    let error = lived.result.as_ref().expect_err("it breaks");
    assert_eq!(error.exit, Exit::Host);
    assert_eq!(lived.done, ["build", "down"]);
    assert_eq!(lived.report.broke.as_deref(), Some("making the namespace: the mock breaks here"));
}

#[test]
fn a_ramp_that_goes_on_until_something_breaks_stops_there() {
    let script = script(|good, voices, agent, order| {
        if agent != AgentId::Swarm(3) || !matches!(order, Order::Connect { .. }) {
            return false;
        }
        good.connect(voices, agent, 30);
        good.count(voices, agent, |counts| {
            counts.tried += 1;
            counts.failed.add_named(Operation::Connect, "ETIMEDOUT", 1);
        });
        true
    });
    let plan = plan("ramp: {until: breaks}");
    let quiet = Interrupts::from(futures::stream::empty());
    let lived = live_planned(&plan, MockDriver::new(script), quiet, false);
    let report = &lived.report;
    // Who was at it when the first one failed may still have opened some.
    assert!((Some(330)..=Some(report.established)).contains(&report.breaks_at), "{:?}", report.breaks_at);
    assert!(report.established <= 430, "{}", report.established);
    assert_eq!(report.failed.total, 1);
    assert!(lived.orders("Connect").len() < 10, "who had not begun does not begin: {:?}", lived.done);
    assert_eq!(report.clients.closed, report.established);
    assert_eq!(report.verdicts.iter().map(|verdict| verdict.connections).sum::<u64>(), 1);
}
