//! Echo traffic of one swarm: who sends when, and whether what comes back is what was sent.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::tally::EchoCounts;
use crate::plan::Echo as EchoPlan;

/// Latencies are kept to two digits, from 1 µs to 60 s: 20 KB for each swarm.
const LONGEST_US: u64 = 60_000_000;
const DIGITS: u8 = 2;

/// A message that is due since less than this is not late.
const LATE: Duration = Duration::from_millis(100);

/// One connection's message on its way. Kept small: there is one for every connection.
#[derive(Clone, Copy, Default)]
struct Talk {
    /// Microseconds since `epoch`.
    sent_at: u32,
    put: u32,
    got: u32,
    round: u16,
    waiting: bool,
    spoiled: bool,
}

pub struct Echo {
    size: u32,
    every: Duration,
    epoch: Instant,
    began: Instant,
    /// Messages due since the beginning that were looked at: connection `due % count`, round `due / count`.
    due: u64,
    talks: Vec<Talk>,
    speaking: bool,
    counts: EchoCounts,
    latencies: Histogram<u32>,
    expected: Vec<u8>,
    buffer: Vec<u8>,
}

/// Whether the connection is still alive after its bytes were moved.
pub enum Moved {
    Alive,
    /// The send buffer is full: go on when it is writable.
    Blocked,
    Ended(Option<Errno>),
}

impl Echo {
    pub fn new(order: EchoPlan, connections: usize) -> io::Result<Self> {
        Ok(Echo {
            size: order.size,
            every: Duration::from_millis(order.every_ms.max(1)),
            epoch: Instant::now(),
            began: Instant::now(),
            due: 0,
            talks: vec![Talk::default(); connections],
            speaking: false,
            counts: EchoCounts::default(),
            latencies: Histogram::new_with_max(LONGEST_US, DIGITS).map_err(io::Error::other)?,
            expected: vec![0; order.size as usize],
            buffer: vec![0; (order.size as usize).clamp(1, 64 * 1024)],
        })
    }

    pub fn begin(&mut self) {
        self.began = Instant::now();
        self.due = 0;
        self.speaking = true;
    }

    /// No more messages. Those that are due by now and have not been said never will be.
    pub fn rest(&mut self) {
        if std::mem::take(&mut self.speaking) {
            let until = self.began.elapsed().saturating_sub(LATE);
            let rounds = until.as_secs_f64() / self.every.as_secs_f64();
            let due = (rounds * self.talks.len() as f64) as u64;
            self.counts.skipped += due.saturating_sub(self.due);
        }
    }

    pub fn counts(&self) -> EchoCounts {
        self.counts
    }

    /// Messages that have not come back yet.
    pub fn outstanding(&self) -> u64 {
        self.talks.iter().filter(|talk| talk.waiting).count() as u64
    }

    /// Those since they were last taken.
    pub fn take_latencies(&mut self) -> Vec<(u64, u64)> {
        let recorded = self.latencies.iter_recorded();
        let taken =
            recorded.map(|step| (step.value_iterated_to(), step.count_since_last_iteration())).collect();
        self.latencies.reset();
        taken
    }

    /// The next connection whose turn it is to speak, or how long nobody's turn comes.
    ///
    /// The connections speak one after the other, evenly over `every`. One whose answer is still out
    /// is passed over: it speaks again in the next round.
    pub fn turn(&mut self) -> Result<usize, Option<Duration>> {
        let count = self.talks.len() as u64;
        if !self.speaking || count == 0 {
            return Err(None);
        }
        let elapsed = self.began.elapsed();
        loop {
            let due_at = self.every.mul_f64(self.due as f64 / count as f64);
            if due_at > elapsed {
                return Err(Some(due_at - elapsed));
            }
            let slot = (self.due % count) as usize;
            self.due += 1;
            if !self.talks[slot].waiting {
                return Ok(slot);
            }
            self.counts.skipped += 1;
        }
    }

    pub fn speak(&mut self, slot: usize, connection: impl AsFd) -> Moved {
        let now = self.epoch.elapsed().as_micros() as u32;
        let talk = &mut self.talks[slot];
        *talk = Talk { sent_at: now, round: talk.round.wrapping_add(1), waiting: true, ..Talk::default() };
        self.counts.sent += 1;
        self.push(slot, connection)
    }

