//! The cgroup that this process runs in, in the hierarchy that counts memory: what it allows, and where
//! the lab may put cgroups of its own.

mod hierarchy;
mod parent;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::mounts::Mount;
use super::tree::Tree;
pub use crate::kernel::cgroup::Version;
use hierarchy::Hierarchy;
pub use hierarchy::{of_pids, text};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    pub version: Version,
    /// The directory of the cgroup this process runs in.
    pub memory_path: Option<PathBuf>,
    /// The smallest limit from here up to the root, if it is below the machine's memory.
    pub memory_limit: Option<u64>,
    /// What the cgroup with that limit (or this one, if none has any) holds and could not drop at once.
    pub memory_used: Option<u64>,
    /// The directory below which the lab may make cgroups with a memory limit, and move its processes in.
    /// In v2 its `cgroup.subtree_control` has `memory`, or accepts it.
    pub limit_below: Option<PathBuf>,
    /// Whether there is such a directory, and else why not.
    pub can_limit: Result<(), String>,
}

impl Cgroup {
    fn without_memory(why: String) -> Cgroup {
        Cgroup {
            version: Version::None,
            memory_path: None,
            memory_limit: None,
            memory_used: None,
            limit_below: None,
            can_limit: Err(why),
        }
    }
}

pub fn read(tree: &Tree, mounts: &[Mount], machine_memory: u64) -> Cgroup {
    match hierarchy::of_memory(tree, mounts) {
        Ok(hierarchy) => describe(&hierarchy, machine_memory),
        Err(why) => Cgroup::without_memory(why),
    }
}

fn describe(hierarchy: &Hierarchy, machine_memory: u64) -> Cgroup {
    // Where several have the same limit it is the highest that matters: it counts what the others hold too.
    let tightest = hierarchy
        .upwards()
        .filter_map(|group| Some((hierarchy.limit(group)?, group)))
        .filter(|(limit, _)| *limit < machine_memory)
        .min_by_key(|(limit, group)| (*limit, group.components().count()));
    let counted = tightest.map_or(hierarchy.own.as_path(), |(_, group)| group);
    let parent = parent::find(hierarchy);
    Cgroup {
        version: hierarchy.version,
        memory_path: Some(hierarchy.own.clone()),
        memory_limit: tightest.map(|(limit, _)| limit),
        memory_used: hierarchy.used(counted),
        limit_below: parent.as_ref().ok().cloned(),
        can_limit: parent.map(|_| ()),
    }
}
