//! What a connection says: the seam between a swarm and a protocol.
//!
//! A talk opens (its handshake, after TCP's), is due, writes, reads and forgets. When a connection's turn comes and how
//! latencies are kept is the same for all.

pub mod echo;
#[cfg(test)]
pub mod greeting;
pub mod idle;
mod latencies;
mod schedule;

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::opener::{End, Opener};
use super::tally::TalkCounts;
use crate::plan::Talk as TalkOrder;
pub use latencies::{Latencies, step_of};
use schedule::Schedule;

/// The two directions of one connection.
pub trait Wire {
    /// Sends what fits.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Takes what has come; 0 bytes: the peer has closed.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno>;
}

/// A slot's connection, as its opener carries it.
pub struct OfSlot<'a, O: Opener>(pub &'a mut O, pub usize);

impl<O: Opener> Wire for OfSlot<'_, O> {
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.0.send(self.1, bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.0.receive(self.1, buffer)
    }
}

/// A connection at the moment when its talk may do something.
pub struct Turn<'a> {
    pub slot: usize,
    pub wire: &'a mut dyn Wire,
    /// Of answers.
    pub latencies: &'a mut Latencies,
}

/// What became of a connection when its talk did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing more until something comes, or until it is due.
    Waits,
    /// The send buffer is full: go on when it takes more.
    Blocked,
    /// The talk's handshake is done. A connection is ready once.
    Ready,
    /// The talk's handshake has failed, and what was said. The connection is of no use.
    Refused(String),
    /// The connection has ended.
    Ended(End),
}

pub trait Talk {
    /// Whether what a connection receives matters at all times, and not only how it ends.
    fn listens(&self) -> bool;

    /// TCP has opened the connection.
    fn opened(&mut self, turn: Turn<'_>) -> Step;

    /// A message is on its way from this connection, or its answer is: its turn is passed over.
    fn is_busy(&self, slot: usize) -> bool;

    /// It is this connection's turn to say something.
    fn due(&mut self, turn: Turn<'_>) -> Step;

    /// The connection takes more of what is to be said.
    fn writable(&mut self, turn: Turn<'_>) -> Step;

    /// Something has come.
    fn readable(&mut self, turn: Turn<'_>) -> Step;

    /// The connection is gone.
    fn forget(&mut self, slot: usize);

    fn counts(&self) -> TalkCounts;

    /// Messages that are not answered yet.
    fn outstanding(&self) -> u64;
}

/// A talk with what is the same for all: whose turn it is, and the latencies.
pub struct Conversation {
    talk: Box<dyn Talk>,
    /// None: nobody ever says anything by himself.
    schedule: Option<Schedule>,
    latencies: Latencies,
}

impl Conversation {
    pub fn of(order: TalkOrder, connections: usize) -> io::Result<Self> {
        match order {
            TalkOrder::Idle => Conversation::new(Box::new(idle::Idle), None, connections),
            TalkOrder::Echo(order) => {
                let every = Duration::from_millis(order.every_ms.max(1));
                Conversation::new(Box::new(echo::Echo::new(order, connections)), Some(every), connections)
            }
        }
    }

    pub fn new(talk: Box<dyn Talk>, every: Option<Duration>, connections: usize) -> io::Result<Self> {
        let schedule = every.map(|every| Schedule::new(every, connections as u64));
        Ok(Conversation { talk, schedule, latencies: Latencies::new()? })
    }

    pub fn listens(&self) -> bool {
        self.talk.listens()
    }

    pub fn counts(&self) -> TalkCounts {
        let skipped = self.schedule.as_ref().map_or(0, Schedule::skipped);
        TalkCounts { skipped, ..self.talk.counts() }
    }

    pub fn outstanding(&self) -> u64 {
        self.talk.outstanding()
    }

    /// The latencies since they were last taken, in microseconds, and how many.
    pub fn take_latencies(&mut self) -> Vec<(u64, u64)> {
        self.latencies.take()
    }

    /// From now on messages are due.
    pub fn begin(&mut self) {
        if let Some(schedule) = &mut self.schedule {
            schedule.begin(Instant::now());
        }
    }

    /// No more messages. Those that are due by now and have not been said never will be.
    pub fn quiesce(&mut self) {
        if let Some(schedule) = &mut self.schedule {
            schedule.end(Instant::now());
        }
    }

    /// The next slot whose turn it is, or how long nobody's turn comes; none: nobody's ever.
    pub fn next_due(&mut self) -> Result<usize, Option<Duration>> {
        let schedule = self.schedule.as_mut().ok_or(None)?;
        schedule.next(Instant::now(), |slot| self.talk.is_busy(slot))
    }

    pub fn opened(&mut self, slot: usize, wire: &mut dyn Wire) -> Step {
        self.talk.opened(Turn { slot, wire, latencies: &mut self.latencies })
    }

    pub fn due(&mut self, slot: usize, wire: &mut dyn Wire) -> Step {
        self.talk.due(Turn { slot, wire, latencies: &mut self.latencies })
    }

    pub fn writable(&mut self, slot: usize, wire: &mut dyn Wire) -> Step {
        self.talk.writable(Turn { slot, wire, latencies: &mut self.latencies })
    }

    pub fn readable(&mut self, slot: usize, wire: &mut dyn Wire) -> Step {
        self.talk.readable(Turn { slot, wire, latencies: &mut self.latencies })
    }

    pub fn forget(&mut self, slot: usize) {
        self.talk.forget(slot);
    }
}
