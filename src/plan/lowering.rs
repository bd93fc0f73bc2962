//! Limits of the whole host that a lab file sets lower: every program of the machine is held to them meanwhile. Pure.

use serde::{Deserialize, Serialize};

use super::HostSetting;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::units::grouped;

/// What is known of a limit before it is set lower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lowering {
    /// How much of it is in use by now, where that can be known.
    pub in_use: Option<u64>,
    /// The least it may be set to: what is in use, and room for the rest of the machine.
    pub least: u64,
}

/// The limits, and how much must be left beyond what is in use.
const LIMITS: [(&str, u64); 9] = [
    ("fs.file-max", 2_000),
    ("fs.nr_open", 1_024),
    ("net.core.netdev_max_backlog", 1),
    ("net.ipv4.neigh.default.gc_thresh1", 0),
    ("net.ipv4.neigh.default.gc_thresh2", 0),
    ("net.ipv4.neigh.default.gc_thresh3", 16),
    ("net.ipv4.tcp_max_orphans", 16),
    ("net.ipv4.tcp_mem", 64),
    ("net.netfilter.nf_conntrack_max", 100),
];

/// None: it is not a limit, or not lower than it is now.
pub fn of(host: &Host, key: &str, now: &str, to: &str) -> Option<Lowering> {
    let (_, margin) = LIMITS.into_iter().find(|(limit, _)| *limit == key)?;
    let in_use = host.in_use(key);
    is_lower(now, to).then(|| Lowering { in_use, least: in_use.unwrap_or(0) + margin })
}

/// Whether one of the numbers is lower than it was.
pub fn is_lower(now: &str, to: &str) -> bool {
    let numbers = |text: &str| text.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>();
    match (numbers(now), numbers(to)) {
        (Ok(now), Ok(to)) => now.iter().zip(&to).any(|(now, to)| to < now),
        _ => false,
    }
}

/// Refuses to lower anything that was not allowed to be, or of which too much is in use.
pub fn check(settings: &[HostSetting], allowed: bool) -> Result<()> {
    let lowered: Vec<(&HostSetting, &Lowering)> =
        settings.iter().filter_map(|setting| Some((setting, setting.lowers.as_ref()?))).collect();
    if lowered.is_empty() {
        return Ok(());
    }
    let attempted = "lowering limits of the whole host";
    if !allowed {
        let one = |(setting, _): &(&HostSetting, &Lowering)| {
            format!("{} from {} to {}", setting.key, setting.from, setting.to)
        };
        let all = lowered.iter().map(one).collect::<Vec<_>>().join(", ");
        return Err(Error::host(attempted, format!("the lab sets {all}, and that was not allowed")).remedy(
            "`--lower-host-limits` allows it: every program of this machine is held to it during the run",
        ));
    }
    for (setting, Lowering { in_use, least }) in lowered {
        let to = setting.to.split_whitespace().next_back().and_then(|last| last.parse::<u64>().ok());
        if to.is_some_and(|to| to < *least) {
            let in_use = in_use.map_or_else(|| "unknown".to_owned(), grouped);
            let why = format!(
                "{} would be {}, and present use is {in_use}: it needs at least {}",
                setting.key,
                setting.to,
                grouped(*least)
            );
            return Err(Error::host(attempted, why)
                .remedy("set it higher in the lab file (`sysctl.host`), or end what uses it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(key: &str, from: &str, to: &str, host: &Host) -> HostSetting {
        let text = |text: &str| text.to_owned();
        let lowers = of(host, key, from, to);
        HostSetting { key: text(key), from: text(from), to: text(to), why: String::new(), lowers }
    }

    #[test]
    fn lower_is_lower_in_any_number() {
        for (now, to, lower) in [
            ("10", "9", true),
            ("9", "10", false),
            ("1 2\t3", "1 2 3", false),
            ("4 5 6", "4 5 5", true),
            ("a", "1", false),
        ] {
            assert_eq!(is_lower(now, to), lower, "{now} → {to}");
        }
    }

    #[test]
    fn lowering_has_to_be_allowed() {
        let host = Host::example();
        let settings =
            [moved("fs.file-max", "100000", "50000", &host), moved("kernel.pid_max", "9", "8", &host)];
        let error = check(&settings, false).expect_err("not allowed");
        assert!(error.why.contains("fs.file-max from 100000 to 50000"), "{error}");
        assert!(
            error.remedy.as_ref().is_some_and(|remedy| remedy.contains("--lower-host-limits")),
            "{error}"
        );
        check(&settings, true).expect("allowed");
        check(&[moved("fs.file-max", "10", "20", &host)], false).expect("that raises it");
    }

    #[test]
    fn nothing_is_lowered_to_what_is_in_use() {
        let mut host = Host::example();
        host.in_use.insert("net.ipv4.tcp_mem".to_owned(), 500);
        let error = check(&[moved("net.ipv4.tcp_mem", "1000 2000 3000", "100 200 560", &host)], true);
        let error = error.expect_err("too near");
        assert!(error.why.contains("present use is 500: it needs at least 564"), "{error}");
        check(&[moved("net.ipv4.tcp_mem", "1000 2000 3000", "100 200 564", &host)], true).expect("enough");
        let files = host.files_open;
        let near = moved("fs.file-max", "100000", &(files + 1_999).to_string(), &host);
        check(&[near], true).expect_err("too near");
    }
}
