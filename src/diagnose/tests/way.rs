//! Resets and silence on the way: what is named so, and what is not. And no verdict contradicts its evidence.

use proptest::prelude::*;

use super::*;

const REFUSED: (Operation, &str, u64) = (Operation::Connect, "ECONNREFUSED", 400);
const OPEN: &str = "Tcp.CurrEstab";

impl Story {
    /// The same lab with more in its file.
    fn of(more: &str) -> Story {
        let text = format!("connections: 1000\nanyway: true\n{more}");
        let lab = crate::spec::parse("lab.yaml", &text, &[]).expect("a lab");
        Story { plan: crate::plan::decide(&lab, &Host::example()).expect("a plan"), ..Story::new() }
    }

    /// The TCP of both ends was read.
    fn read(self) -> Story {
        self.level("server", OPEN, 0).level("client-1", OPEN, 0)
    }

    /// So many standing connections were lost with resets, at each end.
    fn reset(self, clients: u64, server: u64) -> Story {
        let lost = |count| {
            let mut lost = Tally::default();
            lost.add_named(Operation::Receive, "ECONNRESET", count);
            Counts { tried: 1000, established: 1000, open: 1000 - count, lost, ..Counts::default() }
        };
        self.counts(SWARM, lost(clients)).counts(REACTOR, lost(server))
    }

