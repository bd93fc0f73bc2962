//! The clients: one thread that opens a stretch of planned connections, holds them, and lets them talk.

mod closing;
mod probe;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::SwarmOrder;
use super::errno::{self, CLOSED_BY_PEER};
use super::opener::kernel::{KernelSockets, Options};
use super::opener::{Close, End, Event, Opened, Opener, Watch};
use super::talk::{Conversation, OfSlot, Step};
use super::tally::{Counts, Operation};

pub use super::opener::OUTSIDE;

/// Connects and closes done before events are looked at again.
pub const BATCH: u64 = 256;

pub struct Swarm<O: Opener = KernelSockets> {
    opener: O,
    events: Vec<Event>,
    order: SwarmOrder,
    /// When connecting began, or went on, and how many of the round had been tried then.
    began: Option<(Instant, u64)>,
    /// How many of the stretch are to be tried before this swarm waits for another order.
    up_to: u64,
    /// Rounds before this one: each tried every connection of the stretch, or was given up.
    rounds_before: u64,
    /// Connects begun before this round.
    tried_before: u64,
    /// The slot whose turn is next, and those behind it that were tried ahead of their turn.
    next: u64,
    probed: BTreeSet<u64>,
    /// When the closing of this round began, and how many had been closed before.
    round_closing: Option<(Instant, u64)>,
    conversation: Conversation,
    /// What the other side closes now is planned.
    ending: bool,
    counts: Counts,
}

impl Swarm {
    pub fn new(order: SwarmOrder) -> io::Result<Self> {
        // Also with the client's other processes: a port is shared only where all its sockets allow it.
        let of_the_client = order.round_step.max(order.first.saturating_add(order.count));
        let options = Options {
            timeout: Duration::from_millis(order.timeout_ms),
            share_sources: order.rounds > 1 || order.tuples.shares_sources(of_the_client),
            kernel_chooses: order.tuples.kernel_chooses,
        };
        let count = slots(&order);
        let conversation = Conversation::of(order.talk, count)?;
        Ok(Swarm::with(KernelSockets::new(options, count)?, conversation, order))
    }
}

fn slots(order: &SwarmOrder) -> usize {
    usize::try_from(order.count).unwrap_or(usize::MAX)
}

impl<O: Opener> Swarm<O> {
    pub fn with(opener: O, conversation: Conversation, order: SwarmOrder) -> Self {
        Swarm {
            opener,
            events: Vec::new(),
            began: None,
            up_to: 0,
            rounds_before: 0,
            tried_before: 0,
            next: 0,
            probed: BTreeSet::new(),
            round_closing: None,
            conversation,
            ending: false,
            counts: Counts::default(),
            order,
        }
    }

    pub fn registry(&self) -> &Registry {
        self.opener.registry()
    }

    pub fn counts(&self) -> Counts {
        Counts { talk: self.conversation.counts(), ..self.counts.clone() }
    }

    pub fn established(&self) -> u64 {
        self.counts.established
    }

    /// Connects up to so many of the stretch: goes on with a round, or begins the next one if it was closed.
    pub fn go(&mut self, up_to: u64) {
        if self.began.is_none() {
            self.begin_round();
        }
        self.began = Some((Instant::now(), self.tried()));
        self.up_to = up_to.min(self.order.count);
    }

    fn begin_round(&mut self) {
        if self.tried_before < self.counts.tried {
            self.rounds_before += 1;
            self.tried_before = self.counts.tried;
        }
        (self.next, self.probed) = (0, BTreeSet::new());
        self.opener.begin(slots(&self.order));
    }

    /// Connects begun in this round.
    fn tried(&self) -> u64 {
        self.counts.tried - self.tried_before
    }

    /// Every connection that was to be opened by now has been tried, and has been answered or not.
    pub fn ramped(&self) -> bool {
        self.tried() >= self.up_to && self.opener.waiting() == 0
    }

    /// Opens the next connections, as many as rate and window allow. How long to wait for the next ones;
    /// none: nothing is due until an event comes.
    pub fn ramp(&mut self) -> Option<Duration> {
        let (began, before) = self.began?;
        let window = u64::from(self.order.window);
        let room = window.saturating_sub(self.opener.waiting() as u64);
        let left = self.up_to.saturating_sub(self.tried());
        let due = match self.order.rate {
            None => left,
            Some(rate) => {
                let due = began.elapsed().as_secs_f64() * rate as f64;
                left.min((before + due as u64 + 1).saturating_sub(self.tried()))
            }
        };
        for _ in 0..due.min(room).min(BATCH) {
            let slot = self.take_next();
            self.try_slot(slot);
            if self.opener.waiting() as u64 >= window {
                break;
            }
        }
        let left = self.up_to.saturating_sub(self.tried());
        let deadline = self.deadline();
        match self.order.rate {
            _ if left == 0 || self.opener.waiting() as u64 >= window => deadline,
            None => Some(Duration::ZERO),
            Some(rate) => {
                let next = (self.tried() - before) as f64 / rate as f64;
                let next = Duration::from_secs_f64((next - began.elapsed().as_secs_f64()).max(0.0));
                Some(deadline.map_or(next, |deadline| next.min(deadline)))
            }
        }
    }

