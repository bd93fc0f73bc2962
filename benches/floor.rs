//! The floor: how fast plain system calls open N connections between network namespaces on this machine.
//!
//!     cargo bench --bench floor -- --connections 300K [--json]
//!
//! There is no lab in it, no report and no accounting: the least code that opens the connections with the
//! topology and the number of processes the lab would use. What the lab adds is measured by `ramp`.

use clap::Parser;
use std::process::ExitCode;

#[path = "common/ends.rs"]
mod ends;
#[path = "common/floor.rs"]
mod floor;
#[path = "common/ip.rs"]
mod ip;
#[path = "common/units.rs"]
mod units;
#[path = "common/wiring.rs"]
mod wiring;

#[derive(Parser)]
struct Arguments {
    /// How many connections to open, e.g. 300K or 1M
    #[arg(long, default_value = "300K", value_parser = units::parse_count)]
    connections: u64,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    /// Added by `cargo bench`; without it the program is being run by `cargo test`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    if let Some(status) = ends::run_if_child() {
        return status;
    }
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("the floor is measured by `cargo bench --bench floor`");
        return ExitCode::SUCCESS;
    }
    match floor::measure(arguments.connections) {
        Ok(outcome) if arguments.json => println!("{}", outcome.to_json()),
        Ok(outcome) => println!("{outcome}"),
        Err(error) => {
            eprintln!("floor: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
