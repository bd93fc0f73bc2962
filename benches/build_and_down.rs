//! The time the lab needs to build and remove 200 client namespaces with 50 addresses each, beside the bare
//! kernel's time for the same.
//!
//!     cargo bench --bench build -- --rounds 3
//!
//! Bare means a few runs of `ip -batch`: what the kernel itself costs, plus reading lines of text.

use clap::Parser;
use lab::median;
use std::fs;
use std::io::{Error, Result};
use std::process::{self, ExitCode};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

#[path = "common/ip.rs"]
mod ip;
#[path = "common/lab.rs"]
mod lab;

const CLIENTS: u64 = 200;
const ADDRESSES_PER_CLIENT: u64 = 50;
const CONNECTIONS: u64 = 2000;
/// Of `/proc/net/dev`.
const HEADER_LINES: usize = 2;
const LONGEST_REMOVAL: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Arguments {
    /// Pairs of runs
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure the bare kernel only
    #[arg(long)]
    bare: bool,
    /// Added by `cargo bench`; without it the program is being run by `cargo test`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("building is measured by `cargo bench --bench build`");
        return ExitCode::SUCCESS;
    }
    match compare(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("build: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<()> {
    let (mut bare_totals, mut lab_totals) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        let (build, down) = bare_kernel()?;
        bare_totals.push(build + down);
        print!("round {round}: bare build {build:.3} s down {down:.3} s");
        if !arguments.bare {
            let seconds = lab::run(&lab_file(), CONNECTIONS)?.seconds;
            lab_totals.push(seconds.build + seconds.down);
            print!("  lab build {:.3} s down {:.3} s", seconds.build, seconds.down);
        }
        println!();
    }
    let bare = median(bare_totals);
    print!("{CLIENTS} clients, {} addresses: bare {bare:.3} s", CLIENTS * ADDRESSES_PER_CLIENT);
    if !arguments.bare {
        let lab = median(lab_totals);
        print!("  lab {lab:.3} s  ratio {:.2}", lab / bare);
    }
    println!();
    Ok(())
}

fn lab_file() -> String {
    format!(
        "\
name: build
connections: {CONNECTIONS}
server:
  ports: 9900-9999
clients:
  count: {CLIENTS}
  addresses: {ADDRESSES_PER_CLIENT}
  ports: 1024-65535
hold: 0s
"
    )
}

/// Seconds to build and to remove the same network with `ip -batch`.
fn bare_kernel() -> Result<(f64, f64)> {
    let names = Names(process::id());
    let start = Instant::now();
    names.build()?;
    let build = start.elapsed().as_secs_f64();
    let start = Instant::now();
    names.remove_clients()?;
    // A deleted namespace is gone once its device is: the other end of the pair, which is the server's, goes
    // with it.
    while names.devices_of_server()? > 1 {
        if start.elapsed() > LONGEST_REMOVAL {
            return Err(Error::other("the namespaces do not go away"));
        }
        sleep(Duration::from_millis(1));
    }
    drop(names);
    Ok((build, start.elapsed().as_secs_f64()))
}

/// The namespaces `floor-<process>-…`, removed when dropped.
struct Names(u32);

impl Names {
    fn server(&self) -> String {
        format!("floor-{}-server", self.0)
    }

    fn client(&self, number: u64) -> String {
        format!("floor-{}-{number}", self.0)
    }

    fn build(&self) -> Result<()> {
        let server = self.server();
        let (mut namespaces, mut links) = (format!("netns add {server}\n"), String::new());
        let mut at_server = String::from("link set lo up\n");
        for number in 0..CLIENTS {
            let client = self.client(number);
            namespaces += &format!("netns add {client}\n");
            links +=
                &format!("link add to-{number} netns {server} type veth peer name uplink netns {client}\n");
            at_server +=
                &format!("address add 10.{number}.0.254/24 dev to-{number}\nlink set to-{number} up\n");
        }
        ip::batch(&(namespaces + &links))?;
        ip::batch_in(&server, &at_server)?;
        for number in 0..CLIENTS {
            let mut at_client = String::from("link set lo up\nlink set uplink up\n");
            for host in 1..=ADDRESSES_PER_CLIENT {
                at_client += &format!("address add 10.{number}.0.{host}/24 dev uplink\n");
            }
            at_client += &format!("route add default via 10.{number}.0.254\n");
            ip::batch_in(&self.client(number), &at_client)?;
        }
        Ok(())
    }

    fn remove_clients(&self) -> Result<()> {
        let names = (0..CLIENTS).map(|number| self.client(number));
        ip::batch(&deletions(names))
    }

    fn devices_of_server(&self) -> Result<usize> {
        let server = self.server();
        // The file shows the namespace of whoever opens it, here a thread that goes there.
        let count = move || {
            ip::enter(&server)?;
            Ok(fs::read_to_string("/proc/thread-self/net/dev")?.lines().count() - HEADER_LINES)
        };
        thread::spawn(count).join().expect("counting lines does not panic")
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let names = (0..CLIENTS).map(|number| self.client(number)).chain([self.server()]);
        if let Err(error) = ip::batch(&deletions(names)) {
            eprintln!("build: the namespaces floor-{}-* could not be removed: {error}", self.0);
        }
    }
}

/// The lines that delete those of the namespaces that exist.
fn deletions(names: impl Iterator<Item = String>) -> String {
    let present = names.filter(|name| fs::exists(format!("/run/netns/{name}")).unwrap_or(false));
    present.map(|name| format!("netns delete {name}\n")).collect()
}
