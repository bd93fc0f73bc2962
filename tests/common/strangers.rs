//! What others make: namespaces, processes, settings, and a journal that no runner wrote.
#![allow(dead_code, reason = "no test uses all of it")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::{Value, json};

use super::common::TestLab;
use super::snapshot::ip;

/// A setting of the whole host that hardly anything else moves.
pub const SETTING: &str = "fs.epoll.max_user_watches";

pub fn setting_path() -> PathBuf {
    Path::new("/proc/sys").join(SETTING.replace('.', "/"))
}

pub fn setting() -> u64 {
    std::fs::read_to_string(setting_path()).expect(SETTING).trim().parse().expect("a number")
}

/// Puts the setting back when a test ends, however it ends.
pub struct KeptSetting(pub u64);

impl KeptSetting {
    pub fn now() -> KeptSetting {
        KeptSetting(setting())
    }

    pub fn set(value: u64) {
        std::fs::write(setting_path(), value.to_string()).expect(SETTING);
    }
}

impl Drop for KeptSetting {
    fn drop(&mut self) {
        let _ = std::fs::write(setting_path(), self.0.to_string());
    }
}

/// A stranger's namespace, with a link, gone with the test.
pub struct Stranger(pub String);

impl Stranger {
    pub fn new(name: &str) -> Stranger {
        ip(&["netns", "add", name]);
        let stranger = Stranger(name.to_owned());
        ip(&["-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "client-1"]);
        stranger
    }

    pub fn identity(&self) -> Value {
        identity(&self.0)
    }

    /// The same namespace under this name, and no longer under its own.
    pub fn renamed(self, name: &str) -> Stranger {
        let (from, to) = (format!("/run/netns/{}", self.0), format!("/run/netns/{name}"));
        std::fs::write(&to, "").expect("a place for the name");
        let renamed = Stranger(name.to_owned());
        let mounted = Command::new("mount").args(["--bind", &from, &to]).status().expect("mount(8)");
        assert!(mounted.success(), "{from} on {to}");
        renamed
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// What a journal keeps of a namespace; null when there is none of that name.
pub fn identity(namespace: &str) -> Value {
    let Ok(meta) = Path::new("/run/netns").join(namespace).metadata() else { return Value::Null };
    json!({"inode": meta.ino(), "since_ns": meta.mtime() * 1_000_000_000 + meta.mtime_nsec()})
}

/// A stranger's process that is called like ours.
pub struct Sleeper(pub Child);

impl Sleeper {
    pub fn new(lab: &TestLab) -> Sleeper {
        let copy = lab.folder.join("c1m-lab");
        if !copy.exists() {
            std::fs::copy("/bin/sleep", &copy).expect("a copy");
        }
        Sleeper(Command::new(copy).arg("300").spawn().expect("sleep"))
    }

    pub fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_none()
    }

    /// When it began, in the kernel's ticks.
    pub fn start_time(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("stat");
        let rest = stat.rsplit_once(") ").expect("a name").1;
        rest.split(' ').nth(19).expect("a field").parse().expect("a number")
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn folder(lab: &TestLab) -> PathBuf {
    Path::new("/run/c1m-lab").join(&lab.name)
}

pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id").trim().to_owned()
}

/// The journal of a runner that has ended, with these changes all made.
pub fn write_journal(lab: &TestLab, boot_id: &str, changes: &[Value], end: &str) {
    let header = json!({"header": {
        "lab": lab.name, "runner": 1, "runner_start_time": u64::MAX, "boot_id": boot_id,
        "began_unix_ms": 1, "run_directory": "/", "connections": 1, "subnet": "10.99.0.0/16",
    }});
    let mut text = format!("{header}\n");
    for (id, change) in (1..).zip(changes) {
        text += &format!("{}\n{}\n", json!({"id": id, "intent": change}), json!({"id": id, "made": change}));
    }
    std::fs::create_dir_all(folder(lab)).expect("a folder");
    std::fs::write(folder(lab).join("journal.jsonl"), text + end).expect("a journal");
}
