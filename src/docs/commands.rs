//! `docs/commands.md`: the `--help` of every command, from the definition of the command line.

use clap::{Command, CommandFactory};

use super::{exit_codes, origin};
use crate::cli::Cli;

/// Help is wrapped here, whatever terminal it is rendered in.
const WIDTH: usize = 100;

pub fn page() -> String {
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    let mut text = origin("the definition of the command line");
    text += "# Commands\n\n";
    text += &block(&help(root.clone()));
    text += "\n## Exit codes\n\nThey are the same for every command.\n\n";
    text += &exit_codes();
    let shown = root.get_subcommands().filter(|command| !command.is_hide_set());
    for command in shown.filter(|command| command.get_name() != "help") {
        text += &format!("\n## {}\n\n", command.get_name());
        text += &block(&help(command.clone()));
    }
    text
}

fn help(command: Command) -> String {
    command.term_width(WIDTH).render_help().to_string()
}

fn block(help: &str) -> String {
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n"))
}
