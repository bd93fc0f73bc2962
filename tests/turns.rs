//! Tests take turns at the host, between threads and between processes, and what takes the whole host is listed.

mod common;

use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use common::*;

/// Long for a lock that is free.
const SOON: Duration = Duration::from_secs(30);
/// Long enough that one who does not wait would be through.
const WHILE: Duration = Duration::from_millis(300);

/// What another process can do with the lock meanwhile, as `cargo nextest run` has one for each test.
fn another_process_may(how: &str) -> bool {
    let flock = Command::new("flock").args([how, "--nonblock", HOST, "true"]).status();
    flock.expect("flock(1) is there").success()
}

#[test]
fn one_that_is_alone_is_waited_for_by_all() {
    need_root();
    let turn = alone();
    assert!(!another_process_may("--shared") && !another_process_may("--exclusive"));
    let (says, hears) = mpsc::channel();
    let other = {
        let says = says.clone();
        std::thread::spawn(move || {
            let lab = TestLab::new("waits");
            says.send("a lab").expect("somebody hears");
            drop(lab);
        })
    };
    assert!(hears.recv_timeout(WHILE).is_err(), "a lab of another thread came in");
    // What is the test's own does not wait for it.
    let (lab, again) = (TestLab::new("own"), alone());
    drop(turn);
    assert!(hears.recv_timeout(WHILE).is_err(), "the test still has a lab");
    drop((lab, again));
    assert_eq!(hears.recv_timeout(SOON), Ok("a lab"));
    other.join().expect("it only waits");
}

#[test]
fn those_beside_each_other_do_not_wait_and_one_that_will_be_alone_does() {
    need_root();
    let lab = TestLab::new("beside");
    assert!(another_process_may("--shared") && !another_process_may("--exclusive"));
    let (says, hears) = mpsc::channel();
    let other = std::thread::spawn(move || {
        let turn = alone();
        says.send("alone").expect("somebody hears");
        drop(turn);
    });
    assert!(hears.recv_timeout(WHILE).is_err(), "it came in beside a lab");
    drop(lab);
    assert_eq!(hears.recv_timeout(SOON), Ok("alone"));
    other.join().expect("it only waits");
}

#[test]
fn one_that_would_wait_for_itself_is_told() {
    need_root();
    let _lab = TestLab::new("late");
    let why = std::panic::catch_unwind(alone).err().expect("it is refused");
    let why = why.downcast_ref::<&str>().expect("words");
    assert!(why.contains("before the first TestLab"), "{why}");
}

/// The tests in `src/` take no turns: nextest is told which files have the whole host.
#[test]
fn files_that_have_the_host_alone_are_listed_for_nextest() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = std::fs::read_to_string(root.join(".config/nextest.toml")).expect("nextest's configuration");
    let mut found = 0;
    for name in names(&root.join("tests").display().to_string()) {
        let Some(binary) = name.strip_suffix(".rs") else { continue };
        let text = std::fs::read_to_string(root.join("tests").join(&name)).expect("a test");
        let is_alone = text.contains("= alone();") && binary != "turns";
        assert_eq!(
            config.contains(&format!("binary({binary})")),
            is_alone,
            "{binary} in .config/nextest.toml"
        );
        found += usize::from(is_alone);
    }
    assert!(found > 0, "no test has the host alone");
}
