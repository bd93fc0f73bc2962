//! Hearing the agents until something is so, a time is over, or someone interrupts.

use std::future::pending;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, LocalBoxStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::Run;
use crate::account::Totals;
use crate::agent::talk::step_of;
use crate::agent::{Tally, Word};
use crate::crew::{self, Crew};
use crate::driver::{Driver, Remains};
use crate::error::{Attempt, Result};
use crate::event::Event;
use crate::exit::Exit;
use crate::launch::{AgentId, Heard};
use crate::log::Log;

/// How often the progress of all agents together is told.
const PROGRESS: Duration = Duration::from_millis(250);

/// One signal on the way down may be meant for something else; two in this time ask what is going on.
const SOON: Duration = Duration::from_secs(2);

/// The signals that ask a run to end in order.
pub struct Interrupts {
    signals: LocalBoxStream<'static, Stop>,
    stopped: Option<&'static str>,
    ignoring: bool,
    /// When the last one was ignored.
    ignored: Option<Instant>,
}

/// Comes at that time; none: never.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => pending().await,
    }
}

/// The signal that ended a run before its time.
pub type Stop = &'static str;

impl Interrupts {
    pub fn listen() -> Result<Self> {
        let kinds = [
            ("SIGINT", SignalKind::interrupt()),
            ("SIGTERM", SignalKind::terminate()),
            ("SIGHUP", SignalKind::hangup()),
        ];
        let mut signals = Vec::new();
        for (name, kind) in kinds {
            let signal = signal(kind).attempt(Exit::Broke, || format!("listening for {name}"))?;
            let named = stream::unfold(signal, move |mut signal| async move {
                signal.recv().await?;
                Some((name, signal))
            });
            signals.push(named.boxed_local());
        }
        Ok(Interrupts::from(stream::select_all(signals)))
    }

    /// Those that this stream brings: a test sends its own.
    pub fn from(signals: impl futures::Stream<Item = Stop> + 'static) -> Self {
        Interrupts { signals: signals.boxed_local(), stopped: None, ignoring: false, ignored: None }
    }

    pub fn stopped(&self) -> Option<Stop> {
        self.stopped
    }

    pub fn ignore(&mut self) {
        self.ignoring = true;
    }

    /// Whether one that is ignored comes soon after another: someone wonders what takes so long.
    fn is_impatient(&mut self) -> bool {
        let now = Instant::now();
        self.ignored.replace(now).is_some_and(|last| now - last <= SOON)
    }

    pub async fn next(&mut self) -> Stop {
        match self.signals.next().await {
            Some(signal) => signal,
            None => pending().await,
        }
    }
}

/// A signal changes nothing about the way down; who sends another one soon after is told what still stands.
pub fn ignore(
    signal: Stop,
    interrupts: &mut Interrupts,
    crew: &Crew,
    log: &mut Log,
    watch_remains: &dyn Fn() -> Remains,
) {
    if !interrupts.is_impatient() {
        return log.tell(Event::Ignored { signal: signal.to_owned() });
    }
    let agents = crew.living(crew::everyone).len();
    let connections = log.account.totals().clients.open;
    log.tell(Event::Impatient { agents, connections, remains: watch_remains() });
}

enum Came {
    Heard(AgentId, Heard),
    Nobody,
    Tick,
    Look,
    Fault,
    Over,
    Interrupted(Stop),
}

