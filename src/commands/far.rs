//! Labs on other machines: reached first, then planned by what they are.

use std::path::{Path, PathBuf};

use crate::driver::ssh::{Machines, Target};
use crate::driver::vagrant::{SshConfig, Vagrant};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::{Plan, machines};
use crate::spec::{DriverKind, Lab, MachineSpec};
use crate::stderr::print_line;

/// A lab whose machines have been reached.
pub struct Far {
    pub plan: Plan,
    pub machines: Machines,
    /// Needed for as long as a machine may have to be reached again.
    pub config: Option<SshConfig>,
}

/// What becomes of virtual machines that do not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    AreAnError,
    AreStarted,
}

/// `fit`: as many connections as the machines carry. What is run on this host to reach them is named before.
pub async fn plan((mut lab, fit): (Lab, bool), file: &Path, here: &Host, idle: Idle) -> Result<Far> {
    let config = match lab.spec.driver {
        DriverKind::Vagrant => Some(ask_vagrant(&lab, file, idle)?),
        DriverKind::Ssh | DriverKind::Netns => None,
    };
    let targets = targets(&lab, file, config.as_ref());
    if config.is_none()
        && let Some(config) = targets.iter().find_map(|(target, _)| target.ssh_config.as_ref())
    {
        print_line(format!(
            "the lab file has ssh use {}, which can run commands on this host",
            config.display()
        ));
    }
    let named: Vec<String> = targets.iter().map(|(one, _)| format!("{} ({})", one.node, one.ssh)).collect();
    print_line(format!("reaching by ssh: {}", named.join(", ")));
    let machines = Machines::reach(targets).await?;
    if fit {
        lab.spec.connections = machines::connections(&lab, here, &machines.found)?;
    }
    let plan = machines::decide(&lab, here, &machines.found)?;
    Ok(Far { plan, machines, config })
}

/// The nodes' names, which Vagrant's machines have too.
pub(super) fn names(lab: &Lab) -> Vec<String> {
    let clients = (1..=lab.spec.machines.clients.len()).map(|number| format!("client-{number}"));
    std::iter::once("server".to_owned()).chain(clients).collect()
}

fn targets(lab: &Lab, file: &Path, config: Option<&SshConfig>) -> Vec<(Target, MachineSpec)> {
    let spec = &lab.spec.machines;
    let beside = |path: &String| file.parent().unwrap_or(Path::new("")).join(path);
    let ssh_config: Option<PathBuf> =
        config.map(|config| config.path().to_owned()).or_else(|| spec.ssh_config.as_ref().map(beside));
    let target = |(node, machine): (String, &MachineSpec)| {
        let target = Target {
            ssh: machine.ssh.clone().unwrap_or_else(|| node.clone()),
            node,
            ssh_config: ssh_config.clone(),
            binary: spec.binary.clone(),
        };
        (target, machine.clone())
    };
    names(lab).into_iter().zip(spec.all()).map(target).collect()
}

fn ask_vagrant(lab: &Lab, file: &Path, idle: Idle) -> Result<SshConfig> {
    let vagrant = Vagrant::beside(file)?;
    print_line(format!("asking Vagrant, which runs {} on this host", vagrant.file().display()));
    let down = vagrant.not_running(&names(lab))?;
    if !down.is_empty() {
        let down: Vec<String> = down.iter().map(|(name, state)| format!("{name} ({state})")).collect();
        let down = down.join(", ");
        if idle == Idle::AreAnError {
            return Err(Error::host("reaching the virtual machines", format!("these do not run: {down}"))
                .remedy(format!(
                    "`vagrant up` in {} starts them, or `c1m-lab up --start-machines`",
                    vagrant.folder().display()
                )));
        }
        print_line(format!("bringing up {down}: `vagrant up` takes some minutes"));
        vagrant.up()?;
    }
    vagrant.ssh_config()
}
