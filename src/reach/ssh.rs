//! Reaching a machine by ssh: one connection, on which a steward is started.
//!
//! The system's own ssh does it, with the user's keys, configuration and known hosts. Nobody is asked for
//! anything: what needs an answer is an error.

mod trouble;

use std::path::PathBuf;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::pipe::Pipe;
use super::{Channel, End, Reach, waited};
use crate::error::{Error, Result};
use crate::fingerprint;

/// The first word of the machine's shell; what comes before is its user's own greeting.
const GREETS: &str = "c1m-lab-greets";

/// Runs in the machine's shell: tells what is there, fetches this program if it is told to, starts the steward.
/// One line without single quotes and exclamation marks, so that every login shell hands it on as it is.
const SCRIPT: &str = concat!(
    r#"umask 077; b="$1"; [ -n "$b" ] || b=$(command -v c1m-lab); h=; "#,
    r#"[ -z "$b" ] || h=$("$b" steward --fingerprint 2>/dev/null </dev/null); "#,
    r#"a=none; u=; if [ "$(id -u)" = 0 ]; then a=root; "#,
    r#"elif sudo -n true >/dev/null 2>&1 </dev/null; then a=sudo; u="sudo -n"; fi; "#,
    r#"echo "c1m-lab-greets $(uname -s) $(uname -m) $a ${h:-none}"; read -r what size || exit 0; d=; "#,
    r#"if [ "$what" = copy ]; then d=$(mktemp -d "${TMPDIR:-/tmp}/c1m-lab.XXXXXX") || exit 1; "#,
    r#"trap "rm -rf \"$d\"" EXIT; trap "exit 1" HUP INT TERM; b=$d/c1m-lab; "#,
    r#"head -c "$size" >"$b" && chmod 700 "$b" || exit 1; fi; "#,
    r#"$u "$b" steward --reached "$SSH_CONNECTION" ${d:+--temporary "$d"}"#,
);

/// Which machine, and how.
#[derive(Clone, Debug)]
pub struct Target {
    pub node: String,
    /// As ssh knows it.
    pub ssh: String,
    pub ssh_config: Option<PathBuf>,
    /// Where this program is on the machine; none: it is looked for, and copied where it is missing.
    pub binary: Option<String>,
}

/// What the machine's shell said.
#[derive(Debug, PartialEq, Eq)]
struct Greeting {
    system: String,
    architecture: String,
    fingerprint: String,
}

impl Greeting {
    fn parse(line: &str) -> Option<Greeting> {
        let mut words = line.strip_prefix(GREETS)?.split_whitespace().map(ToOwned::to_owned);
        let (system, architecture) = (words.next()?, words.next()?);
        let _becomes_root = words.next()?;
        Some(Greeting { system, architecture, fingerprint: words.next()? })
    }
}

impl Reach for Target {
    fn what(&self) -> String {
        format!("reaching {} by `ssh {}`", self.node, self.ssh)
    }

    fn open(&self) -> BoxFuture<'_, Result<Channel>> {
        async {
            let mut pipe = self.call()?;
            let Some(greeted) = self.step(waited(self.what(), greeting(&mut pipe)).await?)? else {
                return Err(self.ended(pipe).await);
            };
            let copies = self.must_copy(&greeted)?;
            if self.step(waited(self.what(), start(&mut pipe, copies)).await?.map(Some))?.is_none() {
                return Err(self.ended(pipe).await);
            }
            let what = self.what();
            let explain = move |code, told: &[String]| End {
                why: trouble::of_end(code, told),
                error: trouble::explain(what, code, told),
            };
            Ok(pipe.channel(copies, explain))
        }
        .boxed()
    }
}

impl Target {
    /// None: the connection has ended, and why is for it to say.
    fn step<T>(&self, done: std::io::Result<Option<T>>) -> Result<Option<T>> {
        match done {
            Ok(done) => Ok(done),
            // What is no steward's word may have no end either.
            Err(why) if why.kind() == std::io::ErrorKind::InvalidData => {
                Err(self.error(format!("it said something unknown: {why}")))
            }
            Err(_) => Ok(None),
        }
    }

