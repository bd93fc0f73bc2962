//! An agent's life: the cell, the first order, then events and orders until stdin closes.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::confine::Cell;
use super::errno;
use super::given::ChainEnds;
use super::handover::{Predecessor, Successor};
use super::hold::Passes;
use super::out_of_sight;
use super::reactor::{self, Reactor};
use super::stdio::{AgentStdio, Received};
use super::swarm::{self, Swarm};
use super::{Order, ReactorOrder, SwarmOrder, Word};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::kernel::proc;

/// How often counts are told while they change.
const TELL: Duration = Duration::from_millis(100);

/// How often a swarm tells the latencies of answers, while there are any.
const TELL_LATENCIES: Duration = Duration::from_secs(5);

/// How long a reactor that has just accepted lets the queues fill again: fewer wake-ups for the same
/// connections leave a fifth more of the CPU to the handshakes.
const GATHER: Duration = Duration::from_millis(1);

pub fn run(cell: &Cell) -> Result<Exit> {
    let ends = match cell.enter() {
        Ok(ends) => ends,
        Err(error) => return fail(error),
    };
    let ended = match AgentStdio::first_order() {
        Ok(None) => return Ok(Exit::Done),
        Ok(Some((stdio, Order::Reactor(order)))) => {
            name_process(c"c1m-lab-reactor");
            out_of_sight::run(move || reactor(stdio, &order, ends))
        }
        Ok(Some((stdio, Order::Swarm(order)))) => {
            name_process(c"c1m-lab-swarm");
            out_of_sight::run(move || swarm(stdio, order))
        }
        Ok(Some((_, other))) => Err(io::Error::other(format!("{other:?} before being told what to be"))),
        Err(error) => Err(error),
    };
    // A runner that is gone is the end of an agent, not an error to talk about.
    match ended {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(Error::broke("running an agent", error))
        }
        _ => Ok(Exit::Done),
    }
}

/// The runner is told on stdout; it shows what matters to its user.
fn fail(error: Error) -> Result<Exit> {
    let word = serde_json::to_string(&Word::Failed { why: error.to_string() });
    // If the runner is gone, nobody is left to be told.
    let _ = writeln!(io::stdout(), "{}", word.unwrap_or_default());
    Err(error)
}

/// What `ps` and `top` show; only a help, so it may fail.
fn name_process(name: &std::ffi::CStr) {
    let _ = rustix::thread::set_name(name);
}

/// `empty`: the private memory before anything was made ready for connections.
fn ready(stdio: &mut AgentStdio, empty: Option<u64>) -> io::Result<()> {
    let nofile = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    stdio.send(&Word::Ready { pid: std::process::id(), nofile, private_bytes: empty })
}

fn private_bytes() -> Option<u64> {
    proc::private_bytes(None).ok()
}

const STDIO: usize = 0;
const SUCCESSOR: usize = 1;
const PREDECESSOR: usize = 2;

/// A reactor and its neighbours in the chain.
struct ReactorState {
    predecessor: Option<Predecessor>,
    successor: Option<Successor>,
    full: bool,
    drain: Drain,
    /// The runner waits for the counts.
    asked: bool,
    /// The last turn brought nothing.
    quiet: bool,
}

#[derive(PartialEq, Eq)]
enum Drain {
    NotYet,
    Going,
    Done,
}

