//! Folders and files by descriptor. A folder may belong to somebody else while root writes in it: no link that they
//! put in the way leads elsewhere, and nothing but an ordinary file is ever replaced.

mod walk;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid};
use rustix::io::Errno;

pub use walk::Made;

/// To whom that is given which is made: user and group. None: it stays with who makes it.
pub type Owner = Option<(u32, u32)>;

/// What a file is written under until it is whole; the number makes it nobody else's.
const UNFINISHED: &str = ".c1m-lab-unfinished";

const FILE: Mode = Mode::from_raw_mode(0o644);

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    Everyone,
    /// Nobody else: whoever can open a file can lock it.
    Own,
}

impl Readers {
    fn mode(self) -> Mode {
        match self {
            Readers::Everyone => FILE,
            Readers::Own => Mode::from_raw_mode(0o600),
        }
    }
}

/// An open folder. Whatever its path leads to later, it stays this one.
#[derive(Clone, Debug)]
pub struct Dir(Arc<OwnedFd>);

impl Dir {
    /// Opens a folder that is there.
    pub fn open(path: &Path) -> io::Result<Dir> {
        walk::to(path, None).map(|(fd, _)| Dir(Arc::new(fd)))
    }

    /// The same, and makes it where it is missing. Those that were made go when they are dropped empty.
    pub fn make(path: &Path, owner: Owner) -> io::Result<(Dir, Vec<Made>)> {
        walk::to(path, Some(owner)).map(|(fd, made)| (Dir(Arc::new(fd)), made))
    }

    /// Makes a folder in this one; an error where anything has that name.
    pub fn make_new(&self, name: &OsStr, owner: Owner) -> io::Result<(Dir, Made)> {
        walk::make(self.0.as_fd(), name, owner).map(|(fd, made)| (Dir(Arc::new(fd)), made))
    }

    /// A folder in which only this user writes.
    pub fn open_own(path: &Path) -> io::Result<Dir> {
        let dir = Dir::open(path)?;
        let stat = rustix::fs::fstat(&dir.0)?;
        let others_write = Mode::from_raw_mode(stat.st_mode).contains(Mode::WOTH);
        if stat.st_uid == rustix::process::geteuid().as_raw() && !others_write {
            Ok(dir)
        } else {
            Err(io::Error::other(format!("the folder is user {}'s, or others may write in it", stat.st_uid)))
        }
    }

    /// Where it is now.
    pub fn path(&self) -> io::Result<PathBuf> {
        std::fs::read_link(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }

    pub fn is_same(&self, other: &Dir) -> bool {
        let identity = |dir: &Dir| rustix::fs::fstat(&dir.0).map(|stat| walk::identity(&stat)).ok();
        identity(self).is_some() && identity(self) == identity(other)
    }

    /// Whether a file may be written under this name. False: one is there that would be replaced. It may be if it is
    /// an ordinary file with one name, of this user, of root, of the new owner, or of whose folder it is.
    pub fn check(&self, name: &OsStr, owner: Owner) -> io::Result<bool> {
        let found = match self.stat(name) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let kind = FileType::from_raw_mode(found.st_mode);
        let in_the_way = |what: String| Err(io::Error::other(format!("{what} of that name is in the way")));
        if kind != FileType::RegularFile {
            return in_the_way(name_of(kind).to_owned());
        }
        if found.st_nlink > 1 {
            return in_the_way("a file that has other names too".to_owned());
        }
        let of_folder = rustix::fs::fstat(&self.0)?.st_uid;
        let may_be_replaced = walk::is_trusted(found.st_uid)
            || found.st_uid == of_folder
            || owner.is_some_and(|(uid, _)| uid == found.st_uid);
        if may_be_replaced { Ok(false) } else { in_the_way(format!("a file of user {}", found.st_uid)) }
    }

    /// Begins a file under a name of its own. Dropped before it is published, it goes.
    pub fn begin(&self, name: &OsStr, owner: Owner) -> io::Result<New> {
        self.check(name, owner)?;
        let unfinished =
            |number: u32| OsString::from(format!("{UNFINISHED}-{}-{number}", std::process::id()));
        for temporary in (0..100).map(unfinished) {
            match self.create(&temporary) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(file) => {
                    let dir = self.clone();
                    let new = New { dir, file, temporary: Some(temporary), name: name.to_owned(), owner };
                    give(&new.file, owner);
                    return Ok(new);
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Writes a whole file, in place of the one that may be there.
    pub fn write(&self, name: &OsStr, text: &[u8], owner: Owner) -> io::Result<()> {
        let mut new = self.begin(name, owner)?;
        new.file.write_all(text)?;
        new.publish().map(drop)
    }

    /// Makes a file; an error where anything has that name.
    pub fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.0, name, flags, FILE)?.into())
    }

    /// Opens a file of this user's to read it and to write at its end, and makes it where it is missing, for these
    /// readers.
    pub fn append_to_own(&self, name: &OsStr, readers: Readers) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE;
        let file = rustix::fs::openat(&self.0, name, flags | CAREFULLY, readers.mode())?;
        let stat = rustix::fs::fstat(&file)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let name = name.display();
        if kind != FileType::RegularFile {
            Err(io::Error::other(format!("`{name}` is {}", name_of(kind))))
        } else if stat.st_nlink > 1 {
            Err(io::Error::other(format!("`{name}` is a file that has other names too")))
        } else if stat.st_uid != rustix::process::geteuid().as_raw() {
            Err(io::Error::other(format!("`{name}` is a file of user {}", stat.st_uid)))
        } else {
            Ok(file.into())
        }
    }

