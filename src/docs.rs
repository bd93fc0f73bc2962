//! The pages of `docs/` that are rendered from the code, so that they cannot go stale. Pure.

mod commands;
mod fields;
mod lab_file;
pub mod manual;
mod report;
mod table;

#[cfg(test)]
mod tests;

use crate::diagnose::explain;
use crate::exit::Exit;
use table::Table;

/// A page, by its file name in `docs/`.
pub struct Page {
    pub name: &'static str,
    pub text: String,
}

pub fn pages() -> [Page; 4] {
    [
        Page { name: "lab-file.md", text: lab_file::page() },
        Page { name: "report.md", text: report::page() },
        Page { name: "commands.md", text: commands::page() },
        Page { name: "limits.md", text: origin("the rows of src/diagnose/rows") + &explain::page() },
    ]
}

/// The table of exit codes, as the README shows it too.
pub fn exit_codes() -> String {
    let mut table = Table::new(&["Code", "Meaning"]);
    for exit in Exit::ALL {
        table.row([exit.code().to_string(), exit.meaning().to_owned()]);
    }
    table.render()
}

/// Says at the head of a page where it comes from.
fn origin(source: &str) -> String {
    format!("<!-- Written by `c1m-lab docs docs` from {source}. Change the code, not this page. -->\n")
}
