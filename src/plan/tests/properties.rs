//! What holds for every lab on every host.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::exit::Exit;
use crate::host::{Memory, Nofile};
use crate::spec::{ClientPorts, FamilySpec, NatSpec, NetworkKind};
use crate::units::{Count, PortRange, number_of};

prop_compose! {
    fn hosts()(
        hard in prop_oneof![64_u64..2_000, 2_000_u64..100_000, 100_000_u64..5_000_000, Just(u64::MAX)],
        nr_open in prop_oneof![Just(1_048_576_u64), 1_024_u64..3_000_000],
        sys_resource: bool,
        fixed: bool,
        file_max in prop_oneof![Just(u64::MAX / 2), 50_000_u64..20_000_000],
        memory in prop_oneof![100_u64 << 20..16 * GIB, 16 * GIB..1024 * GIB],
        cpus in prop::collection::btree_set(0_u32..1024, 1..=64),
        routed in prop::collection::vec((any::<u8>(), 8_u8..=24), 0..6),
    ) -> Host {
        let mut host = Host::example();
        if !sys_resource {
            host.capabilities = host.capabilities.without(Capability::SysResource);
        }
        host.nofile = Nofile { soft: hard.min(1024), hard };
        host.settings.insert("fs.nr_open".to_owned(), nr_open.to_string());
        host.settings.insert("fs.file-max".to_owned(), file_max.to_string());
        if fixed {
            host.settings_fixed = host.settings.keys().cloned().collect();
        }
        host.memory = Memory { total: memory, available: memory };
        host.machine_cpus = cpus.len() as u32;
        host.cpus = cpus.into_iter().collect();
        let route = |(second, prefix): (u8, u8)| {
            let of_ipv4 = Family::Ipv4.address(10 << 24 | u128::from(second) << 16);
            if second % 4 > 0 { Block::around(of_ipv4, prefix) } else { Block::around(address("fd99:c1ab::"), 40 + prefix) }
        };
        // Not the whole of 10.0.0.0/8: then there is no subnet to choose.
        host.routes.extend(routed.into_iter().filter(|(_, prefix)| *prefix > 8).map(route));
        host
    }
}

prop_compose! {
    fn labs()(
        connections in prop_oneof![1_u64..100, 1_u64..100_000, 1_u64..=5_000_000],
        clients in prop_oneof![1_u32..=4, 1_u32..=300],
        addresses in prop_oneof![1_u32..=32, 1_u32..=5_000],
        client_ports in (1_u16..=65_535, any::<u16>()),
        server_ports in (1_u16..=65_535, 0_u16..200),
        reactors in prop_oneof![3 => Just(None), 1 => (1_u32..40).prop_map(Some)],
        nofile in prop_oneof![3 => Just(None), 1 => (20_u64..100_000).prop_map(Some)],
        cpus in prop::option::of(1_u32..80),
        (kind, nat, auto) in (0_usize..3, (1_u32..300, 1_u16..=65_535), prop::bool::weighted(0.3)),
        family in 0_usize..3,
    ) -> Lab {
        let mut lab = lab("connections: 1");
        let spec = &mut lab.spec;
        spec.connections = connections;
        (spec.clients.count, spec.clients.addresses) = (clients, addresses);
        let range = |(first, more): (u16, u16)| PortRange { first, last: first.saturating_add(more) };
        let ports = range(client_ports);
        spec.clients.ports = if auto { ClientPorts::Auto } else { ClientPorts::Range(ports) };
        let local = format!("{} {}", ports.first, ports.last);
        spec.sysctl.client.insert("net.ipv4.ip_local_port_range".to_owned(), local);
        let families = [FamilySpec::Ipv4, FamilySpec::Ipv6, FamilySpec::Dual];
        spec.network.family = Some(families[if clients > 1 { family } else { family % 2 }]);
        spec.network.kind = [NetworkKind::Direct, NetworkKind::Routed, NetworkKind::Nat][kind];
        let ports = PortRange { first: nat.1, last: u16::MAX };
        spec.network.nat = (kind == 2).then_some(NatSpec { addresses: nat.0, ports });
        spec.server.ports = crate::units::Ports(vec![range(server_ports)]);
        spec.server.reactors = reactors.map_or(spec::Processes::Auto, spec::Processes::Count);
        spec.limits.client.nofile = nofile.map(Count);
        spec.limits.client.cpus = cpus;
        lab
    }
}

/// The highest descriptor limit the kernel would let an agent of this plan take.
fn allowed(plan: &Plan, host: &Host) -> u64 {
    let raised = plan.host_settings().iter().find(|setting| setting.key == "fs.nr_open");
    let nr_open = raised.map_or_else(
        || host.number("fs.nr_open").expect("a number"),
        |setting| setting.to.parse().expect("a number"),
    );
    if host.has(Capability::SysResource) { nr_open } else { nr_open.min(host.nofile.hard) }
}

