//! The steward: one process on each machine of a lab, started through ssh. It tells what the machine is, changes
//! what it is asked to, starts agents and passes their words on.
//!
//! It lives as long as its stdin is open. Then it ends its agents and undoes every change: nothing outlives a
//! connection that dropped.

mod copy;
mod handler;
pub mod fingerprint;
mod stdio;
pub mod words;

use futures::StreamExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::StewardArgs;
use crate::driver::{AgentId, Heard};
use crate::error::{Attempt, Result};
use crate::exit::Exit;
use crate::journal;
use crate::kernel::proc;
use crate::stderr::print_line;
use handler::{Handler, Voices};
use stdio::StewardStdio;
use words::{Ask, Hello, Process, Tell};

pub async fn run(args: &StewardArgs) -> Result<Exit> {
    if let Some(folder) = &args.temporary {
        copy::forget(folder);
    }
    outlive_agents();
    let mut ends = EndSignals::listen()?;
    let mut stdio = StewardStdio::open().attempt(Exit::Host, || "reading what the runner asks".to_owned())?;
    stdio.tell(Tell::Hello(Box::new(hello(args.reached.as_deref()))));
    let mut handler = Handler::default();
    loop {
        match next(&mut ends, &mut stdio, &mut handler.heard).await {
            Came::Ask(ask) => obey(&mut handler, &stdio, ask).await,
            Came::Heard(agent, heard) => stdio.tell(Tell::Heard { agent, heard }),
            Came::Silence if stdio.has_unread() => {}
            Came::Silence => {
                print_line(format!("no word from the runner for {} s", stdio::SILENCE.as_secs()));
                break;
            }
            Came::End => break,
        }
    }
    // Nobody is left to be told how this went; what could not be undone stays in the journal.
    let left = handler.leave().await;
    Ok(if left { Exit::Leftover } else { Exit::Done })
}

enum Came {
    Ask(Ask),
    Heard(AgentId, Heard),
    /// The runner has said nothing for too long.
    Silence,
    /// The runner has gone, or a signal says that it is time to go.
    End,
}

/// Words that have come are taken before time is said to be over, however late anyone looks; and agents that never stop
/// talking keep neither from being noticed.
async fn next(ends: &mut EndSignals, stdio: &mut StewardStdio, heard: &mut Voices) -> Came {
    let patience_ends = stdio.patience_ends();
    tokio::select! {
        biased;
        () = ends.next() => Came::End,
        ask = stdio.next() => ask.map_or(Came::End, Came::Ask),
        () = tokio::time::sleep_until(patience_ends) => Came::Silence,
        Some((agent, heard)) = heard.next() => Came::Heard(agent, heard),
    }
}

/// The signals that end a steward.
struct EndSignals([Signal; 3]);

impl EndSignals {
    fn listen() -> Result<EndSignals> {
        let listen = |kind| signal(kind).attempt(Exit::Broke, || "listening for signals".to_owned());
        Ok(EndSignals([
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
            listen(SignalKind::interrupt())?,
        ]))
    }

    async fn next(&mut self) {
        let [terminate, hangup, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

async fn obey(handler: &mut Handler, stdio: &StewardStdio, ask: Ask) {
    let answer = match ask {
        Ask::Time => Ok(Tell::Time { unix_us: unix_us() }),
        Ask::Prepare(preparation) => {
            handler.prepare(*preparation).await.map(|found| Tell::Prepared { found })
        }
        Ask::Start { agents } => handler.start(agents).map(|processes| Tell::Started { processes }),
        Ask::Order { agent, order } => return handler.order(agent, &order).await,
        Ask::LetGo { agent } => return handler.let_go(agent),
        Ask::Strike { agent, action } => handler.strike(agent, action).map(|()| Tell::Struck),
        Ask::Said { of } => {
            let said = |(pid, since): Process| proc::line_about(pid, &since?);
            Ok(Tell::Said { lines: of.into_iter().map(said).collect() })
        }
        Ask::Look { depth } => Ok(Tell::Seen(Box::new(handler.look(depth)))),
        Ask::Down { lab } => handler.down(&lab).await.map(Tell::Down),
    };
    stdio.tell(answer.unwrap_or_else(|error| Tell::Failed(error.into())));
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

/// When the machine's memory ends, it is an agent that goes: who watches over them must be able to tell.
fn outlive_agents() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc::unbounded;
    use futures::stream::{self, LocalBoxStream, SelectAll};

    use super::*;
    use crate::agent::Word;

    fn paused<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(work)
    }

    /// Agents that never stop talking.
    fn chatter() -> Voices {
        let says = (AgentId::Swarm(0), Heard::Word(Word::Ramped));
        let voice: LocalBoxStream<'static, _> = stream::repeat(says).boxed_local();
        let mut voices = SelectAll::new();
        voices.push(voice);
        voices
    }

    #[test]
    fn words_that_have_come_are_taken_however_late() {
        paused(async {
            let mut ends = EndSignals::listen().expect("signals");
            for _ in 0..100 {
                let (ask, asks) = unbounded();
                let mut stdio = StewardStdio::of(asks);
                tokio::time::sleep(2 * stdio::SILENCE).await;
                ask.unbounded_send(Ask::Time).expect("it is open");
                let came = next(&mut ends, &mut stdio, &mut chatter()).await;
                assert!(matches!(came, Came::Ask(Ask::Time)));
            }
        });
    }

    #[test]
    fn silence_is_noticed_however_much_agents_talk() {
        paused(async {
            let mut ends = EndSignals::listen().expect("signals");
            let (_ask, asks) = unbounded();
            let (mut stdio, mut voices) = (StewardStdio::of(asks), chatter());
            assert!(matches!(next(&mut ends, &mut stdio, &mut voices).await, Came::Heard(..)));
            tokio::time::sleep(stdio::SILENCE).await;
            assert!(matches!(next(&mut ends, &mut stdio, &mut voices).await, Came::Silence));
        });
    }
}
