//! Writing settings: the machine's own, and those that belong to a network namespace.

use std::fs::File;
use std::io::{self, Write};
use std::sync::OnceLock;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, openat};

use super::{proc, threads};

const SETTINGS: &str = "/proc/sys";

/// Whether two values of a setting are the same but for the space between their words.
pub fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

/// Writes a setting of the machine. Where it is mounted read-only, as in a container, it stays as it is:
/// whoever mounted it so did not want it changed from there.
pub fn write(key: &str, value: &str) -> io::Result<()> {
    std::fs::write(format!("{SETTINGS}/{}", proc::sysctl_path(key)?), value)
}

/// Writes a setting of the network namespace that this thread is in, one that the lab has made. A container's
/// read-only `/proc/sys` covers these too, though they are nobody else's.
pub fn write_inside(key: &str, value: &str) -> io::Result<()> {
    match write(key, value) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && key.starts_with("net.") => {
            let door = writable().as_ref().map_err(|why| io::Error::new(why.kind(), why.to_string()))?;
            let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
            let file = openat(door, proc::sysctl_path(key)?, flags, Mode::empty())?;
            File::from(file).write_all(value.as_bytes())
        }
        other => other,
    }
}

/// `/proc/sys` as it is seen in a mount namespace of a thread's own, where it is mounted for writing. It can be
/// reached through this descriptor only. Which namespace's settings it shows is decided anew for whoever asks.
fn writable() -> &'static io::Result<File> {
    static DOOR: OnceLock<io::Result<File>> = OnceLock::new();
    DOOR.get_or_init(|| {
        threads::scoped(|| {
            let nothing: Option<&str> = None;
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
            let harmless = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            let for_writing = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | harmless;
            // Where it is no mount of its own, all of /proc is mounted read-only.
            mount(nothing, SETTINGS, nothing, for_writing, nothing)
                .or_else(|_| mount(nothing, "/proc", nothing, for_writing, nothing))?;
            File::open(SETTINGS)
        })
        .and_then(|door| door)
    })
}
