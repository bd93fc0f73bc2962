//! One measurement of the floor: build the network, start the processes, open the connections, close them.

use crate::ends::{CLIENT_DONE, READY, SERVER_DONE, Task};
use crate::ip;
use crate::units::thousands;
use crate::wiring::{self, CLIENT_NAMESPACES, MOST_CONNECTIONS, SERVER_PORTS, Wiring};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, bind,
    listen, sendmsg, socket_with, socketpair,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::env;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Error, IoSlice, PipeReader, PipeWriter, Result, Write, pipe};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Descriptors a process needs beside its connections: the listeners, epoll, the standard streams.
const SPARE_DESCRIPTORS: u64 = SERVER_PORTS + 16;
const BACKLOG: i32 = 65_535;
const LONGEST_SILENCE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

pub struct Outcome {
    pub connections: u64,
    pub elapsed: Duration,
    pub servers: usize,
    pub clients: usize,
}

impl Outcome {
    pub fn rate(&self) -> f64 {
        self.connections as f64 / self.elapsed.as_secs_f64()
    }

    #[allow(dead_code, reason = "only the bench of the floor itself prints JSON")]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "connections": self.connections,
            "seconds": self.elapsed.as_secs_f64(),
            "rate": self.rate(),
            "servers": self.servers,
            "clients": self.clients,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let (connections, rate) = (thousands(self.connections), thousands(self.rate() as u64));
        let (seconds, servers, clients) = (self.elapsed.as_secs_f64(), self.servers, self.clients);
        write!(out, "floor {connections} connections {seconds:.1} s {rate}/s {servers}+{clients} processes")
    }
}

/// Opens the connections, measures from the first connect until every client has connected and the servers
/// have accepted all, and closes them again.
pub fn measure(connections: u64) -> Result<Outcome> {
    if connections > MOST_CONNECTIONS {
        let most = thousands(MOST_CONNECTIONS);
        return Err(Error::other(format!("at most {most} connections have a source address and port")));
    }
    let per_process = raise_descriptor_limit(connections + SPARE_DESCRIPTORS)? - SPARE_DESCRIPTORS;
    let wiring = Wiring::build(connections)?;
    let listeners = listen_in(wiring.server.clone())?;
    let (reader, writer) = pipe()?;
    let mut words = Words(BufReader::new(reader));
    let mut servers = start_servers(&wiring, connections, per_process, &writer)?;
    let mut clients = start_clients(&wiring, connections, per_process, &writer)?;
    drop(writer);
    for _ in 0..servers.started() + clients.started() {
        words.expect(&[READY])?;
    }
    drop(wiring); // everybody is inside

    let start = Instant::now();
    servers.release_next(|socket| hand_over(&listeners, socket))?;
    for _ in 0..clients_at_a_time() {
        clients.release_next(|input| input.write_all(b"g"))?;
    }
    for _ in 0..servers.started() + clients.started() {
        match words.expect(&[CLIENT_DONE, SERVER_DONE])? {
            CLIENT_DONE => clients.release_next(|input| input.write_all(b"g"))?,
            _ => servers.release_next(|socket| hand_over(&listeners, socket))?,
        }
    }
    let elapsed = start.elapsed();

    let outcome = Outcome { connections, elapsed, servers: servers.started(), clients: clients.started() };
    drop(listeners);
    clients.close()?;
    servers.close()?;
    Ok(outcome)
}

/// The connecting side does most of the work, each process on one processor. One more than there are
/// processors costs nothing on a quiet machine and keeps a fair share of a busy one.
fn clients_at_a_time() -> usize {
    thread::available_parallelism().map_or(2, |processors| processors.get() + 1)
}

/// Raises the limit as far as this machine lets it, and says how far that is.
fn raise_descriptor_limit(wanted: u64) -> Result<u64> {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(wanted);
    let reachable = [wanted.max(hard), hard].into_iter().find(|&limit| {
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit) }).is_ok()
    });
    match reachable {
        Some(limit) if limit > SPARE_DESCRIPTORS => Ok(limit),
        _ => Err(Error::other(format!("{hard} descriptors are too few"))),
    }
}

/// A socket belongs to the namespace it was made in, so a thread goes there, makes the listeners and ends.
fn listen_in(namespace: String) -> Result<Vec<OwnedFd>> {
    let make = move || -> Result<Vec<OwnedFd>> {
        ip::enter(&namespace)?;
        fs::write("/proc/sys/net/core/somaxconn", BACKLOG.to_string())?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        (0..SERVER_PORTS)
            .map(|port| {
                let listener = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
                bind(&listener, &wiring::server(port))?;
                listen(&listener, BACKLOG)?;
                Ok(listener)
            })
            .collect()
    };
    thread::spawn(make).join().expect("making listeners does not panic")
}

