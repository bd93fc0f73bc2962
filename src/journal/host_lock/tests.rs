use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

/// A folder of its own, gone when the test is over.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("c1m-host-lock-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn one_holds_it_at_a_time_and_root_alone_can_open_it() {
    let folder = Folder::new("one");
    let held = take_in(&folder.0, LONG).expect("a free lock");
    let mode = held.path.metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = take_in(&folder.0, SHORT).err().expect("it is held");
    assert!(refused.why.contains(&format!("process {} has had it", std::process::id())), "{refused}");
    drop(held);
    take_in(&folder.0, SHORT).expect("a free lock");
}

/// As when a runner is killed between the fork of an agent and its exec, or lets go meanwhile.
#[test]
fn a_copy_of_the_descriptor_does_not_prolong_it() {
    let folder = Folder::new("copy");
    let held = take_in(&folder.0, LONG).expect("a free lock");
    let _copy = held.file.try_clone().expect("a copy");
    drop(held);
    take_in(&folder.0, SHORT).expect("a free lock");
}

#[test]
fn what_a_program_starts_does_not_have_it() {
    let folder = Folder::new("exec");
    let held = take_in(&folder.0, LONG).expect("a free lock");
    let mut child = std::process::Command::new("sleep").arg("5").spawn().expect("sleep");
    // Closed without letting go: only a copy could still hold it.
    let HostLock { file, .. } = &held;
    let flags = rustix::io::fcntl_getfd(file).expect("flags");
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    drop(held);
    let taken = take_in(&folder.0, SHORT);
    child.kill().expect("a child");
    child.wait().expect("a child");
    taken.expect("a free lock");
}

#[test]
fn a_link_is_not_followed() {
    let folder = Folder::new("link");
    fs::create_dir(&folder.0).expect("a folder");
    let target = folder.0.join("elsewhere");
    symlink(&target, folder.0.join(NAME)).expect("a link");
    let refused = take_in(&folder.0, SHORT).err().expect("a link");
    assert!(refused.why.contains("symbolic link is in its place"), "{refused}");
    assert!(!target.exists());
    let other = Folder::new("link-folder");
    symlink(&folder.0, &other.0).expect("a link");
    let refused = take_in(&other.0, SHORT).err().expect("a link");
    fs::remove_file(&other.0).expect("a link");
    assert!(refused.why.contains("folder is a symbolic link"), "{refused}");
}

#[test]
fn only_a_plain_file_is_a_lock() {
    let folder = Folder::new("kind");
    fs::create_dir_all(folder.0.join(NAME)).expect("a folder");
    take_in(&folder.0, SHORT).err().expect("a folder in its place");
    assert!(take_in(Path::new("/proc/self/c1m"), SHORT).is_err());
}

/// Many come and go, the last one takes the folder away, and still there is never more than one holder.
#[test]
fn a_lock_that_is_taken_away_is_nobody_s() {
    let folder = Folder::new("away");
    let inside = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for place in 0..4 {
            let (folder, inside) = (&folder.0, &inside);
            scope.spawn(move || {
                for _ in 0..200 {
                    let lab = folder.join(format!("lab-{place}"));
                    // It waits without a folder of its own, so the lock it waits for is taken away each time.
                    let lock = take_in(folder, LONG).expect("a lock");
                    fs::create_dir_all(&lab).expect("a folder");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two hold it");
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    lock.remove_lab(&lab).expect("a folder");
                }
            });
        }
    });
    assert!(!folder.0.exists(), "the last one takes it away");
}

#[test]
fn what_was_opened_before_it_was_taken_away_is_no_lock() {
    let folder = Folder::new("late");
    let lab = folder.0.join("lab");
    let held = take_in(&folder.0, LONG).expect("a free lock");
    fs::create_dir(&lab).expect("a folder");
    let (path, late) = (held.path.clone(), open(&folder.0, &held.path).expect("the file"));
    assert_eq!(lock(&late, &path), Err(Errno::WOULDBLOCK));
    held.remove_lab(&lab).expect("it is alone");
    drop(held);
    assert_eq!(lock(&late, &path), Ok(false), "there is none");
    let _next = take_in(&folder.0, LONG).expect("a new one");
    assert_eq!(lock(&late, &path), Ok(false), "there is another");
}

#[test]
fn the_holder_is_found_by_its_file() {
    let locks = "1: POSIX  ADVISORY  WRITE 7 00:1a:123 0 EOF\n2: FLOCK  ADVISORY  WRITE 4027 00:1a:123 0 EOF\n\
                 2: -> FLOCK  ADVISORY  WRITE 9 00:1a:123 0 EOF\n";
    assert_eq!((holder(locks, 123), holder(locks, 23)), (Some(4027), None));
}
