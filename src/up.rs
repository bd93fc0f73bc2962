//! The life of one run: build, ramp, hold, drain, down. It reads aloud like the screen.

mod faults;
mod orders;
mod pump;
mod ramp;
mod silence;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use crate::agent::Order;
use crate::crew::{self, Crew};
use crate::driver::Driver;
use crate::error::{Error, Result};
use crate::event::{Event, Moment, Phase};
use crate::launch::AgentId;
use crate::log::Log;
use crate::observe::{Depth, Sample, Seen, Watch};
use crate::plan::Plan;
use crate::spec::Moment as FaultMoment;
use crate::teardown::Outcome;
use faults::Faults;
pub use pump::{Interrupts, Stop};
use ramp::RampState;

/// How long agents may take to be ready, and to answer what is answered at once.
const PROMPT: Duration = Duration::from_secs(10);

/// How long client and server may disagree while nothing moves any more.
const SETTLE: Duration = Duration::from_secs(5);

pub struct Run<'a, D: Driver> {
    plan: &'a Plan,
    driver: D,
    crew: Crew,
    log: &'a mut Log,
    interrupts: Interrupts,
    ramp: RampState,
    faults: Faults,
    /// How many agents close at a time; none before the drain.
    drains_at_once: usize,
    watch: Watch,
}

impl<'a, D: Driver> Run<'a, D> {
    pub fn new(plan: &'a Plan, driver: D, log: &'a mut Log, interrupts: Interrupts) -> Self {
        Run {
            plan,
            driver,
            crew: Crew::default(),
            log,
            interrupts,
            ramp: RampState::default(),
            faults: Faults::of(&plan.course.faults),
            drains_at_once: 0,
            watch: Watch::default(),
        }
    }

    /// Everything from build to down. Whatever goes wrong, the way down is taken.
    pub async fn live(mut self, keep: bool) -> (D, Result<()>) {
        let result = self.rise().await;
        if let Err(error) = &result {
            self.log.tell(Event::Broke { why: error.to_string() });
        }
        if keep && result.is_ok() {
            self.stand().await;
        }
        self.drain().await;
        let down = self.down().await;
        if let Err(error) = &down {
            self.log.tell(Event::Broke { why: error.to_string() });
        }
        (self.driver, result.and(down))
    }

    async fn rise(&mut self) -> Result<()> {
        self.build().await?;
        self.sample(Moment::Before).await;
        self.ramp().await;
        self.hold().await;
        match self.interrupts.stopped() {
            None => Ok(()),
            Some(signal) => Err(Error::broke("running the lab", format!("interrupted by {signal}"))),
        }
    }

    async fn build(&mut self) -> Result<()> {
        let began = self.begin(Phase::Build);
        let built = self.driver.build(self.plan).await?;
        self.log.tell(Event::Built(built));
        let swarms: Vec<AgentId> = (0..self.plan.ends.swarms.len() as u32).map(AgentId::Swarm).collect();
        self.start_next_reactor().await?;
        self.start(&swarms).await?;
        self.pump_for(PROMPT, |run| run.crew.all_ready()).await;
        self.everyone_is_ready()?;
        self.end(Phase::Build, began);
        Ok(())
    }

    fn everyone_is_ready(&mut self) -> Result<()> {
        let planned = self.plan.ends.swarms.len() + 1;
        let ready = self.crew.living(crew::everyone).len();
        if (ready == planned && self.crew.all_ready()) || self.interrupts.stopped().is_some() {
            return Ok(());
        }
        let why =
            self.crew.first_failure().unwrap_or_else(|| format!("{ready} of {planned} agents are ready"));
        Err(Error::broke("starting the agents", why))
    }

    fn tell_unsettled(&mut self, phase: Phase) {
        let totals = self.log.account.totals();
        let (clients, server) = (totals.clients.open, totals.server.open);
        self.log.tell(Event::Unsettled { phase, clients, server });
    }

    fn give_up_on_silent(&mut self) {
        for agent in self.crew.give_up_on_silent() {
            self.log.tell(Event::AgentSilent { agent });
        }
    }

    /// Waits for the answers to the last order, for as long as anything gets on; who then has given none is not waited
    /// for again.
    async fn hear_answers(&mut self, patience: Duration) {
        self.pump_while_moving(patience, |run| run.crew.all_answered()).await;
        if self.goes_on() {
            self.give_up_on_silent();
        }
    }

    async fn hold(&mut self) {
        if self.interrupts.stopped().is_some() {
            return;
        }
        let began = self.begin(Phase::Hold);
        self.measure_memory().await;
        self.sample(Moment::Peak).await;
        self.faults_begin(FaultMoment::Hold).await;
        if !self.nobody_serves() {
            self.hold_on().await;
        }
        self.end(Phase::Hold, began);
    }

