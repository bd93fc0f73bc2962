//! `c1m-lab completions`: what a shell needs to complete commands and flags.

use std::io::Write;

use crate::cli::{Cli, CompletionsArgs};
use crate::error::Result;
use crate::exit::Exit;

pub fn run(args: &CompletionsArgs) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::shown(), "c1m-lab", &mut script);
    // A reader that goes away early wanted no more.
    let _ = std::io::stdout().write_all(&script);
    Ok(Exit::Done)
}