    /// Sends what the socket takes of the message on its way.
    pub fn push(&mut self, slot: usize, connection: impl AsFd) -> Moved {
        let talk = &mut self.talks[slot];
        if !talk.waiting || talk.put == self.size {
            return Moved::Alive;
        }
        fill(&mut self.expected, slot, talk.round);
        match rustix::net::send(connection, &self.expected[talk.put as usize..], SendFlags::NOSIGNAL) {
            Ok(length) => {
                talk.put += length as u32;
                if talk.put == self.size { Moved::Alive } else { Moved::Blocked }
            }
            Err(Errno::AGAIN) => Moved::Blocked,
            Err(error) => Moved::Ended(Some(error)),
        }
    }

    /// Takes what has come back and compares it with what was sent, byte for byte.
    pub fn hear(&mut self, slot: usize, connection: impl AsFd) -> Moved {
        loop {
            let length = match rustix::net::recv(&connection, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return Moved::Ended(None),
                Ok((length, _)) => length,
                Err(Errno::AGAIN) => return Moved::Alive,
                Err(Errno::INTR) => continue,
                Err(error) => return Moved::Ended(Some(error)),
            };
            self.take(slot, length);
            if length < self.buffer.len() {
                return Moved::Alive;
            }
        }
    }

    fn take(&mut self, slot: usize, length: usize) {
        let talk = &mut self.talks[slot];
        let (from, to) = (talk.got as usize, talk.got as usize + length);
        if !talk.waiting || to > self.expected.len() {
            // Bytes that nobody asked for.
            self.counts.wrong += 1;
            talk.waiting = false;
            return;
        }
        fill(&mut self.expected, slot, talk.round);
        talk.spoiled |= self.expected[from..to] != self.buffer[..length];
        talk.got = to as u32;
        if talk.got < self.size {
            return;
        }
        talk.waiting = false;
        if talk.spoiled {
            self.counts.wrong += 1;
            return;
        }
        self.counts.answered += 1;
        let now = self.epoch.elapsed().as_micros() as u32;
        self.latencies.saturating_record(u64::from(now.wrapping_sub(talk.sent_at)).max(1));
    }

    /// A connection that ended will not answer any more.
    pub fn forget(&mut self, slot: usize) {
        self.talks[slot].waiting = false;
    }
}

/// The bytes of one message: different for every connection and round, made again when they come back.
fn fill(message: &mut [u8], slot: usize, round: u16) {
    let mut state = ((slot as u64) << 16 | u64::from(round)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for chunk in message.chunks_mut(8) {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let bytes = (word ^ (word >> 31)).to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Echo, UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let mut echo = Echo::new(EchoPlan { every_ms: 1, size: 24 }, 1).expect("echo");
        echo.begin();
        (echo, ours, theirs)
    }

    fn reflect(theirs: &mut UnixStream, change: impl Fn(&mut [u8])) {
        let mut message = [0; 24];
        theirs.read_exact(&mut message).expect("message");
        change(&mut message);
        theirs.write_all(&message).expect("answer");
    }

    #[test]
    fn an_answer_is_counted_and_timed() {
        let (mut echo, ours, mut theirs) = pair();
        assert_eq!(echo.turn(), Ok(0));
        assert!(matches!(echo.speak(0, &ours), Moved::Alive));
        reflect(&mut theirs, |_| {});
        assert!(matches!(echo.hear(0, &ours), Moved::Alive));
        assert_eq!(echo.counts(), EchoCounts { sent: 1, answered: 1, ..EchoCounts::default() });
        assert_eq!(echo.take_latencies().iter().map(|(_, count)| count).sum::<u64>(), 1);
        assert_eq!(echo.outstanding(), 0);
        assert_eq!(echo.take_latencies(), [], "they are told once");
    }

    #[test]
    fn one_changed_byte_is_wrong() {
        let (mut echo, ours, mut theirs) = pair();
        echo.speak(0, &ours);
        reflect(&mut theirs, |message| message[23] ^= 1);
        echo.hear(0, &ours);
        assert_eq!(echo.counts(), EchoCounts { sent: 1, wrong: 1, ..EchoCounts::default() });
    }

    #[test]
    fn messages_differ_between_connections_and_rounds() {
        let message = |slot, round| {
            let mut bytes = [0; 20];
            fill(&mut bytes, slot, round);
            bytes
        };
        assert_ne!(message(0, 1), message(0, 2));
        assert_ne!(message(0, 1), message(1, 1));
        assert_eq!(message(7, 9), message(7, 9));
    }
}
