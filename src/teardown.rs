//! Undoing what a journal says was done: in reverse, past every failure, and only what is ours.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::journal::{self, Change, Header, Journal, Moved, Standing, host_lock};
use crate::kernel::netlink::{Borrowed, Opened, Request};
use crate::kernel::netns::Identity;
use crate::kernel::sysctl::same;
use crate::kernel::witness::Witness;
use crate::kernel::{cgroup, netns, proc, process, sysctl};
use crate::plan::lowering::is_lower;

/// How long a runner that was asked to stop may take: it may have a million connections to close.
const RUNNER_END: Duration = Duration::from_secs(120);
/// How long a killed process may take to go: it may have tens of thousands of sockets to close.
const PROCESS_END: Duration = Duration::from_secs(30);
/// How long a namespace may be held by sockets after its name is gone.
const NAMESPACE_END: Duration = Duration::from_secs(20);
/// What fails because something else has not quite ended is tried again.
const TRIES: usize = 4;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);
/// ESRCH, as the kernel answers for routes.
const NO_SUCH_ROUTE: i32 = rustix::io::Errno::SRCH.raw_os_error();
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Something that could not be taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leftover {
    /// What is still there.
    pub what: String,
    /// Why it could not be taken down.
    pub why: String,
}

/// A host setting after it was put back, or why it was left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    /// The setting's dotted name.
    pub key: String,
    /// Its value before the run.
    pub before: String,
    /// Its value during the run.
    pub during: String,
    /// Its value after the run.
    pub after: String,
    /// Why it was not put back.
    pub note: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    pub left_behind: Vec<Leftover>,
    pub restored: Vec<Restored>,
}

