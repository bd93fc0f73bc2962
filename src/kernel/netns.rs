//! Named network namespaces, as `ip netns` shows them.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use netns_rs::{Env, NetNs};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use serde::{Deserialize, Serialize};

use super::{sysctl, threads};

pub const DIRECTORY: &str = "/run/netns";

/// The namespace that the calling thread is in.
const OWN: &str = "/proc/thread-self/ns/net";

const CHILD_EHASH: &str = "net.ipv4.tcp_child_ehash_entries";

/// Where names are kept. Unlike the default it changes nothing about the directory's own mount.
struct Names(PathBuf);

impl Names {
    fn usual() -> Names {
        Names(PathBuf::from(DIRECTORY))
    }
}

impl Env for Names {
    fn persist_dir(&self) -> PathBuf {
        self.0.clone()
    }

    fn init(&self) -> netns_rs::Result<()> {
        Ok(())
    }
}

/// What tells a namespace from all others. The kernel gives its inode's number to another as soon as it has
/// gone, but not the time at which that inode began; the name keeps the inode for as long as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub inode: u64,
    pub since_ns: i64,
}

impl Identity {
    fn of(meta: &Metadata) -> Identity {
        let since_ns = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
        Identity { inode: meta.ino(), since_ns }
    }
}

/// A namespace we made: its name may come to mean another, its identity does not.
#[derive(Debug)]
pub struct Namespace {
    pub name: String,
    pub identity: Identity,
    file: File,
}

impl Namespace {
    fn new(name: &str, namespace: &NetNs<Names>) -> io::Result<Namespace> {
        let file = namespace.file().try_clone()?;
        Ok(Namespace { name: name.to_owned(), identity: Identity::of(&file.metadata()?), file })
    }

    pub fn file(&self) -> &File {
        &self.file
    }
}

pub fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

/// What is behind a name; none when the name is not there or is no namespace.
pub fn identity(name: &str) -> Option<Identity> {
    let meta = path(name).metadata().ok()?;
    let is_namespace = meta.dev() == Path::new("/proc/self/ns/net").metadata().ok()?.dev();
    is_namespace.then(|| Identity::of(&meta))
}

/// One namespace to make, with the size of its own table of established connections (0: shared).
pub struct NamespaceOrder<'a> {
    pub name: &'a str,
    pub ehash_entries: u64,
}

/// Makes namespaces under names in a staging directory that nobody else uses: they can be told apart from
/// anyone's before they get their real names. On failure, those made so far and the one that failed.
///
/// The size of a namespace's table comes from a setting of the namespace it is made in, so they are made
/// from a throw-away one: nothing of the host's is touched.
pub fn stage(
    orders: &[NamespaceOrder<'_>],
    staging: &Path,
) -> (Vec<Namespace>, Result<(), (String, io::Error)>) {
    let make = || {
        let mut made = Vec::with_capacity(orders.len());
        let mould = unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from).and_then(|()| File::open(OWN));
        let mould = mould.map_err(|error| (String::new(), error));
        let mut size = 0;
        let result = mould.and_then(|mould| {
            for order in orders {
                let failed = |error: io::Error| (order.name.to_owned(), error);
                setns(&mould, CloneFlags::CLONE_NEWNET).map_err(|errno| failed(errno.into()))?;
                // An older kernel has no such setting: all namespaces share one table.
                if order.ehash_entries != size
                    && sysctl::write_inside(CHILD_EHASH, &order.ehash_entries.to_string()).is_ok()
                {
                    size = order.ehash_entries;
                }
                made.push(make(order.name, staging).map_err(failed)?);
            }
            Ok(())
        });
        (made, result)
    };
    in_own_thread(make).unwrap_or_else(|error| (Vec::new(), Err((String::new(), error))))
}

/// Moves this thread into a new namespace, and binds that to a name. The crate for names would start a thread for it,
/// and panic where none can be had.
fn make(name: &str, staging: &Path) -> io::Result<Namespace> {
    let staged = staging.join(name);
    File::create(&staged)?;
    let nothing: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNET)
        .and_then(|()| mount(Some(OWN), &staged, nothing, MsFlags::MS_BIND, nothing))
        .map_err(io::Error::from)
        .inspect_err(|_| drop(std::fs::remove_file(&staged)))?;
    let file = File::open(&staged)?;
    Ok(Namespace { name: name.to_owned(), identity: Identity::of(&file.metadata()?), file })
}

