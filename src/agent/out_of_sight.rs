//! An agent's connections out of sight of what walks through `/proc/<pid>/fd` of every process.
//!
//! Monitors do that, to tell which process listens where, and look at each link. For each descriptor that was looked
//! at the kernel keeps two more objects, about 900 bytes, until the process has ended. With a million connections
//! the watcher becomes a part of what is measured: of the memory of a connection, and of the rate.
//!
//! `/proc/<pid>/fd` shows the descriptors of a process's first thread. So they are another's:
//! `/proc/<pid>/task/<tid>/fd` shows these.

use std::io;
use std::thread;

use nix::sched::{CloneFlags, unshare};

use crate::kernel::threads;

/// Runs this in a thread with descriptors of its own, and waits for it. What it inherited stays open in the first
/// thread as well, until the process ends.
pub fn run(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let worker = thread::Builder::new().spawn(move || {
        // Where the kernel refuses, they are seen: no reason not to run.
        let _ = unshare(CloneFlags::CLONE_FILES);
        work()
    });
    let worker = worker.map_err(threads::said)?;
    worker.join().unwrap_or_else(|_| Err(io::Error::other("the agent's thread panicked")))
}
