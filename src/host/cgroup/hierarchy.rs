//! Finds the hierarchy that counts memory, and this process's place in it.

use std::path::{Path, PathBuf};

use super::Version;
use crate::host::mounts::Mount;
use crate::host::tree::Tree;
use crate::kernel::proc::read_text;

pub struct Hierarchy {
    pub version: Version,
    /// The directory of this process's cgroup.
    pub own: PathBuf,
    /// The highest directory that is mounted here; a container may not see further up.
    top: PathBuf,
    pub read_only: bool,
}

/// One line of `/proc/self/cgroup`, such as `4:memory:/user.slice`; v2's begins with `0::`.
struct Membership<'a> {
    controllers: &'a str,
    path: &'a Path,
}

pub fn of_memory(tree: &Tree, mounts: &[Mount]) -> Result<Hierarchy, String> {
    let text = tree.text("/proc/self/cgroup").map_err(|why| why.to_string())?;
    let memberships: Vec<Membership> = text.lines().filter_map(membership).collect();
    let counts_memory = |one: &&Membership| one.controllers.split(',').any(|name| name == "memory");
    // A controller is in one hierarchy at a time, so v1 having memory rules out v2.
    if let Some(membership) = memberships.iter().find(counts_memory) {
        let of_memory = |mount: &&Mount| mount.kind == "cgroup" && mount.file_system_has("memory");
        return place(tree, mounts.iter().filter(of_memory), membership, Version::V1);
    }
    let Some(membership) = memberships.iter().find(|one| one.controllers.is_empty()) else {
        return Err("the kernel has no cgroups that count memory".to_string());
    };
    let unified = mounts.iter().filter(|mount| mount.kind == "cgroup2");
    let hierarchy = place(tree, unified, membership, Version::V2)?;
    match hierarchy.has_memory_controller() {
        true => Ok(hierarchy),
        false => Err(format!("no memory controller in the cgroups at {}", hierarchy.top.display())),
    }
}

/// This process's cgroups in the hierarchy that counts processes, from its own up.
pub fn of_pids(tree: &Tree, mounts: &[Mount]) -> Vec<PathBuf> {
    let text = tree.text("/proc/self/cgroup").unwrap_or_default();
    let memberships: Vec<Membership> = text.lines().filter_map(membership).collect();
    let own = |version, is_it: &dyn Fn(&&Membership) -> bool, has_it: &dyn Fn(&&Mount) -> bool| {
        let membership = memberships.iter().find(is_it)?;
        place(tree, mounts.iter().filter(has_it), membership, version).ok()
    };
    let found = own(Version::V1, &|one| one.controllers.split(',').any(|name| name == "pids"), &|mount| {
        mount.kind == "cgroup" && mount.file_system_has("pids")
    })
    .or_else(|| own(Version::V2, &|one| one.controllers.is_empty(), &|mount| mount.kind == "cgroup2"));
    found.iter().flat_map(Hierarchy::upwards).map(Path::to_path_buf).collect()
}

fn membership(line: &str) -> Option<Membership<'_>> {
    let mut fields = line.splitn(3, ':').skip(1);
    Some(Membership { controllers: fields.next()?, path: Path::new(fields.next()?) })
}

/// The same hierarchy may be mounted several times, each time showing it from another cgroup on: the first
/// writable mount that shows this process's cgroup will do, or else any that shows it.
fn place<'a>(
    tree: &Tree,
    mounts: impl Iterator<Item = &'a Mount>,
    membership: &Membership,
    version: Version,
) -> Result<Hierarchy, String> {
    let seen_through = |mount: &Mount| {
        let below_mount = membership.path.strip_prefix(&mount.root).ok()?;
        // Collected anew, so that an empty rest leaves no slash at the end.
        let own: PathBuf = tree.path(mount.point.join(below_mount)).components().collect();
        let top = tree.path(&mount.point);
        // A path with `..` leads to a cgroup outside of the namespace: nothing about it can be trusted.
        let inside = !below_mount.components().any(|part| part.as_os_str() == "..");
        (inside && own.is_dir()).then(|| Hierarchy { version, own, top, read_only: mount.read_only() })
    };
    let not_shown = || format!("no mounted cgroups show this process's own, {}", membership.path.display());
    mounts.filter_map(seen_through).min_by_key(|found| found.read_only).ok_or_else(not_shown)
}

impl Hierarchy {
    /// This process's cgroup, its parent, and so on.
    pub fn upwards(&self) -> impl Iterator<Item = &Path> {
        self.own.ancestors().take_while(|directory| directory.starts_with(&self.top))
    }

    /// In bytes. `memory.high` does not kill, but slows its processes down until nothing goes on.
    pub fn limit(&self, group: &Path) -> Option<u64> {
        match self.version {
            // The second is the smallest on the way up, and knows of cgroups that a container cannot see.
            Version::V1 => {
                smaller(number(group, "memory.limit_in_bytes"), statistic(group, "hierarchical_memory_limit"))
            }
            _ => smaller(number(group, "memory.max"), number(group, "memory.high")),
        }
    }

    /// In bytes, without the file cache that the kernel drops first when memory is wanted.
    pub fn used(&self, group: &Path) -> Option<u64> {
        let (usage, cache) = match self.version {
            Version::V1 => ("memory.usage_in_bytes", "total_inactive_file"),
            _ => ("memory.current", "inactive_file"),
        };
        Some(number(group, usage)?.saturating_sub(statistic(group, cache).unwrap_or(0)))
    }

    /// A cgroup has only what its parents pass on, so the highest one tells.
    fn has_memory_controller(&self) -> bool {
        lists_memory(&self.top, "cgroup.controllers")
    }
}

/// Whether a file such as `cgroup.controllers` lists `memory`.
pub fn lists_memory(group: &Path, file: &str) -> bool {
    text(group, file).is_some_and(|text| text.split_whitespace().any(|word| word == "memory"))
}

pub fn text(group: &Path, file: &str) -> Option<String> {
    read_text(group.join(file)).ok()
}

/// Not a number is `max`: no limit.
fn number(group: &Path, file: &str) -> Option<u64> {
    text(group, file)?.trim().parse().ok()
}

fn statistic(group: &Path, name: &str) -> Option<u64> {
    let text = text(group, "memory.stat")?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

fn smaller(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    [one, other].into_iter().flatten().min()
}
