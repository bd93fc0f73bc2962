//! What is decided from a lab and a host.

mod admission;
mod anyway;
mod machines;
mod networks;
mod properties;
mod refusals;
mod turns;

use std::collections::BTreeMap;
use std::time::Duration;

use super::tuples::Addresses;
use super::*;
use crate::host::{Capability, Host};
use crate::spec::{self, Lab};
use crate::units::{Block, Family, Rate};

const GIB: u64 = 1 << 30;

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

fn lab(text: &str) -> Lab {
    spec::parse("lab.yaml", text, &[]).expect(text)
}

/// Root in a container: it cannot raise what its processes may open.
fn bounded(nofile: u64) -> Host {
    let mut host = Host::example();
    host.capabilities = host.capabilities.without(Capability::SysResource);
    host.nofile = crate::host::Nofile { soft: nofile.min(1024), hard: nofile };
    host
}

#[test]
fn a_million_on_a_large_machine_needs_one_reactor() {
    let plan = decide(&lab("connections: 1M\nclients: {count: 2}"), &Host::example()).expect("plan");
    assert_eq!(
        (plan.ends.reactors.count, plan.ends.reactors.capacity, plan.ends.swarms.len()),
        (1, 1_000_000, 2)
    );
    assert_eq!(plan.host_settings(), [], "nothing has to be raised");
}

#[test]
fn a_million_under_a_hard_limit_takes_a_chain() {
    let plan = decide(&lab("connections: 1M\nclients: {count: 2}"), &bounded(20_000)).expect("plan");
    assert_eq!((plan.ends.reactors.count, plan.ends.swarms.len()), (51, 52));
    assert!(plan.ends.reactors.nofile <= 20_000);
}

#[test]
fn nr_open_bounds_a_hard_limit_above_it() {
    // The kernel refuses to set a limit above fs.nr_open, however high the hard limit is.
    let mut host = bounded(u64::MAX);
    host.settings.insert("fs.nr_open".to_owned(), "5000".to_owned());
    let raised = decide(&lab("connections: 10K"), &host).expect("plan");
    assert_eq!(raised.host_settings().len(), 1);
    assert_eq!(raised.host_settings()[0].to, raised.ends.reactors.nofile.to_string());
    host.settings_fixed.insert("fs.nr_open".to_owned());
    let chain = decide(&lab("connections: 10K"), &host).expect("plan");
    assert!(chain.ends.reactors.nofile <= 5000 && chain.ends.reactors.count > 1, "{:?}", chain.ends.reactors);
}

#[test]
fn privileged_ports_are_opened_to_the_agents() {
    let plan = decide(&lab("connections: 1K\nserver: {ports: [80, 443]}"), &Host::example()).expect("plan");
    let lowest = |node: &Node| node.settings.get("net.ipv4.ip_unprivileged_port_start").cloned();
    assert_eq!(lowest(plan.server()).as_deref(), Some("80"));
    assert_eq!(lowest(&plan.clients()[0]), None);
}

#[test]
fn an_automatic_subnet_keeps_away_from_the_hosts() {
    let mut host = Host::example();
    host.routes.push("10.99.0.0/16".parse().expect("a block"));
    let plan = decide(&lab("connections: 1K"), &host).expect("plan");
    assert_eq!(plan.ends.subnets[0].to_string(), "10.100.0.0/16");
    host.routes.push("fd99:c1ab::/63".parse().expect("a block"));
    let plan = decide(&lab("connections: 1K\nnetwork: {family: ipv6}"), &host).expect("plan");
    assert_eq!(plan.ends.subnets[0].to_string(), "fd99:c1ab:0:2::/64");
}

#[test]
fn fit_is_quick_on_absurd_hosts() {
    let million = lab("connections: 1M\nclients: {count: 300, addresses: 200}");
    let mut hosts = vec![Host::example()];
    for nofile in [64, 200, 1_000, 20_000, u64::MAX] {
        for memory in [GIB / 10, 1024 * GIB] {
            let mut host = bounded(nofile);
            host.memory = crate::host::Memory { total: memory, available: memory };
            hosts.push(host);
        }
    }
    let began = std::time::Instant::now();
    hosts.iter().for_each(|host| drop(here::connections(&million, host)));
    let each = began.elapsed() / hosts.len() as u32;
    let patience = if cfg!(debug_assertions) { 2_000 } else { 100 };
    assert!(each < Duration::from_millis(patience), "{each:?}");
}

#[test]
fn absurd_labs_are_refused_at_once() {
    let texts = [
        "connections: 1K\nclients: {count: 4000000000, addresses: 1}",
        "connections: 4000000000\nclients: {count: 60000, addresses: 60000}",
        "connections: 3000000000000000000\nnetwork: {subnet: 128.0.0.0/2}\nserver: {ports: 1-65535}\nclients: {count: 3, addresses: 268435455}",
    ];
    for text in texts {
        let began = std::time::Instant::now();
        decide(&lab(text), &Host::example()).expect_err(text);
        assert!(began.elapsed() < Duration::from_millis(500), "{text}: {:?}", began.elapsed());
    }
}
