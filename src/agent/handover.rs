//! The chain of reactors: one accepts at a time, and hands the listeners to the next when it is full.
//!
//! A reactor that stands by fetches copies of the listeners from the one before it, over a Unix socket
//! whose abstract name belongs to the node's network namespace. The word to begin is one byte; if the
//! one before dies without it, the end of the stream is the word.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// The kernel takes at most 253 descriptors in one message.
const PER_MESSAGE: usize = 250;
const GO: u8 = b'g';

fn address(chain: &str, place: u32) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("c1m-lab/{chain}/reactor-{place}"))
}

/// Where the next reactor of the chain comes for the listeners.
pub fn offer(chain: &str, place: u32) -> io::Result<UnixListener> {
    let offer = UnixListener::bind_addr(&address(chain, place)?)?;
    offer.set_nonblocking(true)?;
    Ok(offer)
}

/// The next reactor, which has copies of the listeners and waits for the word.
pub struct Successor(UnixStream);

impl Successor {
    /// None: nobody has come yet.
    pub fn meet(offer: &UnixListener, listeners: &[OwnedFd]) -> io::Result<Option<Successor>> {
        let stream = match offer.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(false)?;
        let total = u32::try_from(listeners.len()).unwrap_or(u32::MAX).to_le_bytes();
        (&stream).write_all(&total)?;
        for part in listeners.chunks(PER_MESSAGE) {
            let borrowed: Vec<BorrowedFd<'_>> = part.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PER_MESSAGE))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&borrowed));
            rustix::net::sendmsg(&stream, &[IoSlice::new(b"l")], &mut control, SendFlags::NOSIGNAL)?;
        }
        Ok(Some(Successor(stream)))
    }

    pub fn begin(&self) -> io::Result<()> {
        (&self.0).write_all(&[GO])
    }
}

/// The reactor before this one, from which the word will come.
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// Fetches the listeners of the reactor at `place`.
    pub fn meet(chain: &str, place: u32) -> io::Result<(Predecessor, Vec<OwnedFd>)> {
        let mut stream = UnixStream::connect_addr(&address(chain, place)?)?;
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
        let chain = format!("test-{}", std::process::id());
        let listeners: Vec<TcpListener> =
            (0..300).map(|_| TcpListener::bind("127.0.0.1:0").expect("listener")).collect();
        let addresses: Vec<_> = listeners.iter().map(|one| one.local_addr().expect("address")).collect();
        let listeners: Vec<OwnedFd> = listeners.into_iter().map(OwnedFd::from).collect();

        let offer = offer(&chain, 0).expect("offer");
        assert!(Successor::meet(&offer, &listeners).expect("no one there").is_none());
        let next = std::thread::spawn(move || Predecessor::meet(&chain, 0).expect("meet"));
        let successor = loop {
            if let Some(successor) = Successor::meet(&offer, &listeners).expect("meet") {
                break successor;
            }
        };
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
}
