//! The steward: one process on each machine of a lab, started through ssh. It tells what the machine is, changes
//! what it is asked to, starts agents and passes their words on.
//!
//! It lives as long as its stdin is open. Then it ends its agents and undoes every change: nothing outlives a
//! connection that dropped.

mod duty;
pub mod fingerprint;
mod post;
pub mod words;

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::StewardArgs;
use crate::error::{Attempt, Result};
use crate::exit::Exit;
use crate::journal;
use crate::kernel::proc;
use crate::say::say;
use duty::Duty;
use post::Post;
use words::{Ask, Hello, Process, Tell};

/// A runner asks for the time far more often: one that says nothing for so long is cut off.
const SILENCE: Duration = Duration::from_secs(60);

pub async fn run(args: &StewardArgs) -> Result<Exit> {
    if let Some(folder) = &args.temporary {
        forget_copy(folder);
    }
    outlive_agents();
    let listen = |kind| signal(kind).attempt(Exit::Broke, || "listening for signals".to_owned());
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut post = Post::open().attempt(Exit::Host, || "reading what the runner asks".to_owned())?;
    post.tell(Tell::Hello(Box::new(hello(args.reached.as_deref()))));
    let mut duty = Duty::default();
    loop {
        let until = post.heard_at() + SILENCE;
        tokio::select! {
            ask = post.next() => match ask {
                Some(ask) => obey(&mut duty, &post, ask).await,
                None => break,
            },
            Some((agent, heard)) = duty.heard.next() => post.tell(Tell::Heard { agent, heard }),
            () = tokio::time::sleep_until(until) => {
                say(format!("no word from the runner for {} s", SILENCE.as_secs()));
                break;
            }
            _ = terminate.recv() => break,
            _ = hangup.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    // Nobody is left to be told how this went; what could not be undone stays in the journal.
    let left = duty.leave().await;
    Ok(if left { Exit::Leftover } else { Exit::Done })
}

async fn obey(duty: &mut Duty, post: &Post, ask: Ask) {
    let answer = match ask {
        Ask::Time => Ok(Tell::Time { unix_us: unix_us() }),
        Ask::Prepare(preparation) => duty.prepare(*preparation).await.map(|found| Tell::Prepared { found }),
        Ask::Start { agents } => duty.start(agents).map(|processes| Tell::Started { processes }),
        Ask::Order { agent, order } => return duty.order(agent, &order).await,
        Ask::LetGo { agent } => return duty.let_go(agent),
        Ask::Strike { agent, blow } => duty.strike(agent, blow).map(|()| Tell::Struck),
        Ask::Said { of } => {
            let said = |(pid, since): Process| proc::line_about(pid, &since?);
            Ok(Tell::Said { lines: of.into_iter().map(said).collect() })
        }
        Ask::Look { depth } => Ok(Tell::Seen(Box::new(duty.look(depth)))),
        Ask::Down { lab } => duty.down(&lab).await.map(Tell::Down),
    };
    post.tell(answer.unwrap_or_else(|error| Tell::Failed(error.into())));
}

/// By this machine's clock.
pub fn unix_us() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

fn hello(reached: Option<&str>) -> Hello {
    Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        fingerprint: fingerprint::own(),
        host: journal::beside::host(),
        // SSH_CONNECTION: the other side's address and port, then this side's.
        reached: reached.and_then(|text| text.split_whitespace().nth(2)?.parse().ok()),
    }
}

/// A running program needs its file no more, and agents are started from the running program.
fn forget_copy(folder: &Path) {
    if std::env::current_exe().is_ok_and(|exe| exe.parent() == Some(folder)) {
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// When the machine's memory ends, it is an agent that goes: who watches over them must be able to tell.
fn outlive_agents() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
}
