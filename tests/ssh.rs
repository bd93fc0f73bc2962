//! The lab on other machines: namespaces that are reached by sshd only.

mod common;
#[path = "common/machines.rs"]
mod machines;
#[path = "common/running.rs"]
mod running;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{need_root, stderr, wait_for};
use machines::{NODES, World};
use running::assert_counted;
use serde_json::{Value, json};

const LAB: &str = "connections: 6K\nhold: 1s\nexpect: {established: 100%, lost: 0}\n";

fn assert_complete(report: &Value, asked: u64) {
    assert_eq!((&report["asked"], &report["established"]), (&asked.into(), &asked.into()), "{report:#}");
    assert_eq!((&report["failed"]["total"], &report["lost"]["total"]), (&0.into(), &0.into()), "{report:#}");
    assert_eq!(report["server"]["accepted"], asked, "{report:#}");
    assert_eq!((&report["findings"], &report["left_behind"]), (&json!([]), &json!([])), "{report:#}");
    let settings = report["host_settings"].as_array().expect("a list");
    assert!(settings.iter().all(|one| one["before"] == one["after"]), "{settings:?}");
}

/// Nothing runs on the machines any more, and they are as they were.
fn assert_as_before(world: &World, before: &[String]) {
    for node in NODES {
        wait_for("the steward to end", Duration::from_secs(20), || world.processes(node).is_empty());
    }
    assert_eq!(world.states(), before);
    assert_eq!(world.copies(), [""; 0], "copies are left");
}

#[test]
fn six_thousand_connections_between_machines() {
    need_root();
    let world = World::new("far", "root");
    let before = world.states();
    let (output, report) = world.up(LAB);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_complete(&report, 6_000);
    let settings = report["host_settings"].as_array().expect("a list");
    assert!(
        settings.iter().any(|one| one["key"] == "server: net.core.somaxconn"),
        "the server's queues were made longer: {settings:?}"
    );
    assert!(report["kernel"]["sockets_peak"].as_u64() >= Some(12_000), "{report:#}");
    let machines = report["machines"].as_array().expect("a list");
    assert_eq!(machines.len(), 3);
    for (machine, node) in machines.iter().zip(NODES) {
        assert_eq!((&machine["node"], &machine["address"]), (&node.into(), &World::address(node).into()));
        // All of them have this machine's clock.
        assert!(machine["clock"]["offset_us"].as_i64().is_some_and(|us| us.abs() < 100_000), "{machine}");
    }
    assert_as_before(&world, &before);
    world.lab.assert_gone();
}

#[test]
fn more_source_addresses_are_added_and_taken_back() {
    need_root();
    let world = World::new("many", "root");
    let before = world.states();
    // So few ports that each of the four addresses is needed.
    let more = "connections: 3K\nhold: 0s\nserver: {ports: 9900-9909}\nclients: {addresses: 4, ports: 20000-20049}\n";
    let (output, report) = world.up(more);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_complete(&report, 3_000);
    assert_as_before(&world, &before);
}

