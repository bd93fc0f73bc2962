//! Ramps in which nobody answers.

use super::*;
use crate::agent::tally::Operation;
use crate::cause::Cause;

/// Each swarm tries 10 of its 100, which time out while everyone is asked; but those that `answered` names connect.
fn unanswered(mut answered: impl FnMut(AgentId) -> bool + 'static) -> Script {
    script(move |good, voices, agent, order| {
        match order {
            Order::Connect { .. } if !answered(agent) => {
                good.count(voices, agent, |counts| counts.tried = 10);
            }
            Order::Probe { .. } if !answered(agent) => good.count(voices, agent, |counts| {
                if counts.tried == 10 && counts.failed.total() == 0 {
                    counts.failed.add_named(Operation::Connect, "ETIMEDOUT", 4);
                }
            }),
            _ => return false,
        }
        true
    })
}

#[test]
fn a_ramp_that_nobody_answers_is_given_up_and_accounted_for() {
    let lived = live_more("ramp: {timeout: 4s}", unanswered(|_| false));
    let report = &lived.report;
    assert_eq!(lived.orders("Connect").len(), 2, "{:?}", lived.done);
    assert_eq!(lived.orders("Probe").len(), 10, "every swarm is asked: {:?}", lived.done);
    assert_eq!(lived.orders("Call"), ["reactor 1", "reactor 2"]);
    assert!(report.seconds.ramp < Some(4.0 + 5.0), "{:?}", report.seconds);
    assert_eq!((report.established, report.untried), (0, 980), "{report:#?}");
    assert!(report.findings.iter().any(|finding| finding.contains("given up")), "{:?}", report.findings);
    let causes: Vec<_> = report.verdicts.iter().map(|one| (one.cause, one.connections)).collect();
    assert_eq!(causes[0], (Cause::Filtered, 988), "{causes:?}");
}

#[test]
fn a_server_that_does_nothing_is_not_waited_for() {
    let mut nobody = unanswered(|_| false);
    let script: Script = Box::new(move |voices, agent, order| {
        if !matches!((agent, order), (SERVER, Order::Call | Order::MeasureMemory | Order::Ending)) {
            nobody(voices, agent, order);
        }
    });
    let lived = live_more("ramp: {timeout: 4s}", script);
    let seconds = &lived.report.seconds;
    let all: f64 = [seconds.ramp, seconds.hold, seconds.drain, seconds.down].into_iter().flatten().sum();
    assert!(all < 4.0 + 15.0, "{seconds:?}");
    assert_eq!(lived.orders("Hold"), Vec::<&str>::new(), "nobody serves: {:?}", lived.done);
    assert!(
        lived.report.findings.iter().any(|finding| finding == "reactor 1 was lost during the run: no answer")
    );
}

#[test]
fn an_answer_anywhere_lets_the_ramp_go_on() {
    // Two swarms at a time: the first is never answered, all others are.
    let lived = live_more("ramp: {timeout: 4s}", unanswered(|agent| agent == AgentId::Swarm(0)));
    assert!(lived.report.established < 1000);
    let lived = live_more("ramp: {timeout: 4s}", unanswered(|agent| agent != AgentId::Swarm(0)));
    assert_eq!(lived.report.established, 900, "{:?}", lived.done);
    assert_eq!(lived.orders("Connect").len(), 10);
}

#[test]
fn what_is_still_to_break_is_waited_for() {
    let more = "ramp: {timeout: 4s}\nfaults: [{after: 20s, do: link_up, node: client-1}]";
    let lived = live_more(more, unanswered(|_| false));
    assert_eq!(lived.orders("LinkUp").len(), 1);
    assert!(lived.report.seconds.ramp > Some(14.0), "{:?}", lived.report.seconds);
}
