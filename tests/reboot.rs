//! A reboot in between: what a lab has moved is known afterwards too, put back where it outlasted the reboot, and
//! told where it is back by itself.

mod common;
#[path = "common/snapshot.rs"]
mod snapshot;
#[path = "common/strangers.rs"]
mod strangers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::*;
use serde_json::{Value, json};
use snapshot::*;
use strangers::*;

const LAB: &str = "connections: 400\nserver: {ports: 9900-9909}\nclients: {count: 2}\nhold: 0s\n";
const OTHER_BOOT: &str = "00000000-0000-0000-0000-000000000000";

fn copy(lab: &TestLab) -> PathBuf {
    Path::new("/var/lib/c1m-lab").join(format!("{}.json", lab.name))
}

/// A lab that moves the setting up by 1,000.
fn moving(was: &KeptSetting) -> String {
    format!("{LAB}sysctl: {{host: {{{SETTING}: {}}}}}\n", was.0 + 1000)
}

/// The copy that a lab of another boot has left.
fn write_copy(lab: &TestLab, boot_id: &str, before: u64, during: u64) {
    let settings = json!([{"key": SETTING, "before": before.to_string(), "during": during.to_string()}]);
    let header = json!({
        "lab": lab.name, "runner": 1, "runner_start_time": u64::MAX, "boot_id": boot_id,
        "began_unix_ms": 1, "run_directory": "/", "connections": 1, "subnet": "10.99.0.0/16",
    });
    std::fs::create_dir_all(copy(lab).parent().expect("a folder")).expect("a folder");
    std::fs::write(copy(lab), json!({"header": header, "settings": settings}).to_string()).expect("a copy");
}

fn assert_goes_down(lab: &TestLab, says: &str) {
    let down = run(&["down", &lab.name]);
    assert_eq!(down.status.code(), Some(0), "{}", stderr(&down));
    assert!(stderr(&down).contains(says), "no {says:?} in {}", stderr(&down));
    assert_eq!(lab.status(), Value::Null);
}

/// As the machine would be after its next boot: another boot id, and nothing in /run.
fn after_a_reboot(lab: &TestLab, command: &[&str]) -> Output {
    let boot_id = lab.folder.join("boot_id");
    std::fs::write(&boot_id, format!("{OTHER_BOOT}\n")).expect("a boot id");
    let script = format!(
        "mount --bind {} /proc/sys/kernel/random/boot_id && mount -t tmpfs tmpfs /run && exec \"$@\"",
        boot_id.display()
    );
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", &script, "sh", BINARY]).args(command);
    unshare.output().expect("unshare(1) is there")
}

#[test]
fn the_copy_is_there_as_long_as_the_lab() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("b-copy");
    let was = KeptSetting::now();
    let before = Snapshot::take(&[&lab.folder]);
    let mut kept = lab.keep(&moving(&was));
    let text = std::fs::read_to_string(copy(&lab)).expect("a copy");
    let said: Value = serde_json::from_str(&text).expect("JSON");
    let (from, to) = (was.0.to_string(), (was.0 + 1000).to_string());
    assert_eq!(said["settings"], json!([{"key": SETTING, "before": from, "during": to}]));
    assert_eq!(said["header"]["boot_id"], boot_id().as_str());
    kept.signal("KILL");
    assert_eq!(kept.ends_with(), None, "it was killed");
    assert!(copy(&lab).exists());
    assert_goes_down(&lab, &format!("{SETTING} is {} again", was.0));
    assert!(!copy(&lab).exists());
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn a_lab_that_moves_nothing_keeps_nothing() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("b-none");
    let mut kept = lab.keep(LAB);
    assert!(!copy(&lab).exists());
    kept.signal("INT");
    assert_eq!(kept.ends_with(), Some(0));
}

