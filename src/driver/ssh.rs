//! The driver whose nodes are machines, each reached by ssh and kept by a steward there.

mod line;
mod looks;
mod reach;
mod trouble;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{join_all, try_join_all};

use super::{AgentId, Built, Driver, Part, Remains, Started, node_of};
use crate::agent::confine::Cell;
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::kernel::netlink::Borrowed;
use crate::observe::{Depth, Seen};
use crate::plan::Node;
use crate::plan::Plan;
use crate::plan::machines::{Machine, Placed};
use crate::spec::{FaultAction, MachineSpec};
use crate::steward::words::{Ask, Hello, Preparation, Process, Tell};
use crate::teardown::{Leftover, Outcome};
use line::Line;
use looks::Looks;
pub use reach::Target;

/// Settings, addresses and processes on one machine.
const PROMPT: Duration = Duration::from_secs(30);
/// Undoing waits for processes with a million sockets to end.
const UNDOING: Duration = Duration::from_secs(180);

/// What a steward keeps open for itself, and for each agent: two pipes and the process.
const STEWARD_OWN: u64 = 64;
const STEWARD_PER_AGENT: u64 = 3;

/// All machines of a lab, reached.
pub struct Machines {
    targets: Vec<Target>,
    lines: Vec<Line>,
    pub found: Vec<Machine>,
}

impl Machines {
    /// Reaches all of them at the same time; the first that cannot be reached is the error.
    pub async fn reach(targets: Vec<(Target, MachineSpec)>) -> Result<Machines> {
        let reached = try_join_all(targets.iter().map(|(target, spec)| reach_one(target, spec))).await?;
        let (lines, found) = reached.into_iter().unzip();
        Ok(Machines { targets: targets.into_iter().map(|(target, _)| target).collect(), lines, found })
    }

    /// Lets the stewards go, and waits until they have ended.
    pub async fn close(self) {
        join_all(self.lines.into_iter().map(Line::close)).await;
    }
}

async fn reach_one(target: &Target, spec: &MachineSpec) -> Result<(Line, Machine)> {
    let (line, Hello { host, reached, .. }) = target.reach().await?;
    let address = spec.address.or(reached).ok_or_else(|| {
        let what = format!("choosing the address of {} for the test traffic", target.node);
        Error::host(what, "ssh did not tell which address it came to")
            .remedy("name it: `{ssh: …, address: 192.168.121.10}`")
    })?;
    let clock = line.clock().await?;
    Ok((line, Machine { ssh: target.ssh.clone(), address, host, clock }))
}

pub struct SshDriver {
    /// Of the host where the runner is; an ordinary user has none.
    journal: Option<Journal>,
    machines: Machines,
    lab: String,
    looks: Looks,
    /// The node and the process of each agent.
    processes: BTreeMap<AgentId, (String, Process)>,
    learnt: Vec<(AgentId, String)>,
}

impl SshDriver {
    pub fn new(journal: Option<Journal>, machines: Machines, lab: &str) -> Self {
        SshDriver {
            journal,
            machines,
            lab: lab.to_owned(),
            looks: Looks::default(),
            processes: BTreeMap::new(),
            learnt: Vec::new(),
        }
    }

    /// Under which a machine's steward keeps its journal.
    fn name_on(&self, node: &str) -> String {
        format!("{}-{node}", self.lab)
    }

    fn preparation(&self, plan: &Plan, index: usize) -> Preparation {
        let (node, placed) = (&plan.nodes[index], &plan.machines[index]);
        let agents = if index == 0 {
            u64::from(plan.reactors.count)
        } else {
            plan.swarms.iter().filter(|swarm| swarm.node == index).count() as u64
        };
        Preparation {
            lab: self.name_on(&node.name),
            node: node.name.clone(),
            connections: plan.connections,
            subnets: plan.subnets.clone(),
            address: placed.address,
            settings: placed.settings.clone(),
            routes: routes(plan, index),
            nofile: STEWARD_OWN + STEWARD_PER_AGENT * agents,
            planned: plan.reservation_on(index),
            memory_must_fit: placed.memory.fits(),
        }
    }

    /// Where a machine's memory ended, the connection to it may have gone with the agent: then only its log tells.
    async fn ask_about_agents(&self, line: &Line) -> Vec<(AgentId, String)> {
        let here = self.processes.iter().filter(|(_, (node, _))| *node == line.node);
        let (agents, of): (Vec<AgentId>, Vec<Process>) =
            here.map(|(agent, (_, process))| (*agent, process.clone())).unzip();
        let Ok(Tell::Said { lines }) = line.ask(Ask::Said { of }, PROMPT).await else { return Vec::new() };
        agents.into_iter().zip(lines).filter_map(|(agent, line)| Some((agent, line?))).collect()
    }

    /// Takes one machine down. One that is gone is reached once more: its steward has undone everything by
    /// itself, or is at it, or died before.
    async fn take_down(&self, index: usize) -> Result<(Outcome, Vec<(AgentId, String)>)> {
        let (line, target) = (&self.machines.lines[index], &self.machines.targets[index]);
        let down = || Ask::Down { lab: self.name_on(&target.node) };
        if line.gone().is_none()
            && let Ok(Tell::Down(outcome)) = line.ask(down(), UNDOING).await
        {
            return Ok((outcome, Vec::new()));
        }
        let (line, _) = target.reach().await?;
        let said = self.ask_about_agents(&line).await;
        let answer = line.ask(down(), UNDOING).await;
        line.close().await;
        match answer? {
            Tell::Down(outcome) => Ok((outcome, said)),
            other => Err(Error::broke("taking the machine down", format!("it answered {other:?}"))),
        }
    }
}

