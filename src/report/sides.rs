//! Each side's part of the kernel's memory: its own sockets, never what a whole machine grew by. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use super::ends::{self, EndCounts, Taken};
use super::memory::{TOO_FEW, rounded};
use super::sources;
use crate::account::Account;
use crate::driver::AgentId;
use crate::observe::{Sample, names, objects};
use crate::plan::{Node, Plan, Role};

/// What one side's end of a connection takes from the kernel, on the average.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub bytes: f64,
    pub source: String,
    pub by: BTreeMap<String, f64>,
}

/// The samples that are compared, and how many connections each swarm had tried by then.
pub struct Seen<'a> {
    pub before: &'a Sample,
    pub then: &'a Sample,
    pub tried: Vec<u64>,
}

/// What each swarm has tried so far.
pub fn tried(plan: &Plan, account: &Account) -> Vec<u64> {
    (0..plan.swarms.len()).map(|swarm| account.counts(AgentId::Swarm(swarm as u32)).tried).collect()
}

/// The figure of a side, or why there is none.
pub fn figure(plan: &Plan, seen: &Seen, role: Role) -> Result<Figure, String> {
    let (mut taken, mut sockets, mut charged) = (Taken::default(), 0_u64, Some(0_u64));
    for (index, node) in plan.nodes.iter().enumerate().filter(|(_, node)| node.role == role) {
        let ends = ends(plan, seen, index, node)?;
        let object = |cache: &str| objects::told(seen.then, &node.name, cache);
        taken.add(ends::taken(&ends, object).map_err(|cache| unknown(seen.then, node, cache))?);
        sockets = sockets.saturating_add(ends.sockets);
        charged = charged
            .zip(grown(seen, &node.name, names::CGROUP_KERNEL))
            .map(|(sum, more)| sum.saturating_add(more));
    }
    if sockets < TOO_FEW {
        return Err("fewer than 1,000 connections stood: the machine's own changes are larger".to_owned());
    }
    let (bytes, source) = ends::settled(&taken, charged);
    let unknown_ports = role == Role::Client && plan.tuples.kernel_chooses && source == ends::COUNTED;
    let each = |bytes: f64| rounded(bytes / sockets as f64);
    Ok(Figure {
        bytes: each(bytes),
        source: format!("{source}{}", if unknown_ports { ends::PORTS_UNKNOWN } else { "" }),
        by: taken.by.iter().map(|(cache, bytes)| ((*cache).to_owned(), each(*bytes))).collect(),
    })
}

fn unknown(sample: &Sample, node: &Node, cache: &str) -> String {
    if objects::are_told(sample, &node.name) {
        format!(
            "the kernel does not say what an object of `{cache}` occupies: /proc/slabinfo has no such name, and /sys/kernel/slab no other name for it"
        )
    } else {
        "only root may read what the kernel's objects occupy (/proc/slabinfo)".to_owned()
    }
}

fn grown(seen: &Seen, node: &str, level: &str) -> Option<u64> {
    Some(seen.then.level(node, level)?.saturating_sub(seen.before.level(node, level)?))
}

/// The ends that stood in a node: sockets beyond those before the ramp, its listeners.
fn ends(plan: &Plan, seen: &Seen, index: usize, node: &Node) -> Result<EndCounts, String> {
    let sockets = grown(seen, &node.name, names::SOCKETS_IN_USE).ok_or_else(|| {
        format!("the sockets of {} could not be counted before the ramp and at its end", node.name)
    })?;
    let over_ipv6 = grown(seen, &node.name, names::SOCKETS_OVER_IPV6).unwrap_or(0).min(sockets);
    if node.role == Role::Server {
        // Nobody holds a descriptor of those that still wait.
        let files = sockets.saturating_sub(seen.then.level(&node.name, names::WAITING).unwrap_or(0));
        return Ok(EndCounts { sockets, over_ipv6, files, watched: files, ..EndCounts::default() });
    }
    let (ports, sources) = bound(plan, seen, index);
    // With echo traffic the clients' ends are watched too.
    let watched = if plan.talk.watches_clients() { sockets } else { 0 };
    let (ports, sources) = (ports.min(sockets), sources.min(sockets));
    Ok(EndCounts { sockets, over_ipv6, files: sockets, watched, ports, sources })
}

