//! Labs whose nodes are machines.

use super::super::machines::{Clock, Machine, connections, decide};
use super::*;

const FAR: &str = "driver: ssh\nmachines: {server: one, clients: [two, three]}\n";

fn machine(number: u8, memory: u64) -> Machine {
    let host = Host { memory: crate::host::Memory { total: memory, available: memory }, ..Host::example() };
    let address = address(&format!("192.168.56.{number}"));
    Machine { ssh: format!("m{number}"), address, host, clock: Clock::default() }
}

/// The documented hardware.
fn documented() -> Vec<Machine> {
    vec![machine(10, 6 * GIB), machine(11, 3 * GIB), machine(12, 3 * GIB)]
}

fn far(more: &str) -> Lab {
    lab(&format!("{FAR}{more}"))
}

#[test]
fn a_million_on_the_documented_hardware_needs_one_reactor() {
    let plan = decide(&far("connections: 1M"), &Host::example(), &documented()).expect("plan");
    assert_eq!(
        (plan.ends.reactors.count, plan.ends.reactors.capacity, plan.ends.swarms.len()),
        (1, 1_000_000, 2)
    );
    assert_eq!(plan.server_addresses(), [address("192.168.56.10")]);
    assert_eq!(plan.clients()[1].home().addresses, Addresses::one(address("192.168.56.12")));
    assert!(plan.is_on_machines() && plan.here().is_none());
    let moved =
        |node: usize| plan.machines()[node].settings.iter().map(|one| one.key.as_str()).collect::<Vec<_>>();
    assert_eq!(
        moved(0),
        ["net.netfilter.nf_conntrack_max", "net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog"]
    );
    assert_eq!(moved(1), ["net.netfilter.nf_conntrack_max"]);
}

#[test]
fn each_machine_has_to_have_its_own_memory() {
    let mut machines = documented();
    machines[2] = machine(12, GIB);
    let error = decide(&far("connections: 1M"), &Host::example(), &machines).expect_err("too small");
    assert!(error.why.contains("on the machine of client-2"), "{error}");
    let fitting = connections(&far("connections: 1M"), &Host::example(), &machines).expect("some fit");
    assert!((300_000..500_000).contains(&fitting), "{fitting}");
    let text = format!("connections: {fitting}");
    decide(&far(&text), &Host::example(), &machines).expect("what fits");
    let exhaust = "connections: 1M\nmachines: {server: one, clients: [two, three], memory: exhaust}";
    let lab = lab(&format!("driver: ssh\n{exhaust}"));
    decide(&lab, &Host::example(), &machines).expect("it may run out");
}

#[test]
fn more_addresses_are_blocks_that_nobody_has() {
    let mut machines = documented();
    machines[1].host.routes.push("10.99.0.0/16".parse().expect("a block"));
    let plan =
        decide(&far("connections: 1K\nclients: {addresses: 4}"), &Host::example(), &machines).expect("plan");
    let ranges: Vec<String> =
        plan.machines().iter().filter_map(|placed| Some(placed.range?.to_string())).collect();
    assert_eq!(ranges, ["10.100.0.8/29", "10.100.0.16/29"]);
    assert_eq!(plan.clients()[0].home().addresses.first, address("10.100.0.9"));
}

#[test]
fn machines_have_addresses_of_one_family() {
    let mut machines = documented();
    for (machine, number) in machines.iter_mut().zip(10..) {
        machine.address = address(&format!("fd00::{number}"));
    }
    let text = "connections: 1K\nclients: {addresses: 4}";
    let plan = decide(&far(text), &Host::example(), &machines).expect("plan");
    assert_eq!(plan.server_addresses(), [address("fd00::10")]);
    assert_eq!(plan.machines()[1].range, Some("fd99:c1ab::8/125".parse().expect("a block")));
    let error = decide(&far("connections: 1K\nnetwork: {subnet: 10.1.0.0/16}"), &Host::example(), &machines);
    assert!(error.expect_err("another family").why.contains("is no subnet of IPv6"));
    machines[2].address = address("192.168.56.12");
    let error = decide(&far(text), &Host::example(), &machines).expect_err("two families");
    assert!(error.why.contains("192.168.56.12 is not"), "{error}");
}

#[test]
fn a_user_without_rights_takes_what_there_is() {
    let mut machines = documented();
    for machine in &mut machines {
        machine.host.uid = 1000;
        machine.host.capabilities = crate::host::Capabilities::default();
        machine.host.nofile = crate::host::Nofile { soft: 1024, hard: 20_000 };
        machine.host.settings_fixed = machine.host.settings.keys().cloned().collect();
    }
    let plan = decide(&far("connections: 100K"), &Host::example(), &machines).expect("plan");
    assert_eq!(plan.ends.reactors.count, 6);
    let server = &plan.machines()[0];
    assert!(server.settings.is_empty() && server.agent_user.is_none());
    assert!(server.out_of_reach.iter().any(|why| why.starts_with("net.core.somaxconn")), "{server:?}");
}

#[test]
fn privileged_ports_are_opened_on_the_server() {
    let plan =
        decide(&far("connections: 1K\nserver: {ports: 80}"), &Host::example(), &documented()).expect("plan");
    let opened = |node: usize| {
        let settings = &plan.machines()[node].settings;
        settings.iter().find(|one| one.key == "net.ipv4.ip_unprivileged_port_start").map(|one| one.to.clone())
    };
    assert_eq!((opened(0), opened(1)), (Some("80".to_owned()), None));
}

/// What cannot be is not there: no dummies tell a lab on machines from one on this host.
#[test]
fn plan_json_has_what_belongs_to_its_place_and_nothing_else() {
    let keys = |value: &serde_json::Value| {
        value.as_object().expect("an object").keys().cloned().collect::<Vec<String>>()
    };
    let text = "connections: 1K\nclients: {count: 2}\nnetwork: {kind: routed}";
    let on_this_host = super::decide(&lab(text), &Host::example()).expect("a plan");
    let on_machines = decide(&far("connections: 1K"), &Host::example(), &documented()).expect("a plan");
    for (plan, place) in [(&on_this_host, "here"), (&on_machines, "machines")] {
        let json = serde_json::to_value(plan).expect("JSON");
        let parts = ["course", "driver", "ends", "first_limit", "lab", "limits", "memory", "place"];
        assert_eq!(keys(&json), [&parts[..], &["runner_nofile"]].concat());
        assert_eq!(keys(&json["ends"]["nodes"][0]), ["cpus", "homes", "name", "role", "settings"]);
        assert_eq!(keys(&json["place"]), [place]);
    }
    let here = serde_json::to_value(on_this_host.here()).expect("JSON");
    assert_eq!(keys(&here), ["agent_user", "client_rate", "host_settings", "links", "namespaces", "router"]);
    assert_eq!(keys(&here["namespaces"][3]), ["ehash_entries", "memory_limit", "name", "routes"]);
    assert_eq!(on_machines.machines().len(), on_machines.ends.nodes.len());
}
