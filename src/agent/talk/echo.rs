//! Echoes: whether what comes back is what was sent, byte for byte.

use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::{Latencies, Step, Talk, Turn, Wire};
use crate::agent::tally::TalkCounts;
use crate::plan::Echo as EchoOrder;

/// One connection's message on its way. Kept small: there is one for every connection.
#[derive(Clone, Copy, Default)]
struct InFlight {
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
    epoch: Instant,
    messages: Vec<InFlight>,
    counts: TalkCounts,
    expected: Vec<u8>,
    buffer: Vec<u8>,
}

impl Echo {
    pub fn new(order: EchoOrder, connections: usize) -> Self {
        Echo {
            size: order.size,
            epoch: Instant::now(),
            messages: vec![InFlight::default(); connections],
            counts: TalkCounts::default(),
            expected: vec![0; order.size as usize],
            buffer: vec![0; (order.size as usize).clamp(1, 64 * 1024)],
        }
    }

    /// Microseconds since the beginning, of which 32 bits are enough: no answer takes an hour.
    fn now(&self) -> u32 {
        self.epoch.elapsed().as_micros() as u32
    }

    /// Sends what the connection takes of the message on its way.
    fn push(&mut self, slot: usize, wire: &mut dyn Wire) -> Step {
        let message = &mut self.messages[slot];
        if !message.waiting || message.put == self.size {
            return Step::Waits;
        }
        fill(&mut self.expected, slot, message.round);
        match wire.send(&self.expected[message.put as usize..]) {
            Ok(length) => {
                message.put += length as u32;
                if message.put == self.size { Step::Waits } else { Step::Blocked }
            }
            Err(Errno::AGAIN) => Step::Blocked,
            Err(error) => Step::Ended(Some(error)),
        }
    }

    fn take(&mut self, slot: usize, length: usize, latencies: &mut Latencies) {
        let now = self.now();
        let message = &mut self.messages[slot];
        let (from, to) = (message.got as usize, message.got as usize + length);
        if !message.waiting || to > self.expected.len() {
            // Bytes that nobody asked for.
            self.counts.wrong += 1;
            message.waiting = false;
            return;
        }
        fill(&mut self.expected, slot, message.round);
        message.spoiled |= self.expected[from..to] != self.buffer[..length];
        message.got = to as u32;
        if message.got < self.size {
            return;
        }
        message.waiting = false;
        if message.spoiled {
            self.counts.wrong += 1;
            return;
        }
        self.counts.answered += 1;
        latencies.record(Duration::from_micros(now.wrapping_sub(message.sent_at).into()));
    }
}

impl Talk for Echo {
    fn listens(&self) -> bool {
        true
    }

    fn opened(&mut self, _: Turn<'_>) -> Step {
        Step::Ready
    }

    fn is_busy(&self, slot: usize) -> bool {
        self.messages[slot].waiting
    }

    fn due(&mut self, turn: Turn<'_>) -> Step {
        let sent_at = self.now();
        let message = &mut self.messages[turn.slot];
        let round = message.round.wrapping_add(1);
        *message = InFlight { sent_at, round, waiting: true, ..InFlight::default() };
        self.counts.sent += 1;
        self.push(turn.slot, turn.wire)
    }

    fn writable(&mut self, turn: Turn<'_>) -> Step {
        self.push(turn.slot, turn.wire)
    }

    fn readable(&mut self, turn: Turn<'_>) -> Step {
        loop {
            let length = match turn.wire.receive(&mut self.buffer) {
                Ok(0) => return Step::Ended(None),
                Ok(length) => length,
                Err(Errno::AGAIN) => return Step::Waits,
                Err(Errno::INTR) => continue,
                Err(error) => return Step::Ended(Some(error)),
            };
            self.take(turn.slot, length, turn.latencies);
            if length < self.buffer.len() {
                return Step::Waits;
            }
        }
    }

    /// A connection that ended will not answer any more.
    fn forget(&mut self, slot: usize) {
        self.messages[slot].waiting = false;
    }

    fn counts(&self) -> TalkCounts {
        self.counts
    }

    fn outstanding(&self) -> u64 {
        self.messages.iter().filter(|message| message.waiting).count() as u64
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

    use rustix::net::{RecvFlags, SendFlags};

    use super::*;
    use crate::agent::talk::Conversation;
    use crate::plan::Talk as TalkOrder;

    impl Wire for UnixStream {
        fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
            rustix::net::send(self, bytes, SendFlags::NOSIGNAL)
        }

        fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
            rustix::net::recv(self, buffer, RecvFlags::empty()).map(|(length, _)| length)
        }
    }

    fn pair() -> (Conversation, UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        ours.set_nonblocking(true).expect("non-blocking");
        let order = TalkOrder::Echo(EchoOrder { every_ms: 1, size: 24 });
        let mut echo = Conversation::of(order, 1).expect("echo");
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
        let (mut echo, mut ours, mut theirs) = pair();
        assert_eq!(echo.opened(0, &mut ours), Step::Ready);
        assert_eq!(echo.next_due(), Ok(0));
        assert_eq!(echo.due(0, &mut ours), Step::Waits);
        assert_eq!(echo.outstanding(), 1);
        reflect(&mut theirs, |_| {});
        assert_eq!(echo.readable(0, &mut ours), Step::Waits);
        assert_eq!(echo.counts(), TalkCounts { sent: 1, answered: 1, ..TalkCounts::default() });
        assert_eq!(echo.take_latencies().iter().map(|(_, count)| count).sum::<u64>(), 1);
        assert_eq!(echo.outstanding(), 0);
        assert_eq!(echo.take_latencies(), [], "they are told once");
    }

    #[test]
    fn one_changed_byte_is_wrong() {
        let (mut echo, mut ours, mut theirs) = pair();
        echo.due(0, &mut ours);
        reflect(&mut theirs, |message| message[23] ^= 1);
        echo.readable(0, &mut ours);
        assert_eq!(echo.counts(), TalkCounts { sent: 1, wrong: 1, ..TalkCounts::default() });
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
