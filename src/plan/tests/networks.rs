//! Networks with a router: what is where, which way packets go, and what is left of the five-tuples.

use super::*;
use crate::host::Memory;

fn plan(text: &str) -> Plan {
    decide(&lab(text), &Host::example()).expect(text)
}

/// `to via next-hop` of every route of a node.
fn routes(plan: &Plan, node: usize) -> Vec<String> {
    let via = |route: &Route| route.via.map_or_else(String::new, |via| format!(" via {via}"));
    plan.here().expect("a lab of this host").namespaces[node]
        .routes
        .iter()
        .map(|route| format!("{}{} dev {}", route.to, via(route), route.link))
        .collect()
}

fn links(plan: &Plan) -> &[Link] {
    &plan.here().expect("a lab of this host").links
}

fn limit<'a>(plan: &'a Plan, name: &str) -> Option<&'a Limit> {
    plan.limits.iter().find(|limit| limit.name == name)
}

const TWO: &str = "connections: 1K\nclients: {count: 2, addresses: 5}\n";

#[test]
fn a_direct_network_has_no_router() {
    let plan = plan(TWO);
    assert_eq!((plan.ends.nodes.len(), links(&plan).len(), plan.router()), (3, 2, None));
    assert_eq!(routes(&plan, 0), ["10.99.0.8/29 via 10.99.0.9 dev 2", "10.99.0.16/29 via 10.99.0.17 dev 3"]);
    assert_eq!(routes(&plan, 2), ["10.99.0.1/32 dev 2"]);
}

#[test]
fn a_router_is_the_last_node_and_the_middle_of_all_links() {
    let plan = plan(&format!("{TWO}network: {{kind: routed}}"));
    let names: Vec<_> = plan.ends.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["server", "client-1", "client-2", "router"]);
    let names: Vec<_> = plan.clients().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["client-1", "client-2"]);
    let ends = |link: &Link| link.ends.each_ref().map(|end| (end.node, end.name.clone(), end.index));
    let named = |node, name: &str, index| (node, name.to_owned(), index);
    assert_eq!(ends(&links(&plan)[0]), [named(3, "server", 2), named(0, "eth0", 2)]);
    assert_eq!(ends(&links(&plan)[2]), [named(3, "client-2", 4), named(2, "eth0", 2)]);
    assert_eq!(plan.ends.nodes[3].home().addresses, Addresses::one(address("10.99.0.25")));
    assert_eq!(routes(&plan, 0), ["10.99.0.0/16 via 10.99.0.25 dev 2"]);
    assert_eq!(routes(&plan, 1), ["10.99.0.1/32 via 10.99.0.25 dev 2"]);
    let own =
        ["10.99.0.1/32 dev 2", "10.99.0.8/29 via 10.99.0.9 dev 3", "10.99.0.16/29 via 10.99.0.17 dev 4"];
    assert_eq!(routes(&plan, 3), own);
    assert_eq!(plan.ends.nodes[3].settings["net.ipv4.ip_forward"], "1");
    assert_eq!(plan.router(), Some(&Router { node: 3, to_server: 2, tracks: true, nat: Vec::new() }));
    assert!(plan.ends.tuples.translated.is_none());
}

#[test]
fn behind_a_translation_the_server_knows_only_the_routers_addresses() {
    let plan = plan(&format!("{TWO}network: {{kind: nat, nat: {{addresses: 3, ports: 2000-2999}}}}"));
    let nat = &plan.router().expect("a router").nat[0];
    assert_eq!(nat.addresses, Addresses { first: address("10.99.0.26"), count: 3 });
    assert_eq!(plan.ends.nodes[3].home().addresses.count, 4, "and one of its own");
    assert_eq!(routes(&plan, 0), ["10.99.0.24/29 via 10.99.0.25 dev 2"]);
    let translated = plan.ends.tuples.translated.expect("a sum");
    assert_eq!((translated.addresses, translated.ports, translated.possible), (3, 1_000, 300_000));
    assert_eq!((&*plan.first_limit.name, plan.first_limit.connections), ("nat tuples", 300_000));
}

