//! Runs as they were, or may be, and what has to be said of them.

mod way;

use super::*;
use crate::account::SILENT;
use crate::agent::Counts;
use crate::agent::tally::{Operation, Tally};
use crate::event::Event;
use crate::host::Host;
use crate::launch::AgentId;
use crate::observe::{Reading, Sample, names};
use crate::plan::Place;

const SWARM: AgentId = AgentId::Swarm(0);
const REACTOR: AgentId = AgentId::Reactor(0);

/// A lab of 1,000 connections with one client, and what happened in it.
#[derive(Debug)]
struct Story {
    plan: Plan,
    account: Account,
}

impl Story {
    fn new() -> Story {
        let lab = crate::spec::parse("lab.yaml", "connections: 1000\nclients: {count: 1}\n", &[]);
        let plan = crate::plan::decide(&lab.expect("a lab"), &Host::example()).expect("a plan");
        let mut account = Account::default();
        for agent in [REACTOR, SWARM] {
            account.see(&Event::AgentStarted { agent, pid: 1 });
        }
        Story { plan, account }
    }

    fn counts(mut self, agent: AgentId, counts: Counts) -> Story {
        self.account.see(&Event::Counts { agent, counts });
        self
    }

    /// So many established at both ends, and the others failed so.
    fn failed(self, rows: &[(Operation, &str, u64)]) -> Story {
        let mut failed = Tally::default();
        rows.iter().for_each(|(operation, errno, count)| failed.add_named(*operation, errno, *count));
        let stood = 1000 - failed.total();
        let client = Counts { tried: 1000, established: stood, open: stood, failed, ..Counts::default() };
        let server = Counts { tried: stood, established: stood, open: stood, ..Counts::default() };
        self.counts(SWARM, client).counts(REACTOR, server)
    }

    fn counter(mut self, place: &str, name: &str, grown: u64) -> Story {
        let mut reading = Reading::default();
        reading.counter(name, grown);
        self.observe(place, reading);
        self
    }

    fn level(mut self, place: &str, name: &str, value: u64) -> Story {
        let mut reading = Reading::default();
        reading.level(name, value);
        self.observe(place, reading);
        self
    }

    fn observe(&mut self, place: &str, reading: Reading) {
        let changes = Sample { places: [(place.to_owned(), reading)].into() };
        self.account.see(&Event::Observed { looks: 1, micros: 0, changes, highest: Sample::default() });
    }

    fn ended(mut self, agent: AgentId, how: &str) -> Story {
        self.account.see(&Event::AgentEnded { agent, how: how.to_owned(), planned: false });
        self
    }

    fn verdicts(&self) -> Vec<(Cause, u64)> {
        let verdicts = diagnose(&self.plan, &self.account);
        let shares: f64 = verdicts.iter().map(|verdict| verdict.share).sum();
        assert!(verdicts.is_empty() || (shares - 1.0).abs() < 0.001, "shares of {shares}: {verdicts:?}");
        verdicts.iter().map(|verdict| (verdict.cause, verdict.connections)).collect()
    }
}

const TIMED_OUT: (Operation, &str, u64) = (Operation::Connect, "ETIMEDOUT", 400);

#[test]
fn nothing_missing_is_no_verdict_however_much_the_counters_moved() {
    let story = Story::new()
        .failed(&[])
        .counter("server", names::LISTEN_OVERFLOWS, 5_000)
        .counter("host", names::BACKLOG_DROPS, 9_000)
        .counter("server", names::COOKIES_SENT, 1_000);
    assert_eq!(story.verdicts(), []);
}

#[test]
fn an_interrupted_run_is_no_verdict_for_what_was_left_out() {
    let mut failed = Tally::default();
    failed.add_named(Operation::Connect, "ECANCELED", 256);
    let counts = Counts { tried: 500, established: 244, open: 244, failed, ..Counts::default() };
    let server = Counts { established: 244, open: 244, ..Counts::default() };
    assert_eq!(Story::new().counts(SWARM, counts).counts(REACTOR, server).verdicts(), []);
}

