//! The way to a folder, one step at a time. A link on the way is followed only where nobody but root, or who runs
//! this, can have put it: else whoever owns a folder on the way could lead root anywhere.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Owner, give, name_of};

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder that was made on the way. Dropped while it is empty, it is taken away again.
#[derive(Debug)]
pub struct Made {
    parent: OwnedFd,
    name: OsString,
    /// Its device and inode.
    identity: (u64, u64),
}

impl Drop for Made {
    fn drop(&mut self) {
        let now = rustix::fs::statat(&self.parent, &self.name, AtFlags::SYMLINK_NOFOLLOW);
        // The kernel removes no folder that has something in it.
        if now.is_ok_and(|now| identity(&now) == self.identity) {
            let _ = rustix::fs::unlinkat(&self.parent, &self.name, AtFlags::REMOVEDIR);
        }
    }
}

pub fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Opens the folder at a path. `make`: those that are missing are made, and given away.
/// The inner folder comes first in the list of those made: it is the first to be taken away.
pub fn to(path: &Path, make: Option<Owner>) -> io::Result<(OwnedFd, Vec<Made>)> {
    let mut way = steps(path);
    let mut here = rustix::fs::openat(CWD, c".", STEP, Mode::empty())?;
    let (mut made, mut links) = (Vec::new(), 0);
    while let Some(step) = way.pop_front() {
        match rustix::fs::openat(&here, &step, STEP, Mode::empty()) {
            Ok(next) => here = next,
            Err(Errno::NOENT) if make.is_some() => match self::make(here.as_fd(), &step, make.flatten()) {
                Ok((next, one)) => {
                    made.insert(0, one);
                    here = next;
                }
                // Somebody else has made it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && links < MOST_LINKS => {
                    links += 1;
                    way.push_front(step);
                }
                Err(error) => return Err(error),
            },
            Err(Errno::NOTDIR | Errno::LOOP) if links < MOST_LINKS => {
                links += 1;
                let target = follow(here.as_fd(), &step)?;
                steps(&target).into_iter().rev().for_each(|step| way.push_front(step));
            }
            Err(error) => return Err(error.into()),
        }
    }
    // Not only a place any more: its names can be listed.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok((rustix::fs::openat(&here, c".", flags, Mode::empty())?, made))
}

/// Makes a folder in this one, and opens it.
pub fn make(parent: BorrowedFd<'_>, name: &OsStr, owner: Owner) -> io::Result<(OwnedFd, Made)> {
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&folder)?;
    // Whoever owns the folder around it can have put another in its place.
    if rustix::fs::Dir::read_from(&folder)?.count() != 2 {
        return Err(io::Error::other(format!("`{}` is another folder than was made", name.display())));
    }
    let made =
        Made { parent: parent.try_clone_to_owned()?, name: name.to_owned(), identity: identity(&stat) };
    // Some file systems decide themselves whose it is.
    if stat.st_uid == rustix::process::geteuid().as_raw() {
        give(&folder, owner);
    }
    Ok((folder, made))
}

fn steps(path: &Path) -> VecDeque<OsString> {
    let step = |component: Component<'_>| match component {
        Component::CurDir => None,
        other => Some(other.as_os_str().to_owned()),
    };
    path.components().filter_map(step).collect()
}

/// Where a link leads that may be followed.
fn follow(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<PathBuf> {
    let link = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(link.st_mode);
    if kind != FileType::Symlink {
        return Err(io::Error::other(format!(
            "`{}` on the way is no folder, but {}",
            name.display(),
            name_of(kind)
        )));
    }
    if !may_be_followed(&link, &rustix::fs::fstat(parent)?) {
        let why = format!(
            "`{}` on the way is a link, and user {} decides where it leads: name the folder itself",
            name.display(),
            link.st_uid
        );
        return Err(io::Error::other(why));
    }
    let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}

/// An ordinary user may follow their own links: they lead nowhere that this user could not go.
fn may_be_followed(link: &Stat, parent: &Stat) -> bool {
    if !is_trusted(link.st_uid) {
        return false;
    }
    let mode = Mode::from_raw_mode(parent.st_mode);
    let others_write = mode.intersects(Mode::WGRP | Mode::WOTH) && !mode.contains(Mode::SVTX);
    !rustix::process::geteuid().is_root() || (is_trusted(parent.st_uid) && !others_write)
}

/// Who runs this, and root: the owner of `/`, which has another number in a user namespace.
pub fn is_trusted(uid: u32) -> bool {
    let of_root = rustix::fs::stat(c"/").map(|stat| stat.st_uid);
    uid == rustix::process::geteuid().as_raw() || Ok(uid) == of_root
}