    /// Takes a name away, whatever it is the name of; a folder only when it is empty.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// The same for an empty folder, if it is still this one.
    pub fn remove_folder(&self, name: &OsStr, folder: &Dir) -> io::Result<()> {
        if walk::identity(&self.stat(name)?) != walk::identity(&rustix::fs::fstat(&folder.0)?) {
            return Err(io::Error::other("it is another folder by now"));
        }
        Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Whether nobody but its owner, and root, may enter it.
    pub fn is_private(&self) -> io::Result<bool> {
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.0)?.st_mode);
        Ok(!mode.intersects(Mode::RWXG | Mode::RWXO))
    }

    /// Gives a file another name in the same folder, in place of what has that name.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
    }

    /// Waits until its names are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::fsync(rustix::fs::openat(&self.0, c".", flags, Mode::empty())?)?)
    }

    /// What has this name; a link is not followed.
    pub fn stat(&self, name: &OsStr) -> rustix::io::Result<Stat> {
        rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The names in it.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStrExt;
        let entries = rustix::fs::Dir::read_from(&self.0)?;
        let names = entries.map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()));
        let names: io::Result<Vec<OsString>> = names.collect();
        Ok(names?.into_iter().filter(|name| name != "." && name != "..").collect())
    }
}

/// A file that is being written under a name of its own.
pub struct New {
    dir: Dir,
    pub file: File,
    temporary: Option<OsString>,
    name: OsString,
    owner: Owner,
}

impl New {
    /// Gives it its real name. What came in the way meanwhile is not replaced, unless it might have been before.
    pub fn publish(mut self) -> io::Result<File> {
        let file = self.file.try_clone()?;
        let Some(temporary) = &self.temporary else { return Ok(file) };
        let dir = &self.dir.0;
        let is_free = self.dir.check(&self.name, self.owner)?;
        let renamed = match rustix::fs::renameat_with(dir, temporary, dir, &self.name, RenameFlags::NOREPLACE)
        {
            // Some file systems cannot. A rename replaces a name, and follows no link.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(dir, temporary, dir, &self.name),
            Err(Errno::EXIST) if !is_free => rustix::fs::renameat(dir, temporary, dir, &self.name),
            other => other,
        };
        renamed?;
        self.temporary = None;
        Ok(file)
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = self.dir.remove(temporary);
        }
    }
}

/// Neither a link nor a pipe without a writer keeps who opens it.
const CAREFULLY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Reads an ordinary file of at most so many bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::from(rustix::fs::open(path, OFlags::RDONLY | CAREFULLY, Mode::empty())?);
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(io::Error::other(format!("it is {}", name_of(kind))));
    }
    let mut bytes = Vec::new();
    if file.take(most + 1).read_to_end(&mut bytes)? as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// What cannot be given away is still readable by everyone.
fn give(made: impl AsFd, owner: Owner) {
    if let Some((uid, gid)) = owner {
        let _ = rustix::fs::fchown(made, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    }
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::Symlink => "a symbolic link",
        FileType::Directory => "a folder",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::RegularFile | FileType::Unknown => "something else",
    }
}
