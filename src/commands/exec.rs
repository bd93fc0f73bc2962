//! `c1m-lab exec`: a command inside a node.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::cli::ExecArgs;
use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::journal::{self, Change};
use crate::kernel::netns::{self, Namespace};

/// Becomes the command; returns only when that fails.
pub fn run(args: &ExecArgs) -> Result<Exit> {
    let namespace = find(&args.node)?;
    let what = || format!("entering {}", namespace.name);
    netns::enter(namespace.file()).attempt(Exit::Host, what)?;
    let (program, arguments) = args.command.split_first().ok_or_else(|| {
        Error::input("running a command in a node", "no command was given")
            .remedy("c1m-lab exec server -- ss -s")
    })?;
    let error = Command::new(program).args(arguments).exec();
    Err(Error::input(format!("running `{program}` in {}", namespace.name), error))
}

/// `server`, or `c1000k/server` when several labs stand.
fn find(node: &str) -> Result<Namespace> {
    let what = || format!("finding the node `{node}`");
    let (lab, wanted) = match node.split_once('/') {
        Some((lab, wanted)) => (Some(lab), wanted),
        None => (None, node),
    };
    let labs: Vec<String> =
        journal::labs().into_iter().filter(|name| lab.is_none_or(|lab| lab == name)).collect();
    let mut known = Vec::new();
    let mut found = Vec::new();
    for lab in &labs {
        let prefix = format!("c1m-{lab}-");
        for standing in journal::look(lab).1 {
            let Change::Namespace { name, identity } = standing.change else { continue };
            let Some(short) = name.strip_prefix(&prefix) else { continue };
            known.push(format!("{lab}/{short}"));
            if short == wanted {
                found.push((name, identity));
            }
        }
    }
    match found.as_slice() {
        [(name, identity)] => identity.and_then(|identity| netns::open_if(name, identity)).ok_or_else(|| {
            Error::host(what(), format!("the namespace {name} is not there, or is not the lab's")).remedy(
                format!(
                    "has someone removed it? `ls -i {}` and `c1m-lab status` show more",
                    netns::DIRECTORY
                ),
            )
        }),
        [] if known.is_empty() => Err(Error::input(what(), "no lab stands")
            .remedy("`c1m-lab up --keep` leaves one standing after its hold")),
        [] => Err(Error::input(what(), format!("these stand: {}", known.join(", ")))),
        _ => Err(Error::input(what(), "several labs have one")
            .remedy(format!("name the lab too: {}", known.join(", ")))),
    }
}