/// Asks the runner of a lab to end in order, and waits until it has.
pub fn stop_runner(header: &Header) {
    if !header.is_running() {
        return;
    }
    process::signal(header.runner, header.runner_start_time, Signal::TERM);
    let began = Instant::now();
    while header.is_running() && began.elapsed() < RUNNER_END {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes down everything that the journal knows to stand. What was undone is crossed off at once, so that
/// it can be called again after any interruption.
pub async fn undo(journal: &mut Journal) -> Result<Outcome> {
    if journal.header().is_some_and(journal::Header::is_of_an_earlier_boot) {
        return Ok(undo_after_reboot(journal));
    }
    let mut outcome = Outcome::default();
    end_processes(&journal.standing()).await;
    let witness = watch_namespaces(&journal.standing()).await;
    for attempt in 1..=TRIES {
        outcome.left_behind.clear();
        undo_once(journal, &mut outcome).await;
        if outcome.left_behind.is_empty() || attempt == TRIES {
            break;
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    wait_for_namespaces(witness, &mut outcome).await;
    Ok(outcome)
}

/// After a reboot nothing can still be there but a setting that someone has made to last: nothing else of it
/// lives on a disk.
fn undo_after_reboot(journal: &mut Journal) -> Outcome {
    let mut outcome = Outcome::default();
    put_settings_back(journal, &mut outcome, restore_after_reboot);
    let nothing_more = journal.standing().into_iter().filter(|one| !is_setting(one));
    let undone: Vec<u64> = nothing_more.map(|standing| standing.id).collect();
    cross_off(journal, &undone);
    outcome
}

fn restore_after_reboot(
    key: &str,
    before: &str,
    during: &str,
    others: &[Moved],
) -> Result<Restored, Leftover> {
    let now = proc::read_sysctl(key);
    let lasted = now.as_ref().is_ok_and(|now| same(now, during) && !same(now, before));
    let user = others.iter().find(|other| other.key == key);
    if lasted && user.is_none() {
        let restored = restore(key, before, during)?;
        let note = format!("it was still {during} after a reboot, and is {} again", restored.after);
        return Ok(Restored { note: Some(note), ..restored });
    }
    let note = match (&now, user) {
        (Ok(now), Some(other)) => format!("it is {now} since the reboot, by the lab `{}`", other.lab),
        (Ok(now), None) => format!("it is {now} since the reboot, by itself"),
        (Err(error), _) => format!("it is not there since the reboot: {error}"),
    };
    let (key, before, during) = (key.to_owned(), before.to_owned(), during.to_owned());
    Ok(Restored { key, before, during, after: now.unwrap_or_default(), note: Some(note) })
}

/// The settings last: they were moved first.
async fn undo_once(journal: &mut Journal, outcome: &mut Outcome) {
    let mut undone = Vec::new();
    for standing in journal.standing().into_iter().filter(|one| !is_setting(one)) {
        let result = match &standing.change {
            Change::Route { route } => give_back(*route).await,
            _ => undo_one(&standing, &journal.staging()),
        };
        match result {
            Ok(()) => undone.push(standing.id),
            Err(leftover) => outcome.left_behind.push(leftover),
        }
    }
    cross_off(journal, &undone);
    put_settings_back(journal, outcome, restore_or_leave);
}

fn is_setting(standing: &Standing) -> bool {
    matches!(standing.change, Change::Setting { .. })
}

/// Reads who else relies on them, puts them back or leaves them, and crosses them off: one turn under the lock of the
/// host. Else two labs that end at once would each leave a setting to the other.
fn put_settings_back(
    journal: &mut Journal,
    outcome: &mut Outcome,
    put_back: fn(&str, &str, &str, &[Moved]) -> Result<Restored, Leftover>,
) {
    let settings: Vec<Standing> = journal.standing().into_iter().filter(is_setting).collect();
    if settings.is_empty() {
        return;
    }
    let turn = host_lock::take();
    let others = journal::moved_by_others(&journal.lab);
    let mut undone = Vec::new();
    for standing in &settings {
        let Change::Setting { key, before, during } = &standing.change else { continue };
        let result = match &turn {
            Ok(_) => put_back(key, before, during, &others),
            Err(error) => Err(Leftover { what: format!("setting {key}"), why: error.to_string() }),
        };
        match result {
            Ok(restored) => {
                outcome.restored.push(restored);
                undone.push(standing.id);
            }
            Err(leftover) => outcome.left_behind.push(leftover),
        }
    }
    cross_off(journal, &undone);
}

/// A journal that cannot be written does not stop the way down: what was undone would be undone once more,
/// which does nothing.
fn cross_off(journal: &mut Journal, undone: &[u64]) {
    let _ = journal.undone(undone);
}

/// All are told to end before any is waited for.
async fn end_processes(standing: &[Standing]) {
    let alive: Vec<(u32, u64)> = standing
        .iter()
        .filter_map(|standing| match standing.change {
            Change::Process { pid, start_time, .. } => Some((pid, start_time)),
            _ => None,
        })
        .filter(|(pid, start_time)| proc::is_alive(*pid, *start_time))
        .collect();
    for (pid, start_time) in &alive {
        process::signal(*pid, *start_time, Signal::KILL);
    }
    let began = Instant::now();
    while alive.iter().any(|(pid, start_time)| proc::is_alive(*pid, *start_time))
        && began.elapsed() < PROCESS_END
    {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Without a witness the names still go; only nobody waits until the namespaces have followed.
async fn watch_namespaces(standing: &[Standing]) -> Option<Witness> {
    let mut witness = Witness::open().ok()?;
    for one in standing {
        let Change::Namespace { name, identity } = &one.change else { continue };
        if let Ok(namespace) = netns::open(name)
            && *identity == Some(namespace.identity)
        {
            witness.watch(namespace.file()).await.ok()?;
        }
    }
    Some(witness)
}

async fn wait_for_namespaces(witness: Option<Witness>, outcome: &mut Outcome) {
    let Some(mut witness) = witness else { return };
    // Those whose names could not be taken away have been told already.
    if !outcome.left_behind.is_empty() {
        return;
    }
    match witness.wait(NAMESPACE_END).await {
        Ok(0) => {}
        Ok(held) => outcome.left_behind.push(Leftover {
            what: format!("{held} namespaces without a name"),
            why: "something still uses them: a process that entered one, or a socket".to_owned(),
        }),
        Err(error) => outcome.left_behind.push(Leftover {
            what: "the lab's namespaces".to_owned(),
            why: format!("cannot be watched: {error}"),
        }),
    }
}

fn undo_one(standing: &Standing, staging: &Path) -> Result<(), Leftover> {
    match &standing.change {
        Change::Process { name, pid, start_time } if proc::is_alive(*pid, *start_time) => {
            Err(Leftover { what: format!("process {pid} ({name})"), why: "it does not end".to_owned() })
        }
        // Routes are given back over netlink, before this, and settings after it.
        Change::Process { .. } | Change::Route { .. } | Change::Setting { .. } => Ok(()),
        Change::Namespace { name, identity } => remove_namespace(name, *identity, staging),
        Change::Cgroup { path, inode } => cgroup::remove(path, *inode)
            .map_err(|why| Leftover { what: format!("cgroup {}", path.display()), why: why.to_string() }),
        Change::Directory { path } => {
            // Someone else may use it by now; it goes only when it is empty.
            let _ = std::fs::remove_dir(path);
            Ok(())
        }
    }
}

fn restore_or_leave(key: &str, before: &str, during: &str, others: &[Moved]) -> Result<Restored, Leftover> {
    let relying = others.iter().filter(|other| other.key == key);
    // Each lab that raised it found what those before had made it: one of them has the highest of all numbers.
    let higher = |best: &'_ Moved, other: &'_ Moved| is_lower(&other.during, &best.during);
    match relying.reduce(|best, other| if higher(best, other) { other } else { best }) {
        Some(other) => left_to(other, before, during),
        None => restore(key, before, during),
    }
}

/// The kernel removes only what bears our mark; what is not there any more needs no removing.
async fn give_back(route: Borrowed) -> Result<(), Leftover> {
    let failed = |why: std::io::Error| Leftover { what: route.to_string(), why: why.to_string() };
    let opened = Opened::here(&tokio::runtime::Handle::current()).map_err(failed)?;
    match opened.serve().send(&[Request::GiveBack(route)]).await {
        Err((_, why)) if why.raw_os_error() != Some(NO_SUCH_ROUTE) => Err(failed(why)),
        _ => Ok(()),
    }
}

fn remove_namespace(name: &str, identity: Option<Identity>, staging: &Path) -> Result<(), Leftover> {
    let leftover = |why: String| Leftover { what: format!("namespace {name}"), why };
    netns::unstage(name, staging).map_err(|error| leftover(error.to_string()))?;
    // One without an identity never got its real name: whoever has that name now is not ours.
    let Some(ours) = identity else { return Ok(()) };
    match netns::identity(name) {
        Some(now) if now == ours => netns::remove(name).map_err(|error| leftover(error.to_string())),
        Some(_) => Ok(()),
        // Gone already; perhaps the empty file of its name is left.
        None => netns::remove_unused_name(name).map_err(|error| leftover(error.to_string())),
    }
}

/// The last lab that relies on a setting puts it back; it knows what it was before the first. Until then the
/// setting is what that lab made it: another value would look like a stranger's, and be left alone.
fn left_to(other: &Moved, before: &str, during: &str) -> Result<Restored, Leftover> {
    let key = other.key.as_str();
    let leftover =
        |error: std::io::Error| Leftover { what: format!("setting {key}"), why: error.to_string() };
    if same(&proc::read_sysctl(key).map_err(leftover)?, during) && !same(during, &other.during) {
        sysctl::write(key, &other.during).map_err(leftover)?;
    }
    Ok(Restored {
        key: key.to_owned(),
        before: before.to_owned(),
        during: during.to_owned(),
        after: proc::read_sysctl(key).map_err(leftover)?,
        note: Some(format!("the lab `{}` still relies on it, and will put it back", other.lab)),
    })
}

/// Puts a setting back, unless someone else has changed it meanwhile.
fn restore(key: &str, before: &str, during: &str) -> Result<Restored, Leftover> {
    let leftover = |why: String| Leftover { what: format!("setting {key}"), why };
    let now = proc::read_sysctl(key).map_err(|error| leftover(error.to_string()))?;
    let mut restored = Restored {
        key: key.to_owned(),
        before: before.to_owned(),
        during: during.to_owned(),
        after: now.clone(),
        note: None,
    };
    if !same(&now, during) {
        if !same(&now, before) {
            restored.note = Some(format!("someone else set it to {now} meanwhile; left alone"));
        }
        return Ok(restored);
    }
    sysctl::write(key, before).map_err(|error| leftover(error.to_string()))?;
    restored.after = proc::read_sysctl(key).map_err(|error| leftover(error.to_string()))?;
    if same(&restored.after, before) {
        Ok(restored)
    } else {
        Err(leftover(format!("it reads {} after {before} was written", restored.after)))
    }
}