    async fn hold_on(&mut self) {
        if !self.plan.course.hold.is_zero() {
            self.crew.order_all(crew::swarms, &Order::Hold).await;
            self.pump_for(self.plan.course.hold, |_| false).await;
        }
        self.rest().await;
    }

    async fn measure_memory(&mut self) {
        self.crew.order_all(crew::everyone, &Order::MeasureMemory).await;
        self.hear_answers(PROMPT).await;
    }

    /// Waits for the last echoes, and looks at every connection once more.
    async fn rest(&mut self) {
        self.crew.order_all(crew::swarms, &Order::Quiesce).await;
        self.hear_answers(self.plan.course.ramp.timeout + PROMPT).await;
    }

    /// `--keep`: stays until told to stop.
    async fn stand(&mut self) {
        self.log.tell(Event::Standing);
        self.pump(|_| false).await;
    }

    async fn drain(&mut self) {
        if self.crew.is_empty() {
            return;
        }
        // What was counted until now is not of the closing.
        self.look(self.watch.depth()).await;
        let began = self.begin(Phase::Drain);
        // From here on the lab is on its way down: a second Ctrl-C does not stop that.
        self.interrupts.ignore();
        if self.ramp.ramping > 0 {
            // Whoever still connects must stop before the routes go, or finds the network unreachable.
            self.stop_connecting(PROMPT).await;
        }
        // Whoever closes first may be heard at the other end.
        self.crew.order_all(crew::everyone, &Order::Ending).await;
        if self.plan.is_on_machines() {
            // Between machines the ways stay: nobody closes before everyone knows.
            self.hear_answers(PROMPT).await;
        }
        if let Err(error) = self.driver.cut_routes(self.plan).await {
            self.log.tell(Event::Broke { why: error.to_string() });
        }
        self.wake_the_stopped().await;
        // Those that do not get on must not keep the others from their turn.
        for at_once in [self.plan.ends.drains_at_once, usize::MAX] {
            self.drains_at_once = at_once;
            self.drain_next().await;
            self.pump_while_moving(SETTLE, Self::all_is_closed).await;
        }
        if !self.all_is_closed() {
            self.tell_unsettled(Phase::Drain);
        }
        self.sample(Moment::Drained).await;
        self.end(Phase::Drain, began);
    }

    async fn drain_next(&mut self) {
        while let Some(agent) = self.crew.next_to_drain(self.drains_at_once) {
            self.crew.order(agent, &Order::Drain).await;
        }
    }

    async fn down(&mut self) -> Result<()> {
        let began = self.begin(Phase::Down);
        self.crew.let_go();
        self.pump_for(PROMPT, |run| run.crew.is_gone()).await;
        let outcome = self.take_down().await?;
        for (agent, line) in self.driver.learnt() {
            self.log.tell(Event::KernelSaid { agent, line });
        }
        self.log.tell(Event::TakenDown(outcome));
        self.end(Phase::Down, began);
        Ok(())
    }

    async fn take_down(&mut self) -> Result<Outcome> {
        // This may take a while, in which nothing else is told.
        self.log.flush();
        let watch_remains = self.driver.watch_remains();
        let down = self.driver.down();
        tokio::pin!(down);
        loop {
            tokio::select! {
                outcome = &mut down => return outcome,
                signal = self.interrupts.next() => {
                    pump::ignore(signal, &mut self.interrupts, &self.crew, self.log, &watch_remains);
                }
            }
        }
    }

    fn begin(&mut self, phase: Phase) -> Instant {
        self.log.tell(Event::Began { phase });
        Instant::now()
    }

    fn end(&mut self, phase: Phase, began: Instant) {
        self.log.tell(Event::Ended { phase, seconds: began.elapsed().as_secs_f64() });
    }

    async fn sample(&mut self, moment: Moment) {
        let sample = self.look(Depth::Full).await;
        self.log.tell(Event::Kernel { moment, sample });
    }

    /// Looks at the machine, and tells what has changed.
    async fn look(&mut self, depth: Depth) -> Sample {
        let Seen { sample, spent } = self.driver.sample(depth).await;
        let changes = self.watch.take(sample.clone(), spent, depth);
        self.log.tell(Event::Observed {
            looks: 1,
            micros: spent.as_micros() as u64,
            changes,
            highest: Sample::default(),
        });
        sample
    }

    async fn start(&mut self, agents: &[AgentId]) -> Result<()> {
        let started = self.driver.start(self.plan, agents).await?;
        for (agent, started) in agents.iter().zip(started) {
            self.log.tell(Event::AgentStarted { agent: *agent, pid: started.pid });
            self.crew.join(*agent, started);
            self.crew.order(*agent, &orders::first(self.plan, *agent)).await;
        }
        Ok(())
    }
}
