//! Manual pages, one for the whole and one for each command, from the definition of the command line.

use clap::Command;
use clap_mangen::Man;

use crate::cli::Cli;

/// A manual page, by its file name in section 1.
pub struct ManualPage {
    pub name: String,
    pub text: Vec<u8>,
}

pub fn pages() -> std::io::Result<Vec<ManualPage>> {
    let mut root = Cli::shown();
    root.build();
    let commands = root.get_subcommands().cloned();
    std::iter::once(root.clone()).chain(commands).map(page).collect()
}

fn page(command: Command) -> std::io::Result<ManualPage> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    let source = format!("c1m-lab {}", env!("CARGO_PKG_VERSION"));
    Man::new(command).title(&name).source(source).manual("c1m-lab").render(&mut text)?;
    Ok(ManualPage { name: format!("{name}.1"), text })
}
