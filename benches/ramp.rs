//! The lab's ramp against the floor: both open the same number of connections, in turn, on the same machine.
//!
//!     cargo bench --bench ramp -- 300K 1M --rounds 3
//!
//! Absolute rates move with the machine's other work and with how much of its memory has been used before, so
//! only the ratio of two runs next to each other means something. It ends with 1 if the median ratio is below
//! the target.

use clap::Parser;
use pairs::{Arguments, Target};
use std::io::Result;
use std::process::ExitCode;
use units::thousands;

#[path = "common/ends.rs"]
mod ends;
#[path = "common/floor.rs"]
mod floor;
#[path = "common/ip.rs"]
mod ip;
#[path = "common/lab.rs"]
mod lab;
#[path = "common/pairs.rs"]
mod pairs;
#[path = "common/units.rs"]
mod units;
#[path = "common/wiring.rs"]
mod wiring;

/// The share of the floor's rate that the lab has to reach.
const TARGET: Target = Target::AtLeast(0.95);

fn main() -> ExitCode {
    if let Some(status) = ends::run_if_child() {
        return status;
    }
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("the ramp is measured by `cargo bench --bench ramp`");
        return ExitCode::SUCCESS;
    }
    match compare(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ramp: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Memory the machine has never used before costs several times as much, whoever is first to need it.
fn compare(arguments: &Arguments) -> Result<bool> {
    if let Some(largest) = arguments.sizes().into_iter().max() {
        println!("warm-up {}", floor::measure(largest)?);
    }
    pairs::compare(arguments, TARGET, one_pair)
}

/// The lab's rate in relation to the floor's. Who goes first changes from round to round.
fn one_pair(size: u64, round: u32) -> Result<f64> {
    let (floor, lab) = if round.is_multiple_of(2) {
        let lab = lab::run(&lab::file_of("ramp"), size)?;
        (floor::measure(size)?, lab)
    } else {
        (floor::measure(size)?, lab::run(&lab::file_of("ramp"), size)?)
    };
    let lab_rate = size as f64 / lab.seconds.ramp;
    let ratio = lab_rate / floor.rate();
    println!(
        "{} round {round}: floor {}/s ({}+{} processes) lab {}/s ({}+{} processes) ratio {ratio:.3}",
        thousands(size),
        thousands(floor.rate() as u64),
        floor.servers,
        floor.clients,
        thousands(lab_rate as u64),
        lab.server.processes,
        lab.clients.processes,
    );
    Ok(ratio)
}