#[test]
fn a_plan_knows_the_machines_and_leaves_them_alone() {
    need_root();
    let world = World::new("plan", "root");
    let before = world.states();
    let output = world.run(&["plan", &world.file(LAB), "--ask-machines", "--json"]);
    let plan: Value = serde_json::from_slice(&output.stdout).expect("a plan");
    assert_eq!(plan["place"]["machines"].as_array().map(Vec::len), Some(3), "{}", stderr(&output));
    let text = world.run(&["plan", &world.file(LAB), "--ask-machines"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    for part in ["machine 10.77.9.1", "net.core.somaxconn", "put back afterwards", "clock"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_as_before(&world, &before);
}

/// Runs with a hold, does something in it, and gives the report.
fn disturbed(world: &World, hold: &str, disturb: impl FnOnce()) -> Value {
    let file = world.file(&format!("connections: 6K\nhold: {hold}\n"));
    let out = world.lab.out();
    let mut runner = world
        .c1m_lab(&["up", &file, "--out", &out])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ip runs");
    let events = world.lab.folder.join("out/events.jsonl");
    let opened = || {
        let server = world.on("server", "cat /proc/net/sockstat");
        server.lines().any(|line| {
            let inuse = line.strip_prefix("TCP: inuse ").and_then(|rest| rest.split(' ').next());
            inuse.and_then(|inuse| inuse.parse().ok()).unwrap_or(0) >= 6_000
        })
    };
    wait_for("the connections", Duration::from_secs(60), || events.exists() && opened());
    disturb();
    wait_for("the run to end", Duration::from_secs(120), || runner.try_wait().expect("a child").is_some());
    let report = running::report(&world.lab);
    assert_counted(&report);
    report
}

#[test]
fn a_client_whose_connection_drops_is_a_result() {
    need_root();
    let world = World::new("drop", "root");
    let before = world.states();
    let report = disturbed(&world, "5s", || world.drop_connection("client-1"));
    assert_eq!(report["established"], 6_000, "{report:#}");
    let lost = report["lost"]["by"].as_array().expect("rows");
    let of_machine: u64 = lost
        .iter()
        .filter(|row| row["errno"].as_str().is_some_and(|how| how.starts_with("machine client-1 gone")))
        .filter_map(|row| row["count"].as_u64())
        .sum();
    assert_eq!(of_machine, 3_000, "{report:#}");
    assert_as_before(&world, &before);
    world.lab.assert_gone();
}

#[test]
fn a_server_whose_connection_drops_is_put_back() {
    need_root();
    let world = World::new("fall", "root");
    let before = world.states();
    let report = disturbed(&world, "5s", || {
        assert_ne!(world.states(), before, "its settings were moved");
        world.drop_connection("server");
    });
    assert_eq!(
        (&report["established"], &report["lost"]["total"]),
        (&6_000.into(), &6_000.into()),
        "{report:#}"
    );
    assert_as_before(&world, &before);
}

#[test]
fn a_machine_that_is_cut_off_is_noticed() {
    need_root();
    let world = World::new("cut", "root");
    let before = world.states();
    let began = Instant::now();
    let report = disturbed(&world, "40s", || world.cable("client-2", "down"));
    assert!(began.elapsed() < Duration::from_secs(115), "{:?}", began.elapsed());
    let gone = report["findings"].as_array().expect("a list").iter().any(|finding| {
        finding
            .as_str()
            .is_some_and(|text| text.contains("machine client-2 gone") && text.contains("not responding"))
    });
    assert!(gone, "{report:#}");
    // Nobody could look at it: that is told, and it puts itself back.
    let left = report["left_behind"].as_array().expect("a list");
    assert!(
        left.len() == 1 && left[0]["what"].as_str().is_some_and(|what| what.starts_with("client-2")),
        "{left:?}"
    );
    // It waits a minute for a word.
    wait_for("the steward to end", Duration::from_secs(75), || world.processes("client-2").len() <= 1);
    world.cable("client-2", "up");
    assert_as_before(&world, &before);
}

#[test]
fn what_keeps_ssh_from_a_machine_is_said() {
    need_root();
    let world = World::new("deny", "root");
    let refused = |why: &str, remedy: &str| {
        for command in [&["up"][..], &["plan", "--ask-machines"], &["check", "--ask-machines"]] {
            let output = world.run(&[command, &[&world.file(LAB)]].concat());
            let told = stderr(&output);
            assert_eq!(output.status.code(), Some(3), "{told}");
            assert!(told.contains(why) && told.contains(&format!("help: {remedy}")), "{told}");
        }
    };
    world.refuse_keys();
    refused("it refuses our key", "put a public key");
    world.forget_host_keys();
    refused("its host key is not known", "compare the key");
    assert_eq!(world.copies(), [""; 0], "copies are left");
    let nobody = "connections: 1K\ndriver: ssh\nmachines: {server: 10.77.9.8, clients: [10.77.9.8]}\n";
    let output = world.run(&["plan", &world.lab.file(nobody), "--ask-machines"]);
    assert!(stderr(&output).contains("there is no way to it"), "{}", stderr(&output));
}

#[test]
fn an_ordinary_user_runs_what_needs_no_settings() {
    need_root();
    let world = World::new("user", "lab-user");
    let before = world.states();
    let (output, report) = world.up("connections: 2K\nhold: 0s\n");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_complete(&report, 2_000);
    assert_eq!(report["host_settings"], json!([]));
    let plan = world.run(&["plan", &world.file(LAB), "--ask-machines"]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("out of reach: net.core.somaxconn"), "{plan}");
    assert_as_before(&world, &before);
}

#[test]
fn what_a_killed_steward_left_is_undone_by_the_next_run() {
    need_root();
    let world = World::new("kill", "root");
    let before = world.states();
    let report = disturbed(&world, "4s", || {
        let stewards = world.processes("server").into_iter().filter(|pid| {
            let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            command.contains("c1m-lab\0steward")
        });
        stewards.for_each(|pid| running::send(pid, rustix::process::Signal::KILL));
    });
    // The runner came back for it at the end.
    assert_eq!(report["left_behind"], json!([]), "{report:#}");
    assert_eq!(report["lost"]["total"], 6_000, "{report:#}");
    assert_as_before(&world, &before);
}
