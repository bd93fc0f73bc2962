//! Finds the cgroup below which the lab may make its own with a memory limit.

use std::path::{Path, PathBuf};

use super::Version;
use super::hierarchy::{Hierarchy, lists_memory, text};
use crate::host::tree::may_write;

pub fn find(hierarchy: &Hierarchy) -> Result<PathBuf, String> {
    if hierarchy.read_only {
        return Err(format!("{} is mounted read-only", hierarchy.own.display()));
    }
    match hierarchy.version {
        Version::V1 => may_have_children(&hierarchy.own).map(|()| hierarchy.own.clone()),
        _ => find_unified(hierarchy),
    }
}

/// The deepest cgroup, from this process's own upwards, whose children may have memory limits. The reason
/// told is that of the first cgroup that would do but for the rights.
fn find_unified(hierarchy: &Hierarchy) -> Result<PathBuf, String> {
    let mut refusals = Vec::new();
    for group in hierarchy.upwards().filter(|group| passes_memory_on(group)) {
        match may_have_children(group) {
            Ok(()) => return Ok(group.to_path_buf()),
            Err(why) => refusals.push(why),
        }
    }
    Err(refusals.into_iter().next().unwrap_or_else(|| nothing_passes_memory_on(hierarchy)))
}

fn passes_memory_on(group: &Path) -> bool {
    lists_memory(group, "cgroup.subtree_control") || could_pass_memory_on(group)
}

/// The kernel lets a cgroup either hold processes or pass controllers on to its children; only the root
/// may do both. A threaded cgroup cannot have memory limits below it at all.
fn could_pass_memory_on(group: &Path) -> bool {
    let kind = text(group, "cgroup.type");
    let is_root = kind.is_none();
    let is_domain = kind.is_none_or(|kind| kind.trim() == "domain");
    let is_empty = || text(group, "cgroup.procs").is_some_and(|processes| processes.trim().is_empty());
    lists_memory(group, "cgroup.controllers")
        && is_domain
        && (is_root || is_empty())
        && may_write(&group.join("cgroup.subtree_control"))
}

/// To move a process, one must be allowed to write to `cgroup.procs` of the nearest cgroup that is above
/// both its old and its new place.
fn may_have_children(group: &Path) -> Result<(), String> {
    let needed = [group.to_path_buf(), group.join("cgroup.procs")];
    match needed.iter().find(|path| !may_write(path)) {
        Some(path) => Err(format!("no right to write to {}", path.display())),
        None => Ok(()),
    }
}

fn nothing_passes_memory_on(hierarchy: &Hierarchy) -> String {
    format!(
        "{} holds processes, so its children cannot have memory limits, and no cgroup above it passes memory on",
        hierarchy.own.display()
    )
}