fn start_servers(wiring: &Wiring, total: u64, most: u64, words: &PipeWriter) -> Result<Crew<OwnedFd>> {
    let mut crew = Crew::new();
    for share in shares(total, total.div_ceil(most)) {
        let task = Task { namespace: wiring.server.clone(), share, range: None };
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        crew.children.push(spawn(&task, Stdio::from(theirs), words)?);
        crew.waiting.insert(0, ours);
    }
    Ok(crew)
}

fn start_clients(wiring: &Wiring, total: u64, most: u64, words: &PipeWriter) -> Result<Crew<ChildStdin>> {
    let mut crew = Crew::new();
    let mut next_index = [0; CLIENT_NAMESPACES as usize];
    // Each client has its half, as the lab's clients have, and their processes take turns.
    let mut turns = Vec::new();
    for (number, half) in (0..CLIENT_NAMESPACES).zip(shares(total, CLIENT_NAMESPACES)) {
        let split = shares(half, half.div_ceil(most).max(1)).enumerate();
        turns.extend(split.map(|(turn, share)| (turn, number, share)));
    }
    turns.sort_unstable();
    for (_, number, share) in turns {
        let first = &mut next_index[number as usize];
        let namespace = wiring.clients[number as usize].clone();
        let task = Task { namespace, share, range: Some((number, *first)) };
        *first += share;
        let mut child = spawn(&task, Stdio::piped(), words)?;
        crew.waiting.insert(0, child.stdin.take().expect("stdin is piped"));
        crew.children.push(child);
    }
    Ok(crew)
}

/// `total` in `count` parts that differ by one at most.
fn shares(total: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |part| total * (part + 1) / count - total * part / count)
}

fn spawn(task: &Task, input: Stdio, words: &PipeWriter) -> Result<Child> {
    Command::new(env::current_exe()?)
        .args(task.to_arguments())
        .stdin(input)
        .stdout(Stdio::from(words.try_clone()?))
        .spawn()
}

fn hand_over(listeners: &[OwnedFd], socket: &mut OwnedFd) -> Result<()> {
    let descriptors: Vec<_> = listeners.iter().map(|listener| listener.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SERVER_PORTS as usize))];
    let mut messages = SendAncillaryBuffer::new(&mut space);
    assert!(messages.push(SendAncillaryMessage::ScmRights(&descriptors)), "the space was made for them");
    sendmsg(socket.as_fd(), &[IoSlice::new(b"g")], &mut messages, SendFlags::empty())?;
    Ok(())
}

/// The processes of one side. Each waits until it is released, and closes when its input is dropped.
struct Crew<Input> {
    children: Vec<Child>,
    waiting: Vec<Input>,
    released: Vec<Input>,
}

impl<Input> Crew<Input> {
    fn new() -> Self {
        Crew { children: Vec::new(), waiting: Vec::new(), released: Vec::new() }
    }

    fn started(&self) -> usize {
        self.children.len()
    }

    /// Lets the next one work, if one is left.
    fn release_next(&mut self, release: impl FnOnce(&mut Input) -> Result<()>) -> Result<()> {
        if let Some(mut input) = self.waiting.pop() {
            release(&mut input)?;
            self.released.push(input);
        }
        Ok(())
    }

    fn close(mut self) -> Result<()> {
        self.released.clear();
        for child in &mut self.children {
            child.wait()?;
        }
        self.children.clear();
        Ok(())
    }
}

impl<Input> Drop for Crew<Input> {
    /// After an error: whoever is still there is in an unknown state.
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill(); // it may have ended by itself
            let _ = child.wait();
        }
    }
}

/// What the children say, one line at a time.
struct Words(BufReader<PipeReader>);

impl Words {
    /// The next line, which must be one of those expected; anything else is a child's error.
    fn expect<'a>(&mut self, expected: &[&'a str]) -> Result<&'a str> {
        if self.0.buffer().is_empty() {
            let silent =
                poll(&mut [PollFd::new(self.0.get_ref(), PollFlags::IN)], Some(&LONGEST_SILENCE))? == 0;
            if silent {
                return Err(Error::other("the processes have stopped making progress"));
            }
        }
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let said = line.trim_end();
        match expected.iter().find(|word| **word == said) {
            Some(word) => Ok(word),
            None if said.is_empty() => Err(Error::other("all processes have ended")),
            None => Err(Error::other(said.to_string())),
        }
    }
}
