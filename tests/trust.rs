//! What a lab file may cause by itself, and what takes a flag: the table of SECURITY.md, row by row.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use c1m_lab::permitted;
use common::*;
use nix::sched::{CloneFlags, unshare};

fn setting(key: &str) -> String {
    let path = format!("/proc/sys/{}", key.replace('.', "/"));
    std::fs::read_to_string(&path).expect(&path).trim().to_owned()
}

fn assert_refused(output: &Output, code: i32, parts: &[&str]) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for part in parts {
        assert!(told.contains(part), "no {part:?} in: {told}");
    }
    assert!(!told.contains("panicked"), "{told}");
}

#[test]
fn a_lab_file_sets_nothing_of_the_host_that_no_lab_needs() {
    need_root();
    let lab = TestLab::new("pattern");
    let before = setting("kernel.core_pattern");
    let file = lab.file("connections: 10\nhold: 0s\nsysctl: {host: {kernel.core_pattern: \"|/x\"}}");
    let refusal = ["kernel.core_pattern", ":4:", "--allow-host-setting kernel.core_pattern"];
    for command in ["up", "climb"] {
        assert_refused(&run(&[command, &file]), 2, &refusal);
        assert_refused(&run(&[command, &file, "--allow-host-setting", "kernel.sysrq"]), 2, &refusal);
    }
    let set = "sysctl.host.kernel.core_pattern='|/x'";
    assert_refused(&run(&["up", &lab.file("connections: 10"), "--set", set]), 2, &["--allow-host-setting"]);
    // Not by another name, nor by another section.
    for (text, part) in [
        ("sysctl: {host: {kernel/core_pattern: x}}", "no name of a kernel setting"),
        ("sysctl: {host: {net.ipv4/../../kernel/core_pattern: x}}", "no name of a kernel setting"),
        ("sysctl: {server: {kernel.core_pattern: x}}", "belongs to the whole host"),
        ("sysctl: {client: {net.ipv4.tcp_mem: 1 2 3}}", "belongs to the whole host"),
        ("network: {kind: routed}\nsysctl: {router: {net.netfilter.nf_conntrack_max: 9}}", "whole host"),
    ] {
        for command in ["up", "plan"] {
            assert_refused(&run(&[command, &lab.file(&format!("connections: 10\n{text}"))]), 2, &[part]);
        }
    }
    assert_eq!(setting("kernel.core_pattern"), before);
    lab.assert_gone();
}

/// The flag permits it, and what it was is put back.
#[test]
fn the_command_line_permits_one_more_setting() {
    need_root();
    let lab = TestLab::new("permit");
    let before: u64 = setting("fs.inotify.max_user_instances").parse().expect("a number");
    let text = |to: u64| {
        format!("connections: 10\nhold: 0s\nsysctl: {{host: {{fs.inotify.max_user_instances: {to}}}}}\n")
    };
    let flags = ["--allow-host-setting", "fs.inotify.max_user_instances"];
    let plan = run(&["plan", &lab.file(&text(before + 7))]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("`up` wants --allow-host-setting fs.inotify.max_user_instances"), "{plan}");
    let (output, report) = lab.up(&text(before + 7), &flags);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(report["host_settings"][0]["during"], (before + 7).to_string(), "{report:#}");
    // Lower than it was is another thing to permit.
    let lower = ["up", &lab.file(&text(before - 1)), flags[0], flags[1], "--out", &lab.out()];
    assert_refused(&run(&lower), 3, &["--lower-host-limits"]);
    assert_eq!(setting("fs.inotify.max_user_instances"), before.to_string());
    lab.assert_gone();
}

