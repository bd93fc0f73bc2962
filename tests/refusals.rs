//! What is refused, with which exit code, and what it says; none of it leaves a trace.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use common::*;

fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for part in parts {
        assert!(told.contains(part), "no {part:?} in: {told}");
    }
    assert!(told.starts_with("error: ") && !told.contains("panicked"), "{told}");
}

#[test]
fn wrong_lab_files() {
    let lab = TestLab::new("wrong");
    let refused = |text: &str, parts: &[&str]| {
        assert_refused(&run(&["up", &lab.file(text)]), 2, parts);
        assert_refused(&run(&["plan", &lab.file(text)]), 2, parts);
    };
    refused("connections: 10\nconections: 12", &["conections", ":3:1", "^^^^^^^^^^", "help: "]);
    refused("connections: many", &["many", ":2:14", "help: "]);
    refused(
        "connections: 1M\nclients: {addresses: 1}\nserver: {ports: 80}",
        &["five-tuples", "addresses: 16"],
    );
    refused("connections: 10\nnetwork: {subnet: 10.9.0.0/28}", &["10.9.0.0/28", "or larger"]);
    assert_refused(&run(&["up", "/nowhere/lab.yaml"]), 2, &["/nowhere/lab.yaml", "no such file"]);
    let file = lab.file("connections: 10");
    for (set, part) in [("nonsense", "nonsense"), ("clients.cuont=3", "cuont"), ("connections=-1", "-1")] {
        assert_refused(&run(&["up", &file, "--set", set]), 2, &[part]);
    }
    assert_refused(&run(&["up", &file, "--connections", "fitt"]), 2, &["fitt"]);
    lab.assert_gone();
}

#[test]
fn what_this_host_cannot_do() {
    let lab = TestLab::new("cannot");
    let file = lab.file("connections: 4G\nclients: {count: 4, addresses: 1000}");
    assert_refused(&run(&["plan", &file]), 3, &["4,000,000,000 connections"]);
    // No machine that runs tests has 30 TB.
    let file = lab.file("connections: 4000M\nclients: {count: 4, addresses: 1000}");
    let refused = run(&["up", &file]);
    assert_refused(&refused, 3, &["4,000,000,000 connections", "`--connections fit`"]);
    let file = lab
        .file("connections: 10K\nserver: {reactors: 1, ports: 9900-9919}\nlimits: {server: {nofile: 100}}");
    assert_refused(&run(&["up", &file]), 3, &["10,000 connections in 1 reactor", "`reactors: auto`", "100"]);
    assert_refused(&run(&["check", &file]), 3, &[]);
    lab.assert_gone();
}