#[test]
fn an_errno_that_has_one_reason_is_that_cause() {
    for (operation, errno, cause) in [
        (Operation::Socket, "EMFILE", Cause::ClientDescriptors),
        (Operation::Socket, "ENFILE", Cause::SystemFileTable),
        (Operation::Connect, "EADDRNOTAVAIL", Cause::SourceTuples),
        (Operation::Bind, "EADDRINUSE", Cause::SourceTuples),
        (Operation::Connect, "ENETUNREACH", Cause::Unreachable),
        (Operation::Connect, "ENOSYS", Cause::Unexplained),
    ] {
        assert_eq!(Story::new().failed(&[(operation, errno, 7)]).verdicts(), [(cause, 7)], "{errno}");
    }
}

/// As seen with 100 clients and a table for 64 neighbours: one missing entry silences a client as a whole.
#[test]
fn a_neighbour_that_is_not_found_holds_back_all_that_goes_to_it() {
    let story = Story::new().failed(&[TIMED_OUT]).counter("host", names::NEIGHBOURS_FULL, 90);
    assert_eq!(story.verdicts(), [(Cause::NeighbourTable, 400)]);
}

/// As seen with packets that came in bursts, and a queue of one behind the interface.
#[test]
fn the_last_packet_of_a_handshake_may_be_dropped_too() {
    let mut failed = Tally::default();
    failed.add_named(Operation::Connect, "ETIMEDOUT", 62);
    let clients = Counts { tried: 1000, established: 938, open: 938, failed, ..Counts::default() };
    let server = Counts { tried: 891, established: 891, open: 891, ..Counts::default() };
    let story = Story::new().counts(SWARM, clients).counts(REACTOR, server);
    assert_eq!(story.counter("host", names::BACKLOG_DROPS, 3_000).verdicts(), [(Cause::RxBacklog, 109)]);
}

/// As seen with 256 KiB echoes and 2 MiB for TCP: the server gave up most, and reset its clients.
#[test]
fn whoever_gives_up_for_want_of_buffers_resets_the_other() {
    let mut lost = Tally::default();
    lost.add_named(Operation::Receive, "ETIMEDOUT", 23);
    lost.add_named(Operation::Receive, "ECONNRESET", 165);
    let clients = Counts { tried: 200, established: 200, open: 12, lost, ..Counts::default() };
    let server = Counts { tried: 200, established: 200, open: 200, ..Counts::default() };
    let story = Story::new().counts(SWARM, clients).counts(REACTOR, server);
    let story = story
        .level("host", names::TCP_PAGES, 500)
        .level("host", names::TCP_PAGES_MAX, 512)
        .counter("server", names::ABORT_ON_TIMEOUT, 177)
        .counter("client-1", names::ABORT_ON_TIMEOUT, 23);
    assert_eq!(story.verdicts(), [(Cause::TcpMemory, 188)]);
}

/// As seen with a server that was stopped while 2,000 connections were closed, and room for 200 orphans.
#[test]
fn orphans_that_are_reset_after_their_orderly_end() {
    let clients = Counts { tried: 1000, established: 1000, closed: 1000, ..Counts::default() };
    let mut lost = Tally::default();
    lost.add_named(Operation::Receive, "EPIPE", 445);
    let server = Counts { tried: 1000, established: 1000, closed: 555, lost, ..Counts::default() };
    let story = Story::new().counts(SWARM, clients).counts(REACTOR, server);
    let story = story.level("host", names::ORPHANS, 180).level("host", names::ORPHANS_MAX, 200);
    assert_eq!(story.counter("client-1", names::ABORT_ON_MEMORY, 445).verdicts(), [(Cause::Orphans, 445)]);
}

/// As seen with a client in a cgroup that was too small.
#[test]
fn a_killed_client_did_not_tell_of_its_last_connections() {
    let told = Counts { tried: 450, established: 450, open: 450, ..Counts::default() };
    let mut lost = Tally::default();
    lost.add_named(Operation::Receive, "EOF", 480);
    let server = Counts { tried: 480, established: 480, lost, ..Counts::default() };
    let story = Story::new().counts(SWARM, told).counts(REACTOR, server).ended(SWARM, "signal 9");
    assert_eq!(story.counter("client-1", names::CGROUP_KILLS, 1).verdicts(), [(Cause::ClientMemory, 500)]);
}

