//! The lab's own way down beside the naive one: the same lab with the same connections, ended in turn by both.
//!
//!     cargo bench --bench drain -- 300K 1M --rounds 3
//!
//! Naive is what a person would do: SIGKILL for every process, `ip netns delete`, and waiting until nothing is
//! left. The lab's way is Ctrl-C, to the end of its runner. Both are over when the kernel has let go of the
//! namespaces. It ends with 1 if the median ratio is above the target.

use clap::Parser;
use pairs::{Arguments, Target};
use standing::{End, Standing};
use std::io::Result;
use std::process::ExitCode;
use units::thousands;

#[path = "common/ip.rs"]
mod ip;
#[path = "common/lab.rs"]
mod lab;
#[path = "common/pairs.rs"]
mod pairs;
#[path = "common/standing.rs"]
mod standing;
#[path = "common/units.rs"]
mod units;

/// The share of the naive way's time that the lab may take.
const TARGET: Target = Target::AtMost(0.5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("the drain is measured by `cargo bench --bench drain`");
        return ExitCode::SUCCESS;
    }
    match pairs::compare(&arguments, TARGET, one_pair) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("drain: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The lab's time in relation to the naive way's. Who goes first changes from round to round.
fn one_pair(size: u64, round: u32) -> Result<f64> {
    let (naive, lab) = if round.is_multiple_of(2) {
        let lab = Standing::up(size)?.end_as_a_lab()?;
        (Standing::up(size)?.end_naively()?, lab)
    } else {
        (Standing::up(size)?.end_naively()?, Standing::up(size)?.end_as_a_lab()?)
    };
    let ratio = lab.elapsed.as_secs_f64() / naive.elapsed.as_secs_f64();
    println!("{} round {round}: naive {} lab {} ratio {ratio:.3}", thousands(size), told(&naive), told(&lab));
    Ok(ratio)
}

fn told(end: &End) -> String {
    format!("{:.2} s ({} in TIME_WAIT)", end.elapsed.as_secs_f64(), thousands(end.time_wait))
}