#[test]
fn fit_runs_as_many_as_there_is_room_for() {
    let lab = TestLab::new("fit");
    let file = lab.file("connections: 10\nclients: {addresses: 1, ports: 1024-2023}\nserver: {ports: 80-81}");
    let output = run(&["plan", &file, "--connections", "fit", "--json"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a plan");
    assert_eq!(plan["course"]["connections"], 2_000);
}

#[test]
fn a_folder_that_cannot_be_made() {
    need_root();
    let lab = TestLab::new("out");
    let file = lab.file("connections: 10\nhold: 0s");
    assert_refused(&run(&["up", &file, "--out", "/proc/nowhere"]), 2, &["/proc/nowhere", "--out DIR"]);
    // A folder in which the plan cannot be written, and then a run that can: nothing stands from the first.
    let out = lab.folder.join("taken");
    std::fs::create_dir_all(out.join("plan.json")).expect("a folder");
    assert_refused(&run(&["up", &file, "--out", &out.display().to_string()]), 2, &["plan.json"]);
    lab.assert_gone();
    assert_eq!(run(&["up", &file, "--quiet", "--out", &lab.out()]).status.code(), Some(0));
    lab.assert_gone();
}

/// A copy that everyone may run: the build's own folder may be root's.
fn copied_binary(lab: &TestLab) -> PathBuf {
    let copy = lab.folder.join("c1m-lab");
    std::fs::copy(BINARY, &copy).expect("a copy");
    for path in [&copy, &lab.folder] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    }
    copy
}

fn as_nobody_may_have_a_namespace() -> bool {
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"];
    let output = Command::new("setpriv").args(nobody).args(["unshare", "-Urnm", "true"]).output();
    output.expect("setpriv").status.success()
}

#[test]
fn without_root() {
    need_root();
    let lab = TestLab::new("user");
    let binary = copied_binary(&lab);
    let file = lab.file("connections: 10K");
    let as_nobody = |arguments: &[&str]| {
        Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"])
            .arg(&binary)
            .args(arguments)
            .current_dir(&lab.folder)
            .output()
            .expect("setpriv")
    };
    // Where an ordinary user may have a user namespace, the lab is made in one.
    let may = as_nobody_may_have_a_namespace();
    let out = lab.folder.join("out");
    std::fs::create_dir(&out).expect("a folder");
    std::os::unix::fs::chown(&out, Some(65534), Some(65534)).expect("given away");
    let up = as_nobody(&["up", &file, "--hold", "0s", "--out", &out.display().to_string()]);
    if may {
        assert_eq!(up.status.code(), Some(0), "{}", stderr(&up));
    } else {
        left_out(
            "refusals: without_root, the lab itself",
            "unshare(1) may not make a user namespace either: the refusal was tested",
        );
        assert_refused(&up, 3, &["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "sudo c1m-lab"]);
    }
    let plan = as_nobody(&["plan", &file]);
    assert_eq!(plan.status.code(), Some(0), "{}", stderr(&plan));
    let check = as_nobody(&["check", &file]);
    assert_eq!(check.status.code(), Some(if may { 0 } else { 3 }), "{}", stderr(&check));
    let rows = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(rows.contains("CAP_SYS_ADMIN") && rows.contains("not there"), "{rows}");
    assert_eq!(as_nobody(&["status"]).status.code(), Some(0));
    assert_eq!(names(&lab.folder.display().to_string()), ["c1m-lab", "lab.yaml", "out"], "nothing else");
    lab.assert_gone();
}

#[test]
fn help_is_there_for_every_command() {
    let _turn = beside();
    let help = String::from_utf8(run(&["--help"]).stdout).expect("text");
    // `  up  Build …`, from the list of commands on.
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let commands: Vec<&str> =
        listed.filter(is_name).filter_map(|line| line.split_whitespace().next()).collect();
    for command in ["up", "plan", "check", "down", "status", "exec", "climb", "server", "client", "schema"] {
        assert!(commands.contains(&command), "{command} is not among {commands:?}");
    }
    for command in commands.into_iter().filter(|command| *command != "help") {
        let output = run(&[command, "--help"]);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{command}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("Usage: c1m-lab"), "{command}");
    }
    for code in [
        "Exit codes:",
        "0  done",
        "1  an expectation",
        "2  the lab file",
        "3  this host",
        "4  the run broke",
        "5  ",
    ] {
        assert!(help.contains(code), "{code}: {help}");
    }
    assert!(!help.contains("agent "), "the agent is started by others: {help}");
    assert_eq!(run(&["nonsense"]).status.code(), Some(2));
    assert_eq!(run(&[]).status.code(), Some(2));
}

#[test]
fn a_reader_may_go_away_early() {
    let _turn = beside();
    for command in ["schema", "--help", "check", "plan labs/smoke.yaml", "plan labs/smoke.yaml --json"] {
        // It has gone before the first word: a pipe has room for all that these say, and would take it.
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = c1m_lab(&arguments).stdout(writer).output().expect("c1m-lab runs");
        assert!(!stderr(&output).contains("panicked"), "{command}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(0), "{command}: {output:?}");
    }
}
