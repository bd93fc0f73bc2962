//! The line to a steward: asks and their answers, and what its agents say in between.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::agent::Order;
use crate::error::{Error, Result};
use crate::launch::{AgentId, Heard, Started};
use crate::observe::{Depth, Seen};
use crate::plan::machines::Clock;
use crate::reach::{self, Channel, End, Words};
use crate::steward::unix_us;
use crate::steward::words::{Ask, Tell};

/// A steward that hears nothing for long takes its runner for gone.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// How long a steward may take to end once its stdin is closed.
const END: Duration = Duration::from_secs(40);
/// Round trips by which a clock is read; the shortest counts.
const LOOKS_AT_CLOCK: usize = 5;

/// One way to a machine, with a steward at its other end.
pub struct Line {
    pub node: String,
    shared: Arc<Mutex<Shared>>,
    reader: JoinHandle<()>,
    alive: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    /// Gone once the line is closed.
    asks: Option<UnboundedSender<Ask>>,
    /// Who waits for an answer, in the order of the asks.
    waiting: VecDeque<oneshot::Sender<Tell>>,
    voices: BTreeMap<AgentId, UnboundedSender<Heard>>,
    /// Why there is nobody at the other end any more.
    gone: Option<String>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    pub fn open(node: String, channel: Channel) -> Line {
        let Channel { orders, words, ended, .. } = channel;
        let (asks, asked) = unbounded();
        let shared = Arc::new(Mutex::new(Shared { asks: Some(asks), ..Shared::default() }));
        tokio::spawn(write(orders, asked));
        let reader = tokio::spawn(read(node.clone(), words, ended, Arc::clone(&shared)));
        let alive = tokio::spawn(show_life(Arc::clone(&shared)));
        Line { node, shared, reader, alive }
    }

    /// Why the machine is gone, once it is.
    pub fn gone(&self) -> Option<String> {
        lock(&self.shared).gone.clone()
    }

    /// Asks, and waits for the answer. A line that drops meanwhile is the answer too.
    pub async fn ask(&self, ask: Ask, patience: Duration) -> Result<Tell> {
        let what = || format!("asking the steward of {}", self.node);
        let answer = send(&self.shared, ask);
        match tokio::time::timeout(patience, answer).await {
            Ok(Ok(Tell::Failed(trouble))) => Err(trouble.on(&self.node)),
            Ok(Ok(tell)) => Ok(tell),
            Ok(Err(_)) => {
                let why = self.gone().unwrap_or_else(|| "the line is closed".to_owned());
                Err(Error::broke(what(), format!("the machine is gone: {why}")))
            }
            Err(_) => Err(Error::broke(what(), format!("no answer within {} s", patience.as_secs()))),
        }
    }

    /// Asks for the machine's counters now; they come with the answer.
    pub fn look(&self, depth: Depth) -> impl Future<Output = Option<Seen>> + Send + use<> {
        let answer = send(&self.shared, Ask::Look { depth });
        async move {
            match answer.await {
                Ok(Tell::Seen(seen)) => Some(*seen),
                _ => None,
            }
        }
    }

    pub async fn clock(&self) -> Result<Clock> {
        let mut clock = Clock { offset_us: 0, round_trip_us: u64::MAX };
        for _ in 0..LOOKS_AT_CLOCK {
            let (began, before) = (Instant::now(), unix_us());
            let Tell::Time { unix_us: there } = self.ask(Ask::Time, END).await? else { continue };
            let round_trip_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            if round_trip_us < clock.round_trip_us {
                let here = before + i64::try_from(round_trip_us / 2).unwrap_or(0);
                clock = Clock { offset_us: there - here, round_trip_us };
            }
        }
        Ok(clock)
    }

    /// The agents that a steward is about to start: what they say is kept from now on.
    pub fn listen(&self, agents: &[AgentId]) -> Vec<Started> {
        let shared = &mut *lock(&self.shared);
        let started = |agent: &AgentId| {
            let (voice, heard) = unbounded();
            shared.voices.insert(*agent, voice);
            let orders = Orders { agent: *agent, partial: Vec::new(), shared: Arc::clone(&self.shared) };
            Started { pid: 0, log_mark: None, orders: Box::pin(orders), heard: heard.boxed_local() }
        };
        agents.iter().map(started).collect()
    }

    /// Closes the steward's stdin, and waits until it has ended.
    pub async fn close(mut self) {
        lock(&self.shared).asks = None;
        // One that does not end is cut off: then its own patience ends it.
        let _ = tokio::time::timeout(END, &mut self.reader).await;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.alive.abort();
        self.reader.abort();
    }
}

