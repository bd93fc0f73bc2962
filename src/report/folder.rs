//! The folder of a run: `runs/<name>-<time>/` with plan.json, events.jsonl and report.json.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::error::{Attempt, Result};
use crate::exit::Exit;
use rustix::fs::{Gid, Uid};

/// Where runs are kept when no `--out` is given.
pub const RUNS: &str = "runs";

pub struct Folder {
    pub path: PathBuf,
    /// Who called sudo: the folder is theirs, not root's.
    owner: Option<(u32, u32)>,
}

impl Folder {
    /// Makes the folder, under a name that nobody has taken.
    pub fn create(out: Option<&Path>, lab: &str) -> Result<Folder> {
        let owner = sudo_user();
        let path = match out {
            Some(path) => path.to_owned(),
            None => free_name(Path::new(RUNS), lab),
        };
        let mut made = Vec::new();
        let mut missing = Some(path.as_path());
        while let Some(one) = missing.filter(|one| !one.as_os_str().is_empty() && !one.exists()) {
            made.push(one.to_owned());
            missing = one.parent();
        }
        std::fs::create_dir_all(&path).map_err(|error| {
            crate::error::Error::new(
                Exit::Input,
                format!("making the run's folder {}", path.display()),
                error,
            )
            .remedy("name another with `--out DIR`")
        })?;
        let path = path.canonicalize().attempt(Exit::Broke, || format!("finding {}", path.display()))?;
        let folder = Folder { path, owner };
        made.iter().for_each(|one| folder.give_away(one));
        Ok(folder)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn write(&self, name: &str, value: &impl Serialize) -> Result<PathBuf> {
        let path = self.file(name);
        let what = || format!("writing {}", path.display());
        let mut text = serde_json::to_string_pretty(value).attempt(Exit::Broke, what)?;
        text.push('\n');
        std::fs::write(&path, text).attempt(Exit::Broke, what)?;
        self.give_away(&path);
        Ok(path)
    }

    pub fn give_away(&self, path: &Path) {
        give(path, self.owner);
    }
}

/// Writes a file where the user wants it; its folder is made if it is missing.
pub fn write_for_user(path: &Path, text: &str) -> Result<()> {
    let what = || format!("writing {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).attempt(Exit::Broke, what)?;
    }
    std::fs::write(path, text).attempt(Exit::Broke, what)?;
    give(path, sudo_user());
    Ok(())
}

/// A file that cannot be given away is still readable by everyone.
fn give(path: &Path, owner: Option<(u32, u32)>) {
    if let Some((uid, gid)) = owner {
        let _ = rustix::fs::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    }
}

fn sudo_user() -> Option<(u32, u32)> {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    rustix::process::getuid().is_root().then_some(())?;
    Some((number("SUDO_UID")?, number("SUDO_GID")?))
}

fn free_name(runs: &Path, lab: &str) -> PathBuf {
    let stamp = stamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO));
    let first = runs.join(format!("{lab}-{stamp}"));
    let others = (2..).map(|number| runs.join(format!("{lab}-{stamp}-{number}")));
    std::iter::once(first.clone()).chain(others).find(|path| !path.exists()).unwrap_or(first)
}

/// `20261121-051500`, in UTC.
fn stamp(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let time = seconds % 86_400;
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", time / 3600, time / 60 % 60, time % 60)
}

/// Days since 1970-01-01 as a date, counting in eras of 400 years that begin on the first of March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        assert_eq!(stamp(Duration::ZERO), "19700101-000000");
        assert_eq!(stamp(Duration::from_secs(951_782_400)), "20000229-000000");
        assert_eq!(stamp(Duration::from_secs(1_795_238_100)), "20261121-051500");
    }
}
