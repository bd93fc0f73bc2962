//! Moving settings of a whole machine, journalled first.

use crate::error::{Attempt, Result};
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
        if ours.iter().any(|setting| setting.key == other.key) {
            continue;
        }
        let during = proc::read_sysctl(&other.key)
            .attempt(Exit::Host, || format!("reading the setting {}", other.key))?;
        let (key, before) = (other.key.clone(), other.before.clone());
        journal.intend(vec![Change::Setting { key, before, during }])?;
    }
    Ok(())
}
