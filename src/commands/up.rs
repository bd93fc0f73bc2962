//! `c1m-lab up`: plan, run, report.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::Runtime;

use super::far::{Far, Idle};
use super::{load, plan_here, print_json};
use crate::cli::UpArgs;
use crate::driver::Driver;
use crate::driver::netns::NetnsDriver;
use crate::driver::ssh::SshDriver;
use crate::error::{Attempt, Error, Result};
use crate::event::Event;
use crate::exit::Exit;
use crate::host::{Capability, Host};
use crate::journal::{self, Header, Journal};
use crate::kernel::{proc, process};
use crate::log::{Listener, Log};
use crate::origin::{Beginning, LabFile};
use crate::plan::{Plan, lowering, permits};
use crate::progress::{Screen, Show};
use crate::record::PlanRecord;
use crate::report::folder::{self, Folder};
use crate::report::{self, Report, junit, text};
use crate::rootless;
use crate::spec::Lab;
use crate::stderr::print_line;
use crate::teardown::Leftover;
use crate::up::{Interrupts, Run};

/// The privileges a lab of namespaces needs, and what for.
const NEEDED: [(Capability, &str); 2] = [
    (Capability::SysAdmin, "to make network namespaces and give them names"),
    (Capability::NetAdmin, "to make veth pairs, addresses and routes"),
];

pub fn run(args: &UpArgs) -> Result<Exit> {
    args.junit.as_deref().map_or(Ok(()), folder::check_for_user)?;
    let ended = run_lab(args);
    let told_to_junit = args.junit.as_ref().map_or(Exit::Done, |file| {
        let xml = match &ended {
            Ok(Ended { report, failure: None, .. }) => junit::of_report(report),
            Ok(Ended { failure: Some(error), .. }) | Err(error) => {
                junit::of_error(&args.lab.file.display().to_string(), error)
            }
        };
        told(folder::write_for_user(file, xml.as_bytes()))
    });
    let ended = ended?;
    ended.failure.map_or(Ok(ended.exit.max(told_to_junit)), Err)
}

/// A run that has come to a report, even if it broke before anything was built.
pub struct Ended {
    pub exit: Exit,
    pub report: Report,
    pub failure: Option<Error>,
}

/// A file that could not be written is no reason to withhold what the run came to.
fn told<T>(written: Result<T>) -> Exit {
    let Err(error) = written else { return Exit::Done };
    print_line(format!("error: {error}"));
    Exit::Broke
}

pub fn run_lab(args: &UpArgs) -> Result<Ended> {
    // A lab file that is wrong is told before anything else.
    let (lab, fit) = load(&args.lab)?;
    permits::check(&lab.spec, &args.allow_host_setting).map_err(|refusal| refusal.of(&lab))?;
    let host = host_now(&lab);
    if lab.spec.driver.is_far() { run_far(args, lab, fit, &host) } else { run_here(args, &lab, fit, host) }
}

/// This host beside other labs, with the settings that this one asks for.
fn host_now(lab: &Lab) -> Host {
    let mut host = journal::beside::host();
    host.read_settings(lab.spec.sysctl.host.keys());
    host
}

fn run_here(args: &UpArgs, lab: &Lab, fit: bool, host: Host) -> Result<Ended> {
    let beginning = Beginning::now(LabFile::of(&lab.source, fit), &host);
    // In a user namespace of its own there are no other labs, and less is seen of the host.
    let shared = rootless::is_unneeded(&host);
    let (host, plan) = prepare(lab, fit, host)?;
    lowering::check(plan.host_settings(), args.lower_host_limits)?;
    let runtime = super::runtime()?;
    let place = Place::make(args, &runtime, &plan, beginning)?;
    // Once more, now that no other lab can begin meanwhile: another may have begun since.
    let again = |plan: Plan| {
        if !shared {
            return Ok(plan);
        }
        let plan = plan_here(lab.clone(), fit, &host_now(lab))?;
        lowering::check(plan.host_settings(), args.lower_host_limits).map(|()| plan)
    };
    let (journal, plan) = begin(plan, &place, again)?;
    finish(args, &runtime, &plan, NetnsDriver::new(journal, host.cgroup), place)
}

