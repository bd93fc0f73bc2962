//! What a steward is asked to do on its machine, and how it leaves it.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::pin::Pin;

use futures::StreamExt;
use futures::stream::{LocalBoxStream, SelectAll};
use tokio::io::AsyncWrite;

use super::words::{Preparation, Process};
use crate::agent::Order;
use crate::agent::confine::Cell;
use crate::driver::chain::Chain;
use crate::driver::{AgentId, Heard, process, settings};
use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::journal::{self, Change, Header, Journal};
use crate::kernel::netlink::{Borrowed, Opened, Request};
use crate::kernel::{self, proc};
use crate::observe::{Depth, Probes, Seen};
use crate::plan::admission::{self, Short};
use crate::spec::FaultAction;
use crate::teardown::{self, Outcome};
use crate::units::Address;

/// Everything that agents say.
pub type Voices = SelectAll<LocalBoxStream<'static, (AgentId, Heard)>>;

#[derive(Default)]
pub struct Handler {
    journal: Option<Journal>,
    probes: Option<Probes>,
    chain: Chain,
    /// The process of each agent, and since when it is there.
    processes: BTreeMap<AgentId, (u32, u64)>,
    orders: BTreeMap<AgentId, Pin<Box<dyn AsyncWrite>>>,
    pub heard: Voices,
}

impl Handler {
    /// How many changes of an earlier steward of the same lab had to be undone first.
    pub async fn prepare(&mut self, preparation: Preparation) -> Result<usize> {
        let Preparation { lab, node, connections, subnets, address, .. } = &preparation;
        has_address(*address)?;
        let found = clear(lab).await?;
        let header = Header {
            lab: lab.clone(),
            runner: std::process::id(),
            runner_start_time: proc::start_time(None).unwrap_or(0),
            boot_id: proc::boot_id(),
            began_unix_ms: u64::try_from(super::unix_us() / 1000).unwrap_or(0),
            run_directory: PathBuf::new(),
            connections: *connections,
            subnets: subnets.clone(),
            planned: Some(preparation.planned),
        };
        self.probes = Some(Probes::of_machine(node));
        // An ordinary user has no place for a journal, and may change nothing that would belong into it.
        if !(preparation.settings.is_empty() && preparation.routes.is_empty()) || may_keep_journal() {
            let (journal, ()) = Journal::begin_if(lab, || has_room(&preparation).map(|()| (header, ())))?;
            let journal = self.journal.insert(journal);
            settings::move_all(journal, &preparation.settings)?;
            for route in &preparation.routes {
                borrow(journal, *route).await?;
            }
        }
        let nofile = preparation.nofile;
        kernel::process::raise_nofile(nofile)
            .attempt(Exit::Host, || format!("taking {nofile} descriptors for the steward"))?;
        Ok(found)
    }

    pub fn start(&mut self, agents: Vec<(AgentId, Cell)>) -> Result<Vec<Process>> {
        let (mut processes, mut changes) =
            (Vec::with_capacity(agents.len()), Vec::with_capacity(agents.len()));
        for (agent, cell) in agents {
            let cell = Cell { parent: i32::try_from(std::process::id()).ok(), given: true, ..cell };
            let started = process::start(agent, &cell, self.chain.given_to(agent, None)?)?;
            let start_time = proc::start_time(Some(started.pid)).unwrap_or(0);
            changes.push(Change::Process { name: agent.to_string(), pid: started.pid, start_time });
            if let Some(probes) = &mut self.probes {
                probes.add_agent(agent.to_string(), started.pid);
            }
            processes.push((started.pid, started.log_mark));
            self.processes.insert(agent, (started.pid, start_time));
            self.orders.insert(agent, started.orders);
            self.heard.push(started.heard.map(move |heard| (agent, heard)).boxed_local());
        }
        if let Some(journal) = &mut self.journal {
            journal.note_processes(changes)?;
        }
        Ok(processes)
    }

    pub fn strike(&self, agent: AgentId, action: FaultAction) -> Result<()> {
        let what = || format!("striking {agent}");
        let process =
            self.processes.get(&agent).ok_or_else(|| Error::broke(what(), "it was not started yet"))?;
        process::strike(*process, action);
        Ok(())
    }