/// The runner's own copy, read on the next boot while the setting still is what the lab made it.
#[test]
fn what_a_killed_runner_moved_is_put_back_after_a_reboot() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("b-killed");
    let was = KeptSetting::now();
    let before = Snapshot::take(&[&lab.folder]);
    let mut kept = lab.keep(&moving(&was));
    kept.signal("KILL");
    assert_eq!(kept.ends_with(), None, "it was killed");
    let status = after_a_reboot(&lab, &["status"]);
    let told = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(told.contains("ended by a reboot · 1 host settings"), "{told}");
    let down = after_a_reboot(&lab, &["down"]);
    assert_eq!(down.status.code(), Some(0), "{}", stderr(&down));
    let says = format!("it was still {} after a reboot, and is {} again", was.0 + 1000, was.0);
    assert!(stderr(&down).contains(&says), "{}", stderr(&down));
    assert_eq!(setting(), was.0);
    assert!(!copy(&lab).exists());
    // There was none, after all: the rest still stands, and goes down.
    assert_goes_down(&lab, "down, ");
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn what_is_back_by_itself_is_told() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("b-itself");
    let was = KeptSetting::now();
    let before = Snapshot::take(&[&lab.folder]);
    write_copy(&lab, OTHER_BOOT, 77, was.0 + 1000);
    let status = lab.status();
    assert_eq!((&status["rebooted"], &status["running"]), (&true.into(), &false.into()), "{status:#}");
    assert_eq!(status["nodes"], json!([]));
    assert_goes_down(&lab, &format!("{SETTING}: it is {} since the reboot, by itself", was.0));
    assert_eq!(setting(), was.0);
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn what_outlasted_a_reboot_is_put_back_before_the_next_run() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("b-up");
    let was = KeptSetting::now();
    let before = Snapshot::take(&[&lab.folder]);
    KeptSetting::set(was.0 + 1000);
    write_copy(&lab, OTHER_BOOT, was.0, was.0 + 1000);
    let (output, report) = lab.up(&moving(&was), &[]);
    assert!(stderr(&output).contains("still"), "{}", stderr(&output));
    // The run found the setting as it was before, moved it, and put it back.
    let restored = &report["host_settings"][0];
    let number = |value: u64| Value::from(value.to_string());
    assert_eq!((&restored["before"], &restored["after"]), (&number(was.0), &number(was.0)), "{report:#}");
    assert_eq!((&report["exit"], setting()), (&0.into(), was.0), "{report:#}");
    before.assert_unchanged(&[&lab.folder]);
}

#[test]
fn what_another_lab_has_moved_since_is_left_to_it() {
    need_root();
    let _turn = alone();
    let (lab, other) = (TestLab::new("b-old"), TestLab::new("b-new"));
    let was = KeptSetting::now();
    let mut kept = other.keep(&moving(&was));
    write_copy(&lab, OTHER_BOOT, 77, was.0 + 1000);
    assert_goes_down(&lab, &format!("by the lab `{}`", other.name));
    assert_eq!(setting(), was.0 + 1000);
    kept.signal("INT");
    assert_eq!(kept.ends_with(), Some(0));
    assert_eq!(setting(), was.0);
}

#[test]
fn the_copy_stands_in_for_a_journal_that_was_removed() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("b-lost");
    let was = KeptSetting::now();
    KeptSetting::set(was.0 + 1000);
    write_copy(&lab, &boot_id(), was.0, was.0 + 1000);
    let refused = run(&["up", &lab.file(LAB), "--out", &lab.out()]);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    assert_goes_down(&lab, &format!("{SETTING} is {} again", was.0));
    assert_eq!(setting(), was.0);
    assert!(!copy(&lab).exists());
}

#[test]
fn where_no_copy_can_be_kept_that_is_told() {
    need_root();
    let _turn = alone();
    let lab = TestLab::new("b-read-only");
    let was = KeptSetting::now();
    let before = Snapshot::take(&[&lab.folder]);
    let script = "mount -t tmpfs -o ro tmpfs /var/lib && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", BINARY, "up", &lab.file(&moving(&was)), "--json"])
        .args(["--out", &lab.out()])
        .output()
        .expect("unshare(1) is there");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    let told = stderr(&output);
    assert!(told.contains("after a reboot `down` will not know") && told.contains("Read-only"), "{told}");
    assert_eq!((output.status.code(), setting()), (Some(0), was.0), "{told}");
    let findings = report["findings"].as_array().expect("findings");
    assert!(
        findings.iter().any(|one| one.as_str().is_some_and(|one| one.contains("/var/lib"))),
        "{findings:?}"
    );
    before.assert_unchanged(&[&lab.folder]);
}
