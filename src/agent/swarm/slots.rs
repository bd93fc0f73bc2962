//! The connections of a swarm one by one, for whoever wants to know which of them stand.

use super::Swarm;

impl Swarm {
    /// Which of those that were tried in this round stand, in the order in which they were tried.
    pub fn standing(&self) -> impl Iterator<Item = bool> {
        self.open.iter().take(usize::try_from(self.tried()).unwrap_or(usize::MAX)).map(Option::is_some)
    }
}
