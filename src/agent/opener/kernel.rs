//! Connections that are sockets of the kernel: one descriptor for each.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use super::{Close, End, Event, Failure, OUTSIDE, Opened, Opener, Watch};
use crate::agent::tally::Operation;
use crate::agent::{close_at_once, domain, hold};

const EVENTS: usize = 1024;

/// How sockets are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// How long an answer may take.
    pub timeout: Duration,
    /// Several connections have the same source address and port.
    pub share_sources: bool,
    /// The kernel chooses the source port when it connects.
    pub kernel_chooses: bool,
}

pub struct KernelSockets {
    poll: Poll,
    events: Events,
    options: Options,
    /// At index `slot`: the connection, once established.
    open: Vec<Option<OwnedFd>>,
    waiting: HashMap<usize, OwnedFd>,
    /// Slots in the order of their time-outs; those that are answered are passed over.
    deadlines: VecDeque<(Instant, usize)>,
}

impl KernelSockets {
    pub fn new(options: Options, slots: usize) -> io::Result<Self> {
        let mut open = Vec::new();
        open.try_reserve_exact(slots).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        open.resize_with(slots, || None);
        Ok(KernelSockets {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            options,
            open,
            waiting: HashMap::new(),
            deadlines: VecDeque::new(),
        })
    }

    fn socket(&self, source: SocketAddr, server: SocketAddr) -> Result<OwnedFd, Failure> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(domain(server), SocketType::STREAM, flags, Some(ipproto::TCP))
            .map_err(|error| (Operation::Socket, error))?;
        let bind = |error| (Operation::Bind, error);
        if self.options.share_sources {
            sockopt::set_socket_reuseaddr(&socket, true).map_err(bind)?;
        }
        if self.options.kernel_chooses {
            // A port chosen now would be this address's alone, whatever the server port.
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true)
                .map_err(|error| bind(Errno::from_raw_os_error(error as i32)))?;
        }
        if !source.ip().is_unspecified() {
            rustix::net::bind(&socket, &source).map_err(bind)?;
        }
        Ok(socket)
    }

    fn wait_for(&mut self, slot: usize, connection: OwnedFd) -> Result<Opened, Failure> {
        let raw = connection.as_raw_fd();
        let both = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut SourceFd(&raw), Token(slot), both);
        registered.map_err(|error| (Operation::Watch, errno(&error)))?;
        self.waiting.insert(slot, connection);
        self.deadlines.push_back((Instant::now() + self.options.timeout, slot));
        Ok(Opened::Waiting)
    }

    /// None: not answered yet, a spurious event.
    fn answered(&mut self, slot: usize) -> Option<Event> {
        let connection = self.waiting.remove(&slot)?;
        match sockopt::socket_error(&connection) {
            Ok(Ok(())) if rustix::net::getpeername(&connection).is_ok() => {
                self.open[slot] = Some(connection);
                Some(Event::Established(slot))
            }
            Ok(Ok(())) => {
                self.waiting.insert(slot, connection);
                None
            }
            Ok(Err(error)) | Err(error) => Some(Event::Failed((Operation::Connect, error))),
        }
    }

    fn expire(&mut self, events: &mut Vec<Event>) {
        let now = Instant::now();
        while let Some((at, slot)) = self.deadlines.front().copied() {
            if at > now && self.waiting.contains_key(&slot) {
                break;
            }
            self.deadlines.pop_front();
            if self.waiting.remove(&slot).is_some() {
                events.push(Event::Failed((Operation::Connect, Errno::TIMEDOUT)));
            }
        }
    }

    fn get(&self, slot: usize) -> Result<&OwnedFd, Errno> {
        self.open.get(slot).and_then(Option::as_ref).ok_or(Errno::BADF)
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn let_go(connection: OwnedFd, how: Close) {
    if how == Close::AtOnce {
        close_at_once(connection);
    }
}

impl Opener for KernelSockets {
    fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    fn begin(&mut self, slots: usize) {
        self.deadlines.clear();
        self.open.resize_with(slots, || None);
    }

    /// Over a veth pair the whole handshake runs inside `connect`, so a second call already learns how
    /// it went, and epoll is only needed when an answer is missing.
    fn open(&mut self, slot: usize, (source, server): (SocketAddr, SocketAddr)) -> Result<Opened, Failure> {
        let socket = self.socket(source, server)?;
        let first = rustix::net::connect(&socket, &server);
        let answer = match first {
            Err(Errno::INPROGRESS | Errno::INTR) => rustix::net::connect(&socket, &server),
            answer => answer,
        };
        match answer {
            Ok(()) | Err(Errno::ISCONN) => {
                self.open[slot] = Some(socket);
                Ok(Opened::Established)
            }
            Err(Errno::ALREADY | Errno::INPROGRESS | Errno::INTR) => self.wait_for(slot, socket),
            Err(error) => Err((Operation::Connect, error)),
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.deadlines.front().map(|(at, _)| at.saturating_duration_since(Instant::now()))
    }

    fn give_up(&mut self) -> u64 {
        self.deadlines.clear();
        self.waiting.drain().count() as u64
    }

    fn turn(&mut self, wait: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let happened = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &happened {
            match event.token() {
                token if token.0 >= OUTSIDE => events.push(Event::Outside(token)),
                Token(slot) if self.waiting.contains_key(&slot) => events.extend(self.answered(slot)),
                Token(slot) => events.push(Event::Moved { slot, writable: event.is_writable() }),
            }
        }
        self.events = happened;
        self.expire(events);
        Ok(())
    }

    /// An idle connection is looked at now and then; watching it all the time would cost memory.
    fn watch(&mut self, slot: usize, watch: Watch) -> Result<(), Errno> {
        let raw = self.get(slot)?.as_raw_fd();
        let registry = self.poll.registry();
        let mut source = SourceFd(&raw);
        let result = match watch {
            Watch::Nothing => registry.deregister(&mut source),
            // One whose answer was waited for is watched already.
            Watch::Readable => match registry.register(&mut source, Token(slot), Interest::READABLE) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    registry.reregister(&mut source, Token(slot), Interest::READABLE)
                }
                other => other,
            },
            Watch::Both => {
                registry.reregister(&mut source, Token(slot), Interest::READABLE | Interest::WRITABLE)
            }
        };
        result.map_err(|error| errno(&error))
    }

    fn is_open(&self, slot: usize) -> bool {
        self.get(slot).is_ok()
    }

    fn send(&mut self, slot: usize, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::net::send(self.get(slot)?, bytes, SendFlags::NOSIGNAL)
    }

    fn receive(&mut self, slot: usize, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::net::recv(self.get(slot)?, buffer, RecvFlags::empty()).map(|(length, _)| length)
    }

    fn close(&mut self, slot: usize, how: Close) -> bool {
        let connection = self.open.get_mut(slot).and_then(Option::take);
        let is_there = connection.is_some();
        connection.into_iter().for_each(|connection| let_go(connection, how));
        is_there
    }

    fn close_last(&mut self, how: Close) -> Option<bool> {
        let connection = self.open.pop()?;
        let is_there = connection.is_some();
        connection.into_iter().for_each(|connection| let_go(connection, how));
        Some(is_there)
    }

    fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn ended(&mut self, from: usize) -> (Vec<(usize, End)>, Option<usize>) {
        let (slots, next) = hold::ended(&self.open, from);
        let end = |slot| Some((slot, hold::end_of(self.get(slot).ok()?)?.err()));
        (slots.into_iter().filter_map(end).collect(), next)
    }
}
