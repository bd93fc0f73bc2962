//! The two ends of the floor's connections, as child processes of the same program.
//!
//! A child says what it has done in one word per line on its standard output, which all children share. It
//! starts when told on its standard input, and closes everything when that ends.

use crate::ip;
use crate::wiring;
use c1m_lab::agent::out_of_sight;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
    accept_with, bind, connect, recvmsg, socket_with, sockopt,
};
use rustix::process::{Signal, set_parent_process_death_signal};
use std::env;
use std::io::{self, Error, IoSliceMut, Read, Result, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

pub const READY: &str = "ready";
pub const CLIENT_DONE: &str = "client-done";
pub const SERVER_DONE: &str = "server-done";

const SERVER: &str = "floor-server-process";
const CLIENT: &str = "floor-client-process";

/// What one child has to do. It travels as the child's arguments.
pub struct Task {
    pub namespace: String,
    pub share: u64,
    /// For a client: the number of its namespace and the first index of its own range there.
    pub range: Option<(u64, u64)>,
}

impl Task {
    pub fn to_arguments(&self) -> Vec<String> {
        let mut arguments = vec![self.namespace.clone(), self.share.to_string()];
        match self.range {
            Some((number, first)) => {
                arguments.insert(0, CLIENT.into());
                arguments.extend([number.to_string(), first.to_string()]);
            }
            None => arguments.insert(0, SERVER.into()),
        }
        arguments
    }

    fn from_arguments(arguments: &[String]) -> Option<Task> {
        let number = |position: usize| arguments.get(position)?.parse::<u64>().ok();
        let range = match arguments.first()?.as_str() {
            CLIENT => Some((number(3)?, number(4)?)),
            SERVER => None,
            _ => return None,
        };
        Some(Task { namespace: arguments[1].clone(), share: number(2)?, range })
    }
}

/// Does a child's work if this process was started as one.
pub fn run_if_child() -> Option<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let task = Task::from_arguments(&arguments)?;
    let outcome = set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(Error::from)
        .and_then(|()| ip::enter(&task.namespace))
        // As the lab's agents do; else a watcher of this machine would take part in the one and not in the other.
        .and_then(|()| {
            out_of_sight::run(move || match task.range {
                Some((number, first)) => client(number, first, task.share),
                None => server(task.share),
            })
        });
    match outcome {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => {
            // The parent reads this line; if it is gone, nobody needs to know.
            let _ = say(&format!("{}: {error}", arguments[0]));
            Some(ExitCode::FAILURE)
        }
    }
}

fn client(number: u64, first: u64, share: u64) -> Result<()> {
    let mut connections = Vec::with_capacity(share as usize);
    say(READY)?;
    if io::stdin().read(&mut [0])? == 0 {
        return Ok(());
    }
    for index in first..first + share {
        connections.push(open(number, index)?);
    }
    say(CLIENT_DONE)?;
    close_when_input_ends(connections)
}

/// Opens one connection. Over a veth pair the whole handshake runs inside `connect`, so a second call finds it
/// done: two plain calls, where waiting in epoll and asking for the error would take three.
fn open(number: u64, index: u64) -> Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    let (source, destination) = wiring::tuple(number, index);
    bind(&socket, &source)?;
    match connect(&socket, &destination) {
        Ok(()) => return Ok(socket),
        Err(Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    match connect(&socket, &destination) {
        Ok(()) | Err(Errno::ISCONN) => {}
        Err(Errno::ALREADY) => wait_until_connected(&socket)?,
        Err(errno) => return Err(errno.into()),
    }
    Ok(socket)
}

/// The rare case: a packet of the handshake was dropped and is sent again after a second.
fn wait_until_connected(socket: &OwnedFd) -> Result<()> {
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    if poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&patience))? == 0 {
        return Err(Errno::TIMEDOUT.into());
    }
    Ok(sockopt::socket_error(socket)??)
}

fn server(share: u64) -> Result<()> {
    let mut connections = Vec::with_capacity(share as usize);
    say(READY)?;
    let listeners = receive_listeners()?;
    if listeners.is_empty() {
        return Ok(());
    }
    // It lives as long as the connections: the lab's server watches every one of them, so the floor does too.
    let watch = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (number, listener) in listeners.iter().enumerate() {
        epoll::add(&watch, listener, epoll::EventData::new_u64(number as u64), epoll::EventFlags::IN)?;
    }
    let mut events = Vec::with_capacity(1024);
    while (connections.len() as u64) < share {
        events.clear();
        epoll::wait(&watch, spare_capacity(&mut events), None)?;
        for event in &events {
            if let Some(listener) = listeners.get(event.data.u64() as usize) {
                accept_all(listener, &watch, &mut connections, share)?;
            }
        }
        // Let some arrive together. Without this the server is woken some twenty times as often, takes the
        // processor from a client each time, and spends a quarter more on every connection.
        sleep(Duration::from_millis(1));
    }
    // The next server holds the same listeners, so closing ours would leave them in our epoll set.
    for listener in &listeners {
        epoll::delete(&watch, listener)?;
    }
    drop(listeners);
    say(SERVER_DONE)?;
    close_when_input_ends(connections)
}

fn accept_all(listener: &OwnedFd, watch: &OwnedFd, connections: &mut Vec<OwnedFd>, share: u64) -> Result<()> {
    let wanted = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
    while (connections.len() as u64) < share {
        match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(connection) => {
                epoll::add(watch, &connection, epoll::EventData::new_u64(u64::MAX), wanted)?;
                connections.push(connection);
            }
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// The listeners come over the Unix socket that is the standard input; none come if it has been closed.
fn receive_listeners() -> Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(wiring::SERVER_PORTS as usize))];
    let mut messages = RecvAncillaryBuffer::new(&mut space);
    let mut word = [0];
    recvmsg(io::stdin().as_fd(), &mut [IoSliceMut::new(&mut word)], &mut messages, RecvFlags::CMSG_CLOEXEC)?;
    let mut listeners = Vec::new();
    for message in messages.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            listeners.extend(descriptors);
        }
    }
    Ok(listeners)
}

/// Closes with a reset: one packet, and neither TIME_WAIT nor an orphan keeps the namespace alive.
fn close_when_input_ends(connections: Vec<OwnedFd>) -> Result<()> {
    io::stdin().read_to_end(&mut Vec::new())?;
    for connection in connections {
        sockopt::set_socket_linger(&connection, Some(Duration::ZERO))?;
    }
    Ok(())
}

fn say(word: &str) -> Result<()> {
    io::stdout().write_all(format!("{word}\n").as_bytes())
}
