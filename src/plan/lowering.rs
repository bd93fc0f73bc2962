//! Limits of the whole host that a lab file sets lower: every program of the machine is held to them meanwhile. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::HostSetting;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::permitted::{self, Kind};
use crate::units::grouped;

/// What is known of a limit before it is set lower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lowering {
    /// How much of it is in use by now, where that can be known.
    pub in_use: Option<u64>,
    /// The least it may be set to: what is in use, and room for the rest of the machine.
    pub least: u64,
}

/// None: nothing becomes less by it. Of a setting that is on no list any lower number counts, and a value that cannot
/// be compared too.
pub fn of(host: &Host, key: &str, now: &str, to: &str) -> Option<Lowering> {
    let (lowers, spare) = match permitted::find(key).map(|one| one.kind) {
        Some(Kind::Choice) => return None,
        Some(Kind::Range) => (narrows(now, to), 0),
        Some(Kind::Limit(spare)) => (is_lower(now, to), spare),
        None => (may_be_lower(now, to), 0),
    };
    let in_use = host.in_use(key);
    lowers.then(|| Lowering { in_use, least: in_use.unwrap_or(0) + spare })
}

fn numbers(text: &str) -> Option<Vec<u64>> {
    text.split_whitespace().map(|word| word.parse().ok()).collect()
}

/// Whether something of the range is no longer in it.
fn narrows(now: &str, to: &str) -> bool {
    match (numbers(now).as_deref(), numbers(to).as_deref()) {
        (Some([first, last]), Some([new_first, new_last])) => new_first > first || new_last < last,
        _ => false,
    }
}

/// Words such as `cubic` are no numbers, and are neither higher nor lower. A setting whose value is not known, and one
/// that is -1 for "without limit", may be lowered by anything.
fn may_be_lower(now: &str, to: &str) -> bool {
    match (numbers(now).filter(|now| !now.is_empty()), numbers(to)) {
        (Some(now), Some(to)) => now.iter().zip(&to).any(|(now, to)| to < now),
        (Some(_), None) => true,
        (None, _) => now.is_empty() || now.split_whitespace().any(|word| word.parse::<i128>().is_ok()),
    }
}

/// Whether one of the numbers is lower than it was.
pub fn is_lower(now: &str, to: &str) -> bool {
    match (numbers(now), numbers(to)) {
        (Some(now), Some(to)) => now.iter().zip(&to).any(|(now, to)| to < now),
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
            let from = if setting.from.is_empty() { "an unknown value" } else { &setting.from };
            format!("{} from {from} to {}", setting.key, setting.to)
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
        let settings = [moved("fs.file-max", "100000", "50000", &host)];
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
    fn a_limit_of_any_name_is_lowered_only_where_that_is_allowed() {
        let host = Host::example();
        for (key, from, to, lowers) in [
            ("kernel.threads-max", "514000", "100", true),
            ("kernel.threads-max", "514000", "600000", false),
            ("kernel.pid_max", "4194304", "32768", true),
            ("user.max_net_namespaces", "257000", "9", true),
            ("net.ipv4.tcp_rmem", "4096 131072 6291456", "4096 4096 16384", true),
            ("net.ipv4.ip_local_port_range", "32768 60999", "1024 65535", false),
            ("net.ipv4.ip_local_port_range", "32768 60999", "32768 60000", true),
            ("net.ipv4.tcp_fin_timeout", "60", "5", false),
            // On no list.
            ("vm.max_map_count", "65530", "100", true),
            ("vm.max_map_count", "65530", "262144", false),
            ("kernel.sched_rt_runtime_us", "-1", "950000", true),
            ("kernel.sched_rt_runtime_us", "950000", "-1", true),
            ("vm.unheard_of", "", "100", true),
            ("net.ipv4.tcp_congestion_control", "cubic", "reno", false),
        ] {
            assert_eq!(of(&host, key, from, to).is_some(), lowers, "{key} {from} → {to}");
        }
        let error = check(&[moved("kernel.threads-max", "514000", "100", &host)], false);
        assert!(error.expect_err("not allowed").why.contains("kernel.threads-max from 514000 to 100"));
    }

    #[test]
    fn room_for_the_threads_of_the_machine_stays() {
        let mut host = Host::example();
        host.in_use.insert("kernel.threads-max".to_owned(), 300);
        let near = moved("kernel.threads-max", "514000", "1000", &host);
        let error = check(&[near], true).expect_err("too near");
        assert!(error.why.contains("present use is 300: it needs at least 1,324"), "{error}");
        check(&[moved("kernel.threads-max", "514000", "1324", &host)], true).expect("enough");
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
