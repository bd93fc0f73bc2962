//! A steward's stdin and stdout, each with a thread of its own: a runner that does not read must not keep the
//! steward from noticing that it is alone.

use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::time::Instant;

use super::words::{Ask, Tell};
use crate::kernel::threads;
use crate::lines;

pub const SILENCE: Duration = Duration::from_secs(60);
/// How long words may wait to be read, when this process goes on after it was stopped.
const READING: Duration = Duration::from_secs(5);

pub struct StewardStdio {
    asks: UnboundedReceiver<Ask>,
    tells: Sender<Tell>,
    heard_at: Instant,
    /// Words that wait have been waited for already.
    waited: bool,
}

impl StewardStdio {
    pub fn open() -> io::Result<StewardStdio> {
        let (ask, asks) = unbounded();
        let (tells, told) = channel::<Tell>();
        threads::start(move || {
            let mut stdin = std::io::stdin().lock();
            // What cannot be read was not written by our runner: that is the end of it.
            while let Ok(Some(line)) = lines::read(&mut stdin, lines::OF_STEWARD) {
                let Ok(read) = serde_json::from_slice(&line) else { return };
                if ask.unbounded_send(read).is_err() {
                    return;
                }
            }
        })?;
        threads::start(move || {
            for tell in told {
                let Ok(mut line) = serde_json::to_vec(&tell) else { return };
                line.push(b'\n');
                let mut out = std::io::stdout().lock();
                if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
        })?;
        Ok(StewardStdio { asks, tells, heard_at: Instant::now(), waited: false })
    }

    /// None: the runner is gone.
    pub async fn next(&mut self) -> Option<Ask> {
        let ask = self.asks.next().await;
        self.heard_at = Instant::now();
        self.waited = false;
        ask
    }

    /// A runner asks for the time far more often: one that says nothing for so long is cut off.
    pub fn patience_ends(&self) -> Instant {
        self.heard_at + SILENCE
    }

    /// Whether words wait that nobody has read: this process, or its machine, was stopped for a while. They are waited
    /// for a little longer. If their reader does not come to them, the runner is as good as gone.
    pub fn has_unread(&mut self) -> bool {
        let stdin = std::io::stdin();
        let mut stdin = [PollFd::new(&stdin, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let unread = rustix::event::poll(&mut stdin, Some(&now)).is_ok_and(|ready| ready > 0);
        if unread && !std::mem::replace(&mut self.waited, true) {
            self.heard_at = Instant::now() + READING - SILENCE;
            return true;
        }
        false
    }

    /// If the runner is gone, its side of stdin says so.
    pub fn tell(&self, tell: Tell) {
        let _ = self.tells.send(tell);
    }
}

#[cfg(test)]
impl StewardStdio {
    /// One that hears from a test, and heard nothing so far.
    pub fn of(asks: UnboundedReceiver<Ask>) -> StewardStdio {
        StewardStdio { asks, tells: channel().0, heard_at: Instant::now(), waited: true }
    }
}
