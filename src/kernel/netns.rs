//! Named network namespaces, as `ip netns` shows them.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use netns_rs::{Env, NetNs};
use nix::sched::{CloneFlags, setns, unshare};

pub const DIRECTORY: &str = "/run/netns";

const CHILD_EHASH: &str = "/proc/sys/net/ipv4/tcp_child_ehash_entries";

/// Where names are kept. Unlike the default it changes nothing about the directory's own mount.
#[derive(Clone, Copy)]
struct Names;

impl Env for Names {
    fn persist_dir(&self) -> PathBuf {
        PathBuf::from(DIRECTORY)
    }

    fn init(&self) -> netns_rs::Result<()> {
        Ok(())
    }
}

/// A namespace we made: its name may come to mean another, its inode does not.
#[derive(Debug)]
pub struct Namespace {
    pub name: String,
    pub inode: u64,
    file: File,
}

impl Namespace {
    pub fn file(&self) -> &File {
        &self.file
    }
}

pub fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// The inode behind a name; none when the name is not there or is no namespace.
pub fn inode(name: &str) -> Option<u64> {
    let path = path(name);
    let is_namespace = path.metadata().ok()?.dev() == Path::new("/proc/self/ns/net").metadata().ok()?.dev();
    is_namespace.then(|| path.metadata().ok().map(|meta| meta.ino()))?
}

/// One namespace to make, with the size of its own table of established connections (0: shared).
pub struct Order<'a> {
    pub name: &'a str,
    pub ehash_entries: u64,
}

/// Makes namespaces in order; on failure, those made so far and the one that failed.
///
/// The size of a namespace's table comes from a setting of the namespace it is made in, so they are made
/// from a throw-away one: nothing of the host's is touched.
pub fn create(orders: &[Order<'_>]) -> (Vec<Namespace>, Result<(), (String, io::Error)>) {
    let make = || {
        let mut made = Vec::with_capacity(orders.len());
        let mould = unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| (String::new(), errno.into()));
        let mut size = 0;
        let result = mould.and_then(|()| {
            for order in orders {
                let failed = |error: io::Error| (order.name.to_owned(), error);
                if order.ehash_entries != size
                    && std::fs::write(CHILD_EHASH, order.ehash_entries.to_string()).is_ok()
                {
                    // An older kernel has no such setting: all namespaces share one table.
                    size = order.ehash_entries;
                }
                made.push(create_one(order.name).map_err(failed)?);
            }
            Ok(())
        });
        (made, result)
    };
    in_own_thread(make)
}

fn create_one(name: &str) -> io::Result<Namespace> {
    if path(name).exists() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a namespace of that name is already there",
        ));
    }
    let namespace = NetNs::new_with_env(name, Names).map_err(io::Error::other)?;
    let file = namespace.file().try_clone()?;
    Ok(Namespace { name: name.to_owned(), inode: file.metadata()?.ino(), file })
}

/// Opens a namespace by its name.
pub fn open(name: &str) -> io::Result<Namespace> {
    let namespace = NetNs::get_from_env(name, Names).map_err(io::Error::other)?;
    let file = namespace.file().try_clone()?;
    Ok(Namespace { name: name.to_owned(), inode: file.metadata()?.ino(), file })
}

/// Moves this thread into a namespace, for good.
pub fn enter(path: &Path) -> io::Result<()> {
    setns(File::open(path)?, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}

/// Takes the name away; the namespace goes when its last user has gone.
pub fn remove(name: &str) -> io::Result<()> {
    NetNs::get_from_env(name, Names).and_then(NetNs::remove).map_err(io::Error::other)
}

/// Runs `work` in a new namespace without a name, which lasts as long as what `work` opened in it.
pub fn in_new_namespace<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    in_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        work()
    })
}

/// Runs `visit` once inside each namespace, on a thread that ends afterwards.
pub fn inside_each<'a, T: Send>(
    files: impl IntoIterator<Item = &'a File> + Send,
    mut visit: impl FnMut(usize) -> io::Result<T> + Send,
) -> Vec<io::Result<T>> {
    in_own_thread(|| {
        files
            .into_iter()
            .enumerate()
            .map(|(index, file)| {
                setns(file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
                visit(index)
            })
            .collect()
    })
}

/// A namespace belongs to a thread: whoever moves must be a thread that nobody uses afterwards.
fn in_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Removes the empty file that is left when a namespace was never bound to its name, or was unbound.
pub fn remove_unused_name(name: &str) -> io::Result<()> {
    match path(name).metadata() {
        Ok(meta) if meta.is_file() && meta.len() == 0 => std::fs::remove_file(path(name)),
        _ => Ok(()),
    }
}
