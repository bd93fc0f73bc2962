//! The driver that builds a lab from network namespaces and veth pairs on this host.

mod requests;
mod strike;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Built, Driver, Part, Remains};
use crate::agent::confine::Cell;
use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::host::Cgroup;
use crate::host_settings;
use crate::journal::{self, Change, Journal};
use crate::kernel::netlink::{Netlink, Opened, Request};
use crate::kernel::netns::{self, Namespace};
use crate::kernel::{cgroup, proc, sysctl};
use crate::launch::chain::Chain;
use crate::launch::{AgentId, Started, node_of, process};
use crate::observe::{Depth, ProbedNode, Probes, Seen};
use crate::plan::{Node, Plan, PlannedNamespace};
use crate::spec::FaultAction;
use crate::teardown::{self, Outcome};
use crate::units::Family;
use requests::Local;

/// What new links of a namespace do by themselves.
const QUIET_IPV6: [(&str, &str); 3] = [
    ("net.ipv6.conf.default.addr_gen_mode", "1"),
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.all.accept_dad", "0"),
];

pub struct NetnsDriver {
    journal: Journal,
    host_cgroup: Cgroup,
    namespaces: Vec<Namespace>,
    chain: Chain,
    /// By node: the cgroup with its memory limit.
    cgroups: BTreeMap<usize, PathBuf>,
    /// The process of each agent, and since when it is there.
    agents: BTreeMap<AgentId, (u32, u64)>,
    /// What they have open keeps the namespaces in being: closed before the way down.
    probes: Option<Probes>,
}

impl NetnsDriver {
    pub fn new(journal: Journal, host_cgroup: Cgroup) -> Self {
        NetnsDriver {
            journal,
            host_cgroup,
            namespaces: Vec::new(),
            chain: Chain::default(),
            cgroups: BTreeMap::new(),
            agents: BTreeMap::new(),
            probes: None,
        }
    }

    fn make_namespaces(&mut self, planned: &[PlannedNamespace]) -> Result<()> {
        let directory = Path::new(netns::DIRECTORY);
        if !directory.exists() {
            self.journal.intend(vec![Change::Directory { path: directory.to_owned() }])?;
            std::fs::create_dir_all(directory)
                .attempt(Exit::Host, || format!("making {}", directory.display()))?;
        }
        if let Some(taken) = planned.iter().find(|one| netns::path(&one.name).exists()) {
            let what = format!("making the namespace {}", taken.name);
            return Err(Error::host(what, "a namespace of that name is there, and is not this lab's")
                .remedy("give the lab another name (`--set name=…`), or remove it: `ip netns del`"));
        }
        let change =
            |one: &PlannedNamespace, identity| Change::Namespace { name: one.name.clone(), identity };
        let ids = self.journal.intend(planned.iter().map(|one| change(one, None)).collect())?;
        let orders: Vec<_> = planned
            .iter()
            .map(|one| netns::NamespaceOrder { name: &one.name, ehash_entries: one.ehash_entries })
            .collect();
        let staging = self.journal.staging();
        std::fs::create_dir_all(&staging).attempt(Exit::Host, || format!("making {}", staging.display()))?;
        let (made, result) = netns::stage(&orders, &staging);
        let identities = ids.iter().zip(planned).zip(&made);
        let identities = identities.map(|((id, one), made)| (*id, change(one, Some(made.identity))));
        self.journal.made(identities.collect())?;
        self.namespaces = made;
        let failed = |name: &str, error| Error::host(format!("making the namespace {name}"), error);
        result.map_err(|(name, error)| failed(&name, error))?;
        // Their identities are in the journal: from here on they are known under any name.
        for namespace in &self.namespaces {
            netns::publish(namespace, &staging).map_err(|error| failed(&namespace.name, error))?;
        }
        Ok(())
    }

    /// The pairs of each node in which links come together, in one batch made there: an older kernel, as 6.1, looks
    /// for an index that is taken in the namespace it is asked from, and the host has links of its own.
    async fn make_pairs(&self, lab: Local<'_>) -> Result<()> {
        let runtime = tokio::runtime::Handle::current();
        let hubs: BTreeSet<usize> = lab.here.links.iter().map(|link| link.ends[0].node).collect();
        let files = hubs.iter().map(|hub| self.namespaces[*hub].file());
        let opened = netns::inside_each(files, |_| Opened::here(&runtime));
        for (hub, opened) in hubs.iter().zip(opened) {
            let name = lab.name(*hub);
            let opened = opened.attempt(Exit::Host, || format!("opening netlink in {name}"))?;
            send(&mut opened.serve(), name, &lab.pairs(*hub, &self.namespaces)).await?;
        }
        Ok(())
    }

