//! Signals to a process that is known by more than its number.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::proc;

/// Signals the process that began then. The descriptor stays with one process: if that is seen to be the right
/// one after it was opened, no other can be hit. One that has ended meanwhile needs no signal.
pub fn signal(pid: u32, began: u64, signal: Signal) {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    if let Ok(process) = pidfd_open(number, PidfdFlags::empty())
        && proc::is_alive(pid, began)
    {
        let _ = pidfd_send_signal(&process, signal);
    }
}
