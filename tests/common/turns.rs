//! Turns at the host: tests beside each other share it, and a test that compares the whole host has it alone.
//!
//! The locks are files, so they hold between threads (`cargo test`), between processes (`cargo nextest run`) and
//! between two people who test on one machine. The kernel releases them when their holder dies.
#![allow(dead_code, reason = "no test uses all of it")]

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

/// Held for the time of a test. Both files stay: whoever removed one would let two be alone.
pub const HOST: &str = "/run/c1m-lab-tests.lock";
/// Held while one waits for the host: who wants it alone is not passed by those who come later.
const GATE: &str = "/run/c1m-lab-tests.gate";

/// Longer than any test takes, with its rounds multiplied.
const PATIENCE: Duration = Duration::from_secs(45 * 60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Beside,
    Alone,
}

/// The host is this test's, alone or beside others, until this is dropped.
pub struct Turn {
    kind: Kind,
    _host: Option<File>,
}

thread_local! {
    /// What the test in this thread holds already: a test may make two labs, or a lab after `alone()`.
    static HELD: RefCell<Weak<Turn>> = const { RefCell::new(Weak::new()) };
}

/// Waits until no other test uses the host, and keeps it. For tests that compare the whole host with what it was, or
/// move its settings. Taken before the first lab of the test.
pub fn alone() -> Arc<Turn> {
    take(Kind::Alone)
}

/// Waits until no other test has the host alone. Every `TestLab` takes it by itself; a test that starts c1m-lab
/// without one says it.
pub fn beside() -> Arc<Turn> {
    take(Kind::Beside)
}

fn take(kind: Kind) -> Arc<Turn> {
    if let Some(held) = HELD.with_borrow(Weak::upgrade) {
        assert!(
            held.kind == kind || held.kind == Kind::Alone,
            "alone() comes before the first TestLab and before beside(): this test would wait for itself"
        );
        return held;
    }
    let turn = Arc::new(Turn { kind, _host: lock(kind) });
    HELD.with_borrow_mut(|held| *held = Arc::downgrade(&turn));
    turn
}

/// None where an ordinary user tests on a machine on which root never did: there is nobody to wait for.
fn lock(kind: Kind) -> Option<File> {
    let (gate, host) = (open(GATE)?, open(HOST)?);
    wait(&gate, FlockOperation::NonBlockingLockExclusive);
    wait(
        &host,
        match kind {
            Kind::Beside => FlockOperation::NonBlockingLockShared,
            Kind::Alone => FlockOperation::NonBlockingLockExclusive,
        },
    );
    Some(host)
}

/// An ordinary user can lock a file that is only read.
fn open(path: &str) -> Option<File> {
    let created = File::options().read(true).append(true).create(true).open(path);
    let is_root = rustix::process::geteuid().is_root();
    match created.or_else(|_| File::open(path)) {
        Ok(file) => Some(file),
        Err(_) if !is_root => None,
        Err(error) => panic!("{path}, by which tests take turns: {error}"),
    }
}

fn wait(file: &File, operation: FlockOperation) {
    let began = Instant::now();
    let mut told = false;
    while let Err(error) = rustix::fs::flock(file, operation) {
        assert_eq!(error, rustix::io::Errno::WOULDBLOCK, "taking turns");
        let waited = began.elapsed();
        assert!(
            waited < PATIENCE,
            "waited {waited:?} for the host: another test has it ({HOST}). A thread of a test that is alone makes no \
             TestLab: make it before, in the test's own thread"
        );
        if waited > Duration::from_secs(60) && !told {
            told = true;
            // Past the test harness, which keeps what a test says.
            let _ = writeln!(std::io::stderr(), "a test waits for the host: another test has it ({HOST})");
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
