//! What plain sockets need on this machine at this moment: a measure for times that hangs on no other machine and on
//! no load average.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Instant;

/// As many as the smoke run, fewer at a time than a process may have descriptors for.
const CONNECTIONS: usize = 10_000;
const AT_A_TIME: usize = 400;
/// Each connection of the smoke run has about as many.
const ECHOES: usize = 2;

/// Seconds.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    pub cpu: f64,
    pub wall: f64,
}

/// Opens the connections over loopback in this thread, has each echo, and closes them.
pub fn measure() -> Floor {
    let (began, cpu) = (Instant::now(), cpu_of_this_thread());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    for _ in 0..CONNECTIONS / AT_A_TIME {
        let pairs: Vec<(TcpStream, TcpStream)> = (0..AT_A_TIME)
            .map(|_| {
                let client = TcpStream::connect(address).expect("somebody listens");
                (client, listener.accept().expect("one has connected").0)
            })
            .collect();
        for (mut client, mut server) in pairs {
            for _ in 0..ECHOES {
                let mut message = [1; 64];
                client.write_all(&message).expect("room");
                server.read_exact(&mut message).expect("a message");
                server.write_all(&message).expect("room");
                client.read_exact(&mut message).expect("the echo");
            }
        }
    }
    Floor { cpu: cpu_of_this_thread() - cpu, wall: began.elapsed().as_secs_f64() }
}

/// The first field is in nanoseconds.
fn cpu_of_this_thread() -> f64 {
    let text =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts time by thread");
    let spent: u64 = text.split(' ').next().and_then(|field| field.parse().ok()).expect("a number");
    spent as f64 / 1e9
}
