//! The words between lab and agent: JSON lines on stdin and stdout.
//!
//! An agent is this same binary in a node. It lives as long as its stdin is open.

pub mod confine;
pub mod errno;
pub mod given;
pub mod handover;
pub mod hold;
pub mod run_loop;
pub mod stdio;
pub mod opener;
pub mod out_of_sight;
#[cfg(test)]
mod properties;
pub mod reactor;
pub mod swarm;
pub mod talk;
pub mod tally;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::AddressFamily;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::plan::Talk;
use crate::plan::tuples::Tuples;
use crate::units::{Address, Ports};
pub use tally::{Counts, Tally};

/// What the runner says. The first order says what the agent is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Order {
    Reactor(ReactorOrder),
    Swarm(SwarmOrder),
    /// Reactor: accept.
    Accept,
    /// Swarm: connect, until so many of the stretch are tried.
    Connect {
        up_to: u64,
    },
    /// Swarm: try a few that are not tried yet, among the first so many of the stretch, to see whether anybody answers.
    Probe {
        up_to: u64,
    },
    /// Reactor: answer, to show that you can.
    Call,
    /// Reactor: say your counts now, and not only when it is time.
    Tell,
    /// Say how much private memory you use.
    MeasureMemory,
    /// Swarm: watch every connection, and make the planned traffic.
    Hold,
    /// Swarm: no more traffic; wait for what is on its way, look at every connection once more.
    Quiesce,
    /// Reactor: whether the other side closes in order now. A reset is not in order.
    RoundEnds {
        going_on: bool,
    },
    /// Swarm: close every connection in the orderly way; then it can connect anew.
    Close,
    /// The end is near: however the other side closes from now on is planned.
    Ending,
    /// Close everything.
    Drain,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReactorOrder {
    /// Every port is opened on each of them.
    pub addresses: Vec<Address>,
    pub ports: Ports,
    pub backlog: u32,
    /// How many connections this process takes before it hands the listeners on.
    pub capacity: u64,
    /// The place in the chain of reactors: place 0 opens the listeners.
    pub place: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwarmOrder {
    pub tuples: Tuples,
    /// This swarm's stretch of the tuples' index.
    pub first: u64,
    pub count: u64,
    /// Every further round begins so much later in the index: by the share of the whole client.
    pub round_step: u64,
    /// Rounds there will be, at least.
    pub rounds: u32,
    /// Unanswered connects at a time.
    pub window: u32,
    pub timeout_ms: u64,
    /// Connects per second; none: as fast as can be.
    pub rate: Option<u64>,
    #[serde(default)]
    pub talk: Talk,
}

/// What an agent says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Word {
    Ready {
        pid: u32,
        nofile: u64,
        private_bytes: Option<u64>,
    },
    /// All counts so far, sent when they have changed.
    Counts(Counts),
    Memory {
        private_bytes: Option<u64>,
    },
    /// Reactor: this one accepts now.
    Accepting,
    /// Reactor: the table is full, the listeners went on to the next.
    Full,
    /// Swarm: every connection that it was to open by now has been tried.
    Ramped,
    /// Swarm: the latencies of its echoes since it last told them, as (microseconds, how many); every few seconds.
    Latencies {
        latencies: Vec<(u64, u64)>,
    },
    /// Swarm: at rest, with the latencies of its echoes that it has not told yet.
    Quiesced {
        latencies: Vec<(u64, u64)>,
    },
    /// The answer to a call.
    Here,
    /// What the other side closes is taken for what it was said to be.
    Expecting,
    /// Everything is closed.
    Drained,
    /// The agent cannot go on.
    Failed {
        why: String,
    },
}

impl Order {
    /// What a line from the runner orders.
    pub fn read(line: &[u8]) -> serde_json::Result<Order> {
        serde_json::from_slice(line)
    }

    /// Gives the order to an agent. If nobody is there any more, that is heard in another way.
    pub async fn write_to(&self, mut orders: impl AsyncWrite + Unpin) {
        let Ok(mut line) = serde_json::to_vec(self) else { return };
        line.push(b'\n');
        let _ = orders.write_all(&line).await;
        let _ = orders.flush().await;
    }
}

impl Word {
    /// What a line from an agent says.
    pub fn read(line: &[u8]) -> serde_json::Result<Word> {
        serde_json::from_slice(line)
    }
}

/// The kind of socket for this address.
fn domain(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 }
}

/// Ends a connection with at most one packet, and without TIME_WAIT.
fn close_at_once(connection: OwnedFd) {
    // If this fails the connection is closed all the same, the long way.
    let _ = rustix::net::sockopt::set_socket_linger(&connection, Some(Duration::ZERO));
}