/// The machines are reached first: what they are decides the plan. Nothing of this host is changed, so that any
/// user may do it; only root has a journal here, by which `status` and `down` know of the run.
fn run_far(args: &UpArgs, lab: Lab, fit: bool, host: &Host) -> Result<Ended> {
    let beginning = Beginning::now(LabFile::of(&lab.source, fit), host);
    let runtime = super::runtime()?;
    let idle = if args.start_machines { Idle::AreStarted } else { Idle::AreAnError };
    let Far { plan, machines, config } =
        runtime.block_on(super::far::plan((lab, fit), &args.lab.file, host, idle))?;
    let _needed_until_the_end = config;
    for placed in plan.machines() {
        lowering::check(&placed.settings, args.lower_host_limits)?;
    }
    let place = Place::make(args, &runtime, &plan, beginning)?;
    let journal = if host.uid == 0 {
        let journal = Journal::begin(header(&plan, &place.folder))?;
        Some(noted(journal, &plan, &place)?)
    } else {
        note_plan(&plan, &place)?;
        None
    };
    let driver = SshDriver::new(journal, machines, &plan.lab);
    finish(args, &runtime, &plan, driver, place)
}

/// Where a run writes, and by what it is ended before its time.
struct Place {
    folder: Folder,
    beginning: Beginning,
    interrupts: Interrupts,
}

impl Place {
    fn make(args: &UpArgs, runtime: &Runtime, plan: &Plan, beginning: Beginning) -> Result<Place> {
        let folder = Folder::create(args.out.as_deref(), &plan.lab)?;
        // From here on a signal is heard: it does not end the runner in the middle of what stands.
        let interrupts = runtime.block_on(async { Interrupts::listen() })?;
        Ok(Place { folder, beginning, interrupts })
    }
}

/// Begins the journal of this host, with the plan that was made under its lock and what that takes of the host.
fn begin(plan: Plan, place: &Place, again: impl FnOnce(Plan) -> Result<Plan>) -> Result<(Journal, Plan)> {
    let lab = plan.lab.clone();
    let (journal, plan) = Journal::begin_if(&lab, || {
        let plan = again(plan)?;
        Ok((Header { planned: Some(plan.reservation()), ..header(&plan, &place.folder) }, plan))
    })?;
    noted(journal, &plan, place).map(|journal| (journal, plan))
}

fn noted(journal: Journal, plan: &Plan, place: &Place) -> Result<Journal> {
    match note_plan(plan, place) {
        Ok(()) => Ok(journal),
        Err(error) => {
            // Nothing stands yet: the next run must not be told otherwise.
            journal.end()?;
            Err(error)
        }
    }
}

fn note_plan(plan: &Plan, place: &Place) -> Result<()> {
    place.folder.write("plan.json", &PlanRecord::of(place.beginning.origin.clone(), plan))?;
    let needed = plan.runner_nofile;
    process::raise_nofile(needed)
        .attempt(Exit::Host, || format!("taking {needed} descriptors for the runner"))
}

fn finish<D: Driver>(
    args: &UpArgs,
    runtime: &Runtime,
    plan: &Plan,
    driver: D,
    place: Place,
) -> Result<Ended> {
    let show = Show::on_stderr(args.quiet);
    let Place { folder, beginning, interrupts } = place;
    let run = live(plan, driver, (&folder, beginning), interrupts, (show, args.keep));
    let (report, failure) = runtime.block_on(run);
    // What the screen and stdout can be told does not wait for a folder that may be full.
    let written = folder.write("report.json", &report);
    if show != Show::Quiet {
        // Of a lab that was never built only the error is worth a line.
        if failure.is_none() {
            text::lines(&report).iter().for_each(print_line);
        }
        if let Ok(path) = &written {
            print_line(format!(" report   {}", shortened(path)));
        }
    }
    if args.json {
        print_json(&report)?;
    }
    Ok(Ended { exit: report.exit().max(told(written)), report, failure })
}

