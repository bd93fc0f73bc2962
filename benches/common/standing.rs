//! A lab that stands, and the two ways to end it: its own, and the naive one.

use crate::ip;
use crate::lab::{self, TemporaryFolder};
use c1m_lab::kernel::witness::Witness;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Error, Result};
use std::process::{self, Child, ChildStderr, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const BINARY: &str = env!("CARGO_BIN_EXE_c1m-lab");
const LONGEST_END: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How a lab ended.
pub struct End {
    pub elapsed: Duration,
    /// Sockets in TIME_WAIT when every process had closed its own.
    pub time_wait: u64,
}

pub struct Standing {
    name: String,
    place: TemporaryFolder,
    runner: Child,
    /// Held open: what the runner says later goes here.
    _told: BufReader<ChildStderr>,
    agents: Vec<u32>,
    namespaces: Vec<String>,
    witness: Witness,
    runtime: Runtime,
}

impl Standing {
    /// Builds the lab and opens its connections. It is left for a moment, so that both ways begin at rest.
    pub fn up(connections: u64) -> Result<Standing> {
        let name = format!("drain-{}", process::id());
        let place = TemporaryFolder::make()?;
        let file = place.0.join("lab.yaml");
        fs::write(&file, lab::file_of(&name))?;
        let mut runner = Command::new(BINARY)
            .arg("up")
            .arg(&file)
            .args(["--connections", &connections.to_string(), "--keep", "--json", "--out"])
            .arg(place.0.join("out"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut told = BufReader::new(runner.stderr.take().expect("stderr is piped"));
        let mut all = String::new();
        while !all.contains("the lab stands") {
            if told.read_line(&mut all)? == 0 {
                return Err(Error::other(format!("c1m-lab up: {all}")));
            }
        }
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", runner.id()))?;
        let agents = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        let prefix = format!("c1m-{name}-");
        let names =
            fs::read_dir("/run/netns")?.flatten().filter_map(|one| one.file_name().into_string().ok());
        let namespaces: Vec<String> = names.filter(|one| one.starts_with(&prefix)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let witness = runtime.block_on(watch(&namespaces))?;
        sleep(Duration::from_secs(1));
        Ok(Standing { name, place, runner, _told: told, agents, namespaces, witness, runtime })
    }

    /// What Ctrl-C does: the lab drains, takes itself down, verifies that, and writes its report.
    pub fn end_as_a_lab(mut self) -> Result<End> {
        let start = Instant::now();
        send(self.runner.id(), Signal::INT)?;
        let status = self.runner.wait()?;
        self.wait_until_gone(start)?;
        let elapsed = start.elapsed();
        if !status.success() {
            return Err(Error::other(format!("c1m-lab up: {status}")));
        }
        let report: Report =
            serde_json::from_str(&fs::read_to_string(self.place.0.join("out/report.json"))?)?;
        let (clients, server) = (report.clients.closed, report.server.closed);
        if (clients, server) != (report.established, report.established) {
            let established = report.established;
            let why =
                format!("of {established} connections the clients closed {clients}, the server {server}");
            return Err(Error::other(why));
        }
        let time_wait = report.kernel.time_wait_after_drain;
        Ok(End { elapsed, time_wait })
    }

    /// What a person does without it: kills every process, and deletes the namespaces.
    pub fn end_naively(mut self) -> Result<End> {
        let start = Instant::now();
        for pid in [self.runner.id()].iter().chain(&self.agents) {
            send(*pid, Signal::KILL)?;
        }
        self.runner.wait()?;
        while self.agents.iter().any(|agent| is_there(*agent)) {
            patience(start)?;
            sleep(LOOK_EVERY);
        }
        let time_wait = self.namespaces.iter().map(|name| time_wait_in(name)).sum::<Result<u64>>()?;
        ip::batch(&self.namespaces.iter().map(|name| format!("netns delete {name}\n")).collect::<String>())?;
        self.wait_until_gone(start)?;
        Ok(End { elapsed: start.elapsed(), time_wait })
    }

    /// Until the namespaces have lost their last socket. Their names are gone long before.
    fn wait_until_gone(&mut self, start: Instant) -> Result<()> {
        let left = LONGEST_END.saturating_sub(start.elapsed());
        match self.runtime.block_on(self.witness.wait(left))? {
            0 => Ok(()),
            held => Err(Error::other(format!("{held} namespaces do not go away"))),
        }
    }
}

impl Drop for Standing {
    /// After the naive end the journal is left, after an error perhaps everything.
    fn drop(&mut self) {
        let _ = self.runner.kill(); // it may have ended by itself
        let _ = self.runner.wait();
        if fs::exists(format!("/run/c1m-lab/{}", self.name)).unwrap_or(false) {
            let down = Command::new(BINARY).args(["down", &self.name]).stderr(Stdio::null()).status();
            if !down.is_ok_and(|status| status.success()) {
                eprintln!("drain: `c1m-lab down {}` failed", self.name);
            }
        }
    }
}

async fn watch(namespaces: &[String]) -> Result<Witness> {
    let mut witness = Witness::open()?;
    for name in namespaces {
        witness.watch(&File::open(format!("/run/netns/{name}"))?).await?;
    }
    Ok(witness)
}

fn send(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid as i32).ok_or_else(|| Error::other("no process"))?;
    match kill_process(pid, signal) {
        // An agent ends with its runner, so it may be gone already.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A zombie is there too: the lab's own way leaves none.
fn is_there(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap_or(false)
}

fn patience(start: Instant) -> Result<()> {
    if start.elapsed() > LONGEST_END { Err(Error::other("the processes do not end")) } else { Ok(()) }
}

/// The file shows the namespace of whoever opens it, here a thread that goes there.
fn time_wait_in(namespace: &str) -> Result<u64> {
    let count = || {
        ip::enter(namespace)?;
        Ok(c1m_lab::kernel::proc::sockstat()?.tcp_time_wait)
    };
    thread::scope(|scope| scope.spawn(count).join().expect("counting does not panic"))
}

#[derive(Deserialize)]
struct Report {
    established: u64,
    clients: Side,
    server: Side,
    kernel: Kernel,
}

#[derive(Deserialize)]
struct Kernel {
    time_wait_after_drain: u64,
}

#[derive(Deserialize)]
struct Side {
    closed: u64,
}
