//! The clients: one thread that opens a stretch of planned connections and holds them.

mod closing;
mod probe;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::SwarmOrder;
use super::echo::{Echo, Moved};
use super::errno::{self, CLOSED_BY_PEER};
use super::tally::{Counts, Operation};

/// Tokens from here on belong to the caller; below, a token is a connection's slot.
pub const OUTSIDE: usize = 1 << 33;

const EVENTS: usize = 1024;

/// Connects and closes done before events are looked at again.
pub const BATCH: u64 = 256;

pub struct Swarm {
    poll: Poll,
    events: Events,
    order: SwarmOrder,
    share_sources: bool,
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
    /// At index `slot`: the connection, once established.
    open: Vec<Option<OwnedFd>>,
    waiting: HashMap<usize, OwnedFd>,
    /// Slots in the order of their time-outs; those that are answered are passed over.
    deadlines: VecDeque<(Instant, usize)>,
    echo: Option<Echo>,
    /// What the other side closes now is planned.
    ending: bool,
    counts: Counts,
}

impl Swarm {
    pub fn new(order: SwarmOrder) -> io::Result<Self> {
        let count = usize::try_from(order.count).unwrap_or(usize::MAX);
        let mut open = Vec::new();
        open.try_reserve_exact(count).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        open.resize_with(count, || None);
        // Also with the client's other processes: a port is shared only where all its sockets allow it.
        let of_the_client = order.round_step.max(order.first.saturating_add(order.count));
        let share_sources = order.rounds > 1 || order.tuples.shares_sources(of_the_client);
        Ok(Swarm {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            share_sources,
            began: None,
            up_to: 0,
            rounds_before: 0,
            tried_before: 0,
            next: 0,
            probed: BTreeSet::new(),
            round_closing: None,
            open,
            waiting: HashMap::new(),
            deadlines: VecDeque::new(),
            echo: order.echo.map(|echo| Echo::new(echo, count)).transpose()?,
            ending: false,
            counts: Counts::default(),
            order,
        })
    }

    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    pub fn counts(&self) -> Counts {
        let echo = self.echo.as_ref().map(Echo::counts).unwrap_or_default();
        Counts { echo, ..self.counts.clone() }
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
        self.deadlines.clear();
        (self.next, self.probed) = (0, BTreeSet::new());
        self.open.resize_with(self.order.count as usize, || None);
    }

    /// Connects begun in this round.
    fn tried(&self) -> u64 {
        self.counts.tried - self.tried_before
    }

    /// Every connection that was to be opened by now has been tried, and has been answered or not.
    pub fn ramped(&self) -> bool {
        self.tried() >= self.up_to && self.waiting.is_empty()
    }

    /// Opens the next connections, as many as rate and window allow. How long to wait for the next ones;
    /// none: nothing is due until an event comes.
    pub fn ramp(&mut self) -> Option<Duration> {
        let (began, before) = self.began?;
        let room = u64::from(self.order.window).saturating_sub(self.waiting.len() as u64);
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
            if self.waiting.len() >= self.order.window as usize {
                break;
            }
        }
        let left = self.up_to.saturating_sub(self.tried());
        let deadline = self.deadline();
        match self.order.rate {
            _ if left == 0 || self.waiting.len() >= self.order.window as usize => deadline,
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
        self.deadlines.front().map(|(at, _)| at.saturating_duration_since(Instant::now()))
    }

    fn try_slot(&mut self, slot: u64) {
        self.counts.tried += 1;
        let slot = slot as usize;
        match self.start(slot) {
            Ok((connection, true)) => self.establish(slot, connection, false),
            Ok((connection, false)) => self.wait_for(slot, connection),
            Err((operation, error)) => self.counts.failed.add(operation, error),
        }
    }