    fn evidence(&self) -> String {
        diagnose(&self.plan, &self.account)
            .iter()
            .flat_map(|one| one.evidence.clone())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[test]
fn a_refusal_where_somebody_listens_came_from_the_way() {
    let story = Story::new().failed(&[REFUSED]).read().counter("server", names::RESETS_SENT, 0);
    assert_eq!(story.verdicts(), [(Cause::ResetOnTheWay, 400)]);
    let evidence = story.evidence();
    assert!(evidence.contains("the server listens on 9900-9999"), "{evidence}");
    assert!(evidence.contains("Tcp.OutRsts grew by 0"), "{evidence}");
    // On a machine that sends some resets to others, all are still from the way: a listener refuses nobody.
    let noisy = Story::new().failed(&[REFUSED]).read().counter("server", names::RESETS_SENT, 30);
    assert_eq!(noisy.verdicts(), [(Cause::ResetOnTheWay, 400)]);
}

#[test]
fn a_refusal_that_the_server_has_sent_is_no_foreign_one() {
    // Its own kernel has sent as many, and it was told to listen everywhere: nobody knows why.
    let own = Story::new().failed(&[REFUSED]).read().counter("server", names::RESETS_SENT, 400);
    assert_eq!(own.verdicts(), [(Cause::Unexplained, 400)]);
    // What was not read says nothing.
    assert_eq!(Story::new().failed(&[REFUSED]).verdicts(), [(Cause::Unexplained, 400)]);
    // Nobody listens on half of the ports, and the server's kernel said so.
    let deaf =
        || Story::of("server: {ports: 9900-9901}\nclients: {server_ports: 9900-9903}\n").failed(&[REFUSED]);
    let deaf_own = deaf().read().counter("server", names::RESETS_SENT, 400);
    assert_eq!(deaf_own.verdicts(), [(Cause::Refused, 400)]);
    assert!(deaf_own.evidence().contains("listens on 9900-9901, and the clients connect to 9900-9903"));
    // A firewall besides: its share is what the server did not send.
    let both = deaf().read().counter("server", names::RESETS_SENT, 300);
    assert_eq!(both.verdicts(), [(Cause::Refused, 300), (Cause::ResetOnTheWay, 100)]);
    // Not read: somebody refused, and there are ports without a listener.
    assert_eq!(deaf().verdicts(), [(Cause::Refused, 400)]);
    // It was to listen, and was seen to listen on fewer.
    let fewer = Story::new().failed(&[REFUSED]).read().level("server", names::LISTENERS, 60);
    assert_eq!(fewer.counter("server", names::RESETS_SENT, 400).verdicts(), [(Cause::Refused, 400)]);
}

#[test]
fn standing_connections_that_nobody_reset_were_reset_on_the_way() {
    for (clients, server, lost) in [(300, 0, 300), (0, 300, 300), (300, 300, 300)] {
        let story = Story::new().reset(clients, server).read();
        assert_eq!(story.verdicts(), [(Cause::ResetOnTheWay, lost)], "{clients} and {server}");
    }
    // Only the server was told; what the client then sends is reset by the server's own kernel.
    let answered = Story::new().reset(300, 300).read().counter("server", names::RESETS_SENT, 300);
    assert_eq!(answered.verdicts(), [(Cause::ResetOnTheWay, 300)]);
}

#[test]
fn a_reset_that_an_end_has_sent_is_that_end_s() {
    let own = Story::new().reset(300, 0).read().counter("server", names::RESETS_SENT, 300);
    assert_eq!(own.verdicts(), [(Cause::Unexplained, 300)]);
    let clients = Story::new().reset(0, 300).read().counter("client-1", names::RESETS_SENT, 300);
    assert_eq!(clients.verdicts(), [(Cause::Unexplained, 300)]);
    // Some are the server's own, and only the others are not.
    let some = Story::new().reset(300, 0).read().counter("server", names::RESETS_SENT, 100);
    assert_eq!(some.verdicts(), [(Cause::ResetOnTheWay, 200), (Cause::Unexplained, 100)]);
    // A server that was killed resets what it held.
    let killed = killed_server().read().counter("server", names::RESETS_SENT, 1_000);
    assert_eq!(killed.verdicts(), [(Cause::AgentDied, 1000)]);
    // A full queue that says so.
    let mut full = Story::of("sysctl: {server: {net.ipv4.tcp_abort_on_overflow: 1}}\n").reset(300, 0).read();
    full = full.counter("server", names::LISTEN_OVERFLOWS, 300).counter("server", names::RESETS_SENT, 300);
    assert_eq!(full.verdicts(), [(Cause::AcceptQueue, 300)]);
    // Memory that the kernel did not have.
    let orphans = Story::new().reset(0, 300).read().counter("client-1", names::RESETS_SENT, 300);
    let orphans = orphans.counter("client-1", names::ABORT_ON_MEMORY, 300);
    assert_eq!(orphans.verdicts(), [(Cause::Orphans, 300)]);
}

#[test]
fn resets_of_the_closing_are_not_counted() {
    let mut story = Story::new().reset(300, 0).read();
    story.account.see(&Event::Began { phase: crate::event::Phase::Drain });
    let story = story.counter("server", names::RESETS_SENT, 1_000);
    assert_eq!(story.verdicts(), [(Cause::ResetOnTheWay, 300)]);
}

#[test]
fn what_a_reverse_path_filter_dropped_is_named() {
    let story = Story::new().failed(&[TIMED_OUT]).counter("server", names::REVERSE_PATH_DROPS, 900);
    assert_eq!(story.verdicts(), [(Cause::ReversePath, 400)]);
    let verdict = &diagnose(&story.plan, &story.account)[0];
    assert_eq!(verdict.changes, [Change::new("sysctl.server.net.ipv4.conf.all.rp_filter", 2)]);
    let at_client = Story::new().failed(&[TIMED_OUT]).counter("client-1", names::REVERSE_PATH_DROPS, 900);
    assert!(at_client.evidence().contains("client-1: TcpExt.IPReversePathFilter grew by 900"));
    // A few strays are not the reason for everything; and where nothing is missing, nothing is said.
    let strays = Story::new().failed(&[TIMED_OUT]).counter("server", names::REVERSE_PATH_DROPS, 3);
    assert_eq!(strays.verdicts(), [(Cause::Filtered, 397), (Cause::ReversePath, 3)]);
    assert_eq!(Story::new().failed(&[]).counter("server", names::REVERSE_PATH_DROPS, 900).verdicts(), []);
}

#[test]
fn what_was_given_up_goes_with_what_timed_out() {
    let given_up = |canceled: u64| {
        let mut failed = Tally::default();
        failed.add_named(Operation::Connect, "ETIMEDOUT", 200);
        failed.add_named(Operation::Connect, "ECANCELED", canceled);
        let client = Counts { tried: 200 + canceled, failed, ..Counts::default() };
        let mut story = Story::new().counts(SWARM, client);
        story.account.see(&Event::Unanswered { seconds: 11.0 });
        story
    };
    assert_eq!(given_up(50).verdicts(), [(Cause::Filtered, 1000)]);
    let stopped = given_up(50).level("reactor 1", names::AGENT_STOPPED, 1);
    let stopped = stopped.counter("server", names::LISTEN_OVERFLOWS, 700);
    assert_eq!(stopped.verdicts(), [(Cause::ServerStalled, 1000)]);
    assert!(stopped.evidence().contains("800 more were let go of or never tried"), "{}", stopped.evidence());
    // Two that dropped share it too.
    let both = full_conntrack(0).counter("server", names::CONNTRACK_DROPS, 150);
    let mut both = Story { account: both.account, ..given_up(0) };
    both = both.counts(SWARM, given_up(0).account.counts(SWARM)).counts(REACTOR, Counts::default());
    both.account.see(&Event::Unanswered { seconds: 11.0 });
    assert_eq!(both.verdicts(), [(Cause::ConntrackFull, 750), (Cause::Filtered, 250)]);
}

const COUNTERS: [&str; 6] = [
    names::RESETS_SENT,
    names::ESTABLISHED_RESET,
    names::REVERSE_PATH_DROPS,
    names::LISTEN_OVERFLOWS,
    names::ABORT_ON_MEMORY,
    names::LISTEN_DROPS,
];

/// Any mixture of failures and losses, at ports with and without a listener, and any counters.
fn stories() -> impl Strategy<Value = Story> {
    let rows = (0_u64..300, 0_u64..300, 0_u64..200, 0_u64..200);
    let counters = prop::collection::vec(prop_oneof![Just(0_u64), 1_u64..600], 2 * COUNTERS.len());
    (rows, counters, any::<[bool; 4]>()).prop_map(|((refused, silent, cut, at_server), grown, flags)| {
        let [read, deaf, stopped, gave_up] = flags;
        let ports = if deaf { "clients: {server_ports: 9990-10009}\n" } else { "" };
        let mut story = Story::of(ports);
        let (mut failed, mut lost, mut server_lost) = (Tally::default(), Tally::default(), Tally::default());
        failed.add_named(Operation::Connect, "ECONNREFUSED", refused);
        failed.add_named(Operation::Connect, "ETIMEDOUT", silent);
        lost.add_named(Operation::Receive, "ECONNRESET", cut);
        server_lost.add_named(Operation::Receive, "ECONNRESET", at_server);
        let stood = 1000 - refused - silent;
        let client = Counts { tried: 1000, established: stood, failed, lost, ..Counts::default() };
        let server = Counts { tried: stood, established: stood, lost: server_lost, ..Counts::default() };
        story = story.counts(SWARM, client).counts(REACTOR, server);
        for (index, grown) in grown.into_iter().enumerate() {
            let place = if index < COUNTERS.len() { "server" } else { "client-1" };
            story = story.counter(place, COUNTERS[index % COUNTERS.len()], grown);
        }
        if read {
            story = story.read();
        }
        if stopped {
            story = story.level("reactor 1", names::AGENT_STOPPED, 1);
        }
        if gave_up {
            story.account.see(&Event::Unanswered { seconds: 3.0 });
        }
        story
    })
}

proptest! {
    #[test]
    fn no_verdict_contradicts_its_evidence(story in stories()) {
        let verdicts = diagnose(&story.plan, &story.account);
        let case = super::super::case::Case::new(&story.plan, &story.account);
        let named: u64 = verdicts.iter().map(|verdict| verdict.connections).sum();
        prop_assert_eq!(named, super::super::missing::Missing::of(&case).total());
        for verdict in &verdicts {
            let evidence = verdict.evidence.join("\n");
            prop_assert!(!evidence.is_empty());
            match verdict.cause {
                Cause::Refused => prop_assert!(!case.listened_everywhere(), "{}", evidence),
                Cause::ResetOnTheWay => {
                    // One end met more than the other sent, and the lines say so.
                    let grew: Vec<&str> = verdict.evidence.iter().filter_map(|line| line.split_once(" resets came in"))
                        .map(|(before, _)| before).collect();
                    prop_assert!(!grew.is_empty(), "{}", evidence);
                    prop_assert!(story.account.history.highest("server", OPEN).is_some());
                    let met = |tally: &Tally| tally.rows().iter().filter(|row| row.errno.starts_with("ECONNRE"))
                        .map(|row| row.count).sum::<u64>();
                    let clients = met(&case.clients.failed) + met(&case.clients.lost);
                    let foreign = clients > case.at_server(names::RESETS_SENT)
                        || met(&case.server.lost) > story.account.history.growth("client-1", names::RESETS_SENT);
                    prop_assert!(foreign, "{}", evidence);
                }
                Cause::ReversePath => prop_assert!(case.in_nodes(names::REVERSE_PATH_DROPS) > 0),
                Cause::Filtered => {
                    // Nobody owns up to those: whoever dropped has had his share.
                    let dropped = case.in_nodes(names::REVERSE_PATH_DROPS) + case.at_server(names::LISTEN_OVERFLOWS);
                    prop_assert!(dropped < case.clients.failed.total(), "{}", evidence);
                }
                Cause::ServerStalled => prop_assert!(evidence.contains("was stopped")),
                Cause::AcceptQueue => prop_assert!(!evidence.contains("was stopped")),
                _ => {}
            }
        }
    }
}
