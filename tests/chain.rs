//! Under low descriptor limits a chain of reactors and many swarms carry the same connections.

mod common;

use std::fs::File;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use common::*;
use nix::sched::{CloneFlags, setns};
use serde_json::Value;

#[test]
fn a_chain_of_reactors_takes_ten_thousand() {
    need_root();
    let lab = TestLab::new("chain");
    let (output, report) = lab.up(
        "connections: 10K\nserver: {ports: 9900-9919}\nclients: {count: 2}\nhold: 1s\n\
         limits: {server: {nofile: 1200}, client: {nofile: 1000}}",
        &[],
    );
    assert_all_established(&output, &report, 10_000);
    let count = |side: &str| report[side]["processes"].as_u64().expect("a count");
    assert!(count("server") >= 8 && count("clients") >= 8, "{report:#}");
    // They close a few at a time, and the drained end while others still hold: each connection is closed once.
    for side in ["clients", "server"] {
        assert_eq!(report[side]["closed"], 10_000, "{side}: {report:#}");
    }
    assert_eq!(report["kernel"]["time_wait_after_drain"], 0, "{report:#}");
    let shares = shares(&lab);
    assert_eq!(shares.len() as u64, count("server"));
    assert_eq!(shares.iter().sum::<u64>(), 10_000);
    let (last, full) = shares.split_last().expect("reactors");
    // Each but the last is filled to its capacity before the next takes over.
    assert!(full.iter().all(|share| *share == 1_170) && *last <= 1_170, "{shares:?}");
    lab.assert_gone();
}

/// Whoever is in the node's namespace, be it as root: there is no name by which a reactor gives its listeners away.
#[test]
fn a_stranger_gets_no_listeners() {
    need_root();
    let lab = TestLab::new("stranger");
    // The first is full, the second accepts, the third stands by.
    let _kept = lab.keep("connections: 1500\nhold: 0s\nlimits: {server: {nofile: 1200}}");
    let namespace =
        File::open(format!("/run/netns/c1m-{}-server", lab.name)).expect("the server's namespace");
    for user in [0, 4711] {
        let namespace = namespace.try_clone().expect("a copy");
        let lab = lab.name.clone();
        let stranger = std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter");
            let user = rustix::thread::Uid::from_raw(user);
            rustix::thread::set_thread_res_uid(user, user, user).expect("root may become anyone");
            let sockets = std::fs::read_to_string("/proc/thread-self/net/unix").expect("a table");
            let named: Vec<&str> =
                sockets.lines().filter(|line| line.contains('@') && line.contains("c1m-lab")).collect();
            assert_eq!(named, [""; 0], "a socket that anyone may connect to");
            // As the reactors were met once.
            for place in 0..3 {
                let name = format!("c1m-lab/{lab}/reactor-{place}");
                let address = SocketAddr::from_abstract_name(name).expect("a name");
                let error = UnixStream::connect_addr(&address).expect_err("nobody is there");
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            }
        });
        stranger.join().expect("nothing was given away");
    }
}

/// What each reactor accepted, in the order of the chain.
fn shares(lab: &TestLab) -> Vec<u64> {
    let events = std::fs::read_to_string(lab.folder.join("out/events.jsonl")).expect("events");
    let mut shares = std::collections::BTreeMap::new();
    for event in events.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event")) {
        if let (Some(place), Some(count)) =
            (event["agent"]["reactor"].as_u64(), event["counts"]["established"].as_u64())
        {
            shares.insert(place, count);
        }
    }
    shares.into_values().collect()
}

#[test]
fn many_clients_are_heard_under_the_limit_of_a_shell() {
    need_root();
    let lab = TestLab::new("many");
    let file = lab.file("connections: 3K\nclients: {count: 120, addresses: 2}\nhold: 0s");
    // Far fewer than 120 agents and 121 namespaces take in the runner.
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -Sn 128 && exec \"$@\"",
            "sh",
            BINARY,
            "up",
            &file,
            "--json",
            "--out",
            &lab.out(),
        ])
        .output()
        .expect("sh");
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    assert_all_established(&output, &report, 3_000);
    lab.assert_gone();
}