    async fn ended(&self, pipe: Pipe) -> Error {
        let (code, told) = pipe.end().await;
        trouble::explain(self.what(), code, &told)
    }

    fn error(&self, why: impl std::fmt::Display) -> Error {
        Error::host(self.what(), why)
    }

    /// Whether this very program has to be copied to the machine first.
    fn must_copy(&self, greeted: &Greeting) -> Result<bool> {
        if let Some(binary) = &self.binary {
            let missing = greeted.fingerprint == "none";
            let why = || format!("there is no `{binary}` that could be a steward");
            return if missing { Err(self.error(why()).remedy("put c1m-lab there")) } else { Ok(false) };
        }
        if greeted.fingerprint == fingerprint::own() {
            return Ok(false);
        }
        let ours = rustix::system::uname().machine().to_string_lossy().into_owned();
        if greeted.system == "Linux" && greeted.architecture == ours {
            return Ok(true);
        }
        let why = format!(
            "it is a machine of {} on {}, and this program is for Linux on {ours}",
            greeted.system, greeted.architecture
        );
        Err(self.error(why).remedy(format!(
            "put c1m-lab {} for it there, and say where: `machines: {{binary: /usr/local/bin/c1m-lab}}`",
            env!("CARGO_PKG_VERSION")
        )))
    }

    /// An ssh connection before there is a steward on it.
    fn call(&self) -> Result<Pipe> {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let binary = quoted(self.binary.as_deref().unwrap_or_default());
        let mut command = Command::new("ssh");
        if let Some(config) = &self.ssh_config {
            command.arg("-F").arg(config);
        }
        let options = [
            "BatchMode=yes",
            "RequestTTY=no",
            "ControlMaster=no",
            "ControlPath=none",
            "ClearAllForwardings=yes",
            "PermitLocalCommand=no",
            "ConnectTimeout=15",
            // A machine that is gone is noticed within half a minute or a little more. One that looks for memory may
            // not answer for ten seconds, and is still there.
            "ServerAliveInterval=5",
            "ServerAliveCountMax=6",
        ];
        command
            .args(options.iter().flat_map(|option| ["-o", option]))
            .args(["--", &self.ssh])
            .arg(format!("exec sh -c '{SCRIPT}' c1m-lab {binary}"));
        Pipe::start(&mut command).map_err(|why| {
            let is_missing = why.kind() == std::io::ErrorKind::NotFound;
            let error = self.error(format!("ssh cannot be started: {why}"));
            if is_missing { error.remedy("install the OpenSSH client") } else { error }
        })
    }
}

async fn greeting(pipe: &mut Pipe) -> std::io::Result<Option<Greeting>> {
    while let Some(line) = pipe.words.next().await? {
        if let Some(greeting) = Greeting::parse(&String::from_utf8_lossy(&line)) {
            return Ok(Some(greeting));
        }
    }
    Ok(None)
}

/// Copies this program there if it has to be, and has the steward started.
async fn start(pipe: &mut Pipe, copies: bool) -> std::io::Result<()> {
    if copies {
        let program = std::fs::read("/proc/self/exe")?;
        pipe.orders.write_all(format!("copy {}\n", program.len()).as_bytes()).await?;
        pipe.orders.write_all(&program).await?;
    } else {
        pipe.orders.write_all(b"use\n").await?;
    }
    pipe.orders.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_known_among_other_lines() {
        let line = "c1m-lab-greets Linux x86_64 sudo 0.1.0-00ff";
        let greeting = Greeting::parse(line).expect("a greeting");
        assert_eq!((greeting.system.as_str(), greeting.fingerprint.as_str()), ("Linux", "0.1.0-00ff"));
        assert_eq!(Greeting::parse("Welcome to the machine"), None);
        assert_eq!(Greeting::parse("c1m-lab-greets Linux"), None);
    }

    #[test]
    fn every_shell_hands_the_script_on() {
        assert!(!SCRIPT.contains(['\'', '!', '\n']));
    }
}
