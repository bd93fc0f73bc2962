//! When nobody answers: how long that has been so, whom to ask, and when the ramp is given up.
//!
//! A connect that nobody answers fails after `ramp.timeout`, and only so many are tried at a time. Where nobody answers
//! any of them, to try all would take that time for every window.

use std::time::Duration;

use tokio::time::Instant;

use super::{Run, SETTLE};
use crate::account::Totals;
use crate::agent::Order;
use crate::agent::tally::Operation;
use crate::crew;
use crate::driver::Driver;
use crate::event::Event;

/// Agents tell their counts ten times a second; on a busy machine they may come later.
const LATE: Duration = Duration::from_secs(1);

/// What of all counts says whether anybody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// Accepted by the server's process, or refused: an error is an answer too. What only the client takes for
    /// established is none: a stopped server's kernel completes handshakes as long as its queues have room.
    pub answered: u64,
    pub timed_out: u64,
    /// Connects that wait for their answer.
    pub waiting: u64,
}

impl Signs {
    pub fn of(totals: &Totals) -> Signs {
        let clients = &totals.clients;
        let rows = clients.failed.rows();
        let silent =
            rows.iter().filter(|row| row.operation == Operation::Connect && row.errno == "ETIMEDOUT");
        let timed_out = silent.fold(0, |sum: u64, row| sum.saturating_add(row.count));
        let refused = clients.failed.total().saturating_sub(timed_out);
        let answered = totals.server.established.saturating_add(refused);
        Signs { answered, timed_out, waiting: clients.unanswered() }
    }
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Wait,
    /// Ask everyone: a few connects of every swarm, and the server's processes.
    Ask,
    GiveUp,
}

/// Since when nobody answers.
#[derive(Debug, Default)]
pub struct Silence {
    /// The last answer, or when connects began to wait; and what there was then.
    since: Option<(Instant, Signs)>,
    asked: Option<Instant>,
}

impl Silence {
    pub fn look(&mut self, now: Instant, signs: Signs, timeout: Duration) -> Step {
        let (since, before) = *self.since.get_or_insert((now, signs));
        let nothing_waits = signs.waiting == 0 && signs.timed_out == before.timed_out;
        if signs.answered != before.answered || nothing_waits {
            *self = Silence { since: Some((now, signs)), asked: None };
            return Step::Wait;
        }
        let quiet = now - since;
        match self.asked {
            None if quiet >= timeout / 2 => {
                self.asked = Some(now);
                Step::Ask
            }
            Some(asked)
                if quiet >= timeout + LATE
                    && now - asked >= timeout / 2
                    && signs.timed_out > before.timed_out =>
            {
                Step::GiveUp
            }
            _ => Step::Wait,
        }
    }

    /// How long nobody has answered.
    pub fn lasted(&self, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |(since, _)| now - since)
    }
}

impl<D: Driver> Run<'_, D> {
    /// Notices that nobody answers, while connections are opened.
    pub(super) async fn mind_silence(&mut self) {
        if self.ramp.ramping == 0 || self.ramp.gave_up {
            return;
        }
        let (now, signs) = (Instant::now(), Signs::of(&self.log.account.totals()));
        match self.ramp.silence.look(now, signs, self.plan.course.ramp.timeout) {
            Step::Wait => {}
            Step::Ask => self.ask_everyone().await,
            // What will still break, or be whole again, may change it.
            Step::GiveUp if self.faults.due().is_some() => {}
            Step::GiveUp => {
                self.ramp.gave_up = true;
                let seconds = self.ramp.silence.lasted(now).as_secs_f64();
                self.log.tell(Event::Unanswered { seconds });
            }
        }
    }

    /// Others may be answered where those whose turn it is are not: at another port, or from another client.
    async fn ask_everyone(&mut self) {
        self.crew.order_all(crew::reactors, &Order::Call).await;
        for swarm in self.crew.living(crew::swarms) {
            if let crate::launch::AgentId::Swarm(index) = swarm
                && let Some(up_to) = self.ramp.up_to.get(index as usize).copied()
            {
                self.crew.order(swarm, &Order::Probe { up_to }).await;
            }
        }
    }

    /// Nobody tries any more. Whoever did not answer the call until now is not waited for again.
    pub(super) async fn stop_unanswered(&mut self) {
        if self.ramp.gave_up {
            self.stop_connecting(SETTLE).await;
        }
    }

    /// Whether holding is of no use: nobody answered, and nobody serves what stands.
    pub(super) fn nobody_serves(&self) -> bool {
        self.ramp.gave_up && !self.crew.is_served() && self.faults.is_over()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn signs(answered: u64, timed_out: u64, waiting: u64) -> Signs {
        Signs { answered, timed_out, waiting }
    }

    /// Looks four times a second, and says when something is to be done.
    fn course(seconds: u64, at: impl Fn(f64) -> Signs) -> Vec<(f64, Step)> {
        let (mut silence, begin) = (Silence::default(), Instant::now());
        let looks = (0..seconds * 4).map(|look| look as f64 / 4.0);
        let steps =
            looks.map(|time| (time, silence.look(begin + Duration::from_secs_f64(time), at(time), TIMEOUT)));
        steps.filter(|(_, step)| *step != Step::Wait).collect()
    }

    #[test]
    fn who_is_never_answered_is_asked_for_and_given_up() {
        let silent = course(12, |time| signs(0, if time < 10.0 { 0 } else { 256 }, 256));
        assert_eq!(silent[..2], [(5.0, Step::Ask), (11.0, Step::GiveUp)]);
    }

    #[test]
    fn an_answer_to_those_who_were_asked_begins_it_anew() {
        let one_port =
            course(12, |time| signs(u64::from(time > 5.5), if time < 10.0 { 0 } else { 256 }, 256));
        assert_eq!(one_port, [(5.0, Step::Ask), (10.75, Step::Ask)]);
    }

    #[test]
    fn slow_is_not_silent() {
        assert_eq!(course(60, |time| signs(time as u64, time as u64 / 2, 256)), [], "one answer each second");
        // One connect each minute, and each is answered: nothing waits.
        assert_eq!(course(60, |_| signs(1, 0, 0)), []);
        // Nobody has waited for the whole time-out yet.
        let waiting = course(60, |_| signs(1, 0, 3));
        assert_eq!(waiting, [(5.0, Step::Ask)]);
    }

    #[test]
    fn an_error_is_an_answer() {
        let mut totals = Totals::default();
        totals.clients.tried = 10;
        totals.clients.established = 1;
        totals.clients.failed.add_named(Operation::Connect, "ETIMEDOUT", 3);
        totals.clients.failed.add_named(Operation::Connect, "ECONNREFUSED", 2);
        totals.server.established = 1;
        assert_eq!(Signs::of(&totals), signs(3, 3, 4));
    }
}
