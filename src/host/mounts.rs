//! What is mounted where, from `/proc/self/mountinfo`.

use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The directory of the file system that is seen at `point`; for a cgroup mount, a cgroup.
    pub root: PathBuf,
    pub point: PathBuf,
    pub kind: String,
    /// Of this mount, then of its file system.
    options: [String; 2],
}

impl Mount {
    pub fn read_only(&self) -> bool {
        self.options.iter().any(|options| options.split(',').any(|option| option == "ro"))
    }

    /// Whether the file system itself has the option: for cgroup v1, the controllers.
    pub fn file_system_has(&self, wanted: &str) -> bool {
        self.options[1].split(',').any(|option| option == wanted)
    }
}

pub fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(mount).collect()
}

/// `35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory`; before the lone dash stand
/// any number of optional words.
fn mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point, own_options) = (before.next()?, before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (kind, file_system_options) = (after.next()?, after.nth(1)?);
    Some(Mount {
        root: unescape(root).into(),
        point: unescape(point).into(),
        kind: kind.to_string(),
        options: [own_options.to_string(), file_system_options.to_string()],
    })
}

/// The mount that a path lies in: the deepest one, and of several in one place the last, which hides the
/// others.
pub fn holding<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let around = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    around.max_by_key(|mount| mount.point.components().count())
}

/// Spaces, tabs, newlines and backslashes are written as `\040` and the like.
fn unescape(field: &str) -> String {
    let spaced = field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n");
    spaced.replace("\\134", "\\")
}
