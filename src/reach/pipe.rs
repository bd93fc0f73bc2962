//! A process of this machine whose stdin and stdout lead to a steward: ssh is one, a steward beside us another.

use std::process::Stdio;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::BufReader;
use tokio::process::{Child, ChildStderr, Command};

use super::{Channel, End, Orders, Reach, Words};
use crate::error::{Error, Result};
use crate::kernel::threads;
use crate::lines::{self, Lines};

/// Lines that are kept of what it complains about.
const KEPT: usize = 20;

/// What a process says on stderr, kept for when it ends.
struct Complaints(tokio::task::JoinHandle<Vec<String>>);

impl Complaints {
    fn listen(stderr: ChildStderr) -> Complaints {
        Complaints(tokio::spawn(async move {
            let mut lines = Lines::cut(BufReader::new(stderr), lines::OF_COMPLAINT);
            let mut kept = Vec::new();
            while let Ok(Some(line)) = lines.next().await {
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if !line.is_empty() && kept.len() < KEPT {
                    kept.push(line);
                }
            }
            kept
        }))
    }

    /// Everything that was said, once the process has ended.
    async fn all(self) -> Vec<String> {
        self.0.await.unwrap_or_default()
    }
}

/// The two ends of a process's streams, and the process.
pub struct Pipe {
    pub orders: Orders,
    pub words: Words,
    child: Child,
    complaints: Complaints,
}

impl Pipe {
    /// Starts the command. Ctrl-C in the terminal is for the runner, which needs its machines to end in order.
    pub fn start(command: &mut Command) -> std::io::Result<Pipe> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(threads::said)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(orders), Some(words), Some(told)) = pipes else {
            return Err(std::io::Error::other("its pipes are missing"));
        };
        Ok(Pipe {
            orders: Box::pin(orders),
            words: Lines::new(BufReader::new(Box::pin(words)), lines::OF_STEWARD),
            child,
            complaints: Complaints::listen(told),
        })
    }

    /// The exit code (none: a signal ended it), and what it complained about.
    pub async fn end(self) -> (Option<i32>, Vec<String>) {
        let Pipe { mut child, complaints, .. } = self;
        let code = child.wait().await.ok().and_then(|status| status.code());
        (code, complaints.all().await)
    }

    /// A channel whose end is told in the words of whoever knows this command.
    pub fn channel(
        self,
        copied: bool,
        explain: impl FnOnce(Option<i32>, &[String]) -> End + Send + 'static,
    ) -> Channel {
        let Pipe { orders, words, mut child, complaints } = self;
        let ended = async move {
            let code = child.wait().await.ok().and_then(|status| status.code());
            explain(code, &complaints.all().await)
        };
        Channel { orders, words, ended: ended.boxed(), copied }
    }
}

/// A steward on this very machine.
#[derive(Clone, Debug)]
pub struct Local {
    pub node: String,
    /// The program, and its arguments.
    pub command: Vec<String>,
}

impl Reach for Local {
    fn what(&self) -> String {
        format!("reaching {} by `{}`", self.node, self.command.join(" "))
    }

    fn open(&self) -> BoxFuture<'_, Result<Channel>> {
        let opened = || {
            let (program, arguments) = self.command.split_first().ok_or("it is empty".to_owned())?;
            let mut command = Command::new(program);
            command.args(arguments);
            Pipe::start(&mut command).map_err(|why| why.to_string())
        };
        let what = self.what();
        let opened = opened().map_err(|why| Error::host(what.clone(), why)).map(|pipe| {
            pipe.channel(false, move |code, told| {
                let why = format!("its steward ended with {}: {}", ended_with(code), told.join("; "));
                End { error: Error::host(what, &why), why }
            })
        });
        async move { opened }.boxed()
    }
}

/// How a process ended, in words.
pub fn ended_with(code: Option<i32>) -> String {
    code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"))
}
