//! Arguments, one call, one printed error, an exit code.

use std::process::ExitCode;

use c1m_lab::cli::Cli;
use c1m_lab::commands;
use c1m_lab::exit::Exit;
use c1m_lab::stderr::print_line;
use clap::Parser;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are told the same way, but are no mistake.
            let _ = told.print();
            return if told.use_stderr() { Exit::Input.into() } else { Exit::Done.into() };
        }
    };
    match commands::run(cli.command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            print_line(format!("error: {error}"));
            error.exit.into()
        }
    }
}
