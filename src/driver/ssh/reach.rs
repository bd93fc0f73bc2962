//! Reaching a machine: one ssh connection, on which a steward is started.
//!
//! The system's own ssh does it, with the user's keys, configuration and known hosts. Nobody is asked for
//! anything: what needs an answer is an error.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::line::Line;
use super::trouble::{self, Complaints};
use crate::error::{Error, Result};
use crate::kernel::threads;
use crate::lines::{self, Lines};
use crate::steward::fingerprint;
use crate::steward::words::{Hello, Tell};

/// Connecting, authenticating, copying, starting: each on a slow machine.
const PATIENCE: Duration = Duration::from_secs(90);

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

impl Target {
    pub async fn reach(&self) -> Result<(Line, Hello)> {
        let mut call = Call::begin(self)?;
        let greeted = call.wait(Call::greeting).await?;
        let copies = self.must_copy(&greeted)?;
        let hello = match call.wait(async |call: &mut Call| call.start(copies).await).await? {
            Tell::Hello(hello) => *hello,
            other => return Err(self.error(format!("its first word was {other:?}"))),
        };
        self.check(&hello, copies)?;
        Ok((Line::open(self.node.clone(), call.child, call.orders, call.words, call.complaints), hello))
    }

    fn what(&self) -> String {
        format!("reaching {} by `ssh {}`", self.node, self.ssh)
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

    fn check(&self, hello: &Hello, copied: bool) -> Result<()> {
        let ours = env!("CARGO_PKG_VERSION");
        if copied && hello.fingerprint != fingerprint::own() {
            return Err(self.error("the copy of this program is not the same there"));
        }
        if hello.version == ours {
            return Ok(());
        }
        Err(self
            .error(format!("c1m-lab is version {} there, and {ours} here", hello.version))
            .remedy("put the same version there, or leave `machines: {binary}` out: it is copied then"))
    }
}

/// An ssh connection before there is a steward on it.
struct Call<'a> {
    target: &'a Target,
    child: Child,
    orders: ChildStdin,
    words: Lines<BufReader<ChildStdout>>,
    complaints: Complaints,
}

impl<'a> Call<'a> {
    fn begin(target: &'a Target) -> Result<Call<'a>> {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let binary = quoted(target.binary.as_deref().unwrap_or_default());
        let mut command = Command::new("ssh");
        if let Some(config) = &target.ssh_config {
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
            .args(["--", &target.ssh])
            .arg(format!("exec sh -c '{SCRIPT}' c1m-lab {binary}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal is for the runner, which needs its machines to end in order.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|why| {
            let is_missing = why.kind() == std::io::ErrorKind::NotFound;
            let error = target.error(format!("ssh cannot be started: {}", threads::said(why)));
            if is_missing { error.remedy("install the OpenSSH client") } else { error }
        })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(orders), Some(words), Some(told)) = pipes else {
            return Err(target.error("its pipes are missing"));
        };
        let complaints = Complaints::listen(told);
        Ok(Call {
            target,
            child,
            orders,
            words: Lines::new(BufReader::new(words), lines::OF_STEWARD),
            complaints,
        })
    }

    /// Does one step, and says why if the connection ends meanwhile.
    async fn wait<T>(
        &mut self,
        step: impl AsyncFnOnce(&mut Self) -> std::io::Result<Option<T>>,
    ) -> Result<T> {
        match tokio::time::timeout(PATIENCE, step(self)).await {
            Ok(Ok(Some(done))) => Ok(done),
            // What is no steward's word may have no end either.
            Ok(Err(why)) if why.kind() == std::io::ErrorKind::InvalidData => {
                Err(self.target.error(format!("it said something unknown: {why}")))
            }
            Ok(Ok(None) | Err(_)) => {
                let status = self.child.wait().await;
                let told = self.complaints.all().await;
                let code = status.ok().and_then(|status| status.code());
                Err(trouble::explain(self.target.what(), code, &told))
            }
            Err(_) => Err(self.target.error(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    async fn greeting(&mut self) -> std::io::Result<Option<Greeting>> {
        while let Some(line) = self.words.next().await? {
            if let Some(greeting) = Greeting::parse(&String::from_utf8_lossy(&line)) {
                return Ok(Some(greeting));
            }
        }
        Ok(None)
    }

    /// The steward's first word.
    async fn start(&mut self, copies: bool) -> std::io::Result<Option<Tell>> {
        if copies {
            let program = std::fs::read("/proc/self/exe")?;
            self.orders.write_all(format!("copy {}\n", program.len()).as_bytes()).await?;
            self.orders.write_all(&program).await?;
        } else {
            self.orders.write_all(b"use\n").await?;
        }
        self.orders.flush().await?;
        let Some(line) = self.words.next().await? else { return Ok(None) };
        serde_json::from_slice(&line).map(Some).map_err(std::io::Error::other)
    }
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