fn connections_are_dealt_out_once(plan: &Plan) -> Result<(), TestCaseError> {
    let clients = plan.clients().len();
    prop_assert!(plan.clients().iter().all(|node| node.role == Role::Client));
    prop_assert_eq!(plan.ends.nodes.len(), 1 + clients + usize::from(plan.router().is_some()));
    let mut of_client = vec![Vec::new(); clients + 1];
    for swarm in &plan.ends.swarms {
        prop_assert!(swarm.count > 0 && plan.ends.nodes[swarm.node].role == Role::Client);
        of_client[swarm.node].push((swarm.first, swarm.count));
    }
    let mut totals = Vec::new();
    for stretches in of_client.iter_mut().skip(1) {
        stretches.sort_unstable();
        let end = stretches.iter().try_fold(0, |end, (first, count)| {
            if *first == end { Ok(first + count) } else { Err(TestCaseError::fail("a gap, or an overlap")) }
        })?;
        totals.push(end);
    }
    prop_assert_eq!(totals.iter().sum::<u64>(), plan.course.connections);
    let (least, most) = (totals.iter().min(), totals.iter().max());
    prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{:?}", totals);
    for swarm in &plan.ends.swarms {
        let before: u64 = totals[..swarm.node - 1].iter().sum();
        prop_assert_eq!(swarm.before, before);
        let possible = plan.tuples_of(swarm).possible();
        prop_assert!(totals[swarm.node - 1] <= possible || plan.ends.tuples.kernel_chooses);
    }
    Ok(())
}

fn descriptors_suffice(plan: &Plan, host: &Host) -> Result<(), TestCaseError> {
    let allowed = allowed(plan, host);
    let reactors = &plan.ends.reactors;
    prop_assert!(reactors.nofile <= allowed, "{:?} of {}", reactors, allowed);
    prop_assert!(
        reactors.nofile > reactors.capacity + (plan.ends.server_ports.len() * plan.ends.subnets.len()) as u64
    );
    prop_assert!(u64::from(reactors.count) * reactors.capacity >= plan.course.connections);
    for swarm in &plan.ends.swarms {
        prop_assert!(swarm.nofile <= allowed && swarm.nofile > swarm.count);
    }
    prop_assert!(plan.ends.swarms_at_once >= 1 && plan.ends.swarms_at_once <= plan.ends.swarms.len().max(1));
    Ok(())
}

fn addresses_are_apart(plan: &Plan, host: &Host) -> Result<(), TestCaseError> {
    for subnet in &plan.ends.subnets {
        prop_assert!(host.collision(*subnet).is_none(), "{} is the host's", subnet);
        let homes: Vec<&Home> =
            plan.ends.nodes.iter().filter_map(|node| node.home_of(subnet.family())).collect();
        for Home { addresses, block, .. } in &homes {
            prop_assert!(block.contains(addresses.first) && block.contains(addresses.last()));
            prop_assert!(subnet.contains(block.base) && block.prefix >= subnet.prefix);
        }
        for pair in homes.windows(2) {
            let (one, next) = (pair[0].block, pair[1].block);
            prop_assert!(number_of(one.base) + u128::from(one.len()) <= number_of(next.base));
        }
    }
    let homes = |node: &Node| node.homes.len();
    prop_assert!(plan.clients().iter().all(|client| homes(client) == 1));
    prop_assert_eq!(homes(plan.server()), plan.ends.subnets.len());
    let here = plan.here().expect("a lab of this host");
    let names: BTreeSet<_> = here.namespaces.iter().map(|namespace| &namespace.name).collect();
    prop_assert_eq!(names.len(), plan.ends.nodes.len());
    let ends = here.links.iter().flat_map(|link| &link.ends);
    let indices: BTreeSet<_> = ends.clone().map(|end| (end.node, end.index)).collect();
    prop_assert_eq!(indices.len(), 2 * here.links.len());
    // Index 1 is the loopback's, and a link's name has at most 15 characters.
    prop_assert!(ends.clone().all(|end| end.index > 1 && end.name.len() <= 15));
    for nat in plan.router().iter().flat_map(|router| &router.nat) {
        let router = plan.ends.nodes.last().expect("a node");
        let home = router.home_of(Family::of(nat.addresses.first)).expect("a home of that family");
        prop_assert!(home.block.contains(nat.addresses.first) && home.block.contains(nat.addresses.last()));
        prop_assert!(nat.addresses.first != home.addresses.first);
    }
    Ok(())
}

fn has(node: &Node, address: Address) -> bool {
    node.homes.iter().any(|home| home.addresses.iter().any(|own| own == address))
}

