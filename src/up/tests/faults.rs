//! Runs of several rounds, and runs in which something breaks on purpose.

use super::*;

#[test]
fn every_round_is_opened_and_closed_and_the_last_is_held() {
    let lived = live_more("ramp: {rounds: 3}", script(|_, _, _, _| false));
    let report = &lived.report;
    assert_eq!((report.asked, report.established, report.untried), (3_000, 3_000, 0));
    assert_eq!((report.clients.closed, report.server.closed), (3_000, 3_000));
    assert_eq!((report.lost.total, report.findings.len()), (0, 0), "{:?}", report.findings);
    assert_eq!(lived.orders("Connect").len(), 3 * 10, "{:?}", lived.done);
    assert_eq!(lived.orders("Close").len(), 2 * 10);
    let ends = |going_on: bool| lived.orders(&format!("RoundEnds {{ going_on: {going_on} }}")).len();
    assert_eq!((ends(true), ends(false)), (2 * 2, 2 * 2), "to both reactors: {:?}", lived.done);
    assert_eq!(lived.phases, [Phase::Build, Phase::Ramp, Phase::Hold, Phase::Drain, Phase::Down]);
}

#[test]
fn what_a_round_did_not_try_is_untried() {
    // One swarm falls silent in the second round.
    let mut rounds = 0;
    let script = script(move |_, _, agent, order| {
        let struck = agent == AgentId::Swarm(3) && matches!(order, Order::Connect { .. });
        rounds += usize::from(struck);
        struck && rounds == 2
    });
    let lived = live_more("ramp: {rounds: 2}", script);
    let report = &lived.report;
    assert_eq!((report.asked, report.established, report.untried), (2_000, 1_900, 100), "{report:#?}");
}

#[test]
fn a_killed_swarm_is_lost_with_what_it_held() {
    let faults = "faults: [{at: hold, after: 10s, do: kill, agent: swarm-4}]";
    let lived = live_more(faults, script(|_, _, _, _| false));
    assert_eq!((lived.report.lost.total, lived.report.lost.by[0].errno.as_str()), (100, "signal 9"));
    assert_eq!(lived.orders("Kill"), ["swarm 4"]);
}

#[test]
fn whoever_is_stopped_is_not_waited_for_and_goes_on_at_the_end() {
    let stopped = std::rc::Rc::new(std::cell::Cell::new(false));
    let seen = std::rc::Rc::clone(&stopped);
    let faults =
        "faults: [{established: 1000, do: stop, agent: server}, {at: hold, do: stop, agent: swarm-1}]";
    let script = script(move |_, _, agent, order| {
        // Who is stopped answers nothing.
        let silent = match agent {
            AgentId::Reactor(_) => *order == Order::MeasureMemory,
            swarm @ AgentId::Swarm(_) => swarm == AgentId::Swarm(0) && *order == Order::Quiesce,
        };
        seen.set(seen.get() | silent);
        silent
    });
    let lived = live_more(faults, script);
    assert!(stopped.get());
    assert_eq!(lived.orders("Stop"), ["reactor 1", "reactor 2", "swarm 1"]);
    assert_eq!(lived.orders("Resume"), ["reactor 1", "reactor 2", "swarm 1"]);
    let report = &lived.report;
    assert_eq!((report.lost.total, report.clients.closed, report.server.closed), (0, 1000, 1000));
    assert!(report.seconds.hold < Some(61.0), "nobody was waited for: {:?}", report.seconds);
    let order = |what: &str| lived.done.iter().position(|done| done == what).expect(what);
    assert!(
        order("Ending reactor 1") < order("Resume reactor 1"),
        "it accepts nothing more: {:?}",
        lived.done
    );
}

#[test]
fn a_fault_that_strikes_nobody_is_told() {
    let events = std::rc::Rc::<std::cell::RefCell<Vec<Event>>>::default();
    struct Keep(std::rc::Rc<std::cell::RefCell<Vec<Event>>>);
    impl Listener for Keep {
        fn hear(&mut self, _: Duration, event: &Event, _: &crate::account::Account) {
            self.0.borrow_mut().push(event.clone());
        }
    }
    // Reactor 4 is never needed, so it is never started.
    let plan = plan("faults: [{at: hold, do: stop, agent: reactor-4}, {do: link_down, node: client-1}]");
    let mut log = Log::new(None, vec![Box::new(Keep(std::rc::Rc::clone(&events)))]);
    let driver = MockDriver::new(script(|_, _, _, _| false));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("runtime");
    let interrupts = Interrupts::from(futures::stream::empty());
    let (driver, result) = runtime.block_on(Run::new(&plan, driver, &mut log, interrupts).live(false));
    result.expect("a run");
    let told: Vec<_> = events
        .borrow()
        .iter()
        .filter_map(|event| match event {
            Event::Fault { what, failed, .. } => Some((what.clone(), failed.is_some())),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [("take down the link of client 1".to_owned(), false), ("stop reactor 4".to_owned(), true)]
    );
    assert!(driver.done().contains(&"LinkDown of node 1".to_owned()));
}
