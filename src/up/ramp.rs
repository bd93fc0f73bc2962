//! Opening connections: swarm after swarm, reactor after reactor, round after round, until all are tried or one breaks.

use std::time::Duration;

use tokio::time::Instant;

use super::silence::Silence;
use super::{PROMPT, Run, SETTLE};
use crate::agent::Order;
use crate::crew;
use crate::driver::{AgentId, Driver};
use crate::error::Result;
use crate::event::{Event, Moment, Phase};
use crate::spec::{Moment as FaultMoment, Until};

/// Who is next, while the ramp goes on.
#[derive(Default)]
pub struct RampState {
    pub next_swarm: u32,
    pub ramping: u32,
    /// How many of its stretch each swarm is to try now.
    pub up_to: Vec<u64>,
    pub next_reactor: u32,
    pub silence: Silence,
    /// Nobody answered any more.
    pub gave_up: bool,
    /// What the last progress told, and when.
    pub told: (u64, Option<Instant>),
}

impl<D: Driver> Run<'_, D> {
    pub(super) async fn ramp(&mut self) {
        if self.interrupts.stopped().is_some() {
            return;
        }
        let began = self.begin(Phase::Ramp);
        self.crew.order(AgentId::Reactor(0), &Order::Accept).await;
        self.faults_begin(FaultMoment::Ramp).await;
        let Some(began) = self.over_plateaus(began).await else { return };
        for round in 1..=self.plan.ramp.rounds {
            self.open_all().await;
            if round == self.plan.ramp.rounds || self.has_ended() {
                break;
            }
            self.log.tell(Event::RoundOver { round });
            self.close_all().await;
        }
        self.end_ramp(began);
    }

    /// Returns when the stretch after the last plateau began; none: there is nothing more to open.
    async fn over_plateaus(&mut self, mut began: Instant) -> Option<Instant> {
        for shares in self.plan.plateau_shares() {
            self.ramp.up_to = shares;
            self.open_all().await;
            self.end_ramp(began);
            if self.has_ended() {
                return None;
            }
            self.stay().await;
            self.stop_if_broken().await;
            if self.has_ended() {
                return None;
            }
            began = self.begin(Phase::Ramp);
        }
        self.ramp.up_to = self.plan.stretches();
        Some(began)
    }

    fn end_ramp(&mut self, began: Instant) {
        self.tell_progress();
        self.end(Phase::Ramp, began);
    }

    /// There is nothing more to open, whatever was planned.
    fn has_ended(&self) -> bool {
        self.has_broken() || self.ramp.gave_up || !self.goes_on()
    }

    /// Holds what is open on a plateau, and tells what stands there.
    async fn stay(&mut self) {
        let began = self.begin(Phase::Hold);
        self.hold_on().await;
        self.sample(Moment::Plateau).await;
        self.end(Phase::Hold, began);
    }

    async fn open_all(&mut self) {
        self.ramp.next_swarm = 0;
        self.ramp.silence = Silence::default();
        for _ in 0..self.plan.swarms_at_once {
            self.ramp_next_swarm().await;
        }
        let patience = self.plan.ramp.timeout + PROMPT;
        while !self.pump_while_moving(patience, Self::ramp_is_over).await && self.goes_on() {
            // Whoever is at it does not get on: the others have their turn.
            self.give_up_on_silent();
            self.ramp.ramping = 0;
            self.ramp_next_swarm().await;
        }
        self.stop_if_broken().await;
        self.stop_unanswered().await;
        self.settle().await;
    }

    /// Ends a round: the clients close everything, and the server takes it for what it is.
    async fn close_all(&mut self) {
        self.faults_begin(FaultMoment::Closing).await;
        self.crew.order_all(crew::reactors, &Order::RoundEnds { going_on: true }).await;
        self.hear_answers(PROMPT).await;
        self.crew.order_all(crew::swarms, &Order::Close).await;
        // If they cannot agree the next round goes on all the same, and shows what came of it.
        self.pump_while_moving(self.settling(), Self::all_is_closed).await;
        self.crew.order_all(crew::reactors, &Order::RoundEnds { going_on: false }).await;
    }

    pub(super) fn all_is_closed(&self) -> bool {
        let totals = self.log.account.totals();
        totals.clients.open == 0 && totals.server.open == 0
    }

    fn ramp_is_over(&self) -> bool {
        self.everything_is_tried() || self.has_broken() || self.ramp.gave_up
    }

    /// Whether the ramp was to go on until a connection fails or is lost, and one has.
    fn has_broken(&self) -> bool {
        self.plan.ramp.until == Until::Breaks && {
            let account = &self.log.account;
            let clients = account.totals().clients;
            clients.failed.total() + clients.lost.total() > 0 || !account.ended_early.is_empty()
        }
    }

    /// Whoever still connects stops: it is known where the limit is.
    async fn stop_if_broken(&mut self) {
        if !self.has_broken() {
            return;
        }
        let established = self.log.account.totals().clients.established;
        self.log.tell(Event::Breaks { established });
        self.stop_connecting(PROMPT).await;
    }

    /// What is under way is given up at the drain.
    pub(super) async fn stop_connecting(&mut self, patience: Duration) {
        self.ramp.next_swarm = self.plan.swarms.len() as u32;
        self.ramp.ramping = 0;
        self.crew.order_all(crew::swarms, &Order::Quiesce).await;
        self.hear_answers(patience).await;
    }

    fn everything_is_tried(&self) -> bool {
        self.ramp.ramping == 0 && self.ramp.next_swarm as usize >= self.plan.swarms.len()
    }

    pub(super) fn goes_on(&self) -> bool {
        self.interrupts.stopped().is_none() && !self.crew.living(crew::swarms).is_empty()
    }

    /// Waits until the server holds what the clients hold, or nothing moves any more.
    async fn settle(&mut self) {
        let agree = |run: &Self| {
            let totals = run.log.account.totals();
            totals.server.open == totals.clients.open
        };
        self.crew.order_all(crew::reactors, &Order::Tell).await;
        if !self.pump_while_moving(self.settling(), agree).await {
            self.tell_unsettled(Phase::Ramp);
        }
    }

    /// A lab that is quick to give up a connect is quick to give up waiting for both sides to agree.
    fn settling(&self) -> Duration {
        SETTLE.min(self.plan.ramp.timeout)
    }

    /// One reactor stands by while another accepts, until all planned ones are started.
    pub(super) async fn start_next_reactor(&mut self) -> Result<()> {
        let place = self.ramp.next_reactor;
        // A reactor that ends on the way down makes the next one accept; none is to follow that.
        if place >= self.plan.reactors.count || self.drains_at_once > 0 {
            return Ok(());
        }
        self.ramp.next_reactor += 1;
        self.start(&[AgentId::Reactor(place)]).await
    }

    pub(super) async fn ramp_next_swarm(&mut self) {
        // A run that is on its way down opens nothing more.
        while self.interrupts.stopped().is_none() && (self.ramp.next_swarm as usize) < self.plan.swarms.len()
        {
            let index = self.ramp.next_swarm;
            let swarm = AgentId::Swarm(index);
            self.ramp.next_swarm += 1;
            // One that has ended meanwhile has no turn.
            if !self.crew.living(|agent| agent == swarm).is_empty() {
                self.ramp.ramping += 1;
                let up_to = self.ramp.up_to[index as usize];
                return self.crew.order(swarm, &Order::Connect { up_to }).await;
            }
        }
    }
}
