//! Network namespaces and the `ip` command, fed with many lines at once.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{Error, Result, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;

/// Runs `lines` as one `ip -batch`.
pub fn batch(lines: &str) -> Result<()> {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().expect("stdin is piped").write_all(lines.as_bytes())?;
    match child.wait()?.success() {
        true => Ok(()),
        false => Err(Error::other("`ip -batch` failed (are you root?)")),
    }
}

/// Runs `lines` as one `ip -batch` inside the namespace of that name. A thread goes there and starts `ip`:
/// `ip -netns` would also make a mount namespace, at several times the cost.
#[allow(dead_code, reason = "`drain` only deletes")]
pub fn batch_in(namespace: &str, lines: &str) -> Result<()> {
    let there = || enter(namespace).and_then(|()| batch(lines));
    thread::scope(|scope| scope.spawn(there).join().expect("running a command does not panic"))
}

/// Moves the calling thread into the namespace of that name.
pub fn enter(namespace: &str) -> Result<()> {
    let namespace = File::open(format!("/run/netns/{namespace}"))?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}
