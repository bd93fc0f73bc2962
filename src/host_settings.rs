//! Moving settings of a whole machine: under the lock of the host, journalled first.

use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::journal::{self, Change, Journal, Moved, host_lock};
use crate::kernel::proc;
use crate::kernel::sysctl::{self, same};
use crate::plan::HostSetting;
use crate::plan::lowering::is_lower;

pub fn move_all(journal: &mut Journal, settings: &[HostSetting]) -> Result<()> {
    if settings.is_empty() {
        return Ok(());
    }
    // Between reading what others have moved and journalling our own move, nobody else moves or puts back.
    let _turn = host_lock::take()?;
    let others = journal::moved_by_others(&journal.lab);
    for setting in settings {
        let key = &setting.key;
        let now = proc::read_sysctl(key).attempt(Exit::Host, || format!("reading the setting {key}"))?;
        let others: Vec<&Moved> = others.iter().filter(|other| other.key == *key).collect();
        let (before, during) = decide(setting, &now, &others)?;
        let change = |during| Change::Setting { key: key.clone(), before: before.clone(), during };
        let id = journal.intend(vec![change(during.clone())])?[0];
        if !same(&now, &during) {
            sysctl::write(key, &during).attempt(Exit::Host, || format!("setting {key} to {during}"))?;
        }
        // The kernel rounds some of them, and what it reads then is what is put back.
        let read = proc::read_sysctl(key).ok().filter(|read| !same(read, &during));
        journal.made(vec![(id, change(read.unwrap_or(during)))])?;
    }
    Ok(())
}

/// What the setting was before any lab moved it, and what it is to be. Of several labs that raise it the highest value
/// holds; any other move is one lab's alone.
fn decide(setting: &HostSetting, now: &str, others: &[&Moved]) -> Result<(String, String)> {
    let Some(first) = others.first() else {
        // Somebody else may have raised it since it was planned: what only has to be high enough stays so.
        let from = if setting.from.is_empty() { now } else { &setting.from };
        let raised = if is_lower(from, &setting.to) { None } else { highest(now, &setting.to) };
        return Ok((now.to_owned(), raised.unwrap_or_else(|| setting.to.clone())));
    };
    let lowered = others.iter().find(|other| other.is_lower());
    let raised = highest(now, &setting.to).filter(|_| !is_lower(&first.before, &setting.to));
    match (lowered, raised) {
        (None, Some(raised)) => Ok((first.before.clone(), raised)),
        // Not a number, but what it is already.
        (None, None) if same(now, &setting.to) => Ok((first.before.clone(), setting.to.clone())),
        (lowered, _) => Err(not_shared(setting, lowered.unwrap_or(first))),
    }
}

/// The higher of two limits, number by number. None: they are not numbers.
fn highest(one: &str, other: &str) -> Option<String> {
    let numbers =
        |text: &str| text.split_whitespace().map(str::parse::<u64>).collect::<Result<Vec<_>, _>>().ok();
    let (left, right) = (numbers(one)?, numbers(other)?);
    if left.is_empty() || left.len() != right.len() {
        return None;
    }
    let higher: Vec<u64> = left.iter().zip(&right).map(|(left, right)| *left.max(right)).collect();
    Some(match higher {
        higher if higher == right => other.to_owned(),
        higher if higher == left => one.to_owned(),
        higher => higher.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
    })
}

/// A lower limit is one lab's alone: with it the other could not do what it has planned.
fn not_shared(setting: &HostSetting, other: &Moved) -> Error {
    let what = format!("setting {} to {}", setting.key, setting.to);
    let why = format!("the lab `{}` has made it {} for its own run", other.lab, other.during);
    Error::host(what, why).remedy(format!("wait until it has ended, or end it: `c1m-lab down {}`", other.lab))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(from: &str, to: &str) -> HostSetting {
        let (key, why) = ("k".to_owned(), String::new());
        HostSetting { key, from: from.to_owned(), to: to.to_owned(), why, lowers: None }
    }

    fn decided(from: &str, to: &str, now: &str, others: &[(&str, &str)]) -> Result<(String, String), String> {
        let moved = |(before, during): &(&str, &str)| Moved {
            lab: "other".to_owned(),
            key: "k".to_owned(),
            before: (*before).to_owned(),
            during: (*during).to_owned(),
        };
        let others: Vec<Moved> = others.iter().map(moved).collect();
        decide(&wanted(from, to), now, &others.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())
    }

    fn both(before: &str, during: &str) -> (String, String) {
        (before.to_owned(), during.to_owned())
    }

    #[test]
    fn alone_it_is_what_was_asked_for() {
        assert_eq!(decided("10", "20", "10", &[]), Ok(both("10", "20")));
        assert_eq!(decided("10", "5", "10", &[]), Ok(both("10", "5")));
        assert_eq!(decided("", "5", "10", &[]), Ok(both("10", "5")));
        assert_eq!(decided("reno", "cubic", "reno", &[]), Ok(both("reno", "cubic")));
        // Raised by somebody since it was planned.
        assert_eq!(decided("10", "20", "30", &[]), Ok(both("30", "30")));
    }

    #[test]
    fn of_several_that_raise_it_the_highest_holds() {
        assert_eq!(decided("10", "20", "30", &[("10", "30")]), Ok(both("10", "30")));
        assert_eq!(decided("10", "40", "30", &[("10", "30"), ("10", "20")]), Ok(both("10", "40")));
        // The other has journalled its move and was killed before it made it.
        assert_eq!(decided("10", "20", "10", &[("10", "30")]), Ok(both("10", "20")));
        assert_eq!(
            decided("1 2 3", "4 2 9", "1\t5\t3", &[("1\t2\t3", "1 5 3")]),
            Ok(both("1\t2\t3", "4 5 9"))
        );
    }

    #[test]
    fn a_lower_limit_is_not_shared() {
        for (from, to, now, other) in [
            ("10", "20", "5", ("10", "5")),
            ("10", "5", "30", ("10", "30")),
            ("reno", "bbr", "cubic", ("reno", "cubic")),
        ] {
            let error = decided(from, to, now, &[other]).expect_err(to);
            assert!(
                error.contains("the lab `other` has made it") && error.contains("c1m-lab down other"),
                "{error}"
            );
        }
        assert_eq!(decided("reno", "cubic", "cubic", &[("reno", "cubic")]), Ok(both("reno", "cubic")));
    }
}