impl<D: Driver> Run<'_, D> {
    /// Hears everyone until the condition is met. An interrupt ends it too, unless they are ignored.
    pub async fn pump(&mut self, met: impl Fn(&Self) -> bool) {
        self.pump_until(None, met).await;
    }

    /// The same, and patience ends it too.
    pub async fn pump_for(&mut self, patience: Duration, met: impl Fn(&Self) -> bool) {
        self.pump_until(Instant::now().checked_add(patience), met).await;
    }

    /// Hears everyone for as long as any count moves, and for `patience` after. Whether it was met.
    pub async fn pump_while_moving(&mut self, patience: Duration, met: impl Fn(&Self) -> bool) -> bool {
        let mut seen = self.moved_so_far();
        loop {
            self.pump_for(patience, &met).await;
            let now = self.moved_so_far();
            if met(self) || now == seen || !self.is_pumping() {
                return met(self);
            }
            seen = now;
        }
    }

    /// What counts as getting on. A reactor without room tries again and again, and gets nowhere.
    fn moved_so_far(&self) -> Totals {
        let mut totals = self.log.account.totals();
        (totals.server.tried, totals.server.failed) = (0, Tally::default());
        totals
    }

    /// An interrupt ends all waiting, until they are ignored.
    fn is_pumping(&self) -> bool {
        self.interrupts.ignoring || self.interrupts.stopped.is_none()
    }

    async fn pump_until(&mut self, deadline: Option<Instant>, met: impl Fn(&Self) -> bool) {
        let mut tick = tokio::time::interval(PROGRESS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tick.reset();
        let over = until(deadline);
        tokio::pin!(over);
        let mut nobody = false;
        while !met(self) && self.is_pumping() {
            let look = until(self.watch.due());
            let fault = until(self.faults.due());
            let came = tokio::select! {
                biased;
                signal = self.interrupts.next() => Came::Interrupted(signal),
                heard = self.crew.next(), if !nobody => heard.map_or(Came::Nobody, |(agent, heard)| Came::Heard(agent, heard)),
                _ = tick.tick() => Came::Tick,
                () = look => Came::Look,
                () = fault => Came::Fault,
                () = &mut over => Came::Over,
            };
            match came {
                Came::Heard(agent, heard) => {
                    self.take(agent, heard).await;
                    self.strike_due().await;
                }
                Came::Fault => self.strike_due().await,
                Came::Tick => {
                    self.tell_progress();
                    self.mind_silence().await;
                }
                Came::Look => {
                    self.look(self.watch.depth()).await;
                }
                // Nobody is left to be heard: only time and signals can still come.
                Came::Nobody => {
                    if deadline.is_none() {
                        return;
                    }
                    nobody = true;
                }
                Came::Over => return,
                Came::Interrupted(signal) if self.interrupts.ignoring => {
                    let watch_remains = self.driver.watch_remains();
                    ignore(signal, &mut self.interrupts, &self.crew, self.log, &watch_remains);
                }
                Came::Interrupted(signal) => {
                    self.interrupts.stopped = Some(signal);
                    self.log.tell(Event::Interrupted { signal: signal.to_owned() });
                }
            }
        }
    }

    async fn take(&mut self, agent: AgentId, heard: Heard) {
        match heard {
            Heard::Ended(how) => self.take_end(agent, how).await,
            Heard::Word(word) => self.take_word(agent, word).await,
            Heard::Note(line) => self.log.tell(Event::KernelSaid { agent, line }),
        }
    }

    async fn take_word(&mut self, agent: AgentId, word: Word) {
        self.crew.note(agent, &word);
        match word {
            Word::Ready { nofile, private_bytes, .. } => {
                self.log.tell(Event::AgentReady { agent, nofile, private_bytes });
            }
            Word::Counts(counts) => self.log.tell(Event::Counts { agent, counts }),
            Word::Memory { private_bytes } => self.log.tell(Event::AgentMemory { agent, private_bytes }),
            Word::Accepting => {
                self.log.tell(Event::Accepting { agent });
                if let Err(error) = self.start_next_reactor().await {
                    self.log.tell(Event::Broke { why: error.to_string() });
                }
            }
            Word::Full => self.log.tell(Event::Full { agent }),
            Word::Ramped => {
                self.log.tell(Event::Ramped { agent });
                self.swarm_is_done().await;
            }
            Word::Latencies { latencies } | Word::Quiesced { latencies } => {
                // Agents of a lab that says nothing have none.
                if !latencies.is_empty() {
                    let steps = latencies.into_iter().map(|(micros, count)| (step_of(micros), count));
                    self.log.tell(Event::Latencies { latencies: steps.collect() });
                }
            }
            Word::Expecting | Word::Here => {}
            Word::Drained => {
                // Its process is given back to the system while others still close.
                self.crew.let_go_of(agent);
                self.drain_next().await;
            }
            Word::Failed { why } => self.log.tell(Event::AgentFailed { agent, why }),
        }
    }

    async fn swarm_is_done(&mut self) {
        self.ramp.ramping = self.ramp.ramping.saturating_sub(1);
        self.ramp_next_swarm().await;
    }

    async fn take_end(&mut self, agent: AgentId, how: String) {
        let planned = self.crew.is_let_go(agent);
        let was_ramping = self.crew.mark_ended(agent, &how, planned);
        self.log.tell(Event::AgentEnded { agent, how, planned });
        if was_ramping {
            self.swarm_is_done().await;
        }
        self.drain_next().await;
    }

    pub fn tell_progress(&mut self) {
        let totals = self.log.account.totals();
        let (last, at) = self.ramp.told;
        let now = Instant::now();
        let since = at.map_or(PROGRESS, |at| now - at);
        let established = totals.clients.established;
        let per_second = (established.saturating_sub(last) as f64 / since.as_secs_f64().max(0.001)) as u64;
        self.ramp.told = (established, Some(now));
        self.log.tell(Event::Progress { established, open: totals.clients.open, per_second });
    }
}
