//! The server: one thread that accepts until EAGAIN, echoes what it is sent, and holds.
//!
//! It keeps nothing for an idle connection but the descriptor itself: the token is the descriptor.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use super::errno::CLOSED_BY_PEER;
use super::tally::{Counts, Operation};
use crate::units::{Address, Ports};

/// Tokens from here on are listeners; below are connections; `OUTSIDE` and above belong to the caller.
const LISTENER: usize = 1 << 32;
pub const OUTSIDE: usize = 1 << 33;

const EVENTS: usize = 1024;
/// Connections closed before events are looked at again.
const CLOSE_AT_A_TIME: usize = 256;

const ECHO_BUFFER: usize = 64 * 1024;

/// How long to leave the listeners alone when there is no room for another connection.
const RETRY: Duration = Duration::from_millis(20);

pub struct Reactor {
    poll: Poll,
    events: Events,
    listeners: Vec<OwnedFd>,
    accepting: bool,
    /// There was no room for another connection: until then the listeners are left alone, and their queues may
    /// hold connections.
    no_room_until: Option<Instant>,
    /// Events that wait until the orders that came with them are obeyed: those say how the rest counts.
    later: Vec<Moved>,
    /// At index `descriptor`: the connection.
    held: Vec<Option<OwnedFd>>,
    capacity: u64,
    /// What the other side closes in order now is planned; a reset is not in order.
    round_ends: bool,
    /// The end is near: also an error is but the other side's way to close.
    ending: bool,
    counts: Counts,
    buffer: Vec<u8>,
    /// Echoes that did not fit into a socket's send buffer.
    unsent: HashMap<RawFd, Vec<u8>>,
}

/// Something happened to a listener or a connection.
#[derive(Clone, Copy)]
struct Moved {
    token: Token,
    ended: bool,
    failed: bool,
}

/// What a turn of the loop brought that concerns the caller.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The descriptor table is full: hand the listeners on.
    pub full: bool,
    pub accepted: u64,
    /// Nothing happened in the time given.
    pub quiet: bool,
    pub outside: Vec<Token>,
}

impl Reactor {
    pub fn new(capacity: u64) -> io::Result<Self> {
        Ok(Reactor {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            listeners: Vec::new(),
            accepting: false,
            no_room_until: None,
            later: Vec::new(),
            held: Vec::new(),
            capacity,
            round_ends: false,
            ending: false,
            counts: Counts::default(),
            buffer: Vec::new(),
            unsent: HashMap::new(),
        })
    }

    pub fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub fn listeners(&self) -> &[OwnedFd] {
        &self.listeners
    }

    pub fn accepting(&self) -> bool {
        self.accepting
    }

    /// Takes listeners without accepting from them yet.
    pub fn adopt(&mut self, listeners: Vec<OwnedFd>) {
        self.listeners.extend(listeners);
    }

    pub fn accept(&mut self) -> io::Result<()> {
        self.accepting = true;
        for (index, listener) in self.listeners.iter().enumerate() {
            self.poll.registry().register(
                &mut SourceFd(&listener.as_raw_fd()),
                Token(LISTENER + index),
                Interest::READABLE,
            )?;
        }
        Ok(())
    }

    /// Stops accepting for good; who has a copy of the listeners may go on.
    pub fn release_listeners(&mut self) {
        self.accepting = false;
        for listener in &self.listeners {
            // Closing our copy alone would leave it watched for as long as the others have theirs. An
            // error says that it is watched no more.
            let _ = self.poll.registry().deregister(&mut SourceFd(&listener.as_raw_fd()));
        }
        self.listeners.clear();
    }

    /// Whether the other side closes in order from now on, and only that is planned.
    pub fn expect_orderly_ends(&mut self, expected: bool) {
        self.round_ends = expected;
    }

    /// Closings by the other side are planned from now on. What waits to be accepted is nobody's any more.
    pub fn expect_end(&mut self) {
        (self.ending, self.accepting) = (true, false);
    }

