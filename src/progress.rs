//! The terminal, fed by events: one line for each phase, live where there is a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::account::Account;
use crate::driver::{Built, Remains};
use crate::event::{Event, Phase};
use crate::log::Listener;
use crate::plan::Plan;
use crate::units::{grouped, human_bytes};

const BAR: u64 = 20;
/// What stands beside the text of a phase: its name before it, its seconds behind.
const NAME: usize = 10;
const SECONDS: usize = 9;
/// A line needs no more columns than these, unless its text is longer.
const WIDEST: usize = NAME + 68 + SECONDS;

/// Where the lines go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// A line is redrawn while its phase lasts.
    Live,
    /// A line is written when its phase ends.
    Plain,
    Quiet,
}

impl Show {
    pub fn on_stderr(quiet: bool) -> Show {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Show::Quiet,
            (false, true) => Show::Live,
            (false, false) => Show::Plain,
        }
    }
}

pub struct Screen {
    show: Show,
    asked: u64,
    /// The phase that is going on, and when it began.
    phase: Option<(Phase, Duration)>,
    drawn: bool,
}

impl Screen {
    pub fn new(show: Show, plan: &Plan) -> Screen {
        let screen = Screen { show, asked: plan.asked(), phase: None, drawn: false };
        screen.line(&title(plan));
        screen.line("");
        screen.line(&phase_line(Phase::Check, &check_text(plan), None, screen.columns()));
        screen
    }

    /// Asked anew for each line: a terminal may change its size. What is no terminal has no end of a line, nor has
    /// one that says that it has no columns.
    fn columns(&self) -> usize {
        let size = (self.show == Show::Live).then(|| rustix::termios::tcgetwinsize(std::io::stderr()));
        let columns = size.and_then(Result::ok).map_or(0, |size| size.ws_col);
        if columns == 0 { usize::MAX } else { columns.into() }
    }

    fn line(&self, text: &str) {
        if self.show != Show::Quiet {
            // A closed terminal does not end a run.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Something that deserves a line of its own, above the one that is being drawn.
    fn note(&mut self, text: &str) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        self.line(&format!("          {text}"));
    }

    fn draw(&mut self, at: Duration, account: &Account) {
        let (Show::Live, Some((phase, began))) = (self.show, self.phase) else { return };
        let (text, columns) = (self.live_text(phase, account), self.columns());
        let line = live_line(phase, &text, (at - began).as_secs_f64(), columns);
        let _ = write!(std::io::stderr(), "\r\x1b[K{line}");
        self.drawn = true;
    }

    fn finish(&mut self, phase: Phase, seconds: f64, account: &Account) {
        if std::mem::take(&mut self.drawn) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        let text = self.final_text(phase, account);
        self.line(&phase_line(phase, &text, Some(seconds), self.columns()));
        self.phase = None;
    }

    fn live_text(&self, phase: Phase, account: &Account) -> String {
        match phase {
            Phase::Ramp => self.ramp_text(account, account.per_second),
            Phase::Hold => format!("{} open · {}", grouped(account.open), hold_text(account)),
            Phase::Drain => format!("{} left", grouped(account.open)),
            Phase::Check | Phase::Build | Phase::Down => String::new(),
        }
    }

    fn final_text(&self, phase: Phase, account: &Account) -> String {
        match phase {
            Phase::Check => String::new(),
            Phase::Build => {
                let built = &account.built;
                if built.machines > 0 {
                    return format!("{} machines · {} addresses", built.machines, grouped(built.addresses));
                }
                let (namespaces, links) = (grouped(built.namespaces as u64), grouped(built.links as u64));
                format!(
                    "{namespaces} namespaces · {links} veth pairs · {} addresses",
                    grouped(built.addresses)
                )
            }
            Phase::Ramp => self.ramp_text(account, account.rate_per_second().unwrap_or(0.0) as u64),
            Phase::Hold => hold_text(account),
            Phase::Drain => format!("{} closed", grouped(account.totals().clients.closed)),
            Phase::Down => match account.outcome.as_ref().map(|outcome| outcome.left_behind.len()) {
                Some(0) => "host as it was".to_owned(),
                Some(left) => format!("{left} left behind"),
                None => "not taken down".to_owned(),
            },
        }
    }

    fn ramp_text(&self, account: &Account, rate: u64) -> String {
        let established = account.totals().clients.established;
        let filled = (established.min(self.asked) * BAR / self.asked.max(1)) as usize;
        let bar = "━".repeat(filled) + &"╌".repeat(BAR as usize - filled);
        format!("{bar}  {} / {} · {}/s", grouped(established), grouped(self.asked), grouped(rate))
    }
}

impl Listener for Screen {
    fn hear(&mut self, at: Duration, event: &Event, account: &Account) {
        match event {
            Event::Began { phase } => self.phase = Some((*phase, at)),
            Event::Ended { phase, seconds } => return self.finish(*phase, *seconds, account),
            Event::Built(Built { unkept: Some(why), .. }) => {
                self.note(&format!("after a reboot `down` will not know the host settings moved: {why}"));
            }
            Event::Interrupted { signal } => self.note(&format!("{signal}: ending in order")),
            Event::KernelSaid { agent, line } => {
                self.note(&format!("the kernel ended {agent}, and said: {line}"));
            }
            Event::AgentFailed { agent, why } => self.note(&format!("{agent}: {why}")),
            Event::AgentEnded { agent, how, planned: false } => {
                self.note(&format!("{agent} ended: {how}"));
            }
            Event::AgentSilent { agent } => self.note(&format!("{agent} does not answer any more")),
            Event::Fault { what, failed: None, .. } => self.note(&format!("on purpose: {what}")),
            Event::Fault { what, failed: Some(why), .. } => {
                self.note(&format!("not done: {what}: {why}"));
            }
            Event::Ignored { signal } => self.note(&format!("{signal}: it is going down already")),
            Event::Impatient { agents, connections, remains } => {
                self.note(&still_standing(*agents, *connections, *remains));
            }
            Event::Standing => self.note("the lab stands; Ctrl-C or `c1m-lab down` ends it"),
            // Drawing for each of an agent's counts would cost more than it shows.
            Event::Progress { .. } => {}
            _ => return,
        }
        self.draw(at, account);
    }
}

/// What whoever presses Ctrl-C over and over is told.
fn still_standing(agents: usize, connections: u64, remains: Remains) -> String {
    let Remains { namespaces, cgroups, settings } = remains;
    let one = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{} {what}s", grouped(count as u64))),
    };
    let parts = [
        one(agents, "agent"),
        one(usize::try_from(connections).unwrap_or(usize::MAX), "connection"),
        one(namespaces, "namespace"),
        one(cgroups, "cgroup"),
        one(settings, "host setting"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return "nothing stands by name any more: the kernel is still ending the namespaces".to_owned();
    }
    format!("still going down: {} left; `c1m-lab down` ends what a killed runner leaves", parts.join(", "))
}

fn hold_text(account: &Account) -> String {
    let totals = account.totals();
    let mut text = format!("{} lost", grouped(totals.clients.lost.total()));
    let echo = totals.clients.talk;
    if echo.sent > 0 {
        text += &format!(" · echo {}", grouped(echo.answered));
        if echo.answered < echo.sent {
            text += &format!(" of {}", grouped(echo.sent));
        }
        if echo.wrong > 0 {
            text += &format!(", {} wrong", grouped(echo.wrong));
        }
    }
    if let (Some(p50), Some(p99)) = (account.latency_us(0.5), account.latency_us(0.99)) {
        text += &format!(" · p50 {} · p99 {}", micros(p50), micros(p99));
    }
    text
}

pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

fn phase_line(phase: Phase, text: &str, seconds: Option<f64>, columns: usize) -> String {
    let time = seconds.map_or_else(String::new, |seconds| format!("{seconds:.1} s"));
    let space = columns.min(WIDEST).saturating_sub(NAME + SECONDS + text.chars().count());
    let line = format!(" {phase:<8} {text}{}{time:>SECONDS$}", " ".repeat(space));
    line.trim_end().to_owned()
}

/// One that is drawn over and over may not wrap: only the last row of it would be drawn over. The last column
/// stays free, because some terminals wrap as soon as it is written.
fn live_line(phase: Phase, text: &str, seconds: f64, columns: usize) -> String {
    let columns = columns.saturating_sub(1);
    let text = cut(text, columns.saturating_sub(NAME + SECONDS));
    cut(&phase_line(phase, &text, Some(seconds), columns), columns)
}

fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    if columns == 0 { kept } else { kept + "…" }
}

