//! Virtual machines that Vagrant keeps, as machines that ssh reaches.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;

/// Some hundred bytes for each machine are usual.
const MOST_TOLD: u64 = 1 << 20;
const MOST_COMPLAINTS: u64 = 16 << 10;

/// The folder of a Vagrantfile.
pub struct Vagrant {
    folder: PathBuf,
}

/// What `vagrant ssh-config` says, in a file for as long as this is held.
pub struct SshConfig(PathBuf);

impl Vagrant {
    /// The Vagrantfile beside a lab file.
    pub fn beside(lab_file: &Path) -> Result<Vagrant> {
        let parent = lab_file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).to_owned();
        if folder.join("Vagrantfile").is_file() {
            return Ok(Vagrant { folder });
        }
        let what = format!("looking for the virtual machines of {}", lab_file.display());
        Err(Error::input(what, format!("there is no Vagrantfile in {}", folder.display())).remedy(
            "`driver: vagrant` takes a lab file that lies beside its Vagrantfile, as vagrant/lab.yaml does",
        ))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program of whoever wrote it: Vagrant runs it whatever it is asked.
    pub fn file(&self) -> PathBuf {
        self.folder.join("Vagrantfile")
    }

    /// Those of these machines that do not run, each with its state.
    pub fn not_running(&self, names: &[String]) -> Result<Vec<(String, String)>> {
        let told = self.ask(&["status", "--machine-readable"])?;
        let state = |name: &String| {
            let state = states(&told).find(|(of, _)| of == name).map(|(_, state)| state.to_owned());
            (name.clone(), state.unwrap_or_else(|| "not in the Vagrantfile".to_owned()))
        };
        Ok(names.iter().map(state).filter(|(_, state)| state != "running").collect())
    }

    /// What it says goes to the terminal: it takes minutes.
    pub fn up(&self) -> Result<()> {
        self.show(&["up"])
    }

    pub fn destroy(&self) -> Result<()> {
        self.show(&["destroy", "--force"])
    }

    /// Written into a file of its own, for ssh.
    pub fn ssh_config(&self) -> Result<SshConfig> {
        let told = self.ask(&["ssh-config"])?;
        let path = std::env::temp_dir().join(format!("c1m-lab-ssh-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let config = SshConfig(path);
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&config.0)
            .and_then(|mut file| file.write_all(told.as_bytes()))
            .attempt(Exit::Host, || format!("writing {}", config.0.display()))?;
        Ok(config)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("vagrant");
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    fn what(&self, arguments: &[&str]) -> String {
        format!("running `vagrant {}` in {}", arguments.join(" "), self.folder.display())
    }

    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|why| self.not_started(arguments, &why))?;
        let told = hear(&mut child);
        if told.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().attempt(Exit::Broke, || self.what(arguments))?;
        let (stdout, stderr) = told.attempt(Exit::Host, || self.what(arguments))?;
        if status.success() {
            return Ok(String::from_utf8_lossy(&stdout).into_owned());
        }
        let told = String::from_utf8_lossy(&stderr);
        let told = if told.trim().is_empty() { status.to_string() } else { told.trim().to_owned() };
        Err(Error::host(self.what(arguments), told))
    }

    fn show(&self, arguments: &[&str]) -> Result<()> {
        let stderr = std::io::stderr().as_fd().try_clone_to_owned();
        let stderr = stderr.attempt(Exit::Broke, || self.what(arguments))?;
        let status = self.command(arguments).stdout(stderr).status();
        let status = status.map_err(|why| self.not_started(arguments, &why))?;
        if status.success() { Ok(()) } else { Err(Error::host(self.what(arguments), status)) }
    }

    fn not_started(&self, arguments: &[&str], why: &std::io::Error) -> Error {
        Error::host(self.what(arguments), why)
            .remedy("install vagrant, and a provider: libvirt or VirtualBox")
    }
}

/// All that a command says on stdout, and the beginning of what it says on stderr.
fn hear(child: &mut Child) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, complaints) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let complaints = complaints.map(|complaints| {
            std::thread::Builder::new().spawn_scoped(scope, || {
                let mut complaints = complaints;
                let _ = (&mut complaints).take(MOST_COMPLAINTS).read_to_end(&mut stderr);
                // Else it would wait until somebody reads on.
                let _ = std::io::copy(&mut complaints, &mut std::io::sink());
            })
        });
        complaints.transpose()?;
        out.map_or(Ok(0), |out| out.take(MOST_TOLD + 1).read_to_end(&mut stdout)).map(|_| ())
    })?;
    if stdout.len() as u64 > MOST_TOLD {
        return Err(std::io::Error::other(format!("it said more than {MOST_TOLD} bytes")));
    }
    Ok((stdout, stderr))
}

impl SshConfig {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SshConfig {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// From lines such as `1700000000,server,state,running`: name and state.
fn states(told: &str) -> impl Iterator<Item = (&str, &str)> {
    told.lines().filter_map(|line| {
        let mut words = line.split(',').skip(1);
        let (name, kind, state) = (words.next()?, words.next()?, words.next()?);
        (kind == "state").then_some((name, state))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_found_among_the_rest() {
        let told = "1,server,metadata,provider,libvirt\n2,server,provider-name,libvirt\n3,server,state,running\n\
                    4,server,state-human-short,running\n5,client-1,state,not_created\n6,,ui,info,Current machine states\n";
        assert_eq!(states(told).collect::<Vec<_>>(), [("server", "running"), ("client-1", "not_created")]);
    }
}