    /// How long until a connect has waited for its answer long enough; none: no connect waits.
    pub fn deadline(&self) -> Option<Duration> {
        self.opener.next_timeout()
    }

    fn try_slot(&mut self, slot: u64) {
        self.counts.tried += 1;
        let round = self.rounds_before * self.order.round_step;
        let tuple = self.order.tuples.at(self.order.first + round + slot);
        let slot = slot as usize;
        match self.opener.open(slot, tuple) {
            // What nobody listens to is not watched, and was not yet.
            Ok(Opened::Established) if !self.conversation.listens() => self.establish(slot, None),
            Ok(Opened::Established) => self.establish(slot, Some(Watch::Readable)),
            Ok(Opened::Waiting) => {}
            Err((operation, error)) => self.counts.failed.add(operation, error),
        }
    }

    /// The watch is set first: none stays as it is.
    fn establish(&mut self, slot: usize, watch: Option<Watch>) {
        self.counts.established += 1;
        self.counts.open += 1;
        if let Some(Err(error)) = watch.map(|watch| self.opener.watch(slot, watch)) {
            self.opener.close(slot, Close::Orderly);
            self.counts.open -= 1;
            self.counts.lost.add(Operation::Watch, error);
            return;
        }
        let step = self.conversation.opened(slot, &mut OfSlot(&mut self.opener, slot));
        self.take(slot, step);
    }

    /// What follows from what a talk did.
    fn take(&mut self, slot: usize, step: Step) {
        match step {
            Step::Waits => {}
            Step::Ready => self.counts.ready += 1,
            Step::Blocked => {
                // If this fails the message stays unanswered, and is counted as that.
                let _ = self.opener.watch(slot, Watch::Both);
            }
            Step::Refused(said) => self.end(slot, Operation::Handshake, &said),
            Step::Ended(how) => self.lose(slot, how),
        }
    }

    /// Waits for events, at most `wait`, and handles them. Returns the caller's tokens.
    pub fn turn(&mut self, wait: Option<Duration>) -> io::Result<Vec<Token>> {
        let mut events = std::mem::take(&mut self.events);
        let turned = self.opener.turn(wait, &mut events);
        let mut outside = Vec::new();
        for event in events.drain(..) {
            match event {
                Event::Outside(token) => outside.push(token),
                Event::Established(slot) => {
                    let listens = self.conversation.listens();
                    self.establish(slot, Some(if listens { Watch::Readable } else { Watch::Nothing }));
                }
                Event::Failed((operation, error)) => self.counts.failed.add(operation, error),
                Event::Moved { slot, writable } => self.moved(slot, writable),
            }
        }
        self.events = events;
        turned.map(|()| outside)
    }

    fn moved(&mut self, slot: usize, writable: bool) {
        if !self.conversation.listens() {
            return;
        }
        if writable && self.opener.is_open(slot) {
            let step = self.conversation.writable(slot, &mut OfSlot(&mut self.opener, slot));
            // It is watched for both already.
            if step != Step::Blocked {
                self.take(slot, step);
            }
        }
        if self.opener.is_open(slot) {
            let step = self.conversation.readable(slot, &mut OfSlot(&mut self.opener, slot));
            self.take(slot, step);
        }
    }

    /// Begins the planned traffic.
    pub fn hold(&mut self) {
        self.conversation.begin();
    }

    /// Says what is due to be said. How long until the next message is due.
    pub fn talk(&mut self) -> Option<Duration> {
        for _ in 0..BATCH {
            let slot = match self.conversation.next_due() {
                Ok(slot) => slot,
                Err(wait) => return wait,
            };
            if self.opener.is_open(slot) {
                let step = self.conversation.due(slot, &mut OfSlot(&mut self.opener, slot));
                self.take(slot, step);
            }
        }
        Some(Duration::ZERO)
    }

    /// No more messages.
    pub fn quiesce(&mut self) {
        self.conversation.quiesce();
    }

    /// Messages that have not come back.
    pub fn outstanding(&self) -> u64 {
        self.conversation.outstanding()
    }

    /// Of the answers since this was last asked.
    pub fn take_latencies(&mut self) -> Vec<(u64, u64)> {
        self.conversation.take_latencies()
    }

    /// Looks at some of the connections that nobody watches, and counts those that have ended. Where to go on; none:
    /// those were the last.
    pub fn sweep(&mut self, from: usize) -> Option<usize> {
        let (ended, next) = self.opener.ended(from);
        for (slot, how) in ended {
            self.lose(slot, how);
        }
        next
    }

    fn lose(&mut self, slot: usize, how: End) {
        let how = how.map_or_else(|| CLOSED_BY_PEER.to_owned(), errno::name);
        self.end(slot, Operation::Receive, &how);
    }

    /// A connection has ended before it was to be closed, unless the end is near.
    fn end(&mut self, slot: usize, operation: Operation, how: &str) {
        if self.opener.close(slot, Close::Orderly) {
            self.counts.open -= 1;
            if self.ending {
                self.counts.closed += 1;
            } else {
                self.counts.lost.add_named(operation, how, 1);
            }
        }
        self.conversation.forget(slot);
    }

    /// What the other side closes from now on is planned.
    pub fn expect_end(&mut self) {
        self.ending = true;
    }
}
