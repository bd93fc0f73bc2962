//! The driver that builds a lab from network namespaces and veth pairs on this host.

mod strike;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::chain::Chain;
use super::{AgentId, Built, Driver, Part, Remains, Started, node_of, process, settings};
use crate::agent::confine::Cell;
use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::host::Cgroup;
use crate::journal::{self, Change, Journal};
use crate::kernel::netlink::{End, LOOPBACK, Netlink, Opened, Request};
use crate::kernel::netns::{self, Namespace};
use crate::kernel::nftables::{self, Translation};
use crate::kernel::{cgroup, proc, sysctl};
use crate::observe::{Depth, ProbedNode, Probes, Seen};
use crate::plan::{Home, LinkEnd, Nat, Node, Plan, Role, Router};
use crate::spec::FaultAction;
use crate::teardown::{self, Outcome};
use crate::units::Family;

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

    fn make_namespaces(&mut self, nodes: &[Node]) -> Result<()> {
        let directory = Path::new(netns::DIRECTORY);
        if !directory.exists() {
            self.journal.intend(vec![Change::Directory { path: directory.to_owned() }])?;
            std::fs::create_dir_all(directory)
                .attempt(Exit::Host, || format!("making {}", directory.display()))?;
        }
        if let Some(taken) = nodes.iter().find(|node| netns::path(&node.namespace).exists()) {
            let what = format!("making the namespace {}", taken.namespace);
            return Err(Error::host(what, "a namespace of that name is there, and is not this lab's")
                .remedy("give the lab another name (`--set name=…`), or remove it: `ip netns del`"));
        }
        let change = |node: &Node, identity| Change::Namespace { name: node.namespace.clone(), identity };
        let ids = self.journal.intend(nodes.iter().map(|node| change(node, None)).collect())?;
        let orders: Vec<_> = nodes
            .iter()
            .map(|node| netns::NamespaceOrder { name: &node.namespace, ehash_entries: node.ehash_entries })
            .collect();
        let staging = self.journal.staging();
        std::fs::create_dir_all(&staging).attempt(Exit::Host, || format!("making {}", staging.display()))?;
        let (made, result) = netns::stage(&orders, &staging);
        let identities = ids.iter().zip(nodes).zip(&made);
        let identities = identities.map(|((id, node), made)| (*id, change(node, Some(made.identity))));
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
    async fn make_pairs(&self, plan: &Plan) -> Result<()> {
        let runtime = tokio::runtime::Handle::current();
        let hubs: BTreeSet<usize> = plan.links.iter().map(|link| link.ends[0].node).collect();
        let files = hubs.iter().map(|hub| self.namespaces[*hub].file());
        let opened = netns::inside_each(files, |_| Opened::here(&runtime));
        for (hub, opened) in hubs.iter().zip(opened) {
            let name = &plan.nodes[*hub].namespace;
            let opened = opened.attempt(Exit::Host, || format!("opening netlink in {name}"))?;
            send(&mut opened.serve(), name, &pairs(plan, *hub, &self.namespaces)).await?;
        }
        Ok(())
    }

    /// All pairs first, then one batch in each namespace gives it its addresses.
    async fn connect(&mut self, plan: &Plan) -> Result<()> {
        if plan.subnets.iter().any(|subnet| subnet.family() == Family::Ipv6) {
            self.quiet_ipv6(plan)?;
        }
        self.make_pairs(plan).await?;
        let runtime = tokio::runtime::Handle::current();
        let opened = netns::inside_each(self.namespaces.iter().map(Namespace::file), |node| {
            if let Some(router) = plan.router.as_ref().filter(|router| router.node == node && router.tracks) {
                // First of all: the settings of tracking are there when it is.
                track(router, &plan.nodes[node])
                    .map_err(|(what, error)| std::io::Error::other(format!("{what}: {error}")))?;
            }
            for (key, value) in &plan.nodes[node].settings {
                sysctl::write_inside(key, value)
                    .map_err(|error| std::io::Error::other(format!("setting {key} to {value}: {error}")))?;
            }
            Opened::here(&runtime)
        });
        for ((node, opened), plan_node) in opened.into_iter().enumerate().zip(&plan.nodes) {
            let name = &plan_node.namespace;
            let opened = opened.attempt(Exit::Host, || format!("setting up the namespace {name}"))?;
            send(&mut opened.serve(), name, &requests(plan, node)).await?;
        }
        Ok(())
    }

    /// Links that are made from now on get no address of their own making, and none is looked for twice: the lab
    /// gives them theirs, and nobody else is there.
    fn quiet_ipv6(&self, plan: &Plan) -> Result<()> {
        let quiet = |_| QUIET_IPV6.into_iter().try_for_each(|(key, value)| sysctl::write_inside(key, value));
        let done = netns::inside_each(self.namespaces.iter().map(Namespace::file), quiet);
        for (done, node) in done.into_iter().zip(&plan.nodes) {
            done.attempt(Exit::Host, || format!("setting up IPv6 in {}", node.namespace))?;
        }
        Ok(())
    }

    fn open_probes(&mut self, plan: &Plan) -> Result<()> {
        let version = self.host_cgroup.version;
        let probed = |(index, node): (usize, &Node)| ProbedNode {
            name: node.name.clone(),
            cgroup: self.cgroups.get(&index).map(|path| (version, path.clone())),
        };
        let probed = plan.nodes.iter().enumerate().map(probed);
        let probes = Probes::open(probed.zip(self.namespaces.iter().map(Namespace::file)));
        self.probes = Some(probes.attempt(Exit::Host, || "looking into the namespaces".to_owned())?);
        Ok(())
    }

    fn make_cgroups(&mut self, plan: &Plan) -> Result<()> {
        for (index, node) in plan.nodes.iter().enumerate() {
            let Some(limit) = node.memory_limit else { continue };
            let attempt = || format!("limiting the memory of {}", node.name);
            let below = match (&self.host_cgroup.limit_below, &self.host_cgroup.can_limit) {
                (Some(below), Ok(())) => below.clone(),
                (_, Err(why)) => {
                    return Err(Error::host(attempt(), why).remedy("leave `limits: {memory}` out"));
                }
                (None, Ok(())) => return Err(Error::host(attempt(), "no cgroup to make it in is known")),
            };
            let path = below.join(&node.namespace);
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
        settings::move_all(&mut self.journal, &plan.host_settings)?;
        self.make_cgroups(plan)?;
        self.make_namespaces(&plan.nodes)?;
        self.connect(plan).await?;
        self.open_probes(plan)?;
        Ok(Built {
            machines: 0,
            namespaces: plan.nodes.len(),
            links: plan.links.len(),
            addresses: plan.nodes.iter().map(Node::address_count).sum(),
            unkept: self.journal.unkept(),
        })
    }

    async fn start(&mut self, plan: &Plan, agents: &[AgentId]) -> Result<Vec<Started>> {
        let mut started = Vec::with_capacity(agents.len());
        let mut changes = Vec::with_capacity(agents.len());
        for agent in agents {
            let node = node_of(plan, *agent);
            let cell = Cell {
                given: true,
                nofile: Some(match agent {
                    AgentId::Reactor(_) => plan.reactors.nofile,
                    AgentId::Swarm(index) => plan.swarms[*index as usize].nofile,
                }),
                cgroup: self.cgroups.get(&node).map(|path| cgroup::entrance(path)).into_iter().collect(),
                cpus: plan.nodes[node].cpus.clone(),
                user: plan.agent_user,
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
                let up = action == FaultAction::LinkUp;
                let runtime = tokio::runtime::Handle::current();
                // At the client nothing is seen of it: its packets go into a cable with no other end.
                let Some(end) = strike::far_end(plan, client) else { return Ok(()) };
                let place = self.namespaces[end.node].file();
                let opened = netns::inside_each([place], |_| Opened::here(&runtime));
                let attempt = || format!("striking the link of {}", plan.nodes[client].name);
                for netlink in opened {
                    let mut netlink = netlink.attempt(Exit::Broke, attempt)?.serve();
                    let namespace = &plan.nodes[end.node].namespace;
                    send(&mut netlink, namespace, &strike::link(plan, end, up)).await?;
                }
                Ok(())
            }
        }
    }

    async fn cut_routes(&mut self, plan: &Plan) -> Result<()> {
        let runtime = tokio::runtime::Handle::current();
        let files = self.namespaces.iter().map(Namespace::file);
        let opened = netns::inside_each(files, |_| Opened::here(&runtime));
        let mut result = Ok(());
        for ((index, opened), node) in opened.into_iter().enumerate().zip(&plan.nodes) {
            let routes: Vec<Request> = requests(plan, index).iter().filter_map(Request::undone).collect();
            let parted = match opened {
                Ok(opened) => send(&mut opened.serve(), &node.namespace, &routes).await,
                Err(error) => Err(Error::broke(format!("opening netlink in {}", node.namespace), error)),
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

/// The pairs whose first end is in this node.
fn pairs(plan: &Plan, hub: usize, namespaces: &[Namespace]) -> Vec<Request> {
    use std::os::fd::AsRawFd;
    let descriptor = |node: usize| namespaces[node].file().as_raw_fd();
    let end =
        |end: &LinkEnd| End { namespace: descriptor(end.node), name: end.name.clone(), index: end.index };
    let links = plan.links.iter().filter(|link| link.ends[0].node == hub);
    links.map(|link| Request::Veth(end(&link.ends[0]), end(&link.ends[1]))).collect()
}

fn track(router: &Router, node: &Node) -> Result<(), (&'static str, std::io::Error)> {
    let translation = |nat: &Nat| Translation {
        out: router.to_server,
        first: nat.addresses.first,
        count: nat.addresses.count,
        ports: (nat.ports.first, nat.ports.last),
    };
    for home in &node.homes {
        let of_family = |nat: &&Nat| Family::of(nat.addresses.first) == home.family();
        let nat = router.nat.iter().find(of_family).map(translation);
        nftables::track(home.addresses.first.is_ipv6(), nat.as_ref())?;
    }
    Ok(())
}

/// What a node's namespace is told: its links, its addresses, and the way to the others.
fn requests(plan: &Plan, index: usize) -> Vec<Request> {
    let node = &plan.nodes[index];
    let mut requests = vec![Request::Up { index: LOOPBACK }];
    // The first end of a pair is up already.
    let far_ends = plan.links.iter().map(|link| &link.ends[1]).filter(|end| end.node == index);
    requests.extend(far_ends.map(|end| Request::Up { index: end.index }));
    let own_ends = plan.links.iter().flat_map(|link| &link.ends).filter(|end| end.node == index);
    let link_local = |end: &LinkEnd| Some(Request::LinkLocal { index: end.index, address: end.link_local? });
    requests.extend(own_ends.filter_map(link_local));
    let home = match node.role {
        Role::Client => node.routes.first().map_or(LOOPBACK, |route| route.link),
        // They are reached over several links.
        Role::Server | Role::Router => LOOPBACK,
    };
    if let (Role::Client, Some(bytes_per_second)) = (node.role, plan.client_rate) {
        requests.push(Request::Rate { index: home, bytes_per_second });
    }
    for Home { addresses, block, each_address } in &node.homes {
        let each = if *each_address { addresses.count } else { 1 };
        let some = addresses.iter().take(each as usize);
        requests.extend(some.map(|address| Request::Address { index: home, address }));
        if !each_address {
            requests.push(Request::OwnRange { first: block.base, prefix: block.prefix });
        }
    }
    requests.extend(node.routes.iter().map(|route| Request::Route {
        to: route.to.base,
        prefix: route.to.prefix,
        via: route.via,
        index: route.link,
        source: route.source,
    }));
    requests
}