    /// Over a veth pair the whole handshake runs inside `connect`, so a second call already learns how
    /// it went, and epoll is only needed when an answer is missing. True: established.
    fn start(&self, slot: usize) -> Result<(OwnedFd, bool), (Operation, Errno)> {
        let round = self.rounds_before * self.order.round_step;
        let (source, server) = self.order.tuples.at(self.order.first + round + slot as u64);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))
                .map_err(|error| (Operation::Socket, error))?;
        let bind = |error| (Operation::Bind, error);
        if self.share_sources {
            sockopt::set_socket_reuseaddr(&socket, true).map_err(bind)?;
        }
        if self.order.tuples.kernel_chooses {
            // A port chosen now would be this address's alone, whatever the server port.
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)
                .map_err(|error| bind(Errno::from_raw_os_error(error as i32)))?;
        }
        if !source.ip().is_unspecified() {
            rustix::net::bind(&socket, &source).map_err(bind)?;
        }
        match rustix::net::connect(&socket, &server) {
            Ok(()) => return Ok((socket, true)),
            Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(error) => return Err((Operation::Connect, error)),
        }
        match rustix::net::connect(&socket, &server) {
            Ok(()) | Err(Errno::ISCONN) => Ok((socket, true)),
            Err(Errno::ALREADY | Errno::INPROGRESS | Errno::INTR) => Ok((socket, false)),
            Err(error) => Err((Operation::Connect, error)),
        }
    }

    fn establish(&mut self, slot: usize, connection: OwnedFd, watched: bool) {
        self.counts.established += 1;
        let raw = connection.as_raw_fd();
        let registry = self.poll.registry();
        let result = match (watched, self.echo.is_some()) {
            (true, true) => registry.reregister(&mut SourceFd(&raw), Token(slot), Interest::READABLE),
            (false, true) => registry.register(&mut SourceFd(&raw), Token(slot), Interest::READABLE),
            // An idle connection is looked at now and then; watching it all the time would cost memory.
            (true, false) => registry.deregister(&mut SourceFd(&raw)),
            (false, false) => Ok(()),
        };
        if let Err(error) = result {
            let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.counts.lost.add(Operation::Watch, error);
            return;
        }
        self.open[slot] = Some(connection);
        self.counts.open += 1;
    }

    fn wait_for(&mut self, slot: usize, connection: OwnedFd) {
        let raw = connection.as_raw_fd();
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut SourceFd(&raw), Token(slot), both) {
            self.counts.failed.add(Operation::Watch, Errno::from_io_error(&error).unwrap_or(Errno::IO));
            return;
        }
        self.waiting.insert(slot, connection);
        self.deadlines.push_back((Instant::now() + Duration::from_millis(self.order.timeout_ms), slot));
    }

    /// Waits for events, at most `wait`, and handles them. Returns the caller's tokens.
    pub fn turn(&mut self, wait: Option<Duration>) -> io::Result<Vec<Token>> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            other => other?,
        }
        let mut outside = Vec::new();
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match event.token() {
                token if token.0 >= OUTSIDE => outside.push(token),
                Token(slot) if self.waiting.contains_key(&slot) => self.answered(slot),
                Token(slot) => self.moved(slot, event.is_writable()),
            }
        }
        self.events = events;
        self.expire();
        Ok(outside)
    }

    fn answered(&mut self, slot: usize) {
        let Some(connection) = self.waiting.remove(&slot) else { return };
        match sockopt::socket_error(&connection) {
            Ok(Ok(())) if rustix::net::getpeername(&connection).is_ok() => {
                self.establish(slot, connection, true);
            }
            // Not connected yet: a spurious event.
            Ok(Ok(())) => {
                self.waiting.insert(slot, connection);
            }
            Ok(Err(error)) | Err(error) => self.counts.failed.add(Operation::Connect, error),
        }
    }

    fn expire(&mut self) {
        let now = Instant::now();
        while let Some((at, slot)) = self.deadlines.front().copied() {
            if at > now && self.waiting.contains_key(&slot) {
                break;
            }
            self.deadlines.pop_front();
            if self.waiting.remove(&slot).is_some() {
                self.counts.failed.add(Operation::Connect, Errno::TIMEDOUT);
            }
        }
    }

    fn moved(&mut self, slot: usize, writable: bool) {
        let (Some(echo), Some(Some(connection))) = (self.echo.as_mut(), self.open.get(slot)) else { return };
        if writable && let Moved::Ended(how) = echo.push(slot, connection) {
            return self.lose(slot, how);
        }
        if let Moved::Ended(how) = echo.hear(slot, connection) {
            self.lose(slot, how);
        }
    }

    /// Begins the planned traffic.
    pub fn hold(&mut self) {
        if let Some(echo) = self.echo.as_mut() {
            echo.begin();
        }
    }

    /// Says what is due to be said. How long until the next message is due.
    pub fn talk(&mut self) -> Option<Duration> {
        for _ in 0..BATCH {
            let echo = self.echo.as_mut()?;
            let slot = match echo.turn() {
                Ok(slot) => slot,
                Err(wait) => return wait,
            };
            let Some(connection) = &self.open[slot] else { continue };
            match echo.speak(slot, connection) {
                Moved::Alive => {}
                Moved::Blocked => {
                    let raw = connection.as_raw_fd();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    // If this fails the message stays unanswered, and is counted as that.
                    let _ = self.poll.registry().reregister(&mut SourceFd(&raw), Token(slot), both);
                }
                Moved::Ended(how) => self.lose(slot, how),
            }
        }
        Some(Duration::ZERO)
    }

    pub fn rest(&mut self) {
        if let Some(echo) = self.echo.as_mut() {
            echo.rest();
        }
    }

    /// Messages that have not come back.
    pub fn outstanding(&self) -> u64 {
        self.echo.as_ref().map_or(0, Echo::outstanding)
    }

    /// Of the echoes since this was last asked.
    pub fn take_latencies(&mut self) -> Vec<(u64, u64)> {
        self.echo.as_mut().map(Echo::take_latencies).unwrap_or_default()
    }

    /// Looks at some of the connections that nobody watches, and counts those that have ended. Where to go on; none:
    /// those were the last.
    pub fn sweep(&mut self, from: usize) -> Option<usize> {
        let (slots, next) = super::hold::ended(&self.open, from);
        for slot in slots {
            let Some(Some(connection)) = self.open.get(slot) else { continue };
            if let Some(end) = super::hold::end_of(connection) {
                self.lose(slot, end.err());
            }
        }
        next
    }

    fn lose(&mut self, slot: usize, how: Option<Errno>) {
        if self.open[slot].take().is_some() {
            self.counts.open -= 1;
            if self.ending {
                self.counts.closed += 1;
            } else {
                let how = how.map_or_else(|| CLOSED_BY_PEER.to_owned(), errno::name);
                self.counts.lost.add_named(Operation::Receive, &how, 1);
            }
        }
        if let Some(echo) = self.echo.as_mut() {
            echo.forget(slot);
        }
    }

    /// What the other side closes from now on is planned.
    pub fn expect_end(&mut self) {
        self.ending = true;
    }
}