/// Gives a staged namespace its real name. Refused when the name is taken.
pub fn publish(namespace: &Namespace, staging: &Path) -> io::Result<()> {
    let (staged, real) = (staging.join(&namespace.name), path(&namespace.name));
    File::options().write(true).create_new(true).open(&real)?;
    let nothing: Option<&str> = None;
    mount(Some(&staged), &real, nothing, MsFlags::MS_BIND, nothing)?;
    unstage(&namespace.name, staging)
}

/// Takes a staged name away, if it is there.
pub fn unstage(name: &str, staging: &Path) -> io::Result<()> {
    let staged = staging.join(name);
    match umount2(&staged, MntFlags::MNT_DETACH) {
        // Not there, or nothing bound to it yet.
        Ok(()) | Err(Errno::ENOENT | Errno::EINVAL) => {}
        Err(error) => return Err(error.into()),
    }
    match std::fs::remove_file(&staged) {
        // In a folder that has become read-only, a file that is not there cannot be removed either.
        Err(error) if staged.try_exists().unwrap_or(true) => Err(error),
        _ => Ok(()),
    }
}

/// Opens a namespace by its name.
pub fn open(name: &str) -> io::Result<Namespace> {
    Namespace::new(name, &NetNs::get_from_env(name, Names::usual()).map_err(io::Error::other)?)
}

/// Opens the namespace that has a name, if it is still this one; none: another has the name, or nothing has.
/// Whoever goes on by what was opened is in the one that was compared, whatever has the name by then.
pub fn open_if(name: &str, identity: Identity) -> Option<Namespace> {
    open(name).ok().filter(|namespace| namespace.identity == identity && is_namespace(&namespace.file))
}

/// Identities compare only among namespaces: a file elsewhere may have the same number.
fn is_namespace(file: &File) -> bool {
    let device = |meta: io::Result<Metadata>| meta.map(|meta| meta.dev()).ok();
    let ours = device(Path::new("/proc/self/ns/net").metadata());
    ours.is_some() && device(file.metadata()) == ours
}

/// Moves this thread into a namespace, for good.
pub fn enter(namespace: impl AsFd) -> io::Result<()> {
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}

/// Takes the name away; the namespace goes when its last user has gone.
pub fn remove(name: &str) -> io::Result<()> {
    NetNs::get_from_env(name, Names::usual()).and_then(NetNs::remove).map_err(io::Error::other)?;
    if path(name).exists() { remove_hidden(name) } else { Ok(()) }
}

/// The first `ip netns add` since boot mounts the directory over itself: what was bound in it before is
/// hidden, and still holds its namespace. Seen from a mount namespace without those mounts the name is but a
/// file, and when that is unlinked, the kernel takes away whatever is bound to it anywhere.
fn remove_hidden(name: &str) -> io::Result<()> {
    in_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let nothing: Option<&str> = None;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
        while umount2(DIRECTORY, MntFlags::MNT_DETACH).is_ok() {}
        while umount2(&path(name), MntFlags::MNT_DETACH).is_ok() {}
        std::fs::remove_file(path(name))
    })?
}

/// Runs `work` in a new namespace without a name, which lasts as long as what `work` opened in it.
pub fn in_new_namespace<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    in_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        work()
    })?
}

/// Runs `visit` once inside each namespace, on a thread that ends afterwards. Where no thread can be had, that is the
/// answer for each.
pub fn inside_each<'a, T: Send>(
    files: impl IntoIterator<Item = &'a File>,
    mut visit: impl FnMut(usize) -> io::Result<T> + Send,
) -> Vec<io::Result<T>> {
    let files: Vec<&File> = files.into_iter().collect();
    let visited = in_own_thread(|| {
        let visit = |(index, file): (usize, &&File)| {
            setns(file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
            visit(index)
        };
        files.iter().enumerate().map(visit).collect()
    });
    visited.unwrap_or_else(|error| {
        files.iter().map(|_| Err(io::Error::new(error.kind(), error.to_string()))).collect()
    })
}

/// A namespace belongs to a thread: whoever moves must be a thread that nobody uses afterwards.
pub(super) fn in_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    threads::scoped(work)
}

/// Removes the empty file that is left when a namespace was never bound to its name, or was unbound.
pub fn remove_unused_name(name: &str) -> io::Result<()> {
    match path(name).metadata() {
        Ok(meta) if meta.is_file() && meta.len() == 0 => std::fs::remove_file(path(name)),
        _ => Ok(()),
    }
}
