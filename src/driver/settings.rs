//! Moving settings of a whole machine, journalled first.

use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::journal::{self, Change, Journal, Moved};
use crate::kernel::{proc, sysctl};
use crate::plan::HostSetting;

pub fn move_all(journal: &mut Journal, settings: &[HostSetting]) -> Result<()> {
    let others = journal::moved_by_others(&journal.lab);
    for setting in settings {
        let now = proc::read_sysctl(&setting.key)
            .attempt(Exit::Host, || format!("reading the setting {}", setting.key))?;
        let moved = others.iter().find(|other| other.key == setting.key);
        if let Some(other) = moved.filter(|other| setting.lowers.is_some() || other.is_lower()) {
            return Err(not_shared(setting, other));
        }
        let before = moved.map_or(now, |other| other.before.clone());
        let change = Change::Setting { key: setting.key.clone(), before, during: setting.to.clone() };
        let id = journal.intend(vec![change.clone()])?[0];
        sysctl::write(&setting.key, &setting.to)
            .attempt(Exit::Host, || format!("setting {} to {}", setting.key, setting.to))?;
        journal.made(vec![(id, change)])?;
    }
    rely_on_others(journal, settings, &others)
}

/// What another lab has raised high enough for both must not go back while this one stands.
fn rely_on_others(journal: &mut Journal, ours: &[HostSetting], others: &[Moved]) -> Result<()> {
    for other in others {
        // What another has lowered goes back with it.
        if ours.iter().any(|setting| setting.key == other.key) || other.is_lower() {
            continue;
        }
        let during = proc::read_sysctl(&other.key)
            .attempt(Exit::Host, || format!("reading the setting {}", other.key))?;
        let (key, before) = (other.key.clone(), other.before.clone());
        journal.intend(vec![Change::Setting { key, before, during }])?;
    }
    Ok(())
}

/// A lower limit is one lab's alone: with it the other could not do what it has planned.
fn not_shared(setting: &HostSetting, other: &Moved) -> Error {
    let what = format!("setting {} to {}", setting.key, setting.to);
    let why = format!("the lab `{}` has made it {} for its own run", other.lab, other.during);
    Error::host(what, why).remedy(format!("wait until it has ended, or end it: `c1m-lab down {}`", other.lab))
}
