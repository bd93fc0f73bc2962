//! `c1m-lab down`: undoes what a lab's journal says was done.

use std::path::Path;

use crate::cli::DownArgs;
use crate::driver::vagrant::Vagrant;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::journal::{self, Journal};
use crate::spec::{self, DriverKind};
use crate::stderr::print_line;
use crate::teardown;

pub fn run(args: &DownArgs) -> Result<Exit> {
    if let (true, Some(file)) = (args.vms, &args.lab) {
        return destroy_machines(Path::new(file));
    }
    let labs = which(args)?;
    if labs.is_empty() {
        print_line("no lab stands");
    }
    let mut exit = Exit::Done;
    for lab in labs {
        exit = exit.max(take_down(&lab)?);
    }
    Ok(exit)
}

fn destroy_machines(file: &Path) -> Result<Exit> {
    let lab = spec::load(file, &[])?;
    let name = &lab.spec.name;
    if lab.spec.driver != DriverKind::Vagrant {
        return Err(lab.source.error("driver", "only `vagrant` has machines that could be destroyed"));
    }
    let vagrant = Vagrant::beside(file)?;
    let exit = if journal::labs().contains(name) { take_down(name)? } else { Exit::Done };
    vagrant.destroy()?;
    Ok(exit)
}

fn which(args: &DownArgs) -> Result<Vec<String>> {
    let standing = journal::labs();
    match &args.lab {
        Some(lab) if standing.contains(lab) => Ok(vec![lab.clone()]),
        Some(lab) => {
            let others = if standing.is_empty() {
                "none stands".to_owned()
            } else {
                format!("these do: {}", standing.join(", "))
            };
            Err(Error::input(format!("taking down `{lab}`"), format!("no lab of that name stands; {others}")))
        }
        None if args.all || standing.len() <= 1 => Ok(standing),
        None => Err(Error::input("taking a lab down", format!("several stand: {}", standing.join(", ")))
            .remedy("name one, or take all with `--all`")),
    }
}

/// A lab that runs is asked to end in order; what its runner leaves is then undone here.
fn stop_runner(lab: &str) {
    let Some(header) = journal::look(lab).0.filter(journal::Header::is_running) else { return };
    print_line(format!("{lab}: asking its runner, process {}, to stop", header.runner));
    teardown::stop_runner(&header);
}

pub fn take_down(lab: &str) -> Result<Exit> {
    stop_runner(lab);
    if !journal::labs().iter().any(|standing| standing == lab) {
        print_line(format!("{lab}: down, by its own runner"));
        return Ok(Exit::Done);
    }
    let mut journal = Journal::open(lab)?;
    let standing = journal.standing().len();
    let outcome = super::runtime()?.block_on(teardown::undo(&mut journal))?;
    for restored in &outcome.restored {
        match &restored.note {
            Some(note) => print_line(format!("{}: {note}", restored.key)),
            None => print_line(format!("{} is {} again", restored.key, restored.after)),
        }
    }
    if outcome.left_behind.is_empty() {
        journal.end()?;
        match standing {
            0 => print_line(format!("{lab}: down, nothing of it stood any more")),
            1 => print_line(format!("{lab}: down, 1 change undone")),
            more => print_line(format!("{lab}: down, {more} changes undone")),
        }
        return Ok(Exit::Done);
    }
    for leftover in &outcome.left_behind {
        print_line(format!("{lab}: left behind {}: {}", leftover.what, leftover.why));
    }
    Ok(Exit::Leftover)
}
