//! The queues of listening sockets, as the kernel's socket diagnosis tells them.

use std::io;

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_AND_DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TCP: u8 = 6;
/// One bit for each state: LISTEN is the tenth.
const LISTENING: u32 = 1 << 10;
/// Where `struct inet_diag_msg` has how many wait to be accepted, and how many may.
const WAITING: usize = 56;
const BACKLOG: usize = 60;

/// A listening socket's queue of connections that nobody has accepted yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    pub waiting: u32,
    pub backlog: u32,
}

/// A way to ask, bound for ever to the namespace it was opened in.
pub struct SockDiag {
    socket: Socket,
    buffer: Vec<u8>,
}

impl SockDiag {
    /// Opens it in this thread's namespace.
    pub fn here() -> io::Result<SockDiag> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(SockDiag { socket, buffer: Vec::with_capacity(32 * 1024) })
    }

    /// The queue of every socket that listens for TCP.
    pub fn queues(&mut self) -> io::Result<Vec<Queue>> {
        let mut queues = Vec::new();
        for family in [AF_INET, AF_INET6] {
            self.socket.send(&request(family), 0)?;
            loop {
                self.buffer.clear();
                self.socket.recv(&mut self.buffer, 0)?;
                if read_answers(&self.buffer, &mut queues)? {
                    break;
                }
            }
        }
        Ok(queues)
    }
}

fn request(family: u8) -> Vec<u8> {
    const BODY: usize = 56;
    let mut message = Vec::with_capacity(HEADER + BODY);
    message.extend(((HEADER + BODY) as u32).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST_AND_DUMP.to_ne_bytes());
    message.extend([0; 8]);
    message.extend([family, TCP, 0, 0]);
    message.extend(LISTENING.to_ne_bytes());
    message.resize(HEADER + BODY, 0);
    message
}

/// Reads the messages of one datagram. True: the last one was among them.
fn read_answers(mut bytes: &[u8], queues: &mut Vec<Queue>) -> io::Result<bool> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "an answer about sockets that is cut off");
    while !bytes.is_empty() {
        let length = number(bytes, 0).ok_or_else(broken)? as usize;
        if length < HEADER || length > bytes.len() {
            return Err(broken());
        }
        let (message, rest) = bytes.split_at(length);
        match u16::from_ne_bytes([message[4], message[5]]) {
            DONE => return Ok(true),
            ERROR => {
                let errno = number(message, HEADER).ok_or_else(broken)? as i32;
                return Err(io::Error::from_raw_os_error(-errno));
            }
            _ => {
                let body = &message[HEADER..];
                let (waiting, backlog) = (number(body, WAITING), number(body, BACKLOG));
                let (waiting, backlog) = (waiting.ok_or_else(broken)?, backlog.ok_or_else(broken)?);
                queues.push(Queue { waiting, backlog });
            }
        }
        bytes = rest.get(length.next_multiple_of(4) - length..).unwrap_or_default();
    }
    Ok(false)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queues_of_this_namespace_are_told() {
        told_of("127.0.0.1:0");
    }

    #[test]
    fn those_of_ipv6_are_told_too() {
        told_of("[::1]:0");
    }

    fn told_of(address: &str) {
        let listener = std::net::TcpListener::bind(address).expect("a listener");
        let waiting: Vec<_> = (0..3)
            .map(|_| std::net::TcpStream::connect(listener.local_addr().expect("its address")))
            .collect();
        let queues = SockDiag::here().and_then(|mut diag| diag.queues()).expect("queues");
        assert!(queues.iter().any(|queue| queue.waiting == 3 && queue.backlog > 0), "{queues:?}");
        drop(waiting);
    }

    #[test]
    fn a_cut_answer_is_an_error_and_no_panic() {
        let mut whole = vec![0; 16 + 72];
        whole[..4].copy_from_slice(&88_u32.to_ne_bytes());
        whole[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        whole[16 + WAITING] = 7;
        let mut queues = Vec::new();
        assert!(!read_answers(&whole, &mut queues).expect("one message"));
        assert_eq!(queues, [Queue { waiting: 7, backlog: 0 }]);
        for end in 1..whole.len() {
            assert!(read_answers(&whole[..end], &mut Vec::new()).is_err(), "{end} bytes");
        }
    }
}
