//! A lab without root: the runner moves into a user namespace of its own, where it may make networks.
//!
//! There it also has its own `/run`, so that names and journals of such a lab are nobody else's, and go
//! with it; what root's labs keep for after a reboot it does not see. What belongs to the whole host stays out of reach.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::error::{Error, Result};
use crate::host::{Capability, Host};
use crate::journal::kept;
use crate::kernel::proc;

/// What root of a user namespace may do to the namespaces that belong to it.
const WITHIN: [Capability; 3] = [Capability::SysAdmin, Capability::NetAdmin, Capability::NetBindService];

/// What it takes to make a lab: namespaces with names; links, addresses and routes.
const NEEDED: [Capability; 2] = [Capability::SysAdmin, Capability::NetAdmin];

/// Whether this process may make a lab without a user namespace.
pub fn is_unneeded(host: &Host) -> bool {
    NEEDED.into_iter().all(|capability| host.has(capability))
}

/// Whether this machine lets an ordinary user have a user namespace, as far as its settings tell.
pub fn is_likely() -> bool {
    let number = |key: &str| proc::read_sysctl(key).ok().and_then(|text| text.parse::<u64>().ok());
    number("user.max_user_namespaces").is_some_and(|most| most > 0)
        && number("kernel.unprivileged_userns_clone") != Some(0)
        && number("kernel.apparmor_restrict_unprivileged_userns").unwrap_or(0) == 0
}

/// Moves this process, which must have one thread only. Returns the host as it is seen from there.
pub fn enter(host: &Host) -> Result<Host> {
    let uid = rustix::process::getuid().as_raw();
    let gid = rustix::process::getgid().as_raw();
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .map_err(io::Error::from)
        .and_then(|()| settle(uid, gid))
        .map_err(|error| {
            Error::host(
                "starting the lab",
                format!(
                    "this process lacks {} (to make networks), and a user namespace where it would have them is \
                     not allowed here: {error}",
                    missing(host)
                ),
            )
            .remedy(remedy(uid))
        })?;
    Ok(Host { capabilities: WITHIN.into_iter().collect(), ..host.clone() })
}

fn missing(host: &Host) -> String {
    let missing = NEEDED.into_iter().filter(|capability| !host.has(*capability));
    missing.map(|capability| capability.to_string()).collect::<Vec<_>>().join(" and ")
}

fn remedy(uid: u32) -> &'static str {
    match uid {
        0 => "in a container, add them: `--cap-add SYS_ADMIN --cap-add NET_ADMIN`",
        _ => {
            "run it as root: `sudo c1m-lab up …`; or allow user namespaces (`sysctl user.max_user_namespaces`)"
        }
    }
}

fn settle(uid: u32, gid: u32) -> io::Result<()> {
    // Without this the kernel does not let an ordinary user map a group.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    let nothing: Option<&str> = None;
    // Nothing mounted here is to be seen outside.
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    for place in ["/run", kept::DIRECTORY] {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        match mount(Some("c1m-lab"), place, Some("tmpfs"), flags, Some("mode=755")) {
            // No lab of root's keeps anything.
            Err(Errno::ENOENT) if place == kept::DIRECTORY => {}
            done => done?,
        }
    }
    Ok(())
}
