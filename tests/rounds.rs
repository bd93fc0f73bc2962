//! A lab is killed at a random moment, over and over, and each time the host is as it was before.
//!
//! `C1M_ROUNDS` says how many rounds, `C1M_SEED` which moments.

mod common;
#[path = "common/draw.rs"]
mod draw;
#[path = "common/running.rs"]
mod running;
#[path = "common/snapshot.rs"]
mod snapshot;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use common::*;
use draw::{Draw, number};
use running::*;
use rustix::process::Signal;
use snapshot::*;

const ROUNDS: u64 = 100;
const SEED: u64 = 0x00C1_0000;

/// A setting of the whole host that a lab moves; hardly anything else does.
const SETTING: &str = "fs.epoll.max_user_watches";

/// How long whatever the kernel undoes by itself may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Three reactors, four swarms, a cgroup where the host has them, and a host setting moved.
fn lab_text(limits_memory: bool) -> String {
    let path = Path::new("/proc/sys").join(SETTING.replace('.', "/"));
    let now: u64 = std::fs::read_to_string(path).expect(SETTING).trim().parse().expect("a number");
    let memory = if limits_memory { "memory: 512MiB, " } else { "" };
    format!(
        "connections: 3000\nserver: {{ports: 9900-9909}}\nclients: {{count: 2}}\nhold: 200ms\n\
         ramp: {{timeout: 5s}}\ntraffic: {{kind: echo, every: 100ms, size: 64B}}\n\
         limits: {{server: {{{memory}nofile: 1300}}, client: {{nofile: 900}}}}\n\
         sysctl: {{host: {{{SETTING}: {}}}}}\n",
        now + 1000
    )
}

/// How long each phase takes when nobody interferes: where a round aims.
fn rehearse(lab: &TestLab, text: &str) -> [Duration; PHASES.len()] {
    let began = Instant::now();
    let mut running = Running::up(lab, text);
    let mut ends = [Duration::ZERO; PHASES.len()];
    for (place, end) in ends.iter_mut().enumerate() {
        while running.phase() <= place {
            assert!(began.elapsed() < Duration::from_secs(60), "{}", running.told());
            std::thread::sleep(Duration::from_micros(200));
        }
        *end = began.elapsed();
    }
    assert_eq!(running.end(PATIENCE), Ok(0), "{}", running.told());
    let report = report(lab);
    assert_eq!((&report["server"]["processes"], &report["clients"]["processes"]), (&3.into(), &4.into()));
    assert_eq!(report["established"], 3000);
    let mut before = Duration::ZERO;
    ends.map(|end| end - std::mem::replace(&mut before, end))
}

