//! Starting an agent as a child process of this same binary, and hearing it.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use futures::StreamExt;
use futures::stream::{self, LocalBoxStream};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::{Heard, Started};
use crate::agent::Word;
use crate::agent::confine::Cell;
use crate::error::{Attempt, Result};
use crate::exit::Exit;
use crate::kernel::proc::LogMark;
use crate::kernel::{self, proc, threads};
use crate::spec::Blow;

/// This very binary, even when its file has been replaced meanwhile.
const OURSELVES: &str = "/proc/self/exe";

pub fn start(name: &str, cell: &Cell) -> Result<Started> {
    let mut command = Command::new(OURSELVES);
    command
        .arg0("c1m-lab")
        .arg("agent")
        .args(cell.to_args())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Ctrl-C in the terminal is for the runner; it ends its agents in order.
        .process_group(0)
        .kill_on_drop(true);
    let log_mark = proc::log_mark();
    let mut child =
        command.spawn().map_err(threads::said).attempt(Exit::Broke, || format!("starting {name}"))?;
    let pid = child.id().unwrap_or(0);
    let (orders, words) = match (child.stdin.take(), child.stdout.take()) {
        (Some(orders), Some(words)) => (orders, words),
        _ => return Err(crate::error::Error::broke(format!("starting {name}"), "its pipes are missing")),
    };
    let heard = heard(child, BufReader::new(words).lines(), log_mark.clone());
    Ok(Started { pid, log_mark, orders: Box::pin(orders), heard })
}

enum Ear {
    /// With the mark in the kernel's log from before it was started.
    Open(Box<(Child, Lines<BufReader<ChildStdout>>, Option<LogMark>)>),
    /// The process has ended, and that is still to be told.
    Ended(String),
    Closed,
}

/// Words until the pipe ends, then how the process ended, then nothing more.
fn heard(
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    since: Option<LogMark>,
) -> LocalBoxStream<'static, Heard> {
    stream::unfold(Ear::Open(Box::new((child, lines, since))), |ear| async move {
        let mut open = match ear {
            Ear::Open(open) => open,
            Ear::Ended(how) => return Some((Heard::Ended(how), Ear::Closed)),
            Ear::Closed => return None,
        };
        if let Ok(Some(line)) = open.1.next_line().await {
            let word = Word::read(line.as_bytes())
                .unwrap_or_else(|error| Word::Failed { why: format!("said something unknown: {error}") });
            return Some((Heard::Word(word), Ear::Open(open)));
        }
        let pid = open.0.id();
        let status = match open.0.wait().await {
            Ok(status) => status,
            Err(error) => {
                return Some((Heard::Ended(format!("could not be waited for: {error}")), Ear::Closed));
            }
        };
        // If it was the kernel who killed it, its log says so.
        let killed = pid.filter(|_| status.signal() == Some(Signal::KILL.as_raw()));
        match killed.zip(open.2).and_then(|(pid, since)| proc::line_about(pid, &since)) {
            Some(line) => Some((Heard::Note(line), Ear::Ended(describe(status)))),
            None => Some((Heard::Ended(describe(status)), Ear::Closed)),
        }
    })
    .boxed_local()
}

/// What a fault does to an agent: its pid, and since when it is there.
pub fn strike((pid, since): (u32, u64), blow: Blow) {
    let signal = match blow {
        Blow::Kill => Signal::KILL,
        Blow::Stop => Signal::STOP,
        Blow::Resume => Signal::CONT,
        Blow::LinkDown | Blow::LinkUp | Blow::Reset => return,
    };
    kernel::process::signal(pid, since, signal);
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => "an unknown end".to_owned(),
    }
}
