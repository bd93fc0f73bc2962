//! The connections of a swarm one by one, for whoever wants to know which of them stand.

use super::Swarm;
use crate::agent::opener::Opener;

impl<O: Opener> Swarm<O> {
    /// Which of those that were tried in this round stand, in the order in which they were tried.
    pub fn standing(&self) -> impl Iterator<Item = bool> {
        (0..usize::try_from(self.tried()).unwrap_or(usize::MAX)).map(|slot| self.opener.is_open(slot))
    }
}