    /// All pairs first, then one batch in each namespace gives it its addresses.
    async fn connect(&mut self, lab: Local<'_>) -> Result<()> {
        if lab.ends.subnets.iter().any(|subnet| subnet.family() == Family::Ipv6) {
            self.quiet_ipv6(lab)?;
        }
        self.make_pairs(lab).await?;
        let runtime = tokio::runtime::Handle::current();
        let opened = netns::inside_each(self.namespaces.iter().map(Namespace::file), |node| {
            if let Some(router) = lab.tracking_router(node) {
                // First of all: the settings of tracking are there when it is.
                requests::track(router, &lab.ends.nodes[node])
                    .map_err(|(what, error)| std::io::Error::other(format!("{what}: {error}")))?;
            }
            for (key, value) in &lab.ends.nodes[node].settings {
                sysctl::write_inside(key, value)
                    .map_err(|error| std::io::Error::other(format!("setting {key} to {value}: {error}")))?;
            }
            Opened::here(&runtime)
        });
        for (node, opened) in opened.into_iter().enumerate() {
            let name = lab.name(node);
            let opened = opened.attempt(Exit::Host, || format!("setting up the namespace {name}"))?;
            send(&mut opened.serve(), name, &lab.requests(node)).await?;
        }
        Ok(())
    }

    /// Links that are made from now on get no address of their own making, and none is looked for twice: the lab
    /// gives them theirs, and nobody else is there.
    fn quiet_ipv6(&self, lab: Local<'_>) -> Result<()> {
        let quiet = |_| QUIET_IPV6.into_iter().try_for_each(|(key, value)| sysctl::write_inside(key, value));
        let done = netns::inside_each(self.namespaces.iter().map(Namespace::file), quiet);
        for (node, done) in done.into_iter().enumerate() {
            done.attempt(Exit::Host, || format!("setting up IPv6 in {}", lab.name(node)))?;
        }
        Ok(())
    }

    fn open_probes(&mut self, plan: &Plan) -> Result<()> {
        let version = self.host_cgroup.version;
        let probed = |(index, node): (usize, &Node)| ProbedNode {
            name: node.name.clone(),
            cgroup: self.cgroups.get(&index).map(|path| (version, path.clone())),
        };
        let probed = plan.ends.nodes.iter().enumerate().map(probed);
        let probes = Probes::open(probed.zip(self.namespaces.iter().map(Namespace::file)));
        self.probes = Some(probes.attempt(Exit::Host, || "looking into the namespaces".to_owned())?);
        Ok(())
    }

    fn make_cgroups(&mut self, lab: Local<'_>) -> Result<()> {
        for (index, namespace) in lab.here.namespaces.iter().enumerate() {
            let Some(limit) = namespace.memory_limit else { continue };
            let attempt = || format!("limiting the memory of {}", lab.ends.nodes[index].name);
            let below = match (&self.host_cgroup.limit_below, &self.host_cgroup.can_limit) {
                (Some(below), Ok(())) => below.clone(),
                (_, Err(why)) => {
                    return Err(Error::host(attempt(), why).remedy("leave `limits: {memory}` out"));
                }
                (None, Ok(())) => return Err(Error::host(attempt(), "no cgroup to make it in is known")),
            };
            let path = below.join(&namespace.name);
            if path.exists() {
                let why = format!("{} is there, and is not this lab's", path.display());
                return Err(Error::host(attempt(), why)
                    .remedy("give the lab another name (`--set name=…`), or remove it with `rmdir`"));
            }
            let id = self.journal.intend(vec![Change::Cgroup { path: path.clone(), inode: None }])?[0];
            let inode = cgroup::create(&path).attempt(Exit::Host, attempt)?;
            self.journal.made(vec![(id, Change::Cgroup { path: path.clone(), inode: Some(inode) })])?;
            cgroup::limit_memory(&path, self.host_cgroup.version, limit).attempt(Exit::Host, attempt)?;
            self.cgroups.insert(index, path);
        }
        Ok(())
    }
}

impl Driver for NetnsDriver {
    async fn build(&mut self, plan: &Plan) -> Result<Built> {
        let lab = Local::of(plan)?;
        host_settings::move_all(&mut self.journal, &lab.here.host_settings)?;
        self.make_cgroups(lab)?;
        self.make_namespaces(&lab.here.namespaces)?;
        self.connect(lab).await?;
        self.open_probes(plan)?;
        Ok(Built {
            machines: 0,
            namespaces: lab.here.namespaces.len(),
            links: lab.here.links.len(),
            addresses: plan.ends.nodes.iter().map(Node::address_count).sum(),
            unkept: self.journal.unkept(),
        })
    }

