//! The chain of reactors: one accepts at a time, and hands the listeners to the next when it is full.
//!
//! A reactor that stands by fetches copies of the listeners from the one before it, over a socket pair that
//! whoever started both has made: it has no name by which anyone else could come to it. The word to begin is one
//! byte; if the one before dies without it, the end of the stream is the word.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// The kernel takes at most 253 descriptors in one message.
const PER_MESSAGE: usize = 250;
const HERE: u8 = b'h';
const GO: u8 = b'g';

/// The way to the next reactor, which comes for copies of the listeners and then waits for the word.
pub struct Successor {
    way: UnixStream,
    has_copies: bool,
}

impl Successor {
    pub fn new(way: UnixStream) -> io::Result<Successor> {
        way.set_nonblocking(true)?;
        Ok(Successor { way, has_copies: false })
    }

    /// Gives it the copies, if it is there by now. One that ends meanwhile is the runner's to notice.
    pub fn meet(&mut self, listeners: &[OwnedFd]) {
        if !self.has_copies && matches!((&self.way).read(&mut [0]), Ok(1)) {
            self.has_copies = self.give(listeners).is_ok();
        }
    }

    fn give(&self, listeners: &[OwnedFd]) -> io::Result<()> {
        self.way.set_nonblocking(false)?;
        let total = u32::try_from(listeners.len()).unwrap_or(u32::MAX).to_le_bytes();
        (&self.way).write_all(&total)?;
        for part in listeners.chunks(PER_MESSAGE) {
            let borrowed: Vec<BorrowedFd<'_>> = part.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PER_MESSAGE))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&borrowed));
            rustix::net::sendmsg(&self.way, &[IoSlice::new(b"l")], &mut control, SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Whether it waits for the word.
    pub fn stands_by(&self) -> bool {
        self.has_copies
    }

    pub fn begin(&self) -> io::Result<()> {
        (&self.way).write_all(&[GO])
    }
}

impl AsFd for Successor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.way.as_fd()
    }
}

/// The reactor before this one, from which the word will come.
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// Fetches its listeners.
    pub fn meet(mut stream: UnixStream) -> io::Result<(Predecessor, Vec<OwnedFd>)> {
        stream.write_all(&[HERE])?;
        let mut total = [0; 4];
        stream.read_exact(&mut total)?;
        let total = u32::from_le_bytes(total) as usize;
        let mut listeners = Vec::with_capacity(total);
        while listeners.len() < total {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PER_MESSAGE))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received =
                rustix::net::recvmsg(&stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
            let before = listeners.len();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    listeners.extend(descriptors);
                }
            }
            if received.bytes == 0 || listeners.len() == before {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the reactor before this one ended",
                ));
            }
        }
        stream.set_nonblocking(true)?;
        Ok((Predecessor(stream), listeners))
    }

    /// Whether the word to begin has come, or the one before has died.
    pub fn says_begin(&mut self) -> bool {
        !matches!(self.0.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsFd for Predecessor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn listeners_go_from_one_reactor_to_the_next() {
        let listeners: Vec<TcpListener> =
            (0..300).map(|_| TcpListener::bind("127.0.0.1:0").expect("listener")).collect();
        let addresses: Vec<_> = listeners.iter().map(|one| one.local_addr().expect("address")).collect();
        let listeners: Vec<OwnedFd> = listeners.into_iter().map(OwnedFd::from).collect();

        let (after, before) = UnixStream::pair().expect("a pair");
        let mut successor = Successor::new(after).expect("a way");
        successor.meet(&listeners);
        assert!(!successor.stands_by());
        let next = std::thread::spawn(move || Predecessor::meet(before).expect("meet"));
        while !successor.stands_by() {
            successor.meet(&listeners);
        }
        let (mut predecessor, fetched) = next.join().expect("thread");
        assert_eq!(fetched.len(), 300);
        assert!(!predecessor.says_begin());
        successor.begin().expect("begin");
        assert!(predecessor.says_begin());

        drop(listeners);
        let fetched: Vec<TcpListener> = fetched.into_iter().map(TcpListener::from).collect();
        let _client = TcpStream::connect(addresses[299]).expect("connect");
        fetched[299].accept().expect("accept on a fetched listener");
    }

    #[test]
    fn the_end_of_the_one_before_is_the_word_too() {
        let (after, before) = UnixStream::pair().expect("a pair");
        let mut successor = Successor::new(after).expect("a way");
        let next = std::thread::spawn(move || Predecessor::meet(before).expect("meet"));
        while !successor.stands_by() {
            successor.meet(&[]);
        }
        let (mut predecessor, _) = next.join().expect("thread");
        drop(successor);
        assert!(predecessor.says_begin());

        // One that ends before it is met is no error for the one before.
        let (after, before) = UnixStream::pair().expect("a pair");
        let mut successor = Successor::new(after).expect("a way");
        drop(before);
        successor.meet(&[]);
        assert!(!successor.stands_by());
        // Nor is one that is gone before an error that is waited for.
        let (after, before) = UnixStream::pair().expect("a pair");
        drop(after);
        assert!(Predecessor::meet(before).is_err());
    }
}
