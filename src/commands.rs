//! One file for each command, and what several of them share.

pub mod by_hand;
pub mod check;
pub mod climb;
pub mod completions;
pub mod docs;
pub mod down;
pub mod exec;
pub mod far;
pub mod plan;
pub mod status;
pub mod unasked;
pub mod up;

use std::io::Write;

use crate::agent;
use crate::cli::{Command, LabArgs, StewardArgs};
use crate::diagnose::explain;
use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::host::Host;
use crate::origin::LabFile;
use crate::plan::Plan;
use crate::spec::{self, Lab, Override};
use crate::{fingerprint, steward};
use unasked::Unasked;

pub fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Up(args) => up::run(&args),
        Command::Climb(args) => climb::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Down(args) => down::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Exec(args) => exec::run(&args),
        Command::Server(args) => by_hand::server(&args),
        Command::Client(args) => by_hand::client(&args),
        Command::Explain(args) => print_text(&match args.cause {
            Some(cause) => explain::one(cause),
            None => explain::list(),
        }),
        Command::Schema(args) => print_json(&args.of.schema()),
        Command::Completions(args) => completions::run(&args),
        Command::Agent(cell) => agent::run_loop::run(&cell),
        Command::Steward(args) => steward(&args),
        Command::Docs(args) => docs::run(&args),
        Command::Man(args) => docs::man(&args),
    }
}

/// It ends without waiting for its runner, which may never read another word.
fn steward(args: &StewardArgs) -> Result<Exit> {
    if args.fingerprint {
        return print_text(&fingerprint::own());
    }
    runtime()?.block_on(steward::run(args.temporary.as_deref(), args.reached.as_deref()))
}

/// Reads the lab file with all overrides, and whether it is to have as many connections as fit.
fn load(args: &LabArgs) -> Result<(Lab, bool)> {
    let fit = args.connections.as_deref() == Some("fit");
    let mut overrides = args.set.iter().map(|set| Override::parse(set)).collect::<Result<Vec<_>>>()?;
    let mut set = |path: &str, value: &str| {
        let shown = format!("--{path} {value}");
        overrides.push(Override { path: path.to_owned(), value: value.to_owned(), shown });
    };
    match &args.connections {
        Some(connections) if !fit => set("connections", connections),
        _ => {}
    }
    if let Some(hold) = &args.hold {
        set("hold", hold);
    }
    Ok((spec::load(&args.file, &overrides)?, fit))
}

/// Decides the plan of a lab on this host.
fn plan_here(mut lab: Lab, fit: bool, host: &Host) -> Result<Plan> {
    if fit {
        lab.spec.connections = crate::plan::here::connections(&lab, host)?;
    }
    crate::plan::decide(&lab, host)
}

/// What is known of a lab before anything is touched.
enum Planned {
    Plan(Box<Plan>, LabFile),
    /// Its nodes are machines, and nobody has asked them what they are.
    Unasked(Box<Unasked>),
}

/// Decides the plan of a lab. Where its nodes are machines they are asked what they are, if that is wanted, and let go.
fn plan_anywhere(args: &LabArgs, host: &mut Host, ask_machines: bool) -> Result<Planned> {
    let (lab, fit) = load(args)?;
    if !lab.spec.driver.is_far() {
        host.read_settings(lab.spec.sysctl.host.keys());
        let file = LabFile::of(&lab.source, fit);
        return plan_here(lab, fit, host).map(|plan| Planned::Plan(Box::new(plan), file));
    }
    if !ask_machines {
        return Unasked::new(&lab, &args.file, fit).map(Box::new).map(Planned::Unasked);
    }
    let file = LabFile::of(&lab.source, fit);
    runtime()?.block_on(async {
        let far::Far { plan, machines, .. } =
            far::plan((lab, fit), &args.file, host, far::Idle::AreAnError).await?;
        machines.close().await;
        Ok(Planned::Plan(Box::new(plan), file))
    })
}

/// One thread: a runner waits more than it works, and its agents' parent must not be a worker that ends.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .attempt(Exit::Broke, || "starting the runtime".to_owned())
}

pub fn print_json(value: &impl serde::Serialize) -> Result<Exit> {
    let text = serde_json::to_string_pretty(value).attempt(Exit::Broke, || "writing JSON".to_owned())?;
    print_text(&text)
}

/// A reader that goes away early, as `head` does, is no error.
pub fn print_text(text: &str) -> Result<Exit> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::broke("writing to stdout", error))
        }
        _ => Ok(Exit::Done),
    }
}
