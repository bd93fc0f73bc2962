//! `c1m-lab climb`: run, lift the limit that bit, run again, until every connection stands.

use super::up;
use crate::cli::{ClimbArgs, UpArgs};
use crate::climb::{self, End, Ladder};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report::folder::Folder;
use crate::spec::{self, Override};
use crate::stderr::print_line;
use crate::units::grouped;

pub fn run(args: &ClimbArgs) -> Result<Exit> {
    let sets = args.lab.set.iter().map(|set| Override::parse(set)).collect::<Result<Vec<_>>>()?;
    let lab = spec::load(&args.lab.file, &sets)?.spec;
    let folder = Folder::create(args.out.as_deref(), &format!("{}-climb", lab.name))?;
    print_line(format!("{} · climb", lab.name));
    print_line(String::new());
    print_line(climb::head());
    let mut ladder = Ladder::default();
    loop {
        let step = ladder.rungs.len() + 1;
        let ended = up::run_lab(&step_args(args, &ladder, &folder, step))?;
        if let Some(error) = ended.failure {
            return Err(error);
        }
        if step == 1 {
            ladder = Ladder::new(ended.report.asked);
        }
        let goes_on = ladder.climb(&ended.report).is_some();
        if let Some(rung) = ladder.rungs.last() {
            print_line(rung.line(step));
            rung.remedies().for_each(print_line);
        }
        folder.write("ladder.json", &ladder)?;
        if !ended.report.left_behind.is_empty() {
            return Ok(Exit::Leftover);
        }
        if !goes_on {
            break;
        }
    }
    print_line(String::new());
    end(&ladder, &folder)
}

/// The same run with everything that was learnt so far.
fn step_args(args: &ClimbArgs, ladder: &Ladder, folder: &Folder, step: usize) -> UpArgs {
    let mut lab = args.lab.clone();
    lab.set.extend(ladder.changes().iter().map(|change| format!("{}={}", change.path, change.value)));
    UpArgs {
        lab,
        out: Some(folder.file(&format!("step-{step}"))),
        quiet: !args.verbose,
        lower_host_limits: args.lower_host_limits,
        start_machines: args.start_machines,
        allow_host_setting: args.allow_host_setting.clone(),
        ..UpArgs::default()
    }
}

fn end(ladder: &Ladder, folder: &Folder) -> Result<Exit> {
    let steps = ladder.rungs.len();
    let shown = folder.file("ladder.json");
    match &ladder.end {
        Some(End::Reached) => {
            print_line(format!(" reached  all {} connections, in {steps} steps", grouped(ladder.asked)));
            print_line(format!(" ladder   {}", shown.display()));
            Ok(Exit::Done)
        }
        Some(End::Stuck(why)) => {
            print_line(format!(" ladder   {}", shown.display()));
            let reached = ladder.rungs.last().map_or(0, |rung| rung.reached);
            let what = format!("climbing to {} connections", grouped(ladder.asked));
            Err(Error::new(
                Exit::Expectation,
                what,
                format!("{} after {steps} steps: {why}", grouped(reached)),
            )
            .remedy("each step's report.json has the evidence"))
        }
        None => Ok(Exit::Broke),
    }
}
