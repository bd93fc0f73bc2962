//! A driver that builds nothing: its agents are played by a script. For tests of a run's life.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{AgentId, Built, Driver, Heard, Part, Remains, Started};
use crate::agent::{Order, Word};
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::observe::{Depth, Seen};
use crate::plan::Plan;
use crate::spec::FaultAction;
use crate::teardown::Outcome;

/// What happens when an agent is given an order; it may make any agent speak.
pub type Script = Box<dyn FnMut(&mut Voices, AgentId, &Order)>;

/// The agents' ways to be heard.
#[derive(Default)]
pub struct Voices(BTreeMap<AgentId, UnboundedSender<Heard>>);

impl Voices {
    pub fn say(&self, agent: AgentId, word: Word) {
        if let Some(voice) = self.0.get(&agent) {
            let _ = voice.send(Heard::Word(word));
        }
    }

    pub fn end(&mut self, agent: AgentId, how: &str) {
        if let Some(voice) = self.0.remove(&agent) {
            let _ = voice.send(Heard::Ended(how.to_owned()));
        }
    }
}

struct World {
    voices: Voices,
    script: Script,
    /// Everything that was asked for, in order: `build`, `start swarm 1`, `Go swarm 1`, `down`.
    done: Vec<String>,
}

pub struct MockDriver {
    world: Rc<RefCell<World>>,
    pub build_breaks: bool,
    pub down_takes: Duration,
}

impl MockDriver {
    pub fn new(script: Script) -> Self {
        let world = World { voices: Voices::default(), script, done: Vec::new() };
        MockDriver { world: Rc::new(RefCell::new(world)), build_breaks: false, down_takes: Duration::ZERO }
    }

    pub fn done(&self) -> Vec<String> {
        self.world.borrow().done.clone()
    }

    fn note(&self, what: impl Into<String>) {
        self.world.borrow_mut().done.push(what.into());
    }
}

/// An agent's stdin: whole lines are orders, and closing it ends the agent.
struct Ear {
    agent: AgentId,
    partial: Vec<u8>,
    world: Rc<RefCell<World>>,
}

impl Ear {
    fn obey(&mut self, line: &[u8]) {
        let order: Order = serde_json::from_slice(line).expect("an order");
        let world = &mut *self.world.borrow_mut();
        if !matches!(order, Order::Reactor(_) | Order::Swarm(_)) {
            world.done.push(format!("{order:?} {}", self.agent));
        }
        (world.script)(&mut world.voices, self.agent, &order);
    }
}

impl AsyncWrite for Ear {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            self.obey(&line);
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

impl Drop for Ear {
    fn drop(&mut self) {
        self.world.borrow_mut().voices.end(self.agent, "exit code 0");
    }
}

impl Driver for MockDriver {
    async fn build(&mut self, plan: &Plan) -> Result<Built> {
        self.note("build");
        if self.build_breaks {
            return Err(Error::host("making the namespace", "the mock breaks here"));
        }
        Ok(Built { namespaces: plan.nodes.len(), links: plan.links.len(), ..Built::default() })
    }

    async fn start(&mut self, _: &Plan, agents: &[AgentId]) -> Result<Vec<Started>> {
        let one = |agent: &AgentId| {
            self.note(format!("start {agent}"));
            let (voice, heard) = unbounded_channel();
            self.world.borrow_mut().voices.0.insert(*agent, voice);
            let heard = stream::unfold(heard, |mut heard| async move { Some((heard.recv().await?, heard)) });
            let ear = Ear { agent: *agent, partial: Vec::new(), world: Rc::clone(&self.world) };
            Started { pid: 0, log_mark: None, orders: Box::pin(ear), heard: heard.boxed_local() }
        };
        Ok(agents.iter().map(one).collect())
    }

    async fn sample(&mut self, _: Depth) -> Seen {
        Seen::default()
    }

    async fn strike(&mut self, _: &Plan, part: Part, action: FaultAction) -> Result<()> {
        self.note(match part {
            Part::Agent(agent) => format!("{action:?} {agent}"),
            Part::Link(node) => format!("{action:?} of node {node}"),
            Part::Ports(ref ports) => format!("{action:?} of ports {ports}"),
        });
        if let (Part::Agent(agent), FaultAction::Kill) = (part, action) {
            self.world.borrow_mut().voices.end(agent, "signal 9");
        }
        Ok(())
    }

    async fn cut_routes(&mut self, _: &Plan) -> Result<()> {
        self.note("part");
        Ok(())
    }

    async fn down(&mut self) -> Result<Outcome> {
        self.note("down");
        tokio::time::sleep(self.down_takes).await;
        Ok(Outcome::default())
    }

    fn watch_remains(&self) -> Box<dyn Fn() -> Remains> {
        Box::new(|| Remains { namespaces: 2, cgroups: 1, settings: 0 })
    }

    fn into_journal(self) -> Option<Journal> {
        None
    }
}