#[test]
fn no_limit_of_the_host_is_lowered_without_a_word() {
    need_root();
    let lab = TestLab::new("lower");
    for key in ["kernel.threads-max", "kernel.pid_max", "fs.epoll.max_user_watches"] {
        let before = setting(key);
        let file = lab.file(&format!("connections: 10\nhold: 0s\nsysctl: {{host: {{{key}: 100}}}}\n"));
        let out = lab.out();
        assert_refused(&run(&["up", &file, "--out", &out]), 3, &[key, "--lower-host-limits"]);
        for odd in ["0x64", "0144"] {
            let set = format!("sysctl.host.{key}={odd}");
            assert_refused(&run(&["up", &file, "--set", &set]), 2, &["plain decimal numbers"]);
        }
        assert_eq!(setting(key), before);
    }
    // Allowed, but the machine has more threads than that and needs some.
    let file = lab.file("connections: 10\nhold: 0s\nsysctl: {host: {kernel.threads-max: 100}}\n");
    let allowed = run(&["up", &file, "--lower-host-limits", "--out", &lab.out()]);
    assert_refused(&allowed, 3, &["kernel.threads-max would be 100", "needs at least"]);
    lab.assert_gone();
}

/// Every setting that a node may have: written in a namespace, it changes nothing on the host.
#[test]
fn what_a_node_may_set_is_its_namespace_s_own() {
    need_root();
    let mut paths = Vec::new();
    let mut folders = vec![PathBuf::from("/proc/sys/net")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { paths.push(path) }
        }
    }
    let key = |path: &Path| {
        let parts = path.strip_prefix("/proc/sys").expect("below it").iter();
        let parts = parts.map(|part| part.to_string_lossy().replace('.', "/"));
        parts.collect::<Vec<_>>().join(".")
    };
    paths.retain(|path| permitted::is_of_namespace(&key(path)));
    assert!(paths.len() > 100, "{}", paths.len());
    let values = |paths: &[PathBuf]| -> Vec<Option<String>> {
        paths.iter().map(|path| std::fs::read_to_string(path).ok()).collect()
    };
    let before = values(&paths);
    let changed = std::thread::scope(|scope| {
        let work = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace");
            let mut changed = 0;
            for path in &paths {
                let Ok(now) = std::fs::read_to_string(path) else { continue };
                let words: Option<Vec<i64>> = now.split_whitespace().map(|word| word.parse().ok()).collect();
                let Some(words) = words.filter(|words| !words.is_empty()) else { continue };
                for by in [1, -1] {
                    let other: Vec<String> = words.iter().map(|word| (word + by).to_string()).collect();
                    if std::fs::write(path, other.join(" ")).is_ok()
                        && std::fs::read_to_string(path).is_ok_and(|then| then != now)
                    {
                        changed += 1;
                        break;
                    }
                }
            }
            changed
        };
        scope.spawn(work).join().expect("it only writes")
    });
    assert!(changed > 100, "{changed} were changed in the namespace");
    let after = values(&paths);
    let moved: Vec<&PathBuf> =
        (0..paths.len()).filter(|at| before[*at] != after[*at]).map(|at| &paths[at]).collect();
    assert!(moved.is_empty(), "these belong to the host: {moved:?}");
}

/// Stand-ins for ssh and vagrant, which only note that they were called.
struct Called {
    lab: TestLab,
    bin: PathBuf,
}

impl Called {
    fn new(what: &str, state: &str) -> Called {
        let lab = TestLab::new(what);
        let bin = lab.folder.join("bin");
        std::fs::create_dir_all(&bin).expect("a folder");
        std::fs::write(lab.folder.join("Vagrantfile"), "").expect("a file");
        let notes = lab.folder.join("called");
        let script = format!(
            "#!/bin/sh\necho \"${{0##*/}} $*\" >>{}\n[ \"$1\" != status ] || \
             for n in server client-1; do echo \"1,$n,state,{state}\"; done\n[ \"${{0##*/}}\" = vagrant ]\n",
            notes.display()
        );
        for name in ["ssh", "vagrant"] {
            let path = bin.join(name);
            std::fs::write(&path, &script).expect("a script");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
        }
        Called { lab, bin }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let path = format!("{}:{}", self.bin.display(), std::env::var("PATH").expect("a PATH"));
        c1m_lab(arguments).env("PATH", path).output().expect("c1m-lab runs")
    }

    /// What was called since the last time.
    fn called(&self) -> String {
        let notes = self.lab.folder.join("called");
        let called = std::fs::read_to_string(&notes).unwrap_or_default();
        let _ = std::fs::remove_file(notes);
        called
    }
}

const VAGRANT: &str = "connections: 1K\ndriver: vagrant\n\
    machines: {server: {address: 10.77.9.1}, clients: [{address: 10.77.9.2}]}\n";

