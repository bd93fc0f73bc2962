//! How connections come to be, and what carries their bytes: the seam between a swarm and the network.
//!
//! A swarm knows a connection by its slot. Whether there is a socket behind it is the opener's own affair.

pub mod kernel;
#[cfg(test)]
pub mod replay;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::{Registry, Token};
use rustix::io::Errno;

use super::tally::Operation;

/// Tokens from here on belong to the caller.
pub const OUTSIDE: usize = 1 << 33;

/// A connection that could not be opened: the call that failed, and why.
pub type Failure = (Operation, Errno);

/// What became of a connection that is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    Established,
    /// The answer is still out: it comes as an event.
    Waiting,
}

/// What has happened since the last turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Established(usize),
    Failed(Failure),
    /// Something can be read from the connection of this slot, or it can be written to again.
    Moved {
        slot: usize,
        writable: bool,
    },
    /// One of the caller's own tokens.
    Outside(Token),
}

/// What is to be told of an established connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Nothing: it is looked at now and then.
    Nothing,
    Readable,
    Both,
}

/// How a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// As a program does: this side says that it is done, and remembers the connection for a while.
    Orderly,
    /// With at most one packet, and without TIME_WAIT.
    AtOnce,
}

/// How the peer ended a connection; none: it closed it.
pub type End = Option<Errno>;

pub trait Opener {
    /// Where the caller's own descriptors are watched.
    fn registry(&self) -> &Registry;

    /// Makes room for so many connections, all of them closed.
    fn begin(&mut self, slots: usize);

    /// Opens the connection of a slot, from the first address to the second.
    fn open(&mut self, slot: usize, tuple: (SocketAddr, SocketAddr)) -> Result<Opened, Failure>;

    /// Connections whose answer is still out.
    fn waiting(&self) -> usize;

    /// How long until the next of those is given up.
    fn next_timeout(&self) -> Option<Duration>;

    /// Gives up all whose answer is still out. How many there were.
    fn give_up(&mut self) -> u64;

    /// Waits for events, at most so long. Those that have come are added.
    fn turn(&mut self, wait: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()>;

    /// Has an established connection watched.
    fn watch(&mut self, slot: usize, watch: Watch) -> Result<(), Errno>;

    fn is_open(&self, slot: usize) -> bool;

    /// Sends what fits.
    fn send(&mut self, slot: usize, bytes: &[u8]) -> Result<usize, Errno>;

    /// Takes what has come; 0 bytes: the peer has closed.
    fn receive(&mut self, slot: usize, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Lets go of a connection. False: there is none.
    fn close(&mut self, slot: usize, how: Close) -> bool;

    /// Lets go of the last slot. None: no slot is left; false: its connection was closed before.
    fn close_last(&mut self, how: Close) -> Option<bool>;

    /// No slot is left.
    fn is_empty(&self) -> bool;

    /// Looks at some of the connections that nobody watches: which have ended, and how, and where to go on; none:
    /// those were the last.
    fn ended(&mut self, from: usize) -> (Vec<(usize, End)>, Option<usize>);
}
