//! What agents may do, how a standing lab is looked at, and how it ends.

mod common;

use std::process::{Command, Stdio};
use std::time::Duration;

use common::*;

/// Small: these tests are about processes, not about how many connections.
const LAB: &str = "connections: 2K\nclients: {count: 2}\nhold: 0s";

#[test]
fn agents_have_no_privileges_and_no_strange_descriptors() {
    need_root();
    let lab = TestLab::new("cell");
    let kept = lab.keep(LAB);
    let agents = kept.agents();
    assert_eq!(agents.len(), 3);
    for agent in agents {
        let threads = names(&format!("/proc/{agent}/task"));
        assert_eq!(threads.len(), 2);
        for thread in threads {
            no_privileges(&format!("/proc/{agent}/task/{thread}/status"));
        }
        descriptors(agent);
        assert_eq!(std::fs::read(format!("/proc/{agent}/environ")).expect("its environment"), b"");
    }
}

/// A thread has its own: both are looked at.
fn no_privileges(status: &str) {
    let status = std::fs::read_to_string(status).expect("a thread of an agent");
    for ids in ["Uid", "Gid"] {
        assert_eq!(field(&status, ids), "65534\t65534\t65534\t65534", "{status}");
    }
    for capabilities in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&field(&status, capabilities), 16), Ok(0), "{status}");
    }
    assert_eq!((field(&status, "NoNewPrivs"), field(&status, "Groups")), ("1".into(), String::new()));
}

/// Its three streams; in the second thread, out of sight of what reads `/proc/<pid>/fd`, one epoll and sockets too.
fn descriptors(agent: u32) {
    assert_eq!(names(&format!("/proc/{agent}/fd")), ["0", "1", "2"]);
    let second = names(&format!("/proc/{agent}/task")).into_iter().find(|task| *task != agent.to_string());
    let folder = format!("/proc/{agent}/task/{}/fd", second.expect("a second thread"));
    let mut epolls = 0;
    for name in names(&folder) {
        let target = std::fs::read_link(format!("{folder}/{name}")).expect("a descriptor");
        let target = target.display().to_string();
        match name.parse::<u32>().expect("a number") {
            // Descriptors come over its stdin, which a pipe could not carry.
            0 => assert!(target.starts_with("socket:"), "{name}: {target}"),
            1 => assert!(target.starts_with("pipe:"), "{name}: {target}"),
            2 => assert_eq!(target, "/dev/null"),
            _ if target == "anon_inode:[eventpoll]" => epolls += 1,
            _ => assert!(target.starts_with("socket:"), "{name}: {target}"),
        }
    }
    assert_eq!(epolls, 1);
}