#[test]
fn ports_in_time_wait_explain_as_many_as_there_are() {
    let story = Story::new().failed(&[(Operation::Connect, "EADDRNOTAVAIL", 300)]).level(
        "client-1",
        names::TIME_WAIT,
        200,
    );
    assert_eq!(story.verdicts(), [(Cause::TimeWait, 200), (Cause::SourceTuples, 100)]);
}

#[test]
fn a_time_out_that_nothing_dropped_is_filtered() {
    assert_eq!(Story::new().failed(&[TIMED_OUT]).verdicts(), [(Cause::Filtered, 400)]);
}

fn full_conntrack(drops: u64) -> Story {
    Story::new()
        .failed(&[TIMED_OUT])
        .counter("server", names::CONNTRACK_DROPS, drops)
        .level("server", names::CONNTRACK_COUNT, 600)
        .level("server", names::CONNTRACK_MAX, 600)
}

#[test]
fn two_silent_causes_share_in_proportion_to_what_they_dropped() {
    let alone = full_conntrack(1_600);
    assert_eq!(alone.verdicts(), [(Cause::ConntrackFull, 400)]);
    let both = full_conntrack(1_200).counter("server", names::LISTEN_OVERFLOWS, 400);
    assert_eq!(both.verdicts(), [(Cause::ConntrackFull, 300), (Cause::AcceptQueue, 100)]);
}

#[test]
fn whoever_dropped_less_than_is_missing_is_not_blamed_for_the_rest() {
    assert_eq!(full_conntrack(50).verdicts(), [(Cause::Filtered, 350), (Cause::ConntrackFull, 50)]);
}

#[test]
fn a_table_with_room_is_not_full() {
    let story = full_conntrack(1_600).level("server", names::CONNTRACK_MAX, 60_000);
    assert_eq!(story.verdicts(), [(Cause::Filtered, 400)]);
}

#[test]
fn a_clash_in_nat_is_counted_as_a_drop_too_and_is_still_a_clash() {
    let story = full_conntrack(900).counter("server", names::CONNTRACK_CLASHES, 900);
    assert_eq!(story.verdicts(), [(Cause::NatTuples, 400)]);
}

#[test]
fn what_has_not_left_the_machine_s_own_queues_is_told() {
    let told = |story: &Story| diagnose(&story.plan, &story.account)[0].evidence.join("\n");
    let silent = Story::new().failed(&[TIMED_OUT]);
    assert!(!told(&silent).contains("own queues"));
    let queued = silent.counter("client-1", names::STILL_QUEUED, 256);
    assert_eq!(queued.verdicts(), [(Cause::Filtered, 400)]);
    assert!(told(&queued).contains("grew by 256: they still waited"), "{}", told(&queued));
}

/// The client has 1,000 connections, the server only 700 of them.
fn late() -> Story {
    let client = Counts { tried: 1000, established: 1000, open: 1000, ..Counts::default() };
    let server = Counts { tried: 700, established: 700, open: 700, ..Counts::default() };
    Story::new().counts(SWARM, client).counts(REACTOR, server).counter(
        "server",
        names::LISTEN_OVERFLOWS,
        2_000,
    )
}

/// As seen with 2,000 connections on slow links, and room for 64 handshakes.
#[test]
fn without_cookies_the_kernel_keeps_a_quarter_of_the_syn_backlog_and_counts_nothing_else() {
    let story = |yaml: &str| {
        let lab =
            crate::spec::parse("lab.yaml", &format!("connections: 1000\nclients: {{count: 1}}\n{yaml}"), &[]);
        let plan = crate::plan::decide(&lab.expect("a lab"), &Host::example()).expect("a plan");
        Story { plan, ..Story::new() }.failed(&[TIMED_OUT])
    };
    let cookies_off = "sysctl: {server: {net.ipv4.tcp_syncookies: 0, net.ipv4.tcp_max_syn_backlog: 64}}\n";
    let beyond = story(cookies_off).counter("server", names::LISTEN_DROPS, 463);
    assert_eq!(beyond.verdicts(), [(Cause::SynQueue, 400)]);
    let verdicts = diagnose(&beyond.plan, &beyond.account);
    assert!(verdicts[0].evidence[0].contains("463 of them beyond three quarters"), "{verdicts:?}");
    assert_eq!(verdicts[0].changes, [Change::new("sysctl.server.net.ipv4.tcp_max_syn_backlog", 65_536)]);
    // What full queues have dropped is theirs, and counted among all drops too.
    let both = story(cookies_off)
        .counter("server", names::LISTEN_DROPS, 400)
        .counter("server", names::SYN_QUEUE_DROPS, 200)
        .counter("server", names::LISTEN_OVERFLOWS, 100);
    assert_eq!(both.verdicts(), [(Cause::SynQueue, 300), (Cause::AcceptQueue, 100)]);
    // With cookies, such a drop has another reason.
    let cookies_on = story("").counter("server", names::LISTEN_DROPS, 463);
    assert_eq!(cookies_on.verdicts(), [(Cause::Filtered, 400)]);
}

