//! A steward's stdin and stdout, each with a thread of its own: a runner that does not read must not keep the
//! steward from noticing that it is alone.

use std::io::{self, BufRead, Write};
use std::sync::mpsc::{Sender, channel};

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use tokio::time::Instant;

use super::words::{Ask, Tell};
use crate::kernel::threads;

pub struct Post {
    asks: UnboundedReceiver<Ask>,
    tells: Sender<Tell>,
    heard_at: Instant,
}

impl Post {
    pub fn open() -> io::Result<Post> {
        let (ask, asks) = unbounded();
        let (tells, told) = channel::<Tell>();
        threads::start(move || {
            for line in std::io::stdin().lock().lines() {
                // What cannot be read was not written by our runner: that is the end of it.
                let Some(read) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { return };
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
        Ok(Post { asks, tells, heard_at: Instant::now() })
    }

    /// None: the runner is gone.
    pub async fn next(&mut self) -> Option<Ask> {
        let ask = self.asks.next().await;
        self.heard_at = Instant::now();
        ask
    }

    pub fn heard_at(&self) -> Instant {
        self.heard_at
    }

    /// If the runner is gone, its side of stdin says so.
    pub fn tell(&self, tell: Tell) {
        let _ = self.tells.send(tell);
    }
}