/// A client's added addresses are its own range, and the server reaches them by the client's address.
fn routes(plan: &Plan, index: usize) -> Vec<Borrowed> {
    if index > 0 {
        let range = plan.machines[index].range;
        return range
            .map(|range| Borrowed::Range { first: range.base, prefix: range.prefix })
            .into_iter()
            .collect();
    }
    let way = |placed: &Placed| {
        let range = placed.range?;
        Some(Borrowed::Way { to: range.base, prefix: range.prefix, via: placed.address })
    };
    plan.machines.iter().filter_map(way).collect()
}

fn cell(plan: &Plan, agent: AgentId) -> Cell {
    let node = node_of(plan, agent);
    Cell {
        nofile: Some(match agent {
            AgentId::Reactor(_) => plan.reactors.nofile,
            AgentId::Swarm(index) => plan.swarms[index as usize].nofile,
        }),
        cpus: plan.nodes[node].cpus.clone(),
        user: plan.machines[node].agent_user,
        ..Cell::default()
    }
}

impl Driver for SshDriver {
    async fn build(&mut self, plan: &Plan) -> Result<Built> {
        let prepare = async |(index, line): (usize, &Line)| {
            let ask = Ask::Prepare(Box::new(self.preparation(plan, index)));
            line.ask(ask, PROMPT).await.map(|_| ())
        };
        // Every machine is ready or has failed before the way down is taken.
        let prepared = self.machines.lines.iter().enumerate().map(prepare);
        join_all(prepared).await.into_iter().collect::<Result<()>>()?;
        Ok(Built {
            machines: plan.nodes.len(),
            addresses: plan.nodes.iter().map(Node::address_count).sum(),
            ..Built::default()
        })
    }

    async fn start(&mut self, plan: &Plan, agents: &[AgentId]) -> Result<Vec<Started>> {
        let mut by_node: BTreeMap<usize, Vec<AgentId>> = BTreeMap::new();
        for agent in agents {
            by_node.entry(node_of(plan, *agent)).or_default().push(*agent);
        }
        let on_one = async |(node, agents): (usize, Vec<AgentId>)| {
            let line = &self.machines.lines[node];
            let started = line.listen(&agents);
            let cells = agents.iter().map(|agent| (*agent, cell(plan, *agent))).collect();
            let Tell::Started { processes } = line.ask(Ask::Start { agents: cells }, PROMPT).await? else {
                return Err(Error::broke("starting agents", "the steward answered something else"));
            };
            let started = started.into_iter().zip(processes);
            let started = started.map(|(one, (pid, log_mark))| Started { pid, log_mark, ..one });
            Ok(agents.into_iter().zip(started).collect::<Vec<_>>())
        };
        let started = try_join_all(by_node.into_iter().map(on_one)).await?;
        let mut started: BTreeMap<AgentId, Started> = started.into_iter().flatten().collect();
        for (agent, one) in &started {
            let node = plan.nodes[node_of(plan, *agent)].name.clone();
            self.processes.insert(*agent, (node, (one.pid, one.log_mark.clone())));
        }
        Ok(agents.iter().filter_map(|agent| started.remove(agent)).collect())
    }

    /// Nobody waits for a look that will soon be repeated: what the machines have told since the last one is taken,
    /// and they are asked again.
    async fn sample(&mut self, depth: Depth) -> Seen {
        match depth {
            Depth::Full => self.looks.wait(&self.machines.lines).await,
            Depth::Quick | Depth::Agents => self.looks.take(&self.machines.lines, depth),
        }
    }

    async fn strike(&mut self, plan: &Plan, part: Part, action: FaultAction) -> Result<()> {
        match part {
            Part::Agent(agent) => {
                let line = &self.machines.lines[node_of(plan, agent)];
                line.ask(Ask::Strike { agent, action }, PROMPT).await.map(|_| ())
            }
            Part::Ports(ports) => {
                let what = format!("resetting what goes to ports {ports}");
                Err(Error::host(what, "the firewalls of machines are not the lab's"))
            }
            Part::Link(node) => {
                let what = format!("striking the link of {}", plan.nodes[node].name);
                Err(Error::host(what, "the links between machines are not the lab's"))
            }
        }
    }

    /// What stands on the machines is theirs to count.
    fn watch_remains(&self) -> Box<dyn Fn() -> Remains> {
        Box::new(Remains::default)
    }

    /// The ways between machines are not ours to take away: each end closes with a reset.
    async fn cut_routes(&mut self, _: &Plan) -> Result<()> {
        Ok(())
    }

    async fn down(&mut self) -> Result<Outcome> {
        let outcomes = join_all((0..self.machines.lines.len()).map(|index| self.take_down(index))).await;
        let mut all = Outcome::default();
        for (target, outcome) in self.machines.targets.iter().zip(outcomes) {
            let node = &target.node;
            match outcome {
                Ok((outcome, said)) => {
                    self.learnt.extend(said);
                    let left = outcome.left_behind.into_iter();
                    all.left_behind.extend(
                        left.map(|left| Leftover { what: format!("{node}: {}", left.what), why: left.why }),
                    );
                    let restored = outcome.restored.into_iter();
                    all.restored.extend(restored.map(|mut restored| {
                        restored.key = format!("{node}: {}", restored.key);
                        restored
                    }));
                }
                Err(error) => all.left_behind.push(Leftover {
                    what: format!("{node}, perhaps: nobody could look"),
                    why: format!("{error}. Its steward undoes everything once it notices that it is alone"),
                }),
            }
        }
        join_all(self.machines.lines.drain(..).map(Line::close)).await;
        Ok(all)
    }

    fn learnt(&mut self) -> Vec<(AgentId, String)> {
        std::mem::take(&mut self.learnt)
    }

    fn into_journal(self) -> Option<Journal> {
        self.journal
    }
}