/// The ports, and pairs of address and port, that a client's connections are bound to; at most one for each.
fn bound(plan: &Plan, seen: &Seen, node: usize) -> (u64, u64) {
    let here = || plan.swarms.iter().zip(&seen.tried).filter(|(swarm, _)| swarm.node == node);
    let Some((first, _)) = here().next() else { return (0, 0) };
    if plan.tuples.kernel_chooses {
        return (u64::MAX, u64::MAX);
    }
    // In a later round other pairs are bound, but as many.
    let stretches: Vec<Range<u64>> = here()
        .map(|(swarm, tried)| swarm.first..swarm.first.saturating_add((*tried).min(swarm.count)))
        .collect();
    sources::used(&plan.tuples_of(first), &stretches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::kernel::proc::recorded::{LINKS, MERGED, caches};
    use crate::observe::{Machines, Reading};

    fn plan(text: &str) -> Plan {
        let lab = crate::spec::parse("lab.yaml", text, &[]).expect("a lab");
        crate::plan::decide(&lab, &Host::example()).expect("a plan")
    }

    /// A host, and a node of each: so many sockets, of which so many wait.
    fn sample(plan: &Plan, links: &str, sockets: impl Fn(&Node) -> u64) -> Sample {
        let mut host = Reading::default();
        objects::tell(&caches(MERGED, links, 4096), &mut host);
        let mut places = BTreeMap::from([(names::HOST.to_owned(), host)]);
        for node in &plan.nodes {
            let mut reading = Reading::default();
            reading.level(names::SOCKETS_IN_USE, sockets(node));
            places.insert(node.name.clone(), reading);
        }
        Sample { places }
    }

    fn samples(plan: &Plan, links: &str) -> (Sample, Sample) {
        let listeners = |node: &Node| if node.role == Role::Server { 100 } else { 0 };
        let open = |node: &Node| listeners(node) + if node.role == Role::Server { 10_000 } else { 5_000 };
        (sample(plan, links, listeners), sample(plan, links, open))
    }

    fn seen<'a>(plan: &Plan, (before, then): &'a (Sample, Sample)) -> Seen<'a> {
        Seen { before, then, tried: plan.swarms.iter().map(|swarm| swarm.count).collect() }
    }

    const LAB: &str = "connections: 10K\nclients: {count: 2, addresses: 4}";

    #[test]
    fn each_side_has_its_own_and_they_differ() {
        let plan = plan(LAB);
        let samples = samples(&plan, LINKS);
        let figure = |role| figure(&plan, &seen(&plan, &samples), role).expect("a figure");
        let (server, clients) = (figure(Role::Server), figure(Role::Client));
        assert!((server.bytes - 4_037.1).abs() < 0.2, "{server:?}");
        // A pair of address and port for each connection, and a port for four of them.
        assert!((clients.bytes - (3_829.1 + 128.0 * 1.25)).abs() < 0.2, "{clients:?}");
        assert_eq!((clients.by["tcp_bind2_bucket"], clients.by["tcp_bind_bucket"]), (128.0, 32.0));
        assert!(!server.by.contains_key("tcp_bind_bucket") && !clients.by.contains_key("eventpoll_epi"));
        assert_eq!((server.source.as_str(), clients.source.as_str()), (ends::COUNTED, ends::COUNTED));
    }

    #[test]
    fn clients_that_echo_are_watched_too() {
        let plan = plan(&format!("{LAB}\ntraffic: {{kind: echo, every: 1s}}"));
        let samples = samples(&plan, LINKS);
        let clients = figure(&plan, &seen(&plan, &samples), Role::Client).expect("a figure");
        assert_eq!((clients.by["eventpoll_epi"], clients.by["eventpoll_pwq"]), (128.0, 64.0));
    }

    #[test]
    fn what_a_neighbour_has_changes_nothing() {
        let plan = plan(LAB);
        let quiet = samples(&plan, LINKS);
        let mut busy = quiet.clone();
        for sample in [&mut busy.0, &mut busy.1] {
            let host = sample.places.get_mut(names::HOST).expect("the host");
            host.levels
                .iter_mut()
                .filter(|(name, _)| name.starts_with(names::SLAB))
                .for_each(|(_, bytes)| *bytes *= 9);
        }
        for role in [Role::Server, Role::Client] {
            assert_eq!(figure(&plan, &seen(&plan, &quiet), role), figure(&plan, &seen(&plan, &busy), role));
        }
    }

    #[test]
    fn without_names_or_rights_there_is_no_figure_but_a_reason() {
        let plan = plan(LAB);
        let merged = samples(&plan, "");
        let why = figure(&plan, &seen(&plan, &merged), Role::Client).expect_err("not known");
        assert!(why.contains("tcp_bind_bucket"), "{why}");
        let mut unread = merged;
        unread.1.places.get_mut(names::HOST).expect("the host").levels.clear();
        let why = figure(&plan, &seen(&plan, &unread), Role::Server).expect_err("not known");
        assert!(why.contains("only root"), "{why}");
        unread.1.places.remove("client-2");
        let why = figure(&plan, &seen(&plan, &unread), Role::Client).expect_err("not known");
        assert!(why.contains("root") || why.contains("client-2"), "{why}");
    }

    /// Each machine has a kernel of its own, whose objects may have other sizes.
    #[test]
    fn a_machine_has_its_own_objects() {
        let plan = plan(LAB);
        let (before, then) = samples(&plan, LINKS);
        let apart = |sample: &Sample| {
            Machines::default().see(plan.nodes.iter().map(|node| {
                let mut machine = sample.clone();
                machine.places.retain(|name, _| name == names::HOST || *name == node.name);
                if node.role == Role::Server {
                    let host = machine.places.get_mut(names::HOST).expect("the host");
                    host.level("object.TCP.per_slab", 16);
                }
                (node.name.clone(), machine)
            }))
        };
        let machines = (apart(&before), apart(&then));
        let server = figure(&plan, &seen(&plan, &machines), Role::Server).expect("a figure");
        let clients = figure(&plan, &seen(&plan, &machines), Role::Client).expect("a figure");
        assert_eq!((server.by["TCP"], clients.by["TCP"]), (2_048.0, 2_520.62));
    }

    #[test]
    fn a_cgroup_that_was_charged_for_all_is_the_source() {
        let plan = plan(LAB);
        let (mut before, mut then) = samples(&plan, LINKS);
        for (sample, bytes) in [(&mut before, 1 << 20), (&mut then, (1 << 20) + 40_000_000)] {
            sample.places.get_mut("server").expect("a node").level(names::CGROUP_KERNEL, bytes);
        }
        let samples = (before, then);
        let server = figure(&plan, &seen(&plan, &samples), Role::Server).expect("a figure");
        assert_eq!(server.source, ends::CHARGED);
        assert!((4_100.0..4_300.0).contains(&server.bytes), "4,000 and the rest of the slabs: {server:?}");
    }
}