fn reactor(mut stdio: AgentStdio, order: &ReactorOrder, ends: ChainEnds) -> io::Result<()> {
    let empty = private_bytes();
    let mut reactor = Reactor::new(order.capacity)?;
    let token = |place: usize| Token(reactor::OUTSIDE + place);
    let mut state = ReactorState {
        predecessor: None,
        successor: ends.after.map(Successor::new).transpose()?,
        full: false,
        drain: Drain::NotYet,
        asked: false,
        quiet: false,
    };
    if order.place == 0 {
        let listeners =
            reactor::listen(&order.addresses, &order.ports, order.backlog).map_err(|(address, error)| {
                io::Error::other(format!("listening on {address}: {}", errno::name(error)))
            })?;
        reactor.adopt(listeners);
    } else {
        let before =
            ends.before.ok_or_else(|| io::Error::other("no way to the reactor before it was given"))?;
        let (predecessor, listeners) = Predecessor::meet(before)?;
        let raw = predecessor.as_fd().as_raw_fd();
        reactor.registry().register(&mut SourceFd(&raw), token(PREDECESSOR), Interest::READABLE)?;
        state.predecessor = Some(predecessor);
        reactor.adopt(listeners);
    }
    if let Some(successor) = &state.successor {
        let raw = successor.as_fd().as_raw_fd();
        reactor.registry().register(&mut SourceFd(&raw), token(SUCCESSOR), Interest::READABLE)?;
    }
    stdio.watch(reactor.registry(), token(STDIO))?;
    ready(&mut stdio, empty)?;

    let mut told = Instant::now();
    loop {
        let mut wait = stdio.wait_to_tell(reactor.counts());
        if state.drain == Drain::Going {
            let empty = reactor.close_some();
            wait = Some(Duration::ZERO);
            // While something still comes, it may be one more to close.
            if empty && state.quiet {
                stdio.send_counts(reactor.counts())?;
                stdio.send(&Word::Drained)?;
                state.drain = Drain::Done;
                wait = None;
            }
        }
        let turn = reactor.turn(wait)?;
        state.quiet = turn.quiet;
        for outside in turn.outside {
            match outside.0 - reactor::OUTSIDE {
                STDIO => {
                    let received = stdio.receive()?;
                    for order in &received.orders {
                        state.asked |= *order == Order::Tell;
                        obey_as_reactor(order, &mut reactor, &mut state, &mut stdio)?;
                    }
                    if received.closed {
                        return Ok(());
                    }
                }
                SUCCESSOR => {
                    if let Some(successor) = &mut state.successor {
                        successor.meet(reactor.listeners());
                    }
                }
                PREDECESSOR => {
                    let begins = state.predecessor.as_mut().is_some_and(Predecessor::says_begin);
                    if begins {
                        state.predecessor = None;
                        reactor.accept()?;
                        stdio.send(&Word::Accepting)?;
                    }
                }
                _ => {}
            }
        }
        state.full |= turn.full;
        if state.full
            && reactor.accepting()
            && let Some(successor) = state.successor.as_ref().filter(|successor| successor.stands_by())
        {
            // The successor may have died meanwhile; its end is the runner's to notice.
            let _ = successor.begin();
            reactor.release_listeners();
            stdio.send(&Word::Full)?;
        }
        if turn.quiet || told.elapsed() >= TELL || std::mem::take(&mut state.asked) {
            told = Instant::now();
            stdio.send_counts(reactor.counts())?;
        }
        if turn.accepted > 0 {
            std::thread::sleep(GATHER);
        }
    }
}

fn obey_as_reactor(
    order: &Order,
    reactor: &mut Reactor,
    state: &mut ReactorState,
    stdio: &mut AgentStdio,
) -> io::Result<()> {
    match order {
        Order::Accept => {
            reactor.accept()?;
            stdio.send(&Word::Accepting)
        }
        Order::Tell => Ok(()),
        Order::Call => stdio.send(&Word::Here),
        Order::RoundEnds { going_on } => {
            reactor.expect_orderly_ends(*going_on);
            stdio.send(&Word::Expecting)
        }
        Order::Ending => {
            reactor.expect_end();
            stdio.send(&Word::Expecting)
        }
        Order::Drain => {
            reactor.expect_end();
            state.drain = Drain::Going;
            Ok(())
        }
        Order::MeasureMemory => stdio.send(&Word::Memory { private_bytes: private_bytes() }),
        other => Err(io::Error::other(format!("a reactor cannot {other:?}"))),
    }
}

enum SwarmPhase {
    Idle,
    Ramp,
    Hold(Passes),
    /// Until then for the last echoes; then a look at every connection, which goes on from here.
    Quiesce(Instant, usize),
    /// A round is over.
    Close,
    Drain,
}

