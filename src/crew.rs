//! The agents of a run: started, ordered, heard.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures::StreamExt;
use futures::stream::{LocalBoxStream, SelectAll};
use tokio::io::AsyncWrite;

use crate::agent::{Order, Word};
use crate::launch::{AgentId, Heard, Started};

struct Member {
    /// Gone once the agent was let go of.
    orders: Option<Pin<Box<dyn AsyncWrite>>>,
    ready: bool,
    ended: bool,
    /// It has been asked something and has not answered yet.
    owes_answer: bool,
    ramping: bool,
    /// A fault has stopped it: nobody waits for its answers meanwhile.
    stopped: bool,
    /// It was told to close everything.
    draining: bool,
    /// It did not answer in time: nobody waits for it any more.
    silent: bool,
    /// It has begun to accept: one that only stands by serves nobody.
    accepts: bool,
    /// Why it could not go on.
    failed: Option<String>,
}

impl Member {
    /// Nothing more is to be expected of it.
    fn is_out(&self) -> bool {
        self.ended || self.silent
    }
}

#[derive(Default)]
pub struct Crew {
    members: BTreeMap<AgentId, Member>,
    heard: SelectAll<LocalBoxStream<'static, (AgentId, Heard)>>,
}

impl Crew {
    pub fn join(&mut self, agent: AgentId, started: Started) {
        let member = Member {
            orders: Some(started.orders),
            ready: false,
            ended: false,
            owes_answer: false,
            ramping: false,
            stopped: false,
            draining: false,
            silent: false,
            accepts: false,
            failed: None,
        };
        self.members.insert(agent, member);
        self.heard.push(started.heard.map(move |heard| (agent, heard)).boxed_local());
    }

    /// Whoever cannot be written to has ended, and that is heard.
    pub async fn order(&mut self, agent: AgentId, order: &Order) {
        let Some(member) = self.members.get_mut(&agent) else { return };
        member.ramping |= matches!(order, Order::Connect { .. });
        // Told to rest, it connects no more.
        member.ramping &= *order != Order::Quiesce;
        member.draining |= *order == Order::Drain;
        member.owes_answer |= matches!(
            order,
            Order::Call | Order::MeasureMemory | Order::Quiesce | Order::RoundEnds { .. } | Order::Ending
        );
        let Some(orders) = member.orders.as_mut() else { return };
        order.write_to(orders).await;
    }

    pub async fn order_all(&mut self, which: impl Fn(AgentId) -> bool, order: &Order) {
        for agent in self.living(which) {
            self.order(agent, order).await;
        }
    }

    /// The next thing heard from anyone; none when nobody is left.
    pub async fn next(&mut self) -> Option<(AgentId, Heard)> {
        self.heard.next().await
    }

    /// Keeps what a word says about its agent.
    pub fn note(&mut self, agent: AgentId, word: &Word) {
        let Some(member) = self.members.get_mut(&agent) else { return };
        member.silent = false;
        match word {
            Word::Ready { .. } => member.ready = true,
            Word::Memory { .. } | Word::Quiesced { .. } | Word::Expecting | Word::Here => {
                member.owes_answer = false;
            }
            Word::Ramped => member.ramping = false,
            Word::Failed { why } => member.failed = Some(why.clone()),
            Word::Accepting => member.accepts = true,
            Word::Counts(_) | Word::Latencies { .. } | Word::Full | Word::Drained => {}
        }
    }

    /// An agent has ended. True: it was ramping, so the next may begin.
    pub fn mark_ended(&mut self, agent: AgentId, how: &str, planned: bool) -> bool {
        let Some(member) = self.members.get_mut(&agent) else { return false };
        member.ended = true;
        member.orders = None;
        if !planned {
            member.failed.get_or_insert_with(|| format!("{agent} ended with {how}"));
        }
        std::mem::take(&mut member.ramping) && swarms(agent)
    }

    /// Whether everyone who was asked has answered, or cannot any more.
    pub fn all_answered(&self) -> bool {
        self.members.values().all(|member| member.is_out() || member.stopped || !member.owes_answer)
    }

    /// Stops waiting for those who were to answer, or to ramp, and have not. Who they are.
    pub fn give_up_on_silent(&mut self) -> Vec<AgentId> {
        let mut silent = Vec::new();
        for (agent, member) in &mut self.members {
            if !member.is_out()
                && !member.stopped
                && (member.owes_answer || (member.ramping && swarms(*agent)))
            {
                member.silent = true;
                member.ramping = false;
                silent.push(*agent);
            }
        }
        silent
    }

    /// Whether a reactor that has begun to accept still answers, and nothing has stopped it.
    pub fn is_served(&self) -> bool {
        self.members.values().any(|member| member.accepts && !member.is_out() && !member.stopped)
    }

    pub fn set_stopped(&mut self, agent: AgentId, stopped: bool) {
        if let Some(member) = self.members.get_mut(&agent) {
            member.stopped = stopped;
        }
    }

    /// Those that a fault has stopped, and that are still there.
    pub fn stopped(&self) -> Vec<AgentId> {
        let stopped = self.members.iter().filter(|(_, member)| member.stopped && !member.ended);
        stopped.map(|(agent, _)| *agent).collect()
    }

    pub fn first_failure(&self) -> Option<String> {
        self.members.values().find_map(|member| member.failed.clone())
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn is_gone(&self) -> bool {
        self.members.values().all(Member::is_out)
    }

    pub fn living(&self, which: impl Fn(AgentId) -> bool) -> Vec<AgentId> {
        let living = self.members.iter().filter(|(agent, member)| !member.is_out() && which(**agent));
        living.map(|(agent, _)| *agent).collect()
    }

    pub fn all_ready(&self) -> bool {
        self.members.values().all(|member| member.ready || member.is_out())
    }

    /// Closes every agent's stdin: they end by themselves.
    pub fn let_go(&mut self) {
        for member in self.members.values_mut() {
            member.orders = None;
        }
    }

    /// Closes one agent's stdin.
    pub fn let_go_of(&mut self, agent: AgentId) {
        if let Some(member) = self.members.get_mut(&agent) {
            member.orders = None;
        }
    }

    /// Whether this agent is expected to end.
    pub fn is_let_go(&self, agent: AgentId) -> bool {
        self.members.get(&agent).is_some_and(|member| member.orders.is_none())
    }

    /// Who is the next to close everything, when so many may be at it. Reactors and swarms take turns: what
    /// was opened together lies together in the kernel's memory.
    pub fn next_to_drain(&self, at_once: usize) -> Option<AgentId> {
        let living = || self.members.iter().filter(|(_, member)| !member.is_out() && member.orders.is_some());
        if living().filter(|(_, member)| member.draining).count() >= at_once {
            return None;
        }
        let place = |agent: &AgentId| match agent {
            AgentId::Reactor(place) => (*place, false),
            AgentId::Swarm(index) => (*index, true),
        };
        let waiting = living().filter(|(_, member)| !member.draining);
        waiting.map(|(agent, _)| *agent).min_by_key(place)
    }
}

pub fn swarms(agent: AgentId) -> bool {
    matches!(agent, AgentId::Swarm(_))
}

pub fn reactors(agent: AgentId) -> bool {
    matches!(agent, AgentId::Reactor(_))
}

pub fn everyone(_: AgentId) -> bool {
    true
}
