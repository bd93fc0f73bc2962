//! Two ways of doing the same, in turn at each size: what is asked for, and whether the median ratio is good enough.

use crate::lab::median;
use crate::units::{parse_count, thousands};
use clap::Parser;
use std::io::Result;

#[derive(Parser)]
pub struct Arguments {
    /// How many connections, e.g. 300K or 1M; each size is measured by itself
    #[arg(default_value = "300K", value_parser = parse_count)]
    sizes: Vec<u64>,
    /// Pairs of runs of each size
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// One pair of 20K, told and not judged: it shows that the bench runs
    #[arg(long, conflicts_with_all = ["sizes", "rounds"])]
    short: bool,
    /// Added by `cargo bench`; without it the program is being run by `cargo test`
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Of a short round.
const FEW: u64 = 20_000;

impl Arguments {
    /// What a round is over, before and in the comparison.
    pub fn sizes(&self) -> Vec<u64> {
        if self.short { vec![FEW] } else { self.sizes.clone() }
    }
}

/// The bound of a median ratio.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "each bench has one of them")]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// Whether the median of a pair's ratios reached the target at every size; a short round is told by its pair alone. The pair is told its size and its round.
pub fn compare(
    arguments: &Arguments,
    target: Target,
    one_pair: impl Fn(u64, u32) -> Result<f64>,
) -> Result<bool> {
    let mut all = true;
    for size in arguments.sizes() {
        let rounds = if arguments.short { 1 } else { arguments.rounds };
        let ratios = (1..=rounds).map(|round| one_pair(size, round)).collect::<Result<Vec<_>>>()?;
        let lowest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = ratios.iter().copied().fold(0.0, f64::max);
        let ratio = median(ratios);
        let (bound, reached) = match target {
            Target::AtLeast(bound) => (bound, ratio >= bound),
            Target::AtMost(bound) => (bound, ratio <= bound),
        };
        if arguments.short {
            continue;
        }
        let (size, word) = (thousands(size), if reached { "reaches" } else { "misses" });
        println!("{size} connections: median ratio {ratio:.3} ({lowest:.3} to {highest:.3}) {word} {bound}");
        all &= reached;
    }
    Ok(all)
}
