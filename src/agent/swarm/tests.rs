//! A swarm over an opener that replays what was written down, and over a talk with a handshake of its own.

use proptest::prelude::*;
use rustix::io::Errno;

use super::*;
use crate::agent::opener::Failure;
use crate::agent::opener::replay::{Outcome, Replay};
use crate::agent::talk::greeting::{GREETING, Greeting};
use crate::plan::Talk as TalkOrder;
use crate::plan::tuples::{Addresses, Tuples};
use crate::units::{PortRange, Ports};

const REFUSED: Failure = (Operation::Connect, Errno::CONNREFUSED);

fn order(count: u64, window: u32) -> SwarmOrder {
    let address = |text: &str| text.parse().expect("an address");
    SwarmOrder {
        tuples: Tuples {
            sources: Addresses { first: address("fd00::9"), count: 4 },
            source_ports: PortRange { first: 1024, last: 65535 },
            server: address("fd00::1"),
            server_ports: Ports(vec![PortRange { first: 9900, last: 9903 }]),
            kernel_chooses: false,
            spread: None,
        },
        first: 0,
        count,
        round_step: count,
        rounds: 1,
        window,
        timeout_ms: 1000,
        rate: None,
        talk: TalkOrder::Idle,
    }
}

fn idle(outcomes: Vec<Outcome>, window: u32) -> Swarm<Replay> {
    let count = outcomes.len();
    let conversation = Conversation::of(TalkOrder::Idle, count).expect("idle");
    Swarm::with(Replay::of(outcomes), conversation, order(count as u64, window))
}

fn greeted(outcomes: Vec<Outcome>) -> Swarm<Replay> {
    let count = outcomes.len();
    let conversation = Conversation::new(Box::new(Greeting::default()), None, count).expect("a talk");
    Swarm::with(Replay::of(outcomes), conversation, order(count as u64, 64))
}

fn ramp<O: Opener>(swarm: &mut Swarm<O>) {
    swarm.go(u64::MAX);
    for _ in 0..10_000 {
        if swarm.ramped() {
            return;
        }
        swarm.ramp();
        swarm.turn(None).expect("a turn");
    }
    panic!("it never ends: {:?}", swarm.counts());
}

#[test]
fn what_is_replayed_is_counted() {
    let mut swarm = idle(
        vec![
            Outcome::Established(vec![]),
            Outcome::Later(Ok(())),
            Outcome::Failed(REFUSED),
            Outcome::Later(Err(REFUSED)),
            Outcome::Silent,
        ],
        64,
    );
    ramp(&mut swarm);
    let counts = swarm.counts();
    assert_eq!((counts.tried, counts.established, counts.ready, counts.open), (5, 2, 2, 2));
    let failed: Vec<_> = counts.failed.rows().into_iter().map(|row| (row.errno, row.count)).collect();
    assert_eq!(failed, [("ECONNREFUSED".to_owned(), 2), ("ETIMEDOUT".to_owned(), 1)]);
    // Idle connections are not watched: one was while its answer was out.
    assert_eq!(swarm.opener.watched.into_iter().collect::<Vec<_>>(), [(1, Watch::Nothing)]);
    assert!(swarm.opener.tuples.iter().all(|(source, server)| source.is_ipv6() && server.is_ipv6()));
}

#[test]
fn a_connection_is_ready_when_it_was_greeted() {
    let mut swarm = greeted(vec![
        Outcome::Established(vec![GREETING]),
        Outcome::Established(vec![]),
        Outcome::Later(Ok(())),
        Outcome::Established(vec![b"go away"]),
        Outcome::Established(vec![b""]),
    ]);
    ramp(&mut swarm);
    let counts = swarm.counts();
    assert_eq!((counts.established, counts.ready, counts.open), (5, 1, 3));
    let lost: Vec<_> = counts.lost.rows().into_iter().map(|row| (row.operation, row.errno)).collect();
    let refused = (Operation::Handshake, "go away".to_owned());
    assert_eq!(lost, [refused, (Operation::Receive, "EOF".to_owned())]);
    // A greeting may come late.
    swarm.opener.send_to(1, GREETING);
    swarm.turn(None).expect("a turn");
    assert_eq!((swarm.counts().ready, swarm.counts().open), (2, 3));
}

#[test]
fn whoever_has_ended_is_found_without_being_watched() {
    let mut swarm = idle(vec![Outcome::Established(vec![]), Outcome::Established(vec![b""])], 64);
    ramp(&mut swarm);
    assert_eq!(swarm.sweep(0), None);
    assert_eq!((swarm.counts().open, swarm.counts().lost.total()), (1, 1));
    while !swarm.close_some() {}
    assert_eq!((swarm.counts().open, swarm.counts().closed), (0, 1));
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Established(vec![])),
        Just(Outcome::Established(vec![GREETING])),
        Just(Outcome::Established(vec![b"no"])),
        Just(Outcome::Established(vec![b""])),
        Just(Outcome::Later(Ok(()))),
        Just(Outcome::Later(Err(REFUSED))),
        Just(Outcome::Failed(REFUSED)),
        Just(Outcome::Silent),
    ]
}

proptest! {
    /// Every slot has one fate, whatever comes, and however early it is cut off.
    #[test]
    fn the_account_is_exact(
        outcomes in prop::collection::vec(outcomes(), 1..40),
        window in 1_u32..8,
        turns in 0_usize..20,
        with_talk: bool,
    ) {
        let asked = outcomes.len() as u64;
        let mut swarm = if with_talk { greeted(outcomes) } else { idle(outcomes, window) };
        swarm.go(u64::MAX);
        for _ in 0..turns {
            swarm.ramp();
            prop_assert!(with_talk || swarm.opener.waiting() <= window as usize);
            swarm.turn(None).expect("a turn");
        }
        swarm.give_up();
        let counts = swarm.counts();
        let untried = asked - counts.tried;
        prop_assert_eq!(asked, counts.established + counts.failed.total() + untried);
        prop_assert_eq!(counts.established, counts.open + counts.lost.total());
        prop_assert!(counts.ready <= counts.established);
        while !swarm.close_some() {}
        let counts = swarm.counts();
        prop_assert_eq!((counts.open, counts.closed), (0, counts.established - counts.lost.total()));
    }
}
