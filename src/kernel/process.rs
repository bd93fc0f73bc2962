//! Signals to a process that is known by more than its number, and this process's own limit.

use std::io;

use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, pidfd_open, pidfd_send_signal, setrlimit,
};

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

/// A shell usually allows fewer descriptors than hearing hundreds of agents takes.
pub fn raise_nofile(needed: u64) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).map_err(io::Error::from)
}
