//! The folder of a run: `runs/<name>-<time>/` with plan.json, events.jsonl and report.json.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::kernel::files::{Dir, Made, Owner};
use crate::units::Utc;

/// Where runs are kept when no `--out` is given.
pub const RUNS: &str = "runs";

/// What is written into a run's folder.
const NAMES: [&str; 4] = ["plan.json", "events.jsonl", "report.json", "ladder.json"];

/// Runs of one lab that begin in the same second, at most.
const MOST_AT_ONCE: u32 = 1000;

pub struct Folder {
    pub path: PathBuf,
    dir: Dir,
    /// Who called sudo: what is made is theirs, not root's.
    owner: Owner,
    /// Those that were made for it: without a file in it they go again.
    _made: Vec<Made>,
}

impl Folder {
    /// Makes the folder, under a name that nobody has taken; one that the user names may be there already.
    pub fn create(out: Option<&Path>, lab: &str) -> Result<Folder> {
        let owner = sudo_user();
        let made = match out {
            Some(path) => Dir::make(path, owner),
            None => make_new(Path::new(RUNS), lab, owner),
        };
        let shown = out.unwrap_or(Path::new(RUNS)).display();
        let refused = |what: String, why: io::Error| {
            Error::new(Exit::Input, what, why).remedy("name another with `--out DIR`")
        };
        let (dir, made) = made.map_err(|why| refused(format!("making the run's folder {shown}"), why))?;
        for name in NAMES {
            let what = || format!("writing {name} in the run's folder {shown}");
            dir.check(OsStr::new(name), owner).map_err(|why| refused(what(), why))?;
        }
        let path = dir.path().attempt(Exit::Broke, || format!("finding {shown}"))?;
        Ok(Folder { path, dir, owner, _made: made })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn write(&self, name: &str, value: &impl Serialize) -> Result<PathBuf> {
        let path = self.file(name);
        let what = || format!("writing {}", path.display());
        let mut text = serde_json::to_vec_pretty(value).attempt(Exit::Broke, what)?;
        text.push(b'\n');
        self.now().write(OsStr::new(name), &text, self.owner).attempt(Exit::Broke, what)?;
        Ok(path)
    }

    /// A file that is written bit by bit.
    pub fn begin(&self, name: &str) -> Result<File> {
        let file = self.dir.begin(OsStr::new(name), self.owner).and_then(|new| new.publish());
        file.attempt(Exit::Broke, || format!("writing {}", self.file(name).display()))
    }

    /// The folder as it is mounted now. Where its path leads to another, it is still the one that was made.
    fn now(&self) -> Dir {
        let found = Dir::open(&self.path).ok().filter(|found| found.is_same(&self.dir));
        found.unwrap_or_else(|| self.dir.clone())
    }
}

/// Writes a file where the user wants it; its folder is made if it is missing.
pub fn write_for_user(path: &Path, text: &[u8]) -> Result<()> {
    let owner = sudo_user();
    let write = || {
        let (folder, name) = apart(path)?;
        let (dir, _made) = Dir::make(folder, owner)?;
        dir.write(name, text, owner)
    };
    write().attempt(Exit::Broke, || format!("writing {}", path.display()))
}

/// Whether that can be done, as far as it is known before.
pub fn check_for_user(path: &Path) -> Result<()> {
    let check = || {
        let (folder, name) = apart(path)?;
        match Dir::open(folder) {
            Ok(dir) => dir.check(name, sudo_user()).map(drop),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    };
    check().map_err(|why| {
        Error::new(Exit::Input, format!("writing {}", path.display()), why).remedy("name another file")
    })
}

/// The folder of a file, and its name there.
fn apart(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let no_file = || io::Error::other("it is no name of a file");
    Ok((path.parent().ok_or_else(no_file)?, path.file_name().ok_or_else(no_file)?))
}

fn sudo_user() -> Owner {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    rustix::process::getuid().is_root().then_some(())?;
    Some((number("SUDO_UID")?, number("SUDO_GID")?))
}

fn make_new(runs: &Path, lab: &str, owner: Owner) -> io::Result<(Dir, Vec<Made>)> {
    let stamp = stamp(Utc::now());
    let (runs, mut made) = Dir::make(runs, owner)?;
    for number in 1..MOST_AT_ONCE {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        match runs.make_new(&OsString::from(format!("{lab}-{stamp}{more}")), owner) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok((dir, one)) => {
                made.insert(0, one);
                return Ok((dir, made));
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// `20261121-051500`, in UTC.
fn stamp(moment: Utc) -> String {
    let ([year, month, day], [hour, minute, second]) = moment.fields();
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        assert_eq!(stamp(Utc::from_unix_ms(0)), "19700101-000000");
        assert_eq!(stamp(Utc::from_unix_ms(951_782_400_000)), "20000229-000000");
        assert_eq!(stamp(Utc::from_unix_ms(1_795_238_100_999)), "20261121-051500");
    }
}
