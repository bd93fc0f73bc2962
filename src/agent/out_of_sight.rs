//! An agent's connections out of sight of what walks through `/proc/<pid>/fd` of every process.
//!
//! Monitors do that, to tell which process listens where, and look at each link. For each descriptor that was looked
//! at the kernel keeps two more objects, about 900 bytes, until the process has ended. With a million connections
//! the watcher becomes a part of what is measured: of the memory of a connection, and of the rate.
//!
//! `/proc/<pid>/fd` shows the descriptors of a process's first thread. So they are another's:
//! `/proc/<pid>/task/<tid>/fd` shows these.

use std::io;
use std::sync::mpsc;
use std::thread;

use nix::sched::{CloneFlags, unshare};

use super::confine::close_inherited;
use crate::kernel::threads;

/// Runs this in a thread with descriptors of its own, and waits for it. Of what it takes there nothing but the three
/// streams stays open in the first thread.
pub fn run(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let (apart, is_apart) = mpsc::channel();
    let worker = thread::Builder::new().spawn(move || {
        // Where the kernel refuses, they are seen: no reason not to run.
        if unshare(CloneFlags::CLONE_FILES).is_ok() {
            let _ = apart.send(());
        }
        drop(apart);
        work()
    });
    let worker = worker.map_err(threads::said)?;
    if is_apart.recv().is_ok() {
        close_inherited();
    }
    worker.join().unwrap_or_else(|_| Err(io::Error::other("the agent's thread panicked")))
}