/// The plan, on this host as it is when nothing of an earlier boot is left to do.
fn prepare(lab: &Lab, fit: bool, host: Host) -> Result<(Host, Plan)> {
    let plan = plan_here(lab.clone(), fit, &host)?;
    let host = allowed(host)?;
    let header = journal::look(&plan.lab).0;
    if !header.is_some_and(|header| header.is_of_an_earlier_boot()) {
        return Ok((host, plan));
    }
    super::down::take_down(&plan.lab)?;
    let host = host_now(lab);
    plan_here(lab.clone(), fit, &host).map(|plan| (host, plan))
}

/// As root the lab is made here; an ordinary user gets a namespace where it may be made.
fn allowed(host: Host) -> Result<Host> {
    let missing: Vec<String> = NEEDED
        .iter()
        .filter(|(capability, _)| !host.has(*capability))
        .map(|(capability, what_for)| format!("{capability} ({what_for})"))
        .collect();
    if missing.is_empty() {
        Ok(host)
    } else if host.uid == 0 {
        Err(Error::host("starting the lab", format!("this process lacks {}", missing.join(" and ")))
            .remedy("in a container, add them: `--cap-add SYS_ADMIN --cap-add NET_ADMIN`"))
    } else {
        rootless::enter(&host)
    }
}

fn header(plan: &Plan, folder: &Folder) -> Header {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Header {
        lab: plan.lab.clone(),
        runner: std::process::id(),
        runner_start_time: proc::start_time(None).unwrap_or(0),
        boot_id: proc::boot_id(),
        began_unix_ms: now.as_millis() as u64,
        run_directory: folder.path.clone(),
        connections: plan.course.connections,
        subnets: plan.ends.subnets.clone(),
        planned: None,
    }
}

async fn live<D: Driver>(
    plan: &Plan,
    driver: D,
    (folder, beginning): (&Folder, Beginning),
    interrupts: Interrupts,
    (show, keep): (Show, bool),
) -> (Report, Option<Error>) {
    let screen: Box<dyn Listener> = Box::new(Screen::new(show, plan));
    let (events, trouble) = match folder.begin("events.jsonl") {
        Ok(events) => (Some(events), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut log = Log::new(events, vec![screen]);
    log.trouble = trouble;
    log.begin(beginning);
    let (driver, result) = Run::new(plan, driver, &mut log, interrupts).live(keep).await;
    let account = &log.account;
    let journal = driver.into_journal().filter(|_| account.outcome.is_some());
    let left_behind = journal.and_then(end_journal);
    let is_clean = left_behind.is_none()
        && account.outcome.as_ref().is_none_or(|outcome| outcome.left_behind.is_empty());
    // What goes wrong later is one of the run's results, and its report tells it.
    let failure = result.err().filter(|_| account.samples.is_empty() && is_clean);
    let never_built = failure.as_ref().map(|failure| failure.exit.code());
    log.tell(Event::Over { left_behind: left_behind.into_iter().collect(), never_built });
    if let Some(trouble) = &log.trouble {
        print_line(format!("warning: not all events are in the run's folder: {trouble}"));
    }
    let report = report::settle(plan, &log.account);
    (report, failure)
}

/// Nothing it names stands any more; that it cannot be removed is told like everything else.
fn end_journal(journal: Journal) -> Option<Leftover> {
    if !journal.standing().is_empty() {
        return None;
    }
    let why = journal.end().err()?.to_string();
    Some(Leftover { what: "the lab's journal".to_owned(), why })
}

/// Relative to where the user is, when it lies below.
fn shortened(path: &std::path::Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok().map(ToOwned::to_owned));
    short.unwrap_or_else(|| path.to_owned()).display().to_string()
}