#[test]
fn plan_and_check_start_and_ask_nothing() {
    let world = Called::new("asks", "not_created");
    let ssh = "connections: 1K\ndriver: ssh\nmachines: {server: one, clients: [two], ssh_config: lab.ssh}\n";
    for (text, runs) in [(VAGRANT, "Vagrantfile"), (ssh, "lab.ssh")] {
        let file = world.lab.file(text);
        let untouched: [&[&str]; 4] =
            [&["plan"], &["plan", "--json"], &["plan", "--connections", "fit"], &["check", "--json"]];
        for command in untouched {
            let output = world.run(&[&command[..1], &[file.as_str()], &command[1..]].concat());
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            assert!(told.contains("not asked") || told.contains("unknown"), "{command:?}: {told}");
            assert_eq!(world.called(), "", "{command:?}");
        }
        let plan = world.run(&["plan", &file]);
        let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
        assert!(plan.contains(runs) && plan.contains("can run commands on this host"), "{plan}");
    }
}

#[test]
fn machines_are_started_only_where_the_command_line_says_so() {
    need_root();
    let world = Called::new("starts", "poweroff");
    let file = world.lab.file(VAGRANT);
    for command in ["up", "climb", "plan", "check"] {
        let flag: &[&str] = if matches!(command, "plan" | "check") { &["--ask-machines"] } else { &[] };
        let output = world.run(&[&[command, file.as_str()], flag].concat());
        assert_refused(&output, 3, &["server (poweroff)", "--start-machines", "asking Vagrant, which runs"]);
        assert_eq!(world.called(), "vagrant status --machine-readable\n", "{command}");
    }
    let output = world.run(&["up", &file, "--start-machines"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let called = world.called();
    assert!(called.contains("\nvagrant up\n") && called.contains("\nssh -F "), "{called}");
    world.lab.assert_gone();
}

#[test]
fn a_configuration_of_ssh_is_named_before_it_is_used() {
    need_root();
    let lab = TestLab::new("proxy");
    let ran = lab.folder.join("ran");
    let config = format!("Host *\n  ProxyCommand touch {}; exit 1\n", ran.display());
    std::fs::write(lab.folder.join("lab.ssh"), config).expect("a file");
    let file = lab
        .file("connections: 1K\ndriver: ssh\nmachines: {server: one, clients: [two], ssh_config: lab.ssh}\n");
    for command in ["plan", "check"] {
        assert_eq!(run(&[command, &file]).status.code(), Some(0));
        assert!(!ran.exists(), "{command} ran a command of the lab file");
    }
    let output = run(&["up", &file, "--quiet"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(
        told.starts_with("the lab file has ssh use") && told.contains("lab.ssh, which can run commands"),
        "{told}"
    );
    assert!(told.find("lab.ssh") < told.find("error:"), "{told}");
    assert!(ran.exists(), "it was to be used: {told}");
    lab.assert_gone();
}

#[test]
fn what_reaches_a_machine_is_a_name() {
    let lab = TestLab::new("names");
    for (machines, part) in [
        ("server: -oProxyCommand=id, clients: [two]", "nothing that ssh may be given"),
        ("server: one, clients: [\"two;id\"]", "nothing that ssh may be given"),
        ("server: \"root@$(id)\", clients: [two]", "nothing that ssh may be given"),
        ("server: one, clients: [two], binary: /bin/sh", "no place of c1m-lab"),
        ("server: one, clients: [two], binary: \"/x/c1m-lab; id\"", "no place of c1m-lab"),
    ] {
        let file = lab.file(&format!("connections: 1K\ndriver: ssh\nmachines: {{{machines}}}\n"));
        assert_refused(&run(&["up", &file]), 2, &[part]);
    }
    // And a node is looked up among those that stand, whatever its name.
    for node in ["-x", "../server", "a/../server", "server;id", "$(id)", ""] {
        let output = run(&["exec", &format!("t-none/{node}"), "--", "true"]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
    let output = Command::new(BINARY).args(["exec", "--", "-x"]).output().expect("c1m-lab runs");
    assert_eq!(output.status.code(), Some(2), "no node was given");
}
