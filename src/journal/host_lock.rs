//! The lock of the whole host: whoever holds it may read what all labs have planned and moved, decide by it, change
//! it, and write that down. Held for milliseconds; the kernel releases it when its holder ends, however that ends.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::DIRECTORY;
use crate::error::{Error, Result};
use crate::kernel::proc;

/// Beside the labs' folders. No lab can have this name: a lab's has no dot.
const NAME: &str = "host.lock";
/// Nobody works for so long under it: a holder that is stopped is told, not waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Held until it is dropped.
pub struct HostLock {
    file: File,
    path: PathBuf,
}

pub fn take() -> Result<HostLock> {
    take_in(Path::new(DIRECTORY), PATIENCE)
}

fn take_in(directory: &Path, patience: Duration) -> Result<HostLock> {
    let path = directory.join(NAME);
    let failed = |why: io::Error| {
        Error::host(format!("taking the lock of this host, {}", path.display()), why)
            .remedy(format!("make {} a folder of root's that can be written to", directory.display()))
    };
    let began = Instant::now();
    loop {
        let file = match open(directory, &path) {
            Ok(file) => Some(file),
            // The last lab to end has taken the folder away in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound && began.elapsed() < patience => None,
            Err(error) => return Err(failed(error)),
        };
        if let Some(file) = file {
            match lock(&file, &path) {
                Ok(true) => return Ok(HostLock { file, path }),
                Ok(false) | Err(Errno::WOULDBLOCK | Errno::INTR) if began.elapsed() < patience => {}
                Ok(false) => return Err(failed(io::Error::other("it is removed again and again"))),
                Err(Errno::WOULDBLOCK | Errno::INTR) => return Err(held(&file, &path)),
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Only root may open it: whoever can open a file can lock it. A link is not followed, and nothing but a plain file
/// is taken for a lock.
fn open(directory: &Path, path: &Path) -> io::Result<File> {
    match fs::create_dir(directory) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::AlreadyExists) && !directory.is_dir() => {
            return Err(error);
        }
        _ => {}
    }
    if directory.symlink_metadata()?.is_symlink() {
        return Err(io::Error::other("its folder is a symbolic link"));
    }
    let mut options = OpenOptions::new();
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    options.read(true).mode(0o600).custom_flags(flags.bits().cast_signed());
    let file = match options.clone().write(true).create(true).open(path) {
        // A lock needs no writing: what stands must go down also where the folder has become read-only.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => options.open(path),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            Err(io::Error::other("a symbolic link is in its place"))
        }
        opened => opened,
    }?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// False: it was taken away between opening and locking it, and is nobody's lock.
fn lock(file: &File, path: &Path) -> rustix::io::Result<bool> {
    flock(file, FlockOperation::NonBlockingLockExclusive).map(|()| is_there(file, path))
}

fn is_there(file: &File, path: &Path) -> bool {
    let found = path.symlink_metadata();
    matches!((file.metadata(), found), (Ok(ours), Ok(found)) if (ours.dev(), ours.ino()) == (found.dev(), found.ino()))
}

fn held(file: &File, path: &Path) -> Error {
    let inode = file.metadata().map_or(0, |meta| meta.ino());
    let holder = proc::read_text("/proc/locks").ok().and_then(|locks| holder(&locks, inode));
    let who = holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
    Error::host(
        format!("taking the lock of this host, {}", path.display()),
        format!("{who} has had it for {} s", PATIENCE.as_secs()),
    )
    .remedy("it is held for milliseconds: see whether that process is stopped, let it go on or end it")
}

/// Of the line `1: FLOCK  ADVISORY  WRITE 4027 00:1a:123 0 EOF`.
fn holder(locks: &str, inode: u64) -> Option<u32> {
    let ends_so = format!(":{inode}");
    let line = locks.lines().find(|line| {
        let mut words = line.split_whitespace();
        words.nth(1) == Some("FLOCK") && words.nth(3).is_some_and(|file| file.ends_with(&ends_so))
    })?;
    line.split_whitespace().nth(4)?.parse().ok()
}

impl HostLock {
    /// Removes a lab's folder, and with the last one the lock and the folder of all labs. The lock goes first: were it
    /// to go last, a kill in between would leave it where nobody looks.
    pub fn remove_lab(&self, lab: &Path) -> io::Result<()> {
        let Some(directory) = self.path.parent() else { return Ok(()) };
        if is_alone(directory, &[Path::new(NAME), lab.strip_prefix(directory).unwrap_or(lab)]) {
            fs::remove_file(&self.path)?;
        }
        fs::remove_dir_all(lab)?;
        // Another lab may have gone meanwhile that takes no such lock, as one of an earlier version.
        if is_there(&self.file, &self.path) && is_alone(directory, &[Path::new(NAME)]) {
            fs::remove_file(&self.path)?;
        }
        let _ = fs::remove_dir(directory);
        Ok(())
    }
}

/// Not by closing alone: a process that was just being started may still have the same descriptor.
impl Drop for HostLock {
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Whether nothing else is in the folder.
fn is_alone(directory: &Path, known: &[&Path]) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| known.contains(&Path::new(&entry.file_name()))))
    })
}

#[cfg(test)]
#[path = "host_lock/tests.rs"]
mod tests;
