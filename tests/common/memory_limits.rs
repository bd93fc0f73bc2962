//! Whether this host can limit memory, found by trying it: the question is not put to c1m-lab, which is tested.

use std::path::{Path, PathBuf};

/// A cgroup below which one with a memory limit can be made; else why there is none.
pub fn place_for_a_limit() -> Result<PathBuf, String> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    // `5:memory:/path` is a hierarchy of version 1, `0::/path` is version 2.
    let member = |controllers: &str| {
        let mut lines = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        lines.find(|(has, _)| has.split(',').any(|one| one == controllers)).map(|(_, path)| path)
    };
    let (path, kind, limit) = match (member("memory"), member("")) {
        (Some(path), _) => (path, "cgroup", "memory.limit_in_bytes"),
        (None, Some(path)) => (path, "cgroup2", "memory.max"),
        (None, None) => return Err("this process is in no cgroup that counts memory".into()),
    };
    let mut refusals = vec![format!("no {kind} that counts memory is mounted")];
    for line in mounts.lines() {
        let Some((root, point)) = mount_of(line, kind) else { continue };
        let Ok(below) = Path::new(path).strip_prefix(root) else { continue };
        let own = point.join(below);
        for group in own.ancestors().take_while(|group| group.starts_with(&point)) {
            match may_limit_below(group, limit) {
                Ok(()) => return Ok(group.to_owned()),
                Err(why) => refusals.push(why),
            }
        }
    }
    Err(refusals.pop().unwrap_or_default())
}

/// The part of the hierarchy that this mount shows, and where.
fn mount_of<'a>(line: &'a str, kind: &str) -> Option<(&'a str, PathBuf)> {
    let (start, end) = line.split_once(" - ")?;
    let mut end = end.split(' ');
    let fits = end.next() == Some(kind)
        && (kind == "cgroup2" || end.any(|options| options.split(',').any(|one| one == "memory")));
    let mut fields = start.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    fits.then(|| (root, PathBuf::from(point)))
}

fn may_limit_below(group: &Path, limit: &str) -> Result<(), String> {
    let trial = group.join(format!("limit-{}", std::process::id()));
    std::fs::create_dir(&trial).map_err(|error| format!("{}: {error}", trial.display()))?;
    let limited = std::fs::write(trial.join(limit), "536870912");
    let _ = std::fs::remove_dir(&trial);
    // The root of all cgroups may hand the controller on at any time; it has no type.
    let is_root = !group.join("cgroup.type").exists();
    let has_memory = std::fs::read_to_string(group.join("cgroup.controllers"))
        .is_ok_and(|controllers| controllers.split_whitespace().any(|one| one == "memory"));
    match limited {
        Err(_) if is_root && has_memory => Ok(()),
        other => other.map_err(|error| format!("{limit} below {}: {error}", group.display())),
    }
}
