//! Machines for a test: a network namespace each, with an sshd of its own, on one bridge with the runner's.
#![allow(dead_code, reason = "no test uses all of it")]

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::common::{BINARY, TestLab, is_alive, stderr, wait_for};
use super::running::send;

pub const NODES: [&str; 3] = ["server", "client-1", "client-2"];

pub struct World {
    pub lab: TestLab,
    folder: PathBuf,
    sshds: Vec<Child>,
}

fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().expect("sh runs");
    assert!(status.success(), "{script}");
}

/// What a command says. One that failed has said nothing, which could be taken for an answer.
pub fn told(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().expect("sh runs");
    assert!(output.status.success(), "{script}: {}", stderr(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl World {
    /// `user`: as whom one logs in.
    pub fn new(what: &str, user: &str) -> World {
        let lab = TestLab::new(what);
        let folder = lab.folder.join("world");
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut world = World { lab, folder, sshds: Vec::new() };
        world.wire();
        world.keys(user);
        world.sshds = NODES.iter().map(|node| world.sshd(node)).collect();
        for node in NODES {
            let listening = format!("ip netns exec {} ss -Hltn sport = :22", world.namespace(node));
            wait_for("sshd to listen", Duration::from_secs(10), || !told(&listening).is_empty());
        }
        world
    }

    pub fn namespace(&self, node: &str) -> String {
        // Not a name that could be taken for one of the lab's own.
        format!("{}-{node}", self.lab.name.trim_start_matches("t-"))
    }

    pub fn address(node: &str) -> String {
        let place = NODES.iter().position(|one| *one == node).map_or(9, |place| place + 1);
        format!("10.77.9.{place}")
    }

    fn wire(&self) {
        let switch = self.namespace("switch");
        sh(&format!(
            "ip netns add {switch}; ip -n {switch} link add name br0 type bridge; ip -n {switch} link set br0 up"
        ));
        for (port, node) in NODES.iter().chain(&["runner"]).enumerate() {
            let (name, address) = (self.namespace(node), World::address(node));
            sh(&format!(
                "ip netns add {name}
                ip link add eth0 netns {name} type veth peer name p{port} netns {switch}
                ip -n {switch} link set p{port} master br0 up
                ip -n {name} link set lo up
                ip -n {name} link set eth0 up
                ip -n {name} address add {address}/24 dev eth0"
            ));
        }
    }

    fn keys(&self, user: &str) {
        let folder = self.folder.display();
        sh(&format!(
            "cd {folder}
            ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f user
            cp user.pub authorized; chmod 755 {folder}; chmod 644 authorized; mkdir tmp; chmod 1777 tmp
            for n in 1 2 3; do echo 10.77.9.$n $(cut -d' ' -f1,2 host.pub); done >known
            cp /etc/passwd passwd; echo 'lab-user:x:4242:4242::/tmp:/bin/sh' >>passwd"
        ));
        let client = format!(
            "Host *\n User {user}\n IdentityFile {folder}/user\n IdentitiesOnly yes\n UserKnownHostsFile {folder}/known\n \
             GlobalKnownHostsFile /dev/null\n"
        );
        std::fs::write(self.folder.join("config"), client).expect("a file");
        let server = format!(
            "HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n\
             PasswordAuthentication no\nPermitRootLogin yes\nSetEnv TMPDIR={folder}/tmp\n"
        );
        std::fs::write(self.folder.join("sshd"), server).expect("a file");
    }

    /// Each machine has journals of its own, and knows one more user.
    fn sshd(&self, node: &str) -> Child {
        let folder = self.folder.display();
        let script = format!(
            "mount --make-rprivate /; mount -t tmpfs none /run; mkdir /run/sshd; mount -t tmpfs none /var/lib
            mount --bind {folder}/passwd /etc/passwd; exec /usr/sbin/sshd -D -f {folder}/sshd"
        );
        Command::new("ip")
            .args(["netns", "exec", &self.namespace(node), "unshare", "-m", "sh", "-ec", &script])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ip runs")
    }

    /// A lab file for these machines, with more of its own.
    pub fn file(&self, more: &str) -> String {
        let [server, one, two] = NODES.map(World::address);
        let config = self.folder.join("config");
        self.lab.file(&format!(
            "driver: ssh\nmachines: {{server: {server}, clients: [{one}, {two}], ssh_config: {}}}\n{more}",
            config.display()
        ))
    }

    /// The command on the runner's machine.
    pub fn c1m_lab(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace("runner"), BINARY]).args(arguments);
        command.stdin(Stdio::null()).current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.c1m_lab(arguments).output().expect("ip runs")
    }

    pub fn up(&self, more: &str) -> (Output, Value) {
        let (file, out) = (self.file(more), self.lab.out());
        let output = self.run(&["up", &file, "--json", "--out", &out]);
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("no report ({error}): {}", stderr(&output)));
        (output, report)
    }

    pub fn forget_host_keys(&self) {
        std::fs::write(self.folder.join("known"), "").expect("a file");
    }

    pub fn refuse_keys(&self) {
        std::fs::write(self.folder.join("authorized"), "").expect("a file");
    }

    /// A command's output on a machine, by the side door.
    pub fn on(&self, node: &str, command: &str) -> String {
        told(&format!("ip netns exec {} {command}", self.namespace(node)))
    }

    /// Processes on a machine besides its sshd.
    pub fn processes(&self, node: &str) -> Vec<u32> {
        let pids = told(&format!("ip netns pids {}", self.namespace(node)));
        self.pids_but_sshd(node, &pids)
    }

    fn pids_but_sshd(&self, node: &str, pids: &str) -> Vec<u32> {
        let sshd = self.sshd_of(node).map_or(0, Child::id);
        let pids = pids.lines().filter_map(|pid| pid.parse().ok());
        pids.filter(|pid| *pid != sshd && is_alive(*pid)).collect()
    }

    fn sshd_of(&self, node: &str) -> Option<&Child> {
        self.sshds.get(NODES.iter().position(|one| *one == node)?)
    }

    /// Kills what holds a machine's side of the connection, as a crash of sshd would.
    pub fn drop_connection(&self, node: &str) {
        let sshd = self.sshd_of(node).expect("an sshd").id();
        let sessions = told(&format!("cat /proc/{sshd}/task/{sshd}/children"));
        assert!(!sessions.is_empty(), "nobody is connected to {node}");
        sessions
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .for_each(|pid| send(pid, Signal::KILL));
    }

    /// Pulls a machine's cable, or plugs it in again.
    pub fn cable(&self, node: &str, state: &str) {
        let place = NODES.iter().position(|one| *one == node).expect("a node");
        sh(&format!("ip -n {} link set p{place} {state}", self.namespace("switch")));
    }

    /// What a machine has of its own that a lab might change.
    pub fn state(&self, node: &str) -> String {
        let settings = ["net/core/somaxconn", "net/ipv4/tcp_max_syn_backlog", "fs/file-max", "fs/nr_open"];
        let settings = settings.map(|key| self.on(node, &format!("cat /proc/sys/{key}")));
        let routes = self.on(node, "ip -4 route show table all");
        format!("{settings:?}\n{routes}")
    }

    pub fn states(&self) -> Vec<String> {
        NODES.iter().map(|node| self.state(node)).collect()
    }

    /// Copies of the program that were made on the machines.
    pub fn copies(&self) -> Vec<String> {
        super::common::names(&self.folder.join("tmp").display().to_string())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for node in NODES {
            // Perhaps a test failed while this was being made: then there is no namespace, and nobody in it.
            let pids = Command::new("ip").args(["netns", "pids", &self.namespace(node)]).output();
            let pids = pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
            let pids = self.pids_but_sshd(node, &pids.unwrap_or_default());
            pids.into_iter().for_each(|pid| send(pid, Signal::KILL));
        }
        for sshd in &mut self.sshds {
            let _ = sshd.kill();
            let _ = sshd.wait();
        }
        for node in NODES.iter().chain(&["runner", "switch"]) {
            let _ = Command::new("ip").args(["netns", "del", &self.namespace(node)]).status();
        }
    }
}