/// Where a packet ends that leaves `node` for `to`, by the plan's routes and links.
fn arrives(plan: &Plan, mut node: usize, to: Address) -> Option<usize> {
    for _ in 0..4 {
        let here = plan.here()?;
        if has(&plan.ends.nodes[node], to) {
            return Some(node);
        }
        let route = here.namespaces[node].routes.iter().find(|route| route.to.contains(to))?;
        let link = here
            .links
            .iter()
            .find(|link| link.ends.iter().any(|end| end.node == node && end.index == route.link))?;
        let there = link.ends.iter().find(|end| end.node != node)?;
        let expected = route.via.unwrap_or(to);
        if there.link_local != Some(expected) && !has(&plan.ends.nodes[there.node], expected) {
            return None;
        }
        node = there.node;
    }
    None
}

fn packets_find_their_way(plan: &Plan) -> Result<(), TestCaseError> {
    for (index, client) in plan.clients().iter().enumerate().take(5) {
        let home = client.home();
        let server = plan.server().home_of(home.family()).expect("the server has both");
        prop_assert_eq!(arrives(plan, index + 1, server.addresses.first), Some(0));
        let last = home.addresses.last();
        let of_family = |nat: &&Nat| Family::of(nat.addresses.first) == home.family();
        let nat = plan.router().and_then(|router| router.nat.iter().find(of_family));
        // Behind a translation only the translated addresses are known.
        prop_assert_eq!(arrives(plan, 0, last), nat.is_none().then_some(index + 1));
        if let Some(router) = plan.router() {
            prop_assert_eq!(arrives(plan, router.node, last), Some(index + 1));
        }
        if let Some(nat) = nat {
            let router = plan.router().map(|router| router.node);
            prop_assert_eq!(arrives(plan, 0, nat.addresses.last()), router);
        }
    }
    Ok(())
}

fn the_host_is_spared(plan: &Plan, host: &Host) -> Result<(), TestCaseError> {
    for setting in plan.host_settings() {
        let (from, to): (u64, u64) =
            (setting.from.parse().expect("number"), setting.to.parse().expect("number"));
        prop_assert!(to > from, "{:?}", setting);
        prop_assert_eq!(host.number(&setting.key), Some(from));
        prop_assert!(host.can_set(&setting.key));
    }
    let memory = &plan.memory;
    prop_assert!(memory.expected + memory.reserve <= host.memory_to_use());
    for node in &plan.ends.nodes {
        prop_assert!(
            node.cpus.iter().all(|cpu| host.cpus.contains(cpu)),
            "{:?} of {:?}",
            node.cpus,
            host.cpus
        );
        let different: BTreeSet<_> = node.cpus.iter().collect();
        prop_assert_eq!(different.len(), node.cpus.len());
    }
    Ok(())
}

fn the_first_limit_is_the_lowest(plan: &Plan) -> Result<(), TestCaseError> {
    let lowest = plan.limits.iter().map(|limit| limit.connections).min();
    prop_assert_eq!(Some(plan.first_limit.connections), lowest);
    let refused = plan.limits.iter().filter(|limit| limit.refused);
    prop_assert!(
        refused.clone().all(|limit| limit.connections >= plan.course.connections),
        "{:?}",
        plan.limits
    );
    prop_assert!(plan.limits.iter().all(|limit| !limit.remedy.is_empty() && !limit.why.is_empty()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_holds_what_it_promises(lab in labs(), host in hosts()) {
        match decide(&lab, &host) {
            Ok(plan) => {
                connections_are_dealt_out_once(&plan)?;
                descriptors_suffice(&plan, &host)?;
                addresses_are_apart(&plan, &host)?;
                packets_find_their_way(&plan)?;
                the_host_is_spared(&plan, &host)?;
                the_first_limit_is_the_lowest(&plan)?;
            }
            Err(error) => {
                prop_assert!(matches!(error.exit, Exit::Input | Exit::Host), "{}", error);
                prop_assert!(error.remedy.is_some(), "{}", error);
            }
        }
    }

    #[test]
    fn fit_is_the_most_that_can_be_planned(lab in labs(), host in hosts()) {
        let mut lab = lab;
        if let Ok(fitting) = here::connections(&lab, &host) {
            lab.spec.connections = fitting;
            let plan = decide(&lab, &host);
            prop_assert!(plan.is_ok(), "{} fit, but: {}", fitting, plan.expect_err("an error"));
            lab.spec.connections = fitting + 1;
            let beyond = decide(&lab, &host);
            let by_choice = beyond.as_ref().is_ok_and(|plan| {
                plan.limits.iter().any(|limit| !limit.refused && limit.connections <= fitting)
            });
            prop_assert!(beyond.is_err() || by_choice || fitting == u64::from(u32::MAX));
        } else {
            lab.spec.connections = 1;
            prop_assert!(decide(&lab, &host).is_err());
        }
    }
}
