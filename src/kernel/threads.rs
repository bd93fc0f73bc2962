//! Starting threads where the machine may have none to give: an error, never a panic.

use std::io;
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

/// Whoever held a thread may just be ending: an agent on the way down, a command of somebody else's.
const ATTEMPTS: u32 = 5;
const BETWEEN: Duration = Duration::from_millis(20);

/// Runs this in a thread of its own, and waits for it.
pub fn scoped<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    // A thread that cannot start takes its work along: it is left here for the next attempt.
    let place = std::sync::Mutex::new(Some(work));
    let run = || place.lock().ok().and_then(|mut place| place.take()).map(|work| work());
    let ended = retried(|| {
        thread::scope(|scope| Builder::new().spawn_scoped(scope, run).map(|thread| thread.join()))
    })?;
    match ended {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(io::Error::other("the thread had nothing to do")),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Starts a thread that goes on by itself.
pub fn start(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().spawn(work).map_err(said)
}

fn retried<T>(mut start: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..ATTEMPTS {
        match start() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(BETWEEN),
            ended => return ended.map_err(said),
        }
    }
    start().map_err(said)
}

/// `Resource temporarily unavailable` says nothing of what is missing. Said of a process or a thread that could not be
/// started.
pub fn said(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(error.kind(), NO_MORE),
        _ => error,
    }
}

const NO_MORE: &str = "this machine, user or cgroup may have no more processes and threads \
                           (kernel.threads-max, kernel.pid_max, `ulimit -u`, pids.max)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_thread_is_tried_again_and_then_said() {
        let mut left = 3;
        let started = retried(|| {
            left -= 1;
            if left > 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(7) }
        });
        assert_eq!(started.expect("a thread at last"), 7);
        let mut tried = 0;
        let refused = retried::<()>(|| {
            tried += 1;
            Err(io::ErrorKind::WouldBlock.into())
        });
        assert!(refused.expect_err("none").to_string().contains("pids.max"));
        assert_eq!(tried, ATTEMPTS);
        assert_eq!(scoped(|| 3).expect("a thread"), 3);
    }
}
