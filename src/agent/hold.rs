//! Looking at idle connections: which of them have ended, without watching each all the time.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// Connections looked at in one slice: between two of them orders are heard and counts are told. When all have
/// ended at once, closing them takes longer than looking.
const AT_A_TIME: usize = 1024;

/// How a connection that has something to say has ended; none: what it has may be a part of an echo, and stays.
pub fn end_of(connection: &OwnedFd) -> Option<Result<(), Errno>> {
    match recv(connection, &mut [0; 1][..], RecvFlags::PEEK) {
        Ok((0, _)) => Some(Ok(())),
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => None,
        Err(error) => Some(Err(error)),
    }
}

/// The slots of connections with something to say, in the slice that begins here, and where the next begins; none:
/// this was the last.
pub fn ended(open: &[Option<OwnedFd>], from: usize) -> (Vec<usize>, Option<usize>) {
    let to = from.saturating_add(AT_A_TIME).min(open.len());
    let slice = open.get(from..to).unwrap_or_default();
    let mut places: Vec<(usize, PollFd<'_>)> = Vec::with_capacity(slice.len());
    for (place, connection) in slice.iter().enumerate() {
        if let Some(connection) = connection {
            places.push((from + place, PollFd::new(connection, PollFlags::IN | PollFlags::RDHUP)));
        }
    }
    let (indices, mut looks): (Vec<usize>, Vec<PollFd<'_>>) = places.into_iter().unzip();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut slots = Vec::new();
    // A look that fails is repeated with the next pass.
    if rustix::event::poll(&mut looks, Some(&now)).is_ok_and(|found| found > 0) {
        let told = indices.iter().zip(&looks).filter(|(_, look)| !look.revents().is_empty());
        slots.extend(told.map(|(slot, _)| *slot));
    }
    (slots, (to < open.len()).then_some(to))
}

/// Passes over all connections, slice by slice, and when the next is due: at most every second, and at most a
/// fiftieth of the time.
pub struct Passes {
    due: Instant,
    /// Where the next slice begins.
    from: usize,
    /// The time that this pass has taken so far.
    spent: Duration,
}

impl Passes {
    const EVERY: Duration = Duration::from_secs(1);
    const SHARE: u32 = 50;

    pub fn new() -> Self {
        Passes { due: Instant::now(), from: 0, spent: Duration::ZERO }
    }

    pub fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    pub fn wait(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    /// Runs a slice, which is told where it begins and tells where the next does. At the end of a pass the time of the
    /// next is set.
    pub fn run(&mut self, slice: impl FnOnce(usize) -> Option<usize>) {
        let began = Instant::now();
        let next = slice(self.from);
        self.spent += began.elapsed();
        self.from = next.unwrap_or(0);
        if next.is_none() {
            self.due = Instant::now() + Self::EVERY.max(std::mem::take(&mut self.spent) * Self::SHARE);
        }
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
        assert_eq!(ended(&open, 0), (vec![], None));
        theirs.remove(1);
        assert_eq!(ended(&open, 0), (vec![1], None));
        open[1] = None;
        assert_eq!(ended(&open, 0), (vec![], None));
    }

    #[test]
    fn a_look_takes_nothing() {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        let (ours, theirs) = (OwnedFd::from(ours), OwnedFd::from(theirs));
        rustix::io::write(&theirs, b"echo").expect("a write");
        assert_eq!((end_of(&ours), end_of(&ours)), (None, None));
        // Its end is seen behind what came before it.
        drop(theirs);
        assert_eq!(end_of(&ours), None);
        let mut buffer = [0; 8];
        assert_eq!(rustix::io::read(&ours, &mut buffer[..]), Ok(4));
        assert_eq!((&buffer[..4], end_of(&ours)), (&b"echo"[..], Some(Ok(()))));
    }

    #[test]
    fn a_pass_goes_over_all_slice_by_slice() {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        drop(theirs);
        let last = 2 * AT_A_TIME + 5;
        let mut open: Vec<Option<OwnedFd>> = (0..=last).map(|_| None).collect();
        open[last] = Some(ours.into());
        let mut passes = Passes::new();
        let mut found = Vec::new();
        let mut slices = 0;
        while passes.is_due() {
            slices += 1;
            passes.run(|from| {
                let (slots, next) = ended(&open, from);
                found.extend(slots);
                next
            });
        }
        assert_eq!((slices, found), (3, vec![last]));
    }
}