    /// Whoever cannot be written to has ended, and that is heard.
    pub async fn order(&mut self, agent: AgentId, order: &Order) {
        let Some(orders) = self.orders.get_mut(&agent) else { return };
        order.write_to(orders).await;
    }

    pub fn let_go(&mut self, agent: AgentId) {
        self.orders.remove(&agent);
    }

    pub fn look(&mut self, depth: Depth) -> Seen {
        self.probes.as_mut().map(|probes| probes.look(depth)).unwrap_or_default()
    }

    /// Also what an earlier steward left: then this one was asked for nothing else.
    pub async fn down(&mut self, lab: &str) -> Result<Outcome> {
        self.orders.clear();
        match self.journal.take() {
            Some(journal) => undo(journal).await,
            None => undo_left(lab).await,
        }
    }

    /// Whether something could not be undone.
    pub async fn leave(mut self) -> bool {
        self.orders.clear();
        // Their processes are ended with them.
        self.heard.clear();
        let Some(journal) = self.journal.take() else { return false };
        !undo(journal).await.is_ok_and(|outcome| outcome.left_behind.is_empty())
    }
}

/// What could not be undone stays in the journal.
async fn undo(mut journal: Journal) -> Result<Outcome> {
    let outcome = teardown::undo(&mut journal).await?;
    if outcome.left_behind.is_empty() {
        journal.end()?;
    }
    Ok(outcome)
}

/// Undoes what a steward that is gone has left. One that is still at it is told to end, and waited for.
async fn undo_left(lab: &str) -> Result<Outcome> {
    if !journal::labs().iter().any(|standing| standing == lab) {
        return Ok(Outcome::default());
    }
    if let Some(header) = journal::look(lab).0.filter(|header| header.runner != std::process::id()) {
        teardown::stop_runner(&header);
    }
    if !journal::labs().iter().any(|standing| standing == lab) {
        return Ok(Outcome::default());
    }
    undo(Journal::open(lab)?).await
}

/// A lab that runs is left alone: beginning its journal will be refused.
async fn clear(lab: &str) -> Result<usize> {
    let (header, standing) = journal::look(lab);
    if header.is_none_or(|header| header.is_running()) {
        return Ok(0);
    }
    let outcome = undo_left(lab).await?;
    match outcome.left_behind.first() {
        None => Ok(standing.len()),
        Some(left) => Err(Error::new(
            Exit::Leftover,
            format!("undoing what an earlier run of `{lab}` left"),
            format!("{}: {}", left.what, left.why),
        )),
    }
}

/// Another lab may have begun here since this one was planned.
fn has_room(Preparation { lab, planned, settings, memory_must_fit, .. }: &Preparation) -> Result<()> {
    let host = journal::beside::host();
    if host.others.is_empty() {
        return Ok(());
    }
    admission::fits(planned, &host, settings, *memory_must_fit)
        .map_err(|Short { why, remedy }| Error::host(format!("making room for `{lab}`"), why).remedy(remedy))
}

fn may_keep_journal() -> bool {
    rustix::process::geteuid().is_root()
}

fn has_address(address: Address) -> Result<()> {
    let what = || format!("using the address {address} for the test traffic");
    UdpSocket::bind((address, 0)).map(|_| ()).map_err(|why| {
        Error::host(what(), why)
            .remedy("name one that the machine has: `machines: {server: {ssh: …, address: …}}`")
    })
}

async fn borrow(journal: &mut Journal, route: Borrowed) -> Result<()> {
    let change = Change::Route { route };
    let id = journal.intend(vec![change.clone()])?[0];
    let opened = Opened::here(&tokio::runtime::Handle::current())
        .attempt(Exit::Host, || "opening netlink".to_owned())?;
    opened.serve().send(&[Request::Borrow(route)]).await.map_err(|(what, why)| {
        let remedy = match route {
            Borrowed::Range { .. } => "name another block with `network: {subnet: …}`",
            Borrowed::Way { .. } => {
                "machines that share no link have one address each: leave `clients: {addresses}` out"
            }
        };
        Error::host(what, why).remedy(remedy)
    })?;
    journal.made(vec![(id, change)])
}