/// The rounds that hit each phase, by signal: how many, and how many left something.
#[derive(Default)]
struct Table(BTreeMap<(usize, &'static str), (u64, u64)>);

impl Table {
    fn note(&mut self, phase: usize, signal: &'static str, leaves: bool) {
        let entry = self.0.entry((phase, signal)).or_default();
        *entry = (entry.0 + 1, entry.1 + u64::from(leaves));
    }

    /// To stderr itself, past the test harness: it is worth a look also where every test passes.
    fn print(&self, title: &str) {
        let mut text =
            format!("\n{title}\n{:<8} {:<14} {:>6} {:>9}\n", "phase", "signal", "rounds", "leftovers");
        for ((phase, signal), (rounds, leftovers)) in &self.0 {
            // It may be over before the signal comes.
            let phase = PHASES.get(*phase).unwrap_or(&"after");
            text += &format!("{phase:<8} {signal:<14} {rounds:>6} {leftovers:>9}\n");
        }
        let all = self.0.values().fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        text += &format!("{:<8} {:<14} {:>6} {:>9}\n", "all", "", all.0, all.1);
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// What all rounds of a test share.
struct Host {
    lab: TestLab,
    text: String,
    phases: [Duration; PHASES.len()],
    before: Snapshot,
    seed: u64,
    draw: Draw,
    table: Table,
    trouble: Vec<String>,
}

impl Host {
    fn prepare(what: &str) -> (Host, Bystander) {
        need_root();
        let lab = TestLab::new(what);
        let bystander = Bystander::new(what);
        let text = lab_text(can_limit_memory(&lab, &format!("rounds: the cgroup in the rounds of {what}")));
        // The first run of a binary takes longer: it is still read from the disk.
        rehearse(&lab, &text);
        let phases = rehearse(&lab, &text);
        println!("phases take {phases:?}");
        let before = Snapshot::take(&[&lab.folder]);
        for kind in ["namespace ", "setting ", "mount ", "file ", "-o link in the host", "-4 rule"] {
            assert!(before.count(kind) > 0, "{kind}: nothing was looked at");
        }
        let seed = number("C1M_SEED", SEED);
        println!("seed {seed}, {} things to compare", before.len());
        (
            Host {
                lab,
                text,
                phases,
                before,
                seed,
                draw: Draw(seed),
                table: Table::default(),
                trouble: vec![],
            },
            bystander,
        )
    }

    /// Starts the lab and waits for a random moment of this phase.
    fn start(&mut self, aim: usize) -> Running {
        let pause = self.phases[aim].mul_f64(self.draw.share());
        let _ = std::fs::remove_dir_all(self.lab.out());
        let mut running = Running::up(&self.lab, &self.text);
        running.reach(PHASES[aim]);
        std::thread::sleep(pause);
        running
    }

    fn settle(&mut self, round: u64, phase: usize, signal: &'static str, mut trouble: Vec<String>) {
        trouble.extend(self.before.differences_within(&[&self.lab.folder], PATIENCE));
        self.table.note(phase, signal, !trouble.is_empty());
        if !trouble.is_empty() {
            let phase = PHASES.get(phase).unwrap_or(&"after");
            println!("round {round}, {signal} in {phase}:\n  {}", trouble.join("\n  "));
            self.trouble.append(&mut trouble);
            // The next round begins from what this one left.
            let _ = run(&["down", &self.lab.name]);
            self.before = Snapshot::take(&[&self.lab.folder]);
        }
    }

    fn end(self) {
        self.table.print(&format!("rounds of {}, seed {}", self.lab.name, self.seed));
        assert!(self.trouble.is_empty(), "{}", self.trouble.join("\n"));
        let missed: Vec<_> = (0..PHASES.len())
            .filter(|phase| !self.table.0.keys().any(|(hit, _)| hit == phase))
            .map(|phase| PHASES[phase])
            .collect();
        assert!(missed.is_empty(), "these phases were never hit: {missed:?}");
    }
}

#[test]
fn whatever_is_killed_down_gives_the_host_back() {
    let _turn = alone();
    let (mut host, _bystander) = Host::prepare("rounds");
    for round in 0..number("C1M_ROUNDS", ROUNDS) {
        let aim = (round % PHASES.len() as u64) as usize;
        let mut running = host.start(aim);
        let agents = running.agents();
        running.signal(Signal::KILL);
        let mut signal = "KILL";
        if host.draw.below(2) == 1 && !agents.is_empty() {
            let agent = agents[host.draw.below(agents.len() as u64) as usize];
            if is_agent(agent) {
                send(agent, Signal::KILL);
            }
            signal = "KILL + agent";
        }
        let _ = running.end(PATIENCE);
        let phase = running.phase();
        let stood = Path::new("/run/c1m-lab").join(&host.lab.name).exists();
        let down = run(&["down", &host.lab.name]);
        let expected = if stood { 0 } else { 2 };
        let mut trouble = Vec::new();
        if down.status.code() != Some(expected) || stderr(&down).contains("panicked") {
            trouble.push(format!("down ended with {}: {}", down.status, stderr(&down)));
        }
        if !stood && !stderr(&down).contains("no lab of that name stands") {
            trouble.push(stderr(&down));
        }
        host.settle(round, phase, signal, trouble);
    }
    host.end();
}

/// A pid alone may by now be another's.
fn is_agent(pid: u32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.starts_with(b"c1m-lab\0agent\0")
}

#[test]
fn whatever_asks_it_to_end_the_lab_takes_itself_down() {
    let _turn = alone();
    let (mut host, _bystander) = Host::prepare("asked");
    let signals = [("INT", Signal::INT), ("TERM", Signal::TERM), ("HUP", Signal::HUP)];
    for round in 0..number("C1M_ROUNDS", ROUNDS).div_ceil(2) {
        let aim = (round % PHASES.len() as u64) as usize;
        let (name, signal) = signals[(round / PHASES.len() as u64 % 3) as usize];
        let mut running = host.start(aim);
        let phase = running.phase();
        running.signal(signal);
        let end = running.end(Duration::from_secs(30));
        let mut trouble = Vec::new();
        // Done, if it was over anyhow; broken off; or ended by the signal before it had begun anything.
        let in_order = matches!(end, Ok(0 | 4)) || (end == Err(signal.as_raw()) && phase == 0);
        if !in_order {
            trouble.push(format!("it ended with {end:?}: {}", running.told()));
        }
        host.settle(round, phase, name, trouble);
    }
    host.end();
}
