//! How many processes and threads this machine allows, and how many there are.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cgroup;
use super::mounts::Mount;
use super::tree::Tree;

/// One of the limits on processes and threads together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLimit {
    /// The setting, or the file of the cgroup.
    pub name: String,
    pub most: u64,
    pub in_use: u64,
}

/// What cannot be read is left out: then no limit is known to be near.
pub fn read(tree: &Tree, mounts: &[Mount], settings: &BTreeMap<String, String>) -> Vec<TaskLimit> {
    let mut limits = Vec::new();
    if let Some(in_use) = tree.text("/proc/loadavg").ok().as_deref().and_then(all_tasks) {
        for name in ["kernel.pid_max", "kernel.threads-max"] {
            let most = settings.get(name).and_then(|text| text.parse().ok());
            limits.extend(most.map(|most| TaskLimit { name: name.to_owned(), most, in_use }));
        }
    }
    let groups = cgroup::of_pids(tree, mounts);
    limits.extend(groups.iter().filter_map(|group| of_group(group)));
    limits
}

/// `max` is no limit.
fn of_group(group: &Path) -> Option<TaskLimit> {
    let number = |file: &str| cgroup::text(group, file)?.trim().parse().ok();
    let (most, in_use) = (number("pids.max")?, number("pids.current")?);
    Some(TaskLimit { name: group.join("pids.max").display().to_string(), most, in_use })
}

/// The second number of `0.00 0.01 0.05 1/148 4027`: all that could run.
fn all_tasks(loadavg: &str) -> Option<u64> {
    loadavg.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::FakeMachine;
    use super::*;

    #[test]
    fn tasks_are_counted_beside_each_limit() {
        assert_eq!(all_tasks("0.00 0.01 0.05 1/148 4027\n"), Some(148));
        assert_eq!(all_tasks("0.00 0.01"), None);
    }

    #[test]
    fn every_cgroup_on_the_way_up_has_its_limit() {
        let machine = FakeMachine::new()
            .with("/proc/loadavg", "0.00 0.01 0.05 1/148 4027\n")
            .with("/proc/sys/kernel/pid_max", "32768\n")
            .with("/proc/self/cgroup", "0::/user.slice/one\n")
            .with("/proc/self/mountinfo", "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
            .with("/sys/fs/cgroup/user.slice/pids.max", "1000\n")
            .with("/sys/fs/cgroup/user.slice/pids.current", "90\n")
            .with("/sys/fs/cgroup/user.slice/one/pids.max", "max\n")
            .with("/sys/fs/cgroup/user.slice/one/pids.current", "80\n");
        let limits = machine.read().tasks;
        let figures: Vec<_> = limits.iter().map(|limit| (limit.most, limit.in_use)).collect();
        assert_eq!(figures, [(32_768, 148), (1_000, 90)], "{limits:?}");
        assert!(limits[1].name.ends_with("/user.slice/pids.max"));
    }
}
