//! `c1m-lab server` and `c1m-lab client`: the two programs by hand, on any two machines.

mod causes;
mod interrupts;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use crate::agent::SwarmOrder;
use crate::agent::errno;
use crate::agent::hold::Passes;
use crate::agent::reactor::{self, Reactor};
use crate::agent::swarm::Swarm;
use crate::agent::tally::{Row, Tally};
use crate::cli::{ClientArgs, ServerArgs};
use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::plan::Talk;
use crate::plan::tuples::{Addresses, Tuples};
use crate::stderr::print_line;
use crate::units::{Family, PortRange, Ports, grouped};
use causes::{AtPort, Tried};
use interrupts::Interrupts;

/// A reader that goes away does not end the connections.
macro_rules! tell {
    ($($what:tt)*) => {{
        let _ = writeln!(std::io::stdout(), $($what)*);
    }};
}

/// A line is written for so many connections.
const LINE: u64 = 1_000;
/// Descriptors that are no connections.
const OWN: u64 = 16;
const LOOK: Duration = Duration::from_millis(200);

/// Takes as many descriptors as this process may have, and says how many.
fn raise_nofile() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if rustix::process::setrlimit(Resource::Nofile, raised).is_ok() {
        hard
    } else {
        limit.current.unwrap_or(hard)
    }
}

/// Tells every further thousand, with the time since the first.
struct Teller {
    what: &'static str,
    began: Option<Instant>,
    told: u64,
}

impl Teller {
    fn tell(&mut self, count: u64) {
        if count > 0 {
            self.began.get_or_insert_with(Instant::now);
        }
        let elapsed = self.began.map_or(0.0, |began| began.elapsed().as_secs_f64());
        while self.told + LINE <= count {
            self.told += LINE;
            tell!("{:>12} {} {elapsed:>9.3} s", grouped(self.told), self.what);
        }
    }
}

pub fn server(args: &ServerArgs) -> Result<Exit> {
    let nofile = raise_nofile();
    let capacity = nofile.saturating_sub(OWN + args.ports.len() as u64);
    let what = || format!("serving on {}:{}", args.address, args.ports);
    let listeners = reactor::listen(&[args.address], &args.ports, args.backlog)
        .map_err(|(address, error)| cannot_listen(address, error))?;
    let interrupts = Interrupts::listen().attempt(Exit::Broke, what)?;
    let mut reactor = Reactor::new(capacity).attempt(Exit::Broke, what)?;
    reactor.adopt(listeners);
    reactor.accept().attempt(Exit::Broke, what)?;
    tell!(
        "listening on {}:{}, room for {} connections; Ctrl-C ends it",
        args.address,
        args.ports,
        grouped(capacity)
    );
    let mut teller = Teller { what: "accepted", began: None, told: 0 };
    let (mut lost, mut full) = (0, false);
    while !interrupts.pressed() {
        let turn = reactor.turn(Some(LOOK)).attempt(Exit::Broke, what)?;
        teller.tell(reactor.counts().established);
        if turn.full && !full {
            full = true;
            tell!("full: {} descriptors are in use; raise the limit (`ulimit -n`) for more", grouped(nofile));
            reactor.release_listeners();
        }
        let gone = reactor.counts().lost.total();
        if gone / LINE != lost / LINE || (gone != lost && reactor.counts().open == 0) {
            tell!("{:>12} closed by the clients, {} open", grouped(gone), grouped(reactor.counts().open));
        }
        lost = gone;
    }
    let counts = reactor.counts();
    tell!(
        "ended: accepted {}, of which {} were closed by the clients and {} were open",
        grouped(counts.established),
        grouped(counts.lost.total()),
        grouped(counts.open)
    );
    Ok(Exit::Done)
}

fn cannot_listen(address: SocketAddr, error: Errno) -> Error {
    let (what, port) = (format!("listening on {address}"), address.port());
    let told = Error::host(what, errno::meaning(&errno::name(error)));
    match error {
        Errno::ADDRINUSE => told.remedy(format!(
            "another program has the port (`ss -ltnp sport = :{port}` shows it): give others with `--ports`"
        )),
        Errno::ADDRNOTAVAIL => {
            told.remedy("this machine has no such address: `ip address` shows those it has")
        }
        Errno::ACCESS => told.remedy("ports below 1024 are for root: give others with `--ports`"),
        Errno::MFILE => told.remedy("each port takes a descriptor: fewer `--ports`, or raise `ulimit -n`"),
        _ => told,
    }
}

