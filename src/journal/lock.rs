//! The lock of a lab: whoever holds it may change what its journal says.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::read_file;
use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::kernel::files::{Dir, Readers};

/// How long a lock may outlive its runner: a process that it was just starting has it too, until it runs its own
/// program; and whoever takes the lab down meanwhile has it.
const LINGERS: Duration = Duration::from_secs(5);
/// How long a folder may be taken away each time it is made.
const GOES_AWAY: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Makes the lab's folder and takes its lock. Refused at once while its runner lives.
pub fn take(lab: &str, directory: &Path) -> Result<File> {
    let began = Instant::now();
    loop {
        // The same file until it is taken: whoever has it may be taking the folder away.
        let lock = open(lab, directory)?;
        while rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let header = read_file(&directory.join("journal.jsonl")).0;
            let who = match header {
                Some(header) if header.is_running() => format!("process {} is running it", header.runner),
                // One that is about to begin, or to end, has its lock and no header.
                None if began.elapsed() > LINGERS => "another c1m-lab is running it".to_owned(),
                _ if began.elapsed() > LINGERS => {
                    "its runner has ended, and another process has its lock".to_owned()
                }
                _ => {
                    std::thread::sleep(LOOK_EVERY);
                    continue;
                }
            };
            return Err(Error::host(format!("taking the lab `{lab}`"), who)
                .remedy("wait for it, or stop it with Ctrl-C in its terminal"));
        }
        if is_there(&lock, directory) {
            return Ok(lock);
        }
    }
}

fn open(lab: &str, directory: &Path) -> Result<File> {
    let began = Instant::now();
    loop {
        // Labs that end take their folder away, and the last one that of all labs, perhaps in between.
        let made = std::fs::create_dir_all(directory);
        let made = made.attempt(Exit::Host, || format!("making {}", directory.display()));
        let opened = made.and_then(|()| {
            let opened = open_own(directory, "lock", Readers::Own);
            opened.attempt(Exit::Host, || {
                format!("opening the lock of the lab `{lab}` in {}", directory.display())
            })
        });
        match opened {
            Err(_) if began.elapsed() < GOES_AWAY => std::thread::sleep(Duration::from_millis(1)),
            opened => {
                let remedy = "a lab keeps its journal there: make /run a place to write to";
                return opened.map_err(|error| error.remedy(remedy));
            }
        }
    }
}

/// A file of the lab's folder. Both are ours alone: nothing else that has their names is opened.
pub fn open_own(directory: &Path, name: &str, readers: Readers) -> io::Result<File> {
    Dir::open_own(directory)?.append_to_own(OsStr::new(name), readers)
}

/// Whether this is the lock that others find there, and not one that was taken away with a lab that ended.
fn is_there(lock: &File, directory: &Path) -> bool {
    let found = directory.join("lock").metadata();
    matches!((lock.metadata(), found), (Ok(ours), Ok(found)) if ours.ino() == found.ino())
}

#[cfg(test)]
mod tests {
    use super::super::{Header, Line};
    use super::*;
    use crate::kernel::proc;

    /// A folder of its own, gone when the test is over.
    struct Folder(std::path::PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            Folder(std::env::temp_dir().join(format!("c1m-lock-{name}-{}", std::process::id())))
        }

        fn run_by(&self, runner: u32, runner_start_time: u64) {
            std::fs::create_dir_all(&self.0).expect("a folder");
            let header = Header {
                lab: "a".to_owned(),
                runner,
                runner_start_time,
                boot_id: proc::boot_id(),
                began_unix_ms: 0,
                run_directory: self.0.clone(),
                connections: 1,
                subnets: Vec::new(),
                planned: None,
            };
            let line = serde_json::to_string(&Line::Header { header }).expect("JSON");
            std::fs::write(self.0.join("journal.jsonl"), line + "\n").expect("a journal");
            assert!(read_file(&self.0.join("journal.jsonl")).0.is_some(), "a header that is read");
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn own_start_time() -> u64 {
        proc::start_time(None).expect("this process has begun")
    }

    #[test]
    fn a_lab_whose_runner_lives_is_refused_at_once() {
        let folder = Folder::new("lives");
        folder.run_by(std::process::id(), own_start_time());
        let held = take("a", &folder.0).expect("a free lock");
        let began = Instant::now();
        let refused = take("a", &folder.0).expect_err("a lock that is held");
        assert!(refused.to_string().contains(&format!("process {} is running it", std::process::id())));
        assert!(began.elapsed() < LINGERS / 2);
        drop(held);
        take("a", &folder.0).expect("a free lock");
    }

    /// As seen when a runner was killed between the fork of an agent and its exec.
    #[test]
    fn a_lock_that_outlives_its_runner_is_waited_for() {
        let folder = Folder::new("outlives");
        // This process's pid, but not its beginning: a runner that is no more.
        folder.run_by(std::process::id(), own_start_time() + 1);
        let held = take("a", &folder.0).expect("a free lock");
        let holder = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(held);
        });
        let began = Instant::now();
        take("a", &folder.0).expect("a lock that becomes free");
        assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
        holder.join().expect("it only waits");
    }

    #[test]
    fn a_lock_that_is_taken_away_is_not_the_lab_s() {
        let folder = Folder::new("away");
        folder.run_by(std::process::id(), own_start_time() + 1);
        let held = take("a", &folder.0).expect("a free lock");
        assert!(is_there(&held, &folder.0));
        let path = folder.0.clone();
        let ender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            std::fs::remove_dir_all(&path).expect("the folder goes");
            drop(held);
        });
        let lock = take("a", &folder.0).expect("a new lock");
        assert!(is_there(&lock, &folder.0));
        ender.join().expect("it only waits");
    }
}
