//! The host settings that standing labs have moved, as their journals say.

use super::{Change, labs, look};
use crate::plan::lowering;

/// A host setting that a standing lab has moved.
pub struct Moved {
    pub lab: String,
    pub key: String,
    /// What it was before any lab moved it.
    pub before: String,
    /// What that lab made it, or found it to be.
    pub during: String,
}

impl Moved {
    pub fn is_lower(&self) -> bool {
        lowering::is_lower(&self.before, &self.during)
    }
}

/// The host settings that labs other than this one have moved.
pub fn moved_by_others(lab: &str) -> Vec<Moved> {
    let others = labs().into_iter().filter(|other| other != lab);
    let moved = |other: String| {
        let (header, mut standing) = look(&other);
        // A lab that a reboot ended relies on nothing.
        if header.is_some_and(|header| header.is_of_an_earlier_boot()) {
            standing.clear();
        }
        standing.into_iter().filter_map(move |one| match one.change {
            Change::Setting { key, before, during } => {
                Some(Moved { lab: other.clone(), key, before, during })
            }
            _ => None,
        })
    };
    others.flat_map(moved).collect()
}
