//! An agent's side of the words: orders in from stdin without blocking, words out to stdout.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;

use super::{Counts, Order, Word};

/// When nothing has happened for so long, counts are told at once.
const QUIET: Duration = Duration::from_millis(20);

/// An order is at most a few KB; a longer line is no order.
const LONGEST_LINE: usize = 1 << 20;

pub struct AgentStdio {
    partial: Vec<u8>,
    sent: Counts,
}

/// What came in.
pub struct Received {
    pub orders: Vec<Order>,
    /// The runner is gone, or has let go of this agent.
    pub closed: bool,
}

impl AgentStdio {
    /// Waits for the first order, which says what this agent is. None: the runner let go of it.
    pub fn first_order() -> io::Result<Option<(Self, Order)>> {
        let mut line = Vec::new();
        let mut byte = [0];
        // Byte by byte, so that nothing of the next order is taken from the pipe.
        while line.last() != Some(&b'\n') {
            match rustix::io::read(io::stdin(), &mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) if line.len() < LONGEST_LINE => line.push(byte[0]),
                Ok(_) => return Err(too_long()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let order = Order::read(&line)?;
        Ok(Some((AgentStdio { partial: Vec::new(), sent: Counts::default() }, order)))
    }

    /// Further orders arrive as events with this token.
    pub fn watch(&self, registry: &Registry, token: Token) -> io::Result<()> {
        let stdin = io::stdin();
        let flags = rustix::fs::fcntl_getfl(&stdin)?;
        rustix::fs::fcntl_setfl(&stdin, flags | rustix::fs::OFlags::NONBLOCK)?;
        registry.register(&mut SourceFd(&stdin.as_raw_fd()), token, Interest::READABLE)
    }

    pub fn receive(&mut self) -> io::Result<Received> {
        let mut received = Received { orders: Vec::new(), closed: false };
        let mut chunk = [0; 4096];
        loop {
            match rustix::io::read(io::stdin(), &mut chunk) {
                Ok(0) => received.closed = true,
                Ok(length) => {
                    self.partial.extend_from_slice(&chunk[..length]);
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
            break;
        }
        if self.partial.len() > LONGEST_LINE {
            return Err(too_long());
        }
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            received.orders.push(Order::read(&line)?);
        }
        Ok(received)
    }

    pub fn send(&mut self, word: &Word) -> io::Result<()> {
        let mut line = serde_json::to_vec(word)?;
        line.push(b'\n');
        // One write: a line below PIPE_BUF is never torn.
        io::stdout().lock().write_all(&line)
    }

    /// How long to wait for more before the counts are told; none: they have been told.
    pub fn wait_to_tell(&self, counts: &Counts) -> Option<Duration> {
        (self.sent != *counts).then_some(QUIET)
    }

    /// Sends the counts if they have changed.
    pub fn send_counts(&mut self, counts: &Counts) -> io::Result<()> {
        if self.sent == *counts {
            return Ok(());
        }
        self.sent = counts.clone();
        self.send(&Word::Counts(counts.clone()))
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an order longer than 1 MiB")
}