pub fn client(args: &ClientArgs) -> Result<Exit> {
    let nofile = raise_nofile();
    let what = || format!("opening connections to {}", args.server);
    let room = nofile.saturating_sub(OWN);
    let count = args.connections.0.min(room);
    if count < args.connections.0 {
        tell!(
            "{} descriptors allow {} connections of {}: raise the limit (`ulimit -n`), or start several clients",
            grouped(nofile),
            grouped(room),
            grouped(args.connections.0)
        );
    }
    let order = order(args, count)?;
    let mut swarm = Swarm::new(order.clone()).attempt(Exit::Broke, what)?;
    let interrupts = Interrupts::listen().attempt(Exit::Broke, what)?;
    let mut teller = Teller { what: "connected", began: None, told: 0 };
    swarm.go(u64::MAX);
    while !swarm.ramped() && !interrupts.pressed() {
        let wait = swarm.ramp();
        swarm.turn(Some(wait.map_or(LOOK, |wait| wait.min(LOOK)))).attempt(Exit::Broke, what)?;
        teller.tell(swarm.established());
    }
    swarm.give_up();
    let counts = swarm.counts();
    tell!(
        "asked {} = established {} + failed {} + untried {}",
        grouped(args.connections.0),
        grouped(counts.established),
        grouped(counts.failed.total()),
        grouped(args.connections.0.saturating_sub(counts.tried))
    );
    tell_ends("failed", &counts.failed);
    for cause in tried(&order, &swarm, &counts.failed).causes() {
        tell!("likely cause: {cause}");
    }
    if !interrupts.pressed() {
        hold(&mut swarm, args.hold.map(|hold| hold.0), &interrupts).attempt(Exit::Broke, what)?;
    }
    tell_ends("lost", &swarm.counts().lost);
    if counts.established > 0 {
        let lost = swarm.counts().lost.total();
        tell!("{} held to the end, {} lost", grouped(swarm.counts().open), grouped(lost));
    }
    while !swarm.close_some() {}
    let all = counts.established == args.connections.0 && swarm.counts().lost.total() == 0;
    Ok(if all { Exit::Done } else { Exit::Expectation })
}

/// What became of the connections to each port.
fn tried<'a>(order: &SwarmOrder, swarm: &Swarm, failed: &'a Tally) -> Tried<'a> {
    let mut at: BTreeMap<u16, AtPort> = BTreeMap::new();
    for (slot, stands) in (0..).zip(swarm.standing()) {
        let at = at.entry(order.tuples.at(slot).1.port()).or_default();
        *(if stands { &mut at.established } else { &mut at.failed }) += 1;
    }
    Tried { ports: order.tuples.server_ports.0[0], at, failed }
}

fn order(args: &ClientArgs, count: u64) -> Result<SwarmOrder> {
    let last = args.first_port.checked_add(args.ports.max(1) - 1).ok_or_else(|| {
        let what = format!("taking {} ports from {}", args.ports, args.first_port);
        let most = u16::MAX - args.first_port + 1;
        Error::input(what, "the last port is 65535").remedy(format!("give `--ports {most}`, or fewer"))
    })?;
    let server_ports = Ports(vec![PortRange { first: args.first_port, last }]);
    let any = Family::of(args.server).unspecified();
    let tuples = Tuples {
        // Without source addresses the system chooses address and port, and nothing is bound.
        sources: Addresses { first: args.source.unwrap_or(any), count: args.sources.max(1) },
        source_ports: PortRange { first: 1024, last: 65535 },
        server: args.server,
        server_ports,
        kernel_chooses: false,
        spread: None,
    };
    if args.source.is_some() && tuples.possible() < count {
        let why = format!("these sources and ports give {} five-tuples", grouped(tuples.possible()));
        return Err(Error::input(format!("planning {} connections", grouped(count)), why)
            .remedy("give more source addresses (`--sources`), or more ports (`--ports`)"));
    }
    Ok(SwarmOrder {
        tuples,
        first: 0,
        count,
        round_step: count,
        rounds: 1,
        window: 256,
        timeout_ms: args.timeout.0.as_millis() as u64,
        rate: None,
        talk: Talk::Idle,
    })
}

/// Holds what is connected, for as long as anything is.
fn hold(swarm: &mut Swarm, hold: Option<Duration>, interrupts: &Interrupts) -> std::io::Result<()> {
    let until = hold.map(|hold| Instant::now() + hold);
    let mut passes = Passes::new();
    let mut lost = 0;
    while until.is_none_or(|until| Instant::now() < until) && !interrupts.pressed() {
        if swarm.counts().open == 0 {
            let what = if lost > 0 { "every connection has ended" } else { "nothing is connected" };
            print_line(format!("{what}: there is nothing to hold"));
            break;
        }
        while passes.is_due() {
            passes.run(|from| swarm.sweep(from));
        }
        let now = swarm.counts().lost.total();
        if now > lost {
            tell!("{:>12} lost", grouped(now));
            lost = now;
        }
        let left = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()));
        swarm.turn(Some(left.min(LOOK)))?;
    }
    Ok(())
}

fn tell_ends(what: &str, tally: &Tally) {
    for Row { operation, errno, count } in tally.rows() {
        let operation = format!("{operation:?}").to_lowercase();
        tell!("{:>12} {what}: {operation} {errno}, {}", grouped(count), errno::meaning(&errno));
    }
}