    /// Closes some of the connections, without a word to the other side. True: all are closed.
    pub fn close_some(&mut self) -> bool {
        for _ in 0..CLOSE_AT_A_TIME {
            match self.held.pop() {
                None => return true,
                Some(None) => {}
                Some(Some(connection)) => {
                    super::close_at_once(connection);
                    self.counts.open -= 1;
                    self.counts.closed += 1;
                }
            }
        }
        self.held.is_empty()
    }

    /// Waits for events, at most `wait`, and handles them. What comes together with something for the caller is
    /// handled with the next turn.
    pub fn turn(&mut self, wait: Option<Duration>) -> io::Result<Turn> {
        let mut moved = std::mem::take(&mut self.later);
        let wait = if moved.is_empty() { self.wait(wait) } else { Some(Duration::ZERO) };
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.later = moved;
                return Ok(Turn::default());
            }
            other => other?,
        }
        let before = self.counts.established;
        let mut turn = Turn { quiet: self.events.is_empty(), ..Turn::default() };
        for event in &self.events {
            let failed = event.is_error();
            let ended = failed || event.is_read_closed() || event.is_write_closed();
            match event.token() {
                token if token.0 >= OUTSIDE => turn.outside.push(token),
                token => moved.push(Moved { token, ended, failed }),
            }
        }
        if !turn.outside.is_empty() {
            self.later = moved;
            return Ok(turn);
        }
        for Moved { token: Token(token), ended, failed } in moved {
            match token.checked_sub(LISTENER) {
                Some(listener) => turn.full |= self.accept_from(listener),
                None if failed && self.round_ends && !self.ending => self.fail(token),
                None => self.serve(token, ended),
            }
        }
        turn.full |= self.accept_again();
        turn.full &= self.accepting;
        turn.accepted = self.counts.established - before;
        Ok(turn)
    }

    fn wait(&self, wait: Option<Duration>) -> Option<Duration> {
        let retry = self.no_room_until.filter(|_| self.accepting);
        let retry = retry.map(|until| until.saturating_duration_since(Instant::now()));
        [wait, retry].into_iter().flatten().min()
    }

    /// Whether there is room meanwhile: one listener will tell.
    fn accept_again(&mut self) -> bool {
        if !self.accepting || self.no_room_until.is_none_or(|until| until > Instant::now()) {
            return false;
        }
        self.no_room_until = None;
        let mut full = false;
        for index in 0..self.listeners.len() {
            full |= self.accept_from(index);
        }
        full
    }

    /// Accepts until the queue is empty. True when the table is full.
    fn accept_from(&mut self, index: usize) -> bool {
        while self.accepting && self.no_room_until.is_none() {
            if self.counts.open >= self.capacity {
                return true;
            }
            let Some(listener) = self.listeners.get(index) else { return false };
            match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(connection) => self.hold(connection),
                Err(Errno::AGAIN) => return false,
                Err(Errno::INTR) => {}
                Err(error) => {
                    self.counts.tried += 1;
                    self.counts.failed.add(Operation::Accept, error);
                    // Else the connection was gone before it was accepted: the next one may be there.
                    if !matches!(error, Errno::CONNABORTED | Errno::PROTO) {
                        // No room: the connection stays in the queue, for the next reactor or for later.
                        self.no_room_until = Some(Instant::now() + RETRY);
                        return error == Errno::MFILE;
                    }
                }
            }
        }
        false
    }

    fn hold(&mut self, connection: OwnedFd) {
        self.counts.tried += 1;
        self.counts.established += 1;
        let descriptor = connection.as_raw_fd();
        let watched = self.poll.registry().register(
            &mut SourceFd(&descriptor),
            Token(descriptor as usize),
            Interest::READABLE,
        );
        if let Err(error) = watched {
            // Dropped, hence closed: without being watched it would be held blindly.
            let error = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.counts.lost.add(Operation::Watch, error);
            return;
        }
        let slot = descriptor as usize;
        if slot >= self.held.len() {
            self.held.resize_with(slot + 1, || None);
        }
        self.held[slot] = Some(connection);
        self.counts.open += 1;
    }

    fn serve(&mut self, descriptor: usize, ended: bool) {
        if self.ending && ended {
            return self.close(descriptor);
        }
        if !self.unsent.is_empty()
            && let Some(bytes) = self.unsent.remove(&(descriptor as RawFd))
            && !self.send(descriptor, &bytes)
        {
            return;
        }
        if self.buffer.is_empty() {
            self.buffer = vec![0; ECHO_BUFFER];
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(Some(connection)) = self.held.get(descriptor) {
            match rustix::net::recv(connection, &mut buffer[..], RecvFlags::empty()) {
                Ok((0, _)) if self.ending || self.round_ends => self.close(descriptor),
                Ok((0, _)) => self.lose(descriptor, CLOSED_BY_PEER),
                Ok((length, _)) => {
                    let sent = self.send(descriptor, &buffer[..length]);
                    // Fewer bytes than fit: the socket is empty, and new bytes are a new event.
                    if !sent || (length < buffer.len() && !ended) {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) if self.ending => self.close(descriptor),
                Err(error) => self.lose(descriptor, &super::errno::name(error)),
            }
        }
        self.buffer = buffer;
    }

    /// False when the rest has to wait until the socket has room; nothing is read until then.
    fn send(&mut self, descriptor: usize, bytes: &[u8]) -> bool {
        let Some(Some(connection)) = self.held.get(descriptor) else { return true };
        let sent = match rustix::net::send(connection, bytes, SendFlags::NOSIGNAL) {
            Ok(length) if length == bytes.len() => return true,
            Ok(length) => length,
            Err(Errno::AGAIN) => 0,
            // A broken connection tells its cause when it is read.
            Err(_) => return true,
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        let raw = descriptor as RawFd;
        let watched = self.poll.registry().reregister(&mut SourceFd(&raw), Token(descriptor), both);
        if watched.is_ok() {
            self.unsent.insert(raw, bytes[sent..].to_vec());
        }
        watched.is_err()
    }

    /// A connection that was to be closed in order and was reset: its end may have come before the reset.
    fn fail(&mut self, descriptor: usize) {
        let Some(Some(connection)) = self.held.get(descriptor) else { return };
        match sockopt::socket_error(connection) {
            Ok(Ok(())) => self.serve(descriptor, true),
            Ok(Err(error)) | Err(error) => self.lose(descriptor, &super::errno::name(error)),
        }
    }

    fn close(&mut self, descriptor: usize) {
        if self.forget(descriptor) {
            self.counts.closed += 1;
        }
    }

    fn lose(&mut self, descriptor: usize, how: &str) {
        if self.forget(descriptor) {
            self.counts.lost.add_named(Operation::Receive, how, 1);
        }
    }

    /// Closing a descriptor also ends its registration.
    fn forget(&mut self, descriptor: usize) -> bool {
        let was_held = self.held.get_mut(descriptor).is_some_and(|slot| slot.take().is_some());
        if was_held {
            self.counts.open -= 1;
            self.unsent.remove(&(descriptor as RawFd));
        }
        was_held
    }
}

/// Opens one listener for each address and port, with the planned backlog: a short accept queue loses connections.
pub fn listen(
    addresses: &[Address],
    ports: &Ports,
    backlog: u32,
) -> Result<Vec<OwnedFd>, (SocketAddr, Errno)> {
    let all = addresses.iter().flat_map(|address| ports.iter().map(|port| SocketAddr::new(*address, port)));
    all.map(|address| listen_on(address, backlog).map_err(|error| (address, error))).collect()
}

fn listen_on(address: SocketAddr, backlog: u32) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener =
        rustix::net::socket_with(super::domain(address), SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    if address.is_ipv6() {
        // Each family has listeners of its own.
        sockopt::set_ipv6_v6only(&listener, true)?;
    }
    rustix::net::bind(&listener, &address)?;
    rustix::net::listen(&listener, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(listener)
}