#[test]
fn a_standing_lab_is_shown_and_entered() {
    need_root();
    let lab = TestLab::new("look");
    let kept = lab.keep(LAB);
    let status = lab.status();
    assert_eq!((&status["runner"], &status["running"]), (&kept.pid().into(), &true.into()));
    assert_eq!((&status["processes"], &status["connections"]), (&3.into(), &2_000.into()));
    assert_eq!(status["nodes"].as_array().map(Vec::len), Some(3));
    let node = format!("{}/client-1", lab.name);
    let output = run(&["exec", &node, "--", "cat", "/proc/net/sockstat"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let sockets = String::from_utf8(output.stdout).expect("text");
    assert!(sockets.contains("TCP: inuse 1000 "), "{sockets}");
    // The command's exit code is passed on.
    assert_eq!(run(&["exec", &node, "--", "false"]).status.code(), Some(1));
    let unknown = run(&["exec", &format!("{}/client-9", lab.name), "--", "true"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains(&node), "{}", stderr(&unknown));
}

/// The name of a node leads to another namespace: what is run in the node must not run there.
#[test]
fn a_name_that_leads_elsewhere_is_not_entered() {
    need_root();
    let lab = TestLab::new("name");
    // Reactors that are started in mid-ramp, too, go where the first one is.
    let text =
        "connections: 3K\nclients: {count: 2}\nhold: 0s\nramp: {rate: 1K}\nlimits: {server: {nofile: 800}}";
    let (file, out) = (lab.file(text), lab.out());
    let runner = c1m_lab(&["up", &file, "--quiet", "--out", &out]).spawn().expect("c1m-lab runs");
    let mut kept = Kept { runner, _told: None };
    let name = format!("c1m-{}-server", lab.name);
    let path = format!("/run/netns/{name}");
    wait_for("the first connections", Duration::from_secs(20), || {
        let status = lab.status();
        let mut nodes = status["nodes"].as_array().into_iter().flatten();
        nodes.any(|node| node["namespace"] == *name && node["tcp_sockets"].as_u64() > Some(100))
    });
    // This test's own: a bind on top of the node's name.
    let bound = Command::new("mount").args(["--bind", "/proc/self/ns/net", &path]).status();
    assert!(bound.expect("mount(1) is there").success());
    let output = run(&["exec", &format!("{}/server", lab.name), "--", "true"]);
    let ended = kept.ends_with();
    assert!(Command::new("umount").arg(&path).status().expect("umount(1) is there").success());
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("is not the lab's"), "{}", stderr(&output));
    // What it leaves alone on its way down is the name that it did not make.
    let report = std::fs::read_to_string(lab.folder.join("out/report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((ended, &report["established"]), (Some(0), &3_000.into()), "{report:#}");
    assert!(report["server"]["processes"].as_u64() > Some(3), "{report:#}");
    // It is another's name until here; now it leads to nothing.
    let _ = Command::new("umount").arg(&path).stderr(Stdio::null()).status();
    let _ = std::fs::remove_file(&path);
}

#[test]
fn signals_end_a_standing_lab_in_order() {
    need_root();
    for signal in ["INT", "TERM"] {
        let lab = TestLab::new(&format!("sig-{}", signal.to_lowercase()));
        let mut kept = lab.keep(LAB);
        let agents = kept.agents();
        kept.signal(signal);
        // To stand until it is told to end is what `--keep` asks for.
        assert_eq!(kept.ends_with(), Some(0), "SIG{signal}");
        lab.assert_gone();
        assert!(!agents.iter().any(|agent| is_alive(*agent)));
        let report = std::fs::read_to_string(lab.folder.join("out/report.json")).expect("a report");
        let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
        assert_eq!(
            (&report["clients"]["closed"], &report["left_behind"]),
            (&2_000.into(), &serde_json::json!([]))
        );
    }
}

#[test]
fn an_interrupted_ramp_ends_in_order() {
    need_root();
    let lab = TestLab::new("cut");
    let (file, out) = (lab.file("connections: 20K\nramp: {rate: 2K}\n"), lab.out());
    let runner = c1m_lab(&["up", &file, "--quiet", "--out", &out]).spawn().expect("c1m-lab runs");
    let mut kept = Kept { runner, _told: None };
    // The clients' sockets would also count those that nobody has answered yet.
    wait_for("the first connections", Duration::from_secs(20), || {
        let server = format!("c1m-{}-server", lab.name);
        let status = lab.status();
        let mut nodes = status["nodes"].as_array().into_iter().flatten();
        nodes.any(|node| node["namespace"] == *server && node["tcp_sockets"].as_u64() > Some(1_000))
    });
    kept.signal("INT");
    assert_eq!(kept.ends_with(), Some(4));
    let report = std::fs::read_to_string(lab.folder.join("out/report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let count = |value: &serde_json::Value| value.as_u64().expect("a count");
    let (established, untried) = (count(&report["established"]), count(&report["untried"]));
    assert!(established > 0 && untried > 0, "{report:#}");
    assert_eq!(established + untried + count(&report["failed"]["total"]), 20_000);
    assert_eq!(
        (&report["interrupted"], count(&report["clients"]["closed"])),
        (&"SIGINT".into(), established)
    );
    lab.assert_gone();
}

#[test]
fn a_killed_runner_leaves_no_agents_and_down_cleans_up() {
    need_root();
    let lab = TestLab::new("kill");
    let mut kept = lab.keep(LAB);
    let agents = kept.agents();
    kept.signal("KILL");
    assert_eq!(kept.ends_with(), None, "it was killed");
    wait_for("the agents to end", Duration::from_secs(1), || !agents.iter().any(|agent| is_alive(*agent)));
    assert_eq!(lab.status()["running"], false);
    // What is left of it is not run over.
    let again = run(&["up", &lab.file(LAB), "--out", &lab.out()]);
    assert_eq!(again.status.code(), Some(3), "{}", stderr(&again));
    assert!(stderr(&again).contains(&format!("`c1m-lab down {}`", lab.name)), "{}", stderr(&again));
    let down = run(&["down", &lab.name]);
    assert_eq!(down.status.code(), Some(0), "{}", stderr(&down));
    lab.assert_gone();
    let down = run(&["down", &lab.name]);
    assert_eq!(down.status.code(), Some(2));
    assert!(stderr(&down).contains("no lab of that name stands"), "{}", stderr(&down));
}

#[test]
fn a_running_lab_is_not_started_twice_and_ends_when_down_asks() {
    need_root();
    let lab = TestLab::new("twice");
    let mut kept = lab.keep(LAB);
    let other = lab.folder.join("other").display().to_string();
    let refused = run(&["up", &lab.file(LAB), "--out", &other]);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    assert!(stderr(&refused).contains(&format!("process {}", kept.pid())), "{}", stderr(&refused));
    assert_eq!(lab.status()["connections"], 2_000);
    // The runner is this test's child: it must be waited for while `down` waits for it.
    let down = c1m_lab(&["down", &lab.name]).stderr(Stdio::piped()).spawn().expect("c1m-lab runs");
    assert_eq!(kept.ends_with(), Some(0));
    let down = down.wait_with_output().expect("down ends");
    assert_eq!(down.status.code(), Some(0), "{}", stderr(&down));
    lab.assert_gone();
}