#[test]
fn connections_that_only_the_client_believes_in_are_the_accept_queue_s() {
    assert_eq!(late().verdicts(), [(Cause::AcceptQueue, 300)]);
    assert_eq!(late().counter("server", names::COOKIES_SENT, 900).verdicts(), [(Cause::SynCookies, 300)]);
}

#[test]
fn a_full_queue_is_the_fault_of_whoever_does_not_accept() {
    for (errno, cause) in [("EMFILE", Cause::ServerDescriptors), ("ENFILE", Cause::SystemFileTable)] {
        let mut failed = Tally::default();
        failed.add_named(Operation::Accept, errno, 3);
        let server = Counts { tried: 703, established: 700, open: 700, failed, ..Counts::default() };
        assert_eq!(late().counts(REACTOR, server).verdicts(), [(cause, 300)]);
    }
    let stopped = late().level("reactor 1", names::AGENT_STOPPED, 1);
    assert_eq!(stopped.verdicts(), [(Cause::ServerStalled, 300)]);
}

#[test]
fn a_server_that_answers_no_more_is_stalled_with_all_it_held() {
    let mut story = Story::new().failed(&[]);
    story.account.see(&Event::AgentSilent { agent: REACTOR });
    assert_eq!(story.verdicts(), [(Cause::ServerStalled, 1000)]);
    assert_eq!(story.account.ended_early[0].1, SILENT);
}

#[test]
fn what_timed_out_before_a_machine_without_memory_killed_the_server_is_its() {
    let (mut failed, mut lost) = (Tally::default(), Tally::default());
    failed.add_named(Operation::Connect, "ETIMEDOUT", 100);
    failed.add_named(Operation::Connect, "ECONNREFUSED", 80);
    lost.add_named(Operation::Receive, "ECONNRESET", 820);
    let client = Counts { tried: 1000, established: 820, failed, lost, ..Counts::default() };
    let mut story = killed_server().counts(SWARM, client).counter("server", names::HOST_KILLS, 1);
    assert_eq!(story.verdicts(), [(Cause::ServerMemory, 1000)]);
    // A limit of its own keeps nobody else from answering.
    let Place::Here(here) = &mut story.plan.place else { panic!("a lab on machines") };
    here.namespaces[0].memory_limit = Some(1 << 30);
    assert_eq!(story.verdicts(), [(Cause::ServerMemory, 900), (Cause::Filtered, 100)]);
}

/// The server's process is killed at 800, with 20 more in its queue; 180 come too late.
fn killed_server() -> Story {
    let (mut failed, mut lost) = (Tally::default(), Tally::default());
    failed.add_named(Operation::Connect, "ECONNREFUSED", 180);
    lost.add_named(Operation::Receive, "ECONNRESET", 820);
    let client = Counts { tried: 1000, established: 820, failed, lost, ..Counts::default() };
    let server = Counts { tried: 800, established: 800, open: 800, ..Counts::default() };
    Story::new().counts(SWARM, client).counts(REACTOR, server).ended(REACTOR, "signal 9")
}

#[test]
fn a_killed_server_takes_its_connections_with_it() {
    assert_eq!(killed_server().verdicts(), [(Cause::AgentDied, 1000)]);
    let for_memory = killed_server().counter("server", names::CGROUP_KILLS, 1);
    assert_eq!(for_memory.verdicts(), [(Cause::ServerMemory, 1000)]);
}

