//! An opener for tests: no network, and outcomes that were written down before.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Poll, Registry};
use rustix::io::Errno;

use super::{Close, End, Event, Failure, Opened, Opener, Watch};
use crate::agent::tally::Operation;

/// What becomes of a connection.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// At once, and these bytes come first; an empty piece is the peer's end.
    Established(Vec<&'static [u8]>),
    /// With the next turn.
    Later(Result<(), Failure>),
    Failed(Failure),
    /// Never.
    Silent,
}

pub struct Replay {
    poll: Poll,
    outcomes: Vec<Outcome>,
    open: Vec<bool>,
    waiting: BTreeMap<usize, Outcome>,
    incoming: BTreeMap<usize, VecDeque<&'static [u8]>>,
    pub watched: BTreeMap<usize, Watch>,
    pub tuples: Vec<(SocketAddr, SocketAddr)>,
}

impl Replay {
    pub fn of(outcomes: Vec<Outcome>) -> Self {
        Replay {
            poll: Poll::new().expect("epoll"),
            open: vec![false; outcomes.len()],
            outcomes,
            waiting: BTreeMap::new(),
            incoming: BTreeMap::new(),
            watched: BTreeMap::new(),
            tuples: Vec::new(),
        }
    }

    /// Bytes that come later.
    pub fn send_to(&mut self, slot: usize, bytes: &'static [u8]) {
        self.incoming.entry(slot).or_default().push_back(bytes);
    }
}

impl Opener for Replay {
    fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    fn begin(&mut self, slots: usize) {
        self.open.resize(slots, false);
    }

    fn open(&mut self, slot: usize, tuple: (SocketAddr, SocketAddr)) -> Result<Opened, Failure> {
        self.tuples.push(tuple);
        match self.outcomes[slot].clone() {
            Outcome::Established(incoming) => {
                self.open[slot] = true;
                self.incoming.insert(slot, incoming.into());
                Ok(Opened::Established)
            }
            Outcome::Failed(failure) => Err(failure),
            waits => {
                self.waiting.insert(slot, waits);
                Ok(Opened::Waiting)
            }
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Who is silent is given up with the turn after the next.
    fn next_timeout(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(Duration::ZERO)
    }

    fn give_up(&mut self) -> u64 {
        std::mem::take(&mut self.waiting).len() as u64
    }

    fn turn(&mut self, _: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        for (slot, outcome) in std::mem::take(&mut self.waiting) {
            events.push(match outcome {
                Outcome::Later(Ok(())) => {
                    self.open[slot] = true;
                    Event::Established(slot)
                }
                Outcome::Later(Err(failure)) => Event::Failed(failure),
                _ => Event::Failed((Operation::Connect, Errno::TIMEDOUT)),
            });
        }
        let has_some = |(_, pieces): &(&usize, &VecDeque<_>)| !pieces.is_empty();
        let moved = self.incoming.iter().filter(has_some);
        events.extend(moved.map(|(slot, _)| Event::Moved { slot: *slot, writable: false }));
        Ok(())
    }

    fn watch(&mut self, slot: usize, watch: Watch) -> Result<(), Errno> {
        self.watched.insert(slot, watch);
        Ok(())
    }

    fn is_open(&self, slot: usize) -> bool {
        self.open.get(slot).copied().unwrap_or(false)
    }

    fn send(&mut self, _: usize, bytes: &[u8]) -> Result<usize, Errno> {
        Ok(bytes.len())
    }

    fn receive(&mut self, slot: usize, buffer: &mut [u8]) -> Result<usize, Errno> {
        let piece = self.incoming.get_mut(&slot).and_then(VecDeque::pop_front).ok_or(Errno::AGAIN)?;
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }

    fn close(&mut self, slot: usize, _: Close) -> bool {
        self.incoming.remove(&slot);
        self.open.get_mut(slot).is_some_and(std::mem::take)
    }

    fn close_last(&mut self, _: Close) -> Option<bool> {
        self.open.pop()
    }

    fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn ended(&mut self, _: usize) -> (Vec<(usize, End)>, Option<usize>) {
        let at_end =
            |(_, pieces): &(&usize, &VecDeque<&[u8]>)| pieces.front().is_some_and(|piece| piece.is_empty());
        (self.incoming.iter().filter(at_end).map(|(slot, _)| (*slot, None)).collect(), None)
    }
}
