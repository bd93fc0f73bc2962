//! An agent's life: the cell, the first order, then events and orders until stdin closes.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::confine::Cell;
use super::errno;
use super::given::Ends;
use super::handover::{Predecessor, Successor};
use super::hold::Passes;
use super::mail::{Letters, Mailbox};
use super::out_of_sight;
use super::reactor::{self, Reactor};
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
    let ended = match Mailbox::first_order() {
        Ok(None) => return Ok(Exit::Done),
        Ok(Some((mail, Order::Reactor(order)))) => {
            name_process(c"c1m-lab-reactor");
            out_of_sight::run(move || reactor(mail, &order, ends))
        }
        Ok(Some((mail, Order::Swarm(order)))) => {
            name_process(c"c1m-lab-swarm");
            out_of_sight::run(move || swarm(mail, order))
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
fn ready(mail: &mut Mailbox, empty: Option<u64>) -> io::Result<()> {
    let nofile = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    mail.send(&Word::Ready { pid: std::process::id(), nofile, private_bytes: empty })
}

fn private_bytes() -> Option<u64> {
    proc::private_bytes(None).ok()
}

const MAIL: usize = 0;
const SUCCESSOR: usize = 1;
const PREDECESSOR: usize = 2;

/// A reactor and its neighbours in the chain.
struct Link {
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

fn reactor(mut mail: Mailbox, order: &ReactorOrder, ends: Ends) -> io::Result<()> {
    let empty = private_bytes();
    let mut reactor = Reactor::new(order.capacity)?;
    let token = |place: usize| Token(reactor::OUTSIDE + place);
    let mut link = Link {
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
        link.predecessor = Some(predecessor);
        reactor.adopt(listeners);
    }
    if let Some(successor) = &link.successor {
        let raw = successor.as_fd().as_raw_fd();
        reactor.registry().register(&mut SourceFd(&raw), token(SUCCESSOR), Interest::READABLE)?;
    }
    mail.watch(reactor.registry(), token(MAIL))?;
    ready(&mut mail, empty)?;

    let mut told = Instant::now();
    loop {
        let mut wait = mail.wait_to_tell(reactor.counts());
        if link.drain == Drain::Going {
            let empty = reactor.close_some();
            wait = Some(Duration::ZERO);
            // While something still comes, it may be one more to close.
            if empty && link.quiet {
                mail.send_counts(reactor.counts())?;
                mail.send(&Word::Drained)?;
                link.drain = Drain::Done;
                wait = None;
            }
        }
        let turn = reactor.turn(wait)?;
        link.quiet = turn.quiet;
        for outside in turn.outside {
            match outside.0 - reactor::OUTSIDE {
                MAIL => {
                    let letters = mail.receive()?;
                    for order in &letters.orders {
                        link.asked |= *order == Order::Tell;
                        obey_as_reactor(order, &mut reactor, &mut link, &mut mail)?;
                    }
                    if letters.closed {
                        return Ok(());
                    }
                }
                SUCCESSOR => {
                    if let Some(successor) = &mut link.successor {
                        successor.meet(reactor.listeners());
                    }
                }
                PREDECESSOR => {
                    let begins = link.predecessor.as_mut().is_some_and(Predecessor::says_begin);
                    if begins {
                        link.predecessor = None;
                        reactor.accept()?;
                        mail.send(&Word::Accepting)?;
                    }
                }
                _ => {}
            }
        }
        link.full |= turn.full;
        if link.full
            && reactor.accepting()
            && let Some(successor) = link.successor.as_ref().filter(|successor| successor.stands_by())
        {
            // The successor may have died meanwhile; its end is the runner's to notice.
            let _ = successor.begin();
            reactor.release_listeners();
            mail.send(&Word::Full)?;
        }
        if turn.quiet || told.elapsed() >= TELL || std::mem::take(&mut link.asked) {
            told = Instant::now();
            mail.send_counts(reactor.counts())?;
        }
        if turn.accepted > 0 {
            std::thread::sleep(GATHER);
        }
    }
}

fn obey_as_reactor(
    order: &Order,
    reactor: &mut Reactor,
    link: &mut Link,
    mail: &mut Mailbox,
) -> io::Result<()> {
    match order {
        Order::Accept => {
            reactor.accept()?;
            mail.send(&Word::Accepting)
        }
        Order::Tell => Ok(()),
        Order::Call => mail.send(&Word::Here),
        Order::RoundEnds { going_on } => {
            reactor.expect_orderly_ends(*going_on);
            mail.send(&Word::Expecting)
        }
        Order::Ending => {
            reactor.expect_end();
            mail.send(&Word::Expecting)
        }
        Order::Drain => {
            reactor.expect_end();
            link.drain = Drain::Going;
            Ok(())
        }
        Order::Weigh => mail.send(&Word::Weight { private_bytes: private_bytes() }),
        other => Err(io::Error::other(format!("a reactor cannot {other:?}"))),
    }
}

enum Phase {
    Idle,
    Ramp,
    Hold(Passes),
    /// Until then for the last echoes; then a look at every connection, which goes on from here.
    Rest(Instant, usize),
    /// A round is over.
    Close,
    Drain,
}

fn swarm(mut mail: Mailbox, order: SwarmOrder) -> io::Result<()> {
    let patience = Duration::from_millis(order.timeout_ms);
    let empty = private_bytes();
    let mut swarm = Swarm::new(order)?;
    mail.watch(swarm.registry(), Token(swarm::OUTSIDE + MAIL))?;
    ready(&mut mail, empty)?;

    let mut phase = Phase::Idle;
    let mut told = Instant::now();
    let mut told_latencies = told;
    loop {
        let wait = step(&mut phase, &mut swarm, &mut mail)?;
        let untold = mail.wait_to_tell(&swarm.counts()).map(|_| TELL.saturating_sub(told.elapsed()));
        let wait = [wait, untold].into_iter().flatten().min();
        let outside = swarm.turn(wait)?;
        if !outside.is_empty() {
            let Letters { orders, closed } = mail.receive()?;
            for order in orders {
                phase = obey_as_swarm(&order, phase, &mut swarm, &mut mail, patience)?;
            }
            if closed {
                return Ok(());
            }
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            mail.send_counts(&swarm.counts())?;
        }
        if told_latencies.elapsed() >= TELL_LATENCIES {
            told_latencies = Instant::now();
            let latencies = swarm.take_latencies();
            if !latencies.is_empty() {
                mail.send(&Word::Latencies { latencies })?;
            }
        }
    }
}

/// Does what the phase has to do now. How long until there is more; none: until an event comes.
fn step(phase: &mut Phase, swarm: &mut Swarm, mail: &mut Mailbox) -> io::Result<Option<Duration>> {
    match phase {
        Phase::Idle => Ok(swarm.deadline()),
        Phase::Ramp => {
            let wait = swarm.ramp();
            if swarm.ramped() {
                mail.send_counts(&swarm.counts())?;
                mail.send(&Word::Ramped)?;
                *phase = Phase::Idle;
            }
            Ok(wait)
        }
        Phase::Hold(passes) => {
            if passes.is_due() {
                passes.run(|from| swarm.sweep(from));
            }
            let wait = passes.wait();
            Ok(Some(swarm.talk().map_or(wait, |talk| talk.min(wait))))
        }
        Phase::Rest(until, from) => {
            if *from == 0 && swarm.outstanding() > 0 && Instant::now() < *until {
                return Ok(Some(Duration::from_millis(5)));
            }
            if let Some(next) = swarm.sweep(*from) {
                *from = next;
                return Ok(Some(Duration::ZERO));
            }
            mail.send_counts(&swarm.counts())?;
            mail.send(&Word::Rested { latencies: swarm.take_latencies() })?;
            *phase = Phase::Idle;
            Ok(None)
        }
        Phase::Close => {
            if let Some(wait) = swarm.close_round() {
                return Ok(Some(wait));
            }
            mail.send_counts(&swarm.counts())?;
            *phase = Phase::Idle;
            Ok(None)
        }
        Phase::Drain => {
            if !swarm.close_some() {
                return Ok(Some(Duration::ZERO));
            }
            mail.send_counts(&swarm.counts())?;
            mail.send(&Word::Drained)?;
            *phase = Phase::Idle;
            Ok(None)
        }
    }
}

fn obey_as_swarm(
    order: &Order,
    phase: Phase,
    swarm: &mut Swarm,
    mail: &mut Mailbox,
    patience: Duration,
) -> io::Result<Phase> {
    Ok(match order {
        Order::Connect { up_to } => {
            swarm.go(*up_to);
            Phase::Ramp
        }
        Order::Probe { up_to } => {
            swarm.probe(*up_to);
            phase
        }
        Order::Hold => {
            swarm.hold();
            Phase::Hold(Passes::new())
        }
        Order::Rest => {
            swarm.quiesce();
            Phase::Rest(Instant::now() + patience, 0)
        }
        Order::Ending => {
            swarm.expect_end();
            mail.send(&Word::Expecting)?;
            phase
        }
        Order::Close => {
            swarm.give_up();
            Phase::Close
        }
        Order::Drain => {
            swarm.give_up();
            Phase::Drain
        }
        Order::Weigh => {
            mail.send(&Word::Weight { private_bytes: private_bytes() })?;
            phase
        }
        other => return Err(io::Error::other(format!("a swarm cannot {other:?}"))),
    })
}