#[test]
fn clients_that_were_never_told_are_missing_with_their_server() {
    let mut lost = Tally::default();
    lost.add_named(Operation::Receive, "EOF", 70);
    let client = Counts { tried: 1000, established: 1000, closed: 930, lost, ..Counts::default() };
    let server = Counts { tried: 900, established: 900, open: 900, ..Counts::default() };
    let story = Story::new().counts(SWARM, client).counts(REACTOR, server);
    let gone = story.ended(REACTOR, "machine server gone: the connection dropped");
    assert_eq!(gone.verdicts(), [(Cause::AgentDied, 1000)]);
}

#[test]
fn a_killed_client_leaves_the_rest_untried() {
    let client = Counts { tried: 310, established: 300, open: 300, ..Counts::default() };
    let mut lost = Tally::default();
    lost.add_named(Operation::Receive, "EOF", 300);
    let server = Counts { tried: 300, established: 300, lost, ..Counts::default() };
    let story = Story::new().counts(SWARM, client).counts(REACTOR, server).ended(SWARM, "signal 9");
    // One of two swarms with 500 each: 300 held, 10 on their way, 190 never tried.
    assert_eq!(story.plan.ends.swarms[0].count, 500);
    assert_eq!(story.verdicts(), [(Cause::AgentDied, 500)]);
}

#[test]
fn aborts_are_the_orphans_when_those_are_near_their_limit() {
    let client = Counts { tried: 1000, established: 1000, closed: 1000, ..Counts::default() };
    let mut lost = Tally::default();
    lost.add_named(Operation::Receive, "ECONNRESET", 40);
    let server = Counts { tried: 1000, established: 1000, closed: 960, lost, ..Counts::default() };
    let story = Story::new().counts(SWARM, client).counts(REACTOR, server);
    let orphans = story
        .counter("client-1", names::ABORT_ON_MEMORY, 40)
        .level("host", names::ORPHANS, 64)
        .level("host", names::ORPHANS_MAX, 64);
    assert_eq!(orphans.verdicts(), [(Cause::Orphans, 40)]);
}

#[test]
fn connections_lost_while_tcp_has_no_memory_are_its() {
    let mut lost = Tally::default();
    lost.add_named(Operation::Receive, "ETIMEDOUT", 30);
    let client =
        Counts { tried: 1000, established: 1000, open: 970, lost: lost.clone(), ..Counts::default() };
    let server = Counts { tried: 1000, established: 1000, open: 970, lost, ..Counts::default() };
    let story = Story::new().counts(SWARM, client).counts(REACTOR, server);
    assert_eq!(story.verdicts(), [(Cause::Unexplained, 30)]);
    let story = story.level("host", names::TCP_PAGES, 95).level("host", names::TCP_PAGES_MAX, 100);
    assert_eq!(story.verdicts(), [(Cause::TcpMemory, 30)]);
}

#[test]
fn what_no_row_takes_is_told_with_all_that_moved() {
    let story = Story::new()
        .failed(&[(Operation::Connect, "ENOSYS", 5)])
        .counter("server", "TcpExt.TCPAbortOnData", 5)
        .counter("server", "Tcp.InSegs", 5_000);
    let verdicts = diagnose(&story.plan, &story.account);
    assert_eq!(verdicts[0].cause, Cause::Unexplained);
    let evidence = verdicts[0].evidence.join("\n");
    assert!(evidence.contains("enosys") && evidence.contains("TCPAbortOnData"), "{evidence}");
    assert!(!evidence.contains("InSegs"), "{evidence}");
}

#[test]
fn every_change_is_one_that_a_lab_file_takes() {
    let story = full_conntrack(1_200).counter("server", names::LISTEN_OVERFLOWS, 400);
    let mut text = "connections: 1K\n".to_owned();
    for verdict in diagnose(&story.plan, &story.account) {
        text += &explain::as_yaml(&verdict.changes);
    }
    assert!(text.contains("nf_conntrack_max: 65536") && text.contains("backlog: 65536"), "{text}");
    crate::spec::parse("lab.yaml", &text, &[]).expect("a lab with the remedies in it");
}
