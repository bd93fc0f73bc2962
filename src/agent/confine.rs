//! An agent's cell: it enters its node, takes its limits, and gives up every privilege.

use std::path::PathBuf;

use clap::Args;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets, CpuSet, Gid, Uid};
use serde::{Deserialize, Serialize};

use super::given::{ChainEnds, Given};
use crate::error::{Attempt, Error, Result};
use crate::exit::Exit;
use crate::kernel::netns;

/// The cell that the runner asks for, on the agent's command line.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Descriptors come over stdin first: a network namespace to enter, ways to other agents.
    #[arg(long)]
    pub given: bool,
    /// Descriptors this process may open.
    #[arg(long)]
    pub nofile: Option<u64>,
    /// `cgroup.procs` files to enrol in.
    #[arg(long)]
    pub cgroup: Vec<PathBuf>,
    /// CPUs to run on.
    #[arg(long, value_delimiter = ',')]
    pub cpus: Vec<u32>,
    /// The unprivileged user and group to become.
    #[arg(long)]
    pub user: Option<u32>,
    /// The runner: end when it ends.
    #[arg(long)]
    pub parent: Option<i32>,
}

/// The command line that asks for this cell.
impl Cell {
    pub fn to_args(&self) -> Vec<String> {
        let mut args = Vec::new();
        let mut flag = |name: &str, value: String| args.extend([format!("--{name}"), value]);
        if let Some(nofile) = self.nofile {
            flag("nofile", nofile.to_string());
        }
        for cgroup in &self.cgroup {
            flag("cgroup", cgroup.display().to_string());
        }
        if !self.cpus.is_empty() {
            flag("cpus", self.cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
        }
        if let Some(user) = self.user {
            flag("user", user.to_string());
        }
        if let Some(parent) = self.parent {
            flag("parent", parent.to_string());
        }
        if self.given {
            args.push("--given".to_owned());
        }
        args
    }

    /// Enters the cell. The order matters: each step needs a privilege that a later one gives up. Returns the ways
    /// to other agents that were given with it.
    pub fn enter(&self) -> Result<ChainEnds> {
        close_inherited();
        be_the_first_to_go();
        let what = || "taking the descriptors that an agent is given".to_owned();
        let given = if self.given { Given::receive(std::io::stdin()) } else { Ok(Given::default()) };
        let Given { namespace, ends } = given.attempt(Exit::Broke, what)?;
        if let Some(namespace) = namespace {
            netns::enter(namespace)
                .attempt(Exit::Host, || "entering the node's network namespace".to_owned())?;
        }
        for cgroup in &self.cgroup {
            std::fs::write(cgroup, "0").attempt(Exit::Host, || format!("joining {}", cgroup.display()))?;
        }
        if let Some(nofile) = self.nofile {
            raise_nofile(nofile)?;
        }
        if !self.cpus.is_empty() {
            let mut set = CpuSet::new();
            self.cpus.iter().for_each(|cpu| set.set(*cpu as usize));
            rustix::thread::sched_setaffinity(None, &set)
                .attempt(Exit::Host, || format!("running on CPUs {:?}", self.cpus))?;
        }
        self.give_up_privileges()?;
        self.follow_parent()?;
        Ok(ends)
    }

    fn give_up_privileges(&self) -> Result<()> {
        if let Some(user) = self.user {
            let become_user = || format!("becoming the unprivileged user {user}");
            let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(user));
            rustix::thread::set_thread_groups(&[]).attempt(Exit::Host, become_user)?;
            rustix::thread::set_thread_res_gid(gid, gid, gid).attempt(Exit::Host, become_user)?;
            rustix::thread::set_thread_res_uid(uid, uid, uid).attempt(Exit::Host, become_user)?;
        }
        let none = CapabilitySet::empty();
        let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, sets)
            .attempt(Exit::Host, || "giving up capabilities".to_owned())?;
        rustix::thread::set_no_new_privs(true)
            .attempt(Exit::Host, || "giving up the way to new privileges".to_owned())
    }

    /// The death signal is forgotten when the user changes, so it is asked for last.
    fn follow_parent(&self) -> Result<()> {
        let Some(parent) = self.parent else { return Ok(()) };
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
            .attempt(Exit::Broke, || "asking for a signal when the runner ends".to_owned())?;
        let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
        if now == Some(parent) {
            Ok(())
        } else {
            Err(Error::broke("starting an agent", "its runner has ended"))
        }
    }
}

/// Whatever the runner inherited from its shell and left open is not for agents.
pub fn close_inherited() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<i32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The listing's own descriptor is closed already.
        let _ = nix::unistd::close(number);
    }
}

/// When the machine has no memory left, the kernel is to end an agent, and nothing of anyone else's. Anybody may
/// say that of themselves; where it fails, the kernel chooses as it likes.
fn be_the_first_to_go() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
}

fn raise_nofile(nofile: u64) -> Result<()> {
    let limit = Rlimit { current: Some(nofile), maximum: Some(nofile) };
    rustix::process::setrlimit(Resource::Nofile, limit)
        .attempt(Exit::Host, || format!("setting the descriptor limit to {nofile}"))
}
