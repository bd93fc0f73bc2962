//! Looking at idle connections: which of them have ended, without watching each all the time.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// Connections looked at in one call.
const AT_A_TIME: usize = 1024;

/// The slots of connections with something to say, in one pass over all.
pub fn ended(open: &[Option<OwnedFd>]) -> Vec<usize> {
    let mut slots = Vec::new();
    for (chunk, connections) in open.chunks(AT_A_TIME).enumerate() {
        let mut places: Vec<(usize, PollFd<'_>)> = Vec::with_capacity(connections.len());
        for (place, connection) in connections.iter().enumerate() {
            if let Some(connection) = connection {
                let looked_for = PollFlags::IN | PollFlags::RDHUP;
                places.push((chunk * AT_A_TIME + place, PollFd::new(connection, looked_for)));
            }
        }
        let (indices, mut looks): (Vec<usize>, Vec<PollFd<'_>>) = places.into_iter().unzip();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // A look that fails is repeated with the next pass.
        if rustix::event::poll(&mut looks, Some(&now)).is_ok_and(|found| found > 0) {
            let told = indices.iter().zip(&looks).filter(|(_, look)| !look.revents().is_empty());
            slots.extend(told.map(|(slot, _)| *slot));
        }
    }
    slots
}

/// When the next pass is due: at most every second, and at most a fiftieth of the time.
pub struct Passes {
    due: Instant,
}

impl Passes {
    const EVERY: Duration = Duration::from_secs(1);
    const SHARE: u32 = 50;

    pub fn new() -> Self {
        Passes { due: Instant::now() }
    }

    pub fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    pub fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Runs a pass and sets the time of the next.
    pub fn run(&mut self, pass: impl FnOnce()) {
        let began = Instant::now();
        pass();
        self.due = Instant::now() + Self::EVERY.max(began.elapsed() * Self::SHARE);
    }
}

impl Default for Passes {
    fn default() -> Self {
        Passes::new()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn only_ended_connections_are_found() {
        let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().expect("socket pair")).collect();
        let (ours, mut theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let mut open: Vec<Option<OwnedFd>> = ours.into_iter().map(|one| Some(one.into())).collect();
        assert!(ended(&open).is_empty());
        theirs.remove(1);
        assert_eq!(ended(&open), [1]);
        open[1] = None;
        assert!(ended(&open).is_empty());
    }
}