fn title(plan: &Plan) -> String {
    let clients = plan.clients().len();
    format!(
        "{} · {} connections · 1 server, {clients} client{}{} · {}",
        plan.lab,
        grouped(plan.course.connections),
        if clients == 1 { "" } else { "s" },
        if plan.router().is_some() { ", 1 router" } else { "" },
        plan.driver,
    )
}

fn check_text(plan: &Plan) -> String {
    format!(
        "memory {} of {} · five-tuples {} of {} · reactors {} · swarms {}",
        human_bytes(plan.memory.expected),
        human_bytes(plan.memory.available),
        grouped(plan.ends.tuples.needed),
        grouped(plan.ends.tuples.all_the_way()),
        plan.ends.reactors.count,
        plan.ends.swarms.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_line_stays_on_its_row() {
        let text = "900,000 open · 12 lost · echo 1,800,000 of 1,900,000, 3 wrong · p50 35 µs · p99 1.2 ms";
        for columns in 0..200 {
            let line = live_line(Phase::Hold, text, 61.25, columns);
            assert!(line.chars().count() < columns.max(1), "{columns}: {line}");
        }
        assert_eq!(
            live_line(Phase::Hold, text, 61.25, 80),
            " hold     900,000 open · 12 lost · echo 1,800,000 of 1,900,000, 3 wro…   61.2 s"
        );
        let wide = live_line(Phase::Ramp, "1 / 2", 3.0, usize::MAX);
        assert_eq!(wide, phase_line(Phase::Ramp, "1 / 2", Some(3.0), WIDEST));
        assert_eq!(wide.chars().count(), WIDEST);
    }

    #[test]
    fn what_still_stands_is_named() {
        let remains = Remains { namespaces: 3, cgroups: 1, settings: 2 };
        assert_eq!(
            still_standing(12, 3000, remains),
            "still going down: 12 agents, 3,000 connections, 3 namespaces, 1 cgroup, 2 host settings left; \
             `c1m-lab down` ends what a killed runner leaves"
        );
        let one = still_standing(0, 0, Remains { settings: 1, ..Remains::default() });
        assert!(one.starts_with("still going down: 1 host setting left;"), "{one}");
        let none = still_standing(0, 0, Remains::default());
        assert!(none.contains("the kernel is still ending the namespaces"), "{none}");
    }
}
