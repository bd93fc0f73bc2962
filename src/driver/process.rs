//! Starting an agent as a child process of this same binary, and hearing it.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use futures::StreamExt;
use futures::stream::{self, LocalBoxStream};
use rustix::process::Signal;
use tokio::io::BufReader;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{AgentId, Heard, Started};
use crate::agent::Word;
use crate::agent::confine::Cell;
use crate::agent::given::Given;
use crate::error::{Attempt, Result};
use crate::exit::Exit;
use crate::kernel::proc::LogMark;
use crate::kernel::{self, proc, threads};
use crate::lines::{self, Lines};
use crate::spec::FaultAction;

/// This very binary, even when its file has been replaced meanwhile.
const OURSELVES: &str = "/proc/self/exe";

/// What it is given is on its way before it is started.
pub fn start(agent: AgentId, cell: &Cell, given: Given) -> Result<Started> {
    let what = || format!("starting {agent}");
    let (orders, stdin) = UnixStream::pair().attempt(Exit::Broke, what)?;
    given.send(&orders).attempt(Exit::Broke, what)?;
    let orders = std::process::ChildStdin::from(OwnedFd::from(orders));
    let orders = ChildStdin::from_std(orders).attempt(Exit::Broke, what)?;
    let mut command = Command::new(OURSELVES);
    command
        .arg0("c1m-lab")
        .arg("agent")
        .args(cell.to_args())
        .env_clear()
        .current_dir("/")
        .stdin(OwnedFd::from(stdin))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Ctrl-C in the terminal is for the runner; it ends its agents in order.
        .process_group(0)
        .kill_on_drop(true);
    let log_mark = proc::log_mark();
    let mut child = command.spawn().map_err(threads::said).attempt(Exit::Broke, what)?;
    let pid = child.id().unwrap_or(0);
    let words =
        child.stdout.take().ok_or_else(|| crate::error::Error::broke(what(), "its pipe is missing"))?;
    let lines = Lines::new(BufReader::new(words), lines::OF_AGENT);
    let heard = heard(child, lines, log_mark.clone());
    Ok(Started { pid, log_mark, orders: Box::pin(orders), heard })
}

/// A process, and the mark in the kernel's log from before it was started.
type Marked = (Child, Option<LogMark>);

enum Ear {
    Open(Box<(Marked, Lines<BufReader<ChildStdout>>)>),
    /// What it says is not heard any more.
    Deaf(Box<Marked>),
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
    stream::unfold(Ear::Open(Box::new(((child, since), lines))), |ear| async move {
        let mut open = match ear {
            Ear::Open(open) => open,
            Ear::Deaf(child) => return Some(end(*child).await),
            Ear::Ended(how) => return Some((Heard::Ended(how), Ear::Closed)),
            Ear::Closed => return None,
        };
        let unknown = match open.1.next().await {
            Ok(Some(line)) => match Word::read(&line) {
                Ok(word) => return Some((Heard::Word(word), Ear::Open(open))),
                Err(error) => Some(error.to_string()),
            },
            Ok(None) => None,
            Err(error) => Some(error.to_string()),
        };
        if let Some(unknown) = unknown {
            // Whoever says such a thing is no agent of ours any more. What else it says is not read.
            let mut marked = open.0;
            let _ = marked.0.start_kill();
            let why = format!("said something unknown: {unknown}");
            return Some((Heard::Word(Word::Failed { why }), Ear::Deaf(Box::new(marked))));
        }
        Some(end(open.0).await)
    })
    .boxed_local()
}

/// How it ended, once it has.
async fn end((mut child, since): Marked) -> (Heard, Ear) {
    let pid = child.id();
    let status = match child.wait().await {
        Ok(status) => status,
        Err(error) => return (Heard::Ended(format!("could not be waited for: {error}")), Ear::Closed),
    };
    // If it was the kernel who killed it, its log says so.
    let killed = pid.filter(|_| status.signal() == Some(Signal::KILL.as_raw()));
    match killed.zip(since).and_then(|(pid, since)| proc::line_about(pid, &since)) {
        Some(line) => (Heard::Note(line), Ear::Ended(describe(status))),
        None => (Heard::Ended(describe(status)), Ear::Closed),
    }
}

/// What a fault does to an agent: its pid, and since when it is there.
pub fn strike((pid, since): (u32, u64), action: FaultAction) {
    let signal = match action {
        FaultAction::Kill => Signal::KILL,
        FaultAction::Stop => Signal::STOP,
        FaultAction::Resume => Signal::CONT,
        FaultAction::LinkDown | FaultAction::LinkUp | FaultAction::Reset => return,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is heard of an agent that runs this.
    fn heard_of(script: &str) -> Vec<Heard> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdout(Stdio::piped()).kill_on_drop(true);
            let mut child = command.spawn().expect("sh is there");
            let words = child.stdout.take().expect("a pipe");
            heard(child, Lines::new(BufReader::new(words), lines::OF_AGENT), None).collect().await
        })
    }

    #[test]
    fn a_line_without_an_end_ends_its_agent() {
        let heard = heard_of(r#"echo '{"is":"ramped"}'; exec tr '\0' x </dev/zero"#);
        let [Heard::Word(Word::Ramped), Heard::Word(Word::Failed { why }), Heard::Ended(how)] = &heard[..]
        else {
            panic!("{heard:?}");
        };
        assert_eq!(why, "said something unknown: a line of more than 1048576 bytes");
        assert_eq!(how, "signal 9");
    }

    #[test]
    fn what_is_no_word_ends_its_agent() {
        for script in [r#"echo '{"is":"else"}'; exec sleep 60"#, r"printf '\377\n'; exec sleep 60"] {
            let heard = heard_of(script);
            let [Heard::Word(Word::Failed { why }), Heard::Ended(how)] = &heard[..] else {
                panic!("{heard:?}")
            };
            assert!(why.starts_with("said something unknown: ") && how == "signal 9", "{why}, {how}");
        }
    }

    #[test]
    fn an_agent_that_ends_is_heard_to_its_end() {
        let heard = heard_of(r#"echo '{"is":"drained"}'; exit 3"#);
        assert_eq!(heard, [Heard::Word(Word::Drained), Heard::Ended("exit code 3".to_owned())]);
    }
}