#[test]
fn ipv6_finds_its_neighbours_by_the_ends_of_links() {
    let direct = plan(&format!("{TWO}network: {{subnet: fd00:99::/64}}"));
    assert_eq!(direct.server_addresses(), [address("fd00:99::1")]);
    assert_eq!(routes(&direct, 0), ["fd00:99::8/125 via fe80::2 dev 2", "fd00:99::10/125 via fe80::2 dev 3"]);
    assert_eq!(routes(&direct, 2), ["fd00:99::1/128 via fe80::1 dev 2"]);
    assert!(links(&direct).iter().all(|link| link.ends.iter().all(|end| end.link_local.is_some())));
    let routed = plan(&format!("{TWO}network: {{kind: nat, family: ipv6}}"));
    assert_eq!(routes(&routed, 0), ["fd99:c1ab::18/125 via fe80::1 dev 2"]);
    assert_eq!(routed.ends.nodes[3].settings["net.ipv6.conf.all.forwarding"], "1");
    assert_eq!(routed.ends.nodes[3].settings.get("net.ipv4.ip_forward"), None);
    assert_eq!(routed.router().expect("a router").nat[0].addresses, Addresses::one(address("fd99:c1ab::1a")));
}

#[test]
fn clients_of_a_dual_lab_take_turns() {
    let dual =
        plan("connections: 1K\nclients: {count: 3, addresses: 2000}\nnetwork: {kind: nat, family: dual}");
    assert_eq!(dual.server_addresses(), [address("10.99.0.1"), address("fd99:c1ab::1")]);
    let families: Vec<_> = dual.clients().iter().map(|client| client.home().family()).collect();
    assert_eq!(families, [Family::Ipv4, Family::Ipv6, Family::Ipv4]);
    // Two of three clients share the one address of IPv4.
    let translated = dual.ends.tuples.translated.expect("a sum");
    assert_eq!((translated.addresses, translated.possible), (2, 64_512 * 100 * 3 / 2));
    let block = dual.clients()[1].settings.get("net.ipv6.ip_nonlocal_bind").map(String::as_str);
    assert_eq!((block, dual.clients()[0].settings.get("net.ipv6.ip_nonlocal_bind")), (Some("1"), None));
    assert_eq!(
        processes::reactor_own(&lab("connections: 1\nclients: {count: 2}\nnetwork: {family: dual}").spec),
        210
    );
}

#[test]
fn a_kernel_without_ipv6_is_told() {
    let mut host = Host::example();
    host.features
        .insert(crate::host::IPV6.to_owned(), crate::host::Feature::new(crate::host::Presence::Absent, ""));
    let error = decide(&lab("connections: 1K\nnetwork: {family: ipv6}"), &host).expect_err("no IPv6");
    assert!(error.why.contains("without IPv6"), "{error}");
    decide(&lab("connections: 1K"), &host).expect("IPv4 is there");
}

#[test]
fn the_router_can_do_without_tracking() {
    let plan = plan(&format!("{TWO}network: {{kind: routed, conntrack: false}}"));
    assert_eq!(plan.router().map(|router| router.tracks), Some(false));
    assert_eq!(plan.memory.router_per_connection, 0);
}

#[test]
fn too_few_translated_tuples_are_run_and_told() {
    let text = "connections: 2K\nserver: {ports: 9900}\nnetwork: {kind: nat, nat: {ports: 20000-20999}}";
    let short = plan(text);
    assert_eq!((&*short.first_limit.name, short.first_limit.connections), ("nat tuples", 1_000));
    assert!(!short.first_limit.refused);
    assert_eq!(here::connections(&lab(text), &Host::example()).expect("some fit"), 1_000);
}