    async fn start(&mut self, plan: &Plan, agents: &[AgentId]) -> Result<Vec<Started>> {
        let user = Local::of(plan)?.here.agent_user;
        let mut started = Vec::with_capacity(agents.len());
        let mut changes = Vec::with_capacity(agents.len());
        for agent in agents {
            let node = node_of(plan, *agent);
            let cell = Cell {
                given: true,
                nofile: Some(match agent {
                    AgentId::Reactor(_) => plan.ends.reactors.nofile,
                    AgentId::Swarm(index) => plan.ends.swarms[*index as usize].nofile,
                }),
                cgroup: self.cgroups.get(&node).map(|path| cgroup::entrance(path)).into_iter().collect(),
                cpus: plan.ends.nodes[node].cpus.clone(),
                user,
                parent: i32::try_from(std::process::id()).ok(),
            };
            let given = self.chain.given_to(*agent, Some(self.namespaces[node].file()))?;
            let one = process::start(*agent, &cell, given)?;
            let start_time = proc::start_time(Some(one.pid)).unwrap_or(0);
            changes.push(Change::Process { name: agent.to_string(), pid: one.pid, start_time });
            self.agents.insert(*agent, (one.pid, start_time));
            if let Some(probes) = &mut self.probes {
                probes.add_agent(agent.to_string(), one.pid);
            }
            started.push(one);
        }
        self.journal.note_processes(changes)?;
        Ok(started)
    }

    async fn strike(&mut self, plan: &Plan, part: Part, action: FaultAction) -> Result<()> {
        match part {
            Part::Agent(agent) => {
                let Some((pid, since)) = self.agents.get(&agent).copied() else {
                    return Err(Error::broke(format!("striking {agent}"), "it was not started yet"));
                };
                process::strike((pid, since), action);
                Ok(())
            }
            Part::Ports(ports) => strike::reset(plan, &self.namespaces[0], &ports),
            Part::Link(client) => {
                let lab = Local::of(plan)?;
                let up = action == FaultAction::LinkUp;
                let runtime = tokio::runtime::Handle::current();
                // At the client nothing is seen of it: its packets go into a cable with no other end.
                let Some(end) = strike::far_end(lab, client) else { return Ok(()) };
                let place = self.namespaces[end.node].file();
                let opened = netns::inside_each([place], |_| Opened::here(&runtime));
                let attempt = || format!("striking the link of {}", plan.ends.nodes[client].name);
                for netlink in opened {
                    let mut netlink = netlink.attempt(Exit::Broke, attempt)?.serve();
                    send(&mut netlink, lab.name(end.node), &strike::link(lab, end, up)).await?;
                }
                Ok(())
            }
        }
    }

    async fn cut_routes(&mut self, plan: &Plan) -> Result<()> {
        let lab = Local::of(plan)?;
        let runtime = tokio::runtime::Handle::current();
        let files = self.namespaces.iter().map(Namespace::file);
        let opened = netns::inside_each(files, |_| Opened::here(&runtime));
        let mut result = Ok(());
        for (node, opened) in opened.into_iter().enumerate() {
            let name = lab.name(node);
            let routes: Vec<Request> = lab.requests(node).iter().filter_map(Request::undone).collect();
            let parted = match opened {
                Ok(opened) => send(&mut opened.serve(), name, &routes).await,
                Err(error) => Err(Error::broke(format!("opening netlink in {name}"), error)),
            };
            // A route that is gone already, as with a link that was taken down, is no reason to keep the others.
            result = result.and(parted);
        }
        result
    }

    async fn sample(&mut self, depth: Depth) -> Seen {
        self.probes.as_mut().map(|probes| probes.look(depth)).unwrap_or_default()
    }

    async fn down(&mut self) -> Result<Outcome> {
        self.probes = None;
        self.namespaces.clear();
        teardown::undo(&mut self.journal).await
    }

    fn watch_remains(&self) -> Box<dyn Fn() -> Remains> {
        let lab = self.journal.lab.clone();
        Box::new(move || {
            let mut remains = Remains::default();
            for standing in journal::look(&lab).1 {
                match standing.change {
                    Change::Namespace { .. } => remains.namespaces += 1,
                    Change::Cgroup { .. } => remains.cgroups += 1,
                    Change::Setting { .. } => remains.settings += 1,
                    Change::Process { .. } | Change::Directory { .. } | Change::Route { .. } => {}
                }
            }
            remains
        })
    }

    fn into_journal(self) -> Option<Journal> {
        Some(self.journal)
    }
}

async fn send(netlink: &mut Netlink, namespace: &str, requests: &[Request]) -> Result<()> {
    netlink.send(requests).await.map_err(|(what, error)| Error::host(format!("{what} in {namespace}"), error))
}