fn swarm(mut stdio: AgentStdio, order: SwarmOrder) -> io::Result<()> {
    let patience = Duration::from_millis(order.timeout_ms);
    let empty = private_bytes();
    let mut swarm = Swarm::new(order)?;
    stdio.watch(swarm.registry(), Token(swarm::OUTSIDE + STDIO))?;
    ready(&mut stdio, empty)?;

    let mut phase = SwarmPhase::Idle;
    let mut told = Instant::now();
    let mut told_latencies = told;
    loop {
        let wait = step(&mut phase, &mut swarm, &mut stdio)?;
        let untold = stdio.wait_to_tell(&swarm.counts()).map(|_| TELL.saturating_sub(told.elapsed()));
        let wait = [wait, untold].into_iter().flatten().min();
        let outside = swarm.turn(wait)?;
        if !outside.is_empty() {
            let Received { orders, closed } = stdio.receive()?;
            for order in orders {
                phase = obey_as_swarm(&order, phase, &mut swarm, &mut stdio, patience)?;
            }
            if closed {
                return Ok(());
            }
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            stdio.send_counts(&swarm.counts())?;
        }
        if told_latencies.elapsed() >= TELL_LATENCIES {
            told_latencies = Instant::now();
            let latencies = swarm.take_latencies();
            if !latencies.is_empty() {
                stdio.send(&Word::Latencies { latencies })?;
            }
        }
    }
}

/// Does what the phase has to do now. How long until there is more; none: until an event comes.
fn step(phase: &mut SwarmPhase, swarm: &mut Swarm, stdio: &mut AgentStdio) -> io::Result<Option<Duration>> {
    match phase {
        SwarmPhase::Idle => Ok(swarm.deadline()),
        SwarmPhase::Ramp => {
            let wait = swarm.ramp();
            if swarm.ramped() {
                stdio.send_counts(&swarm.counts())?;
                stdio.send(&Word::Ramped)?;
                *phase = SwarmPhase::Idle;
            }
            Ok(wait)
        }
        SwarmPhase::Hold(passes) => {
            if passes.is_due() {
                passes.run(|from| swarm.sweep(from));
            }
            let wait = passes.wait();
            Ok(Some(swarm.talk().map_or(wait, |talk| talk.min(wait))))
        }
        SwarmPhase::Quiesce(until, from) => {
            if *from == 0 && swarm.outstanding() > 0 && Instant::now() < *until {
                return Ok(Some(Duration::from_millis(5)));
            }
            if let Some(next) = swarm.sweep(*from) {
                *from = next;
                return Ok(Some(Duration::ZERO));
            }
            stdio.send_counts(&swarm.counts())?;
            stdio.send(&Word::Quiesced { latencies: swarm.take_latencies() })?;
            *phase = SwarmPhase::Idle;
            Ok(None)
        }
        SwarmPhase::Close => {
            if let Some(wait) = swarm.close_round() {
                return Ok(Some(wait));
            }
            stdio.send_counts(&swarm.counts())?;
            *phase = SwarmPhase::Idle;
            Ok(None)
        }
        SwarmPhase::Drain => {
            if !swarm.close_some() {
                return Ok(Some(Duration::ZERO));
            }
            stdio.send_counts(&swarm.counts())?;
            stdio.send(&Word::Drained)?;
            *phase = SwarmPhase::Idle;
            Ok(None)
        }
    }
}

fn obey_as_swarm(
    order: &Order,
    phase: SwarmPhase,
    swarm: &mut Swarm,
    stdio: &mut AgentStdio,
    patience: Duration,
) -> io::Result<SwarmPhase> {
    Ok(match order {
        Order::Connect { up_to } => {
            swarm.go(*up_to);
            SwarmPhase::Ramp
        }
        Order::Probe { up_to } => {
            swarm.probe(*up_to);
            phase
        }
        Order::Hold => {
            swarm.hold();
            SwarmPhase::Hold(Passes::new())
        }
        Order::Quiesce => {
            swarm.quiesce();
            SwarmPhase::Quiesce(Instant::now() + patience, 0)
        }
        Order::Ending => {
            swarm.expect_end();
            stdio.send(&Word::Expecting)?;
            phase
        }
        Order::Close => {
            swarm.give_up();
            SwarmPhase::Close
        }
        Order::Drain => {
            swarm.give_up();
            SwarmPhase::Drain
        }
        Order::MeasureMemory => {
            stdio.send(&Word::Memory { private_bytes: private_bytes() })?;
            phase
        }
        other => return Err(io::Error::other(format!("a swarm cannot {other:?}"))),
    })
}