#[test]
fn what_the_kernel_chooses_from_is_its_setting() {
    let few = "connections: 100K\nserver: {ports: 9900}\nclients: {addresses: 2, ports: auto}\n";
    let usual = plan(few);
    assert_eq!((usual.ends.tuples.client_ports, usual.ends.tuples.possible), (28_232, 56_464));
    assert_eq!((&*usual.first_limit.name, usual.first_limit.refused), ("five-tuples", false));
    let setting = |range: &str| format!("{few}sysctl: {{client: {{net.ipv4.ip_local_port_range: {range}}}}}");
    assert_eq!(plan(&setting("1024 65535")).ends.tuples.client_ports, 64_512);
    assert_eq!(plan(&setting("2000 2010")).ends.tuples.client_ports, 11);
    let error = decide(&lab(&few.replace("auto", "2000-2010")), &Host::example()).expect_err("planned ports");
    assert!(error.why.contains("2 client addresses × 11 client ports × 1 server ports"), "{error}");
}

#[test]
fn what_the_router_tracks_is_allowed_for() {
    let million = "connections: 1M\nclients: {count: 2}\nnetwork: {kind: routed}\n";
    let moved = |plan: &Plan| -> Vec<String> {
        let tracking = plan.host_settings().iter().filter(|moved| moved.key.starts_with("net.netfilter"));
        tracking.map(|moved| format!("{} {}", moved.key, moved.to)).collect()
    };
    assert_eq!(moved(&plan(million)), ["net.netfilter.nf_conntrack_max 1001024"]);
    // Twice as many as its table would hold in short chains.
    let mut host = Host { memory: Memory { total: 99 * GIB, available: 99 * GIB }, ..Host::example() };
    let both = ["net.netfilter.nf_conntrack_max 2001024", "net.netfilter.nf_conntrack_buckets 524288"];
    let two = million.replace("1M", "2M");
    assert_eq!(moved(&decide(&lab(&two), &host).expect("two million")), both);
    assert_eq!(moved(&plan("connections: 1M\nclients: {count: 2}")), [""; 0], "nothing is tracked");

    // What the author has set stands, and is told.
    let asked = plan(&format!("{million}sysctl: {{host: {{net.netfilter.nf_conntrack_max: 65535}}}}"));
    assert_eq!(moved(&asked), ["net.netfilter.nf_conntrack_max 65535"]);
    let table = limit(&asked, "conntrack table").expect("a limit");
    assert_eq!((table.connections, table.refused), (65_535, false));

    host.settings_fixed.insert(settings::TRACKED.to_owned());
    let error = decide(&lab(million), &host).expect_err("it cannot be raised");
    assert!(error.why.contains("net.netfilter.nf_conntrack_max is 262,144"), "{error}");
    assert_eq!(limit(&plan("connections: 1K\nnetwork: {kind: nat}"), "conntrack table"), None);
    // A kernel that has not loaded it has no setting to read.
    host.settings.remove(settings::TRACKED);
    decide(&lab("connections: 10K\nnetwork: {kind: nat}"), &host).expect("any kernel allows so many");
    let error = decide(&lab(million), &host).expect_err("who knows");
    assert!(error.remedy.is_some_and(|remedy| remedy.contains("modprobe nf_conntrack")));
}

/// Behind a router that translates, and where the kernel chooses, no server port is used much more than others.
#[test]
fn server_ports_are_used_alike_where_somebody_else_chooses() {
    for network in [
        "{network: {kind: nat}, clients: {count: 3, addresses: 4}",
        "{clients: {count: 3, addresses: 4, ports: auto}",
    ] {
        let plan = plan(&format!("{network}, connections: 1001, server: {{ports: 1000-1006}}}}"));
        let mut used = BTreeMap::new();
        for swarm in &plan.ends.swarms {
            let tuples = plan.tuples_of(swarm);
            for index in swarm.first..swarm.first + swarm.count {
                *used.entry(tuples.at(index).1.port()).or_insert(0_u64) += 1;
            }
        }
        assert_eq!((used.len(), used.values().sum::<u64>()), (7, 1_001));
        assert!(used.values().all(|count| (134..=152).contains(count)), "{network}: {used:?}");
    }
}