/// Sends an ask; its answer comes unless the line drops.
fn send(shared: &Mutex<Shared>, ask: Ask) -> impl Future<Output = Result<Tell, oneshot::Canceled>> + use<> {
    let (waiting, answer) = oneshot::channel();
    let shared = &mut *lock(shared);
    if let Some(asks) = shared.asks.as_ref().filter(|_| shared.gone.is_none())
        && asks.unbounded_send(ask).is_ok()
    {
        shared.waiting.push_back(waiting);
    }
    answer.map(|answer| answer)
}

async fn write(mut orders: reach::Orders, mut asked: UnboundedReceiver<Ask>) {
    while let Some(ask) = asked.next().await {
        let Ok(mut line) = serde_json::to_vec(&ask) else { return };
        line.push(b'\n');
        if orders.write_all(&line).await.is_err() || orders.flush().await.is_err() {
            return;
        }
    }
}

async fn show_life(shared: Arc<Mutex<Shared>>) {
    loop {
        tokio::time::sleep(SIGN_OF_LIFE).await;
        if send(&shared, Ask::Time).await.is_err() {
            return;
        }
    }
}

async fn read(node: String, mut words: Words, ended: BoxFuture<'static, End>, shared: Arc<Mutex<Shared>>) {
    let mut unknown = None;
    loop {
        let tell = match words.next().await {
            Ok(Some(line)) => serde_json::from_slice(&line).map_err(std::io::Error::from),
            Ok(None) => break,
            Err(error) => Err(error),
        };
        match tell {
            Ok(tell) => take(&shared, tell),
            Err(error) => {
                unknown = Some(format!("its steward said something unknown: {error}"));
                break;
            }
        }
    }
    let why = match unknown {
        Some(why) => {
            // It ends with the way to it.
            drop(ended);
            why
        }
        None => ended.await.why,
    };
    let shared = &mut *lock(&shared);
    for (_, voice) in std::mem::take(&mut shared.voices) {
        let _ = voice.unbounded_send(Heard::Ended(format!("machine {node} gone: {why}")));
    }
    shared.waiting.clear();
    shared.gone = Some(why);
}

fn take(shared: &Mutex<Shared>, tell: Tell) {
    let shared = &mut *lock(shared);
    let Tell::Heard { agent, heard } = tell else {
        if let Some(waiting) = shared.waiting.pop_front() {
            // Whoever asked may have stopped waiting.
            let _ = waiting.send(tell);
        }
        return;
    };
    let ended = matches!(heard, Heard::Ended(_));
    if let Some(voice) = shared.voices.get(&agent) {
        let _ = voice.unbounded_send(heard);
    }
    if ended {
        shared.voices.remove(&agent);
    }
}

/// The way to an agent: whole lines become asks to its steward. Dropping it lets the agent go.
struct Orders {
    agent: AgentId,
    partial: Vec<u8>,
    shared: Arc<Mutex<Shared>>,
}

impl Orders {
    fn send(&self, ask: Ask) -> io::Result<()> {
        let shared = lock(&self.shared);
        let sent = shared.asks.as_ref().is_some_and(|asks| asks.unbounded_send(ask).is_ok());
        if sent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

impl AsyncWrite for Orders {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let order: Order = serde_json::from_slice(&line)?;
            self.send(Ask::Order { agent: self.agent, order })?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        // On a line that is closed there is nobody to be let go.
        let _ = self.send(Ask::LetGo { agent: self.agent });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::Reach;
    use crate::reach::pipe::Local;

    fn local(script: &str) -> Local {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        Local { node: "server".to_owned(), command }
    }

    #[tokio::test]
    async fn a_line_without_an_end_ends_the_connection() {
        // It complains without an end too.
        let endless = local(r"tr '\0' y </dev/zero >&2 & exec tr '\0' x </dev/zero");
        let channel = endless.open().await.expect("sh is there");
        let line = Line::open("server".to_owned(), channel);
        let error = line.ask(Ask::Time, END).await.expect_err("nobody answers").to_string();
        assert!(error.contains("said something unknown: a line of more than 8388608 bytes"), "{error}");
    }

    #[tokio::test]
    async fn a_way_over_a_pipe_asks_and_answers_and_says_how_it_ended() {
        let script = r#"while read -r ask; do case $ask in
            *time*) echo '{"tell":"time","unix_us":7}';;
            *) echo "no more" >&2; exit 9;;
        esac; done"#;
        let channel = local(script).open().await.expect("sh is there");
        let line = Line::open("server".to_owned(), channel);
        assert!(matches!(line.ask(Ask::Time, END).await, Ok(Tell::Time { unix_us: 7 })));
        let gone = line.ask(Ask::Down { lab: "a".to_owned() }, END).await.expect_err("it has gone");
        assert!(gone.to_string().contains("its steward ended with exit code 9: no more"), "{gone}");
    }
}
