//! Labs on other machines: reached first, then planned by what they are.

use std::path::{Path, PathBuf};

use crate::driver::ssh::{Machines, Target};
use crate::driver::vagrant::{SshConfig, Vagrant};
use crate::error::Result;
use crate::host::Host;
use crate::plan::{Plan, machines};
use crate::say::say;
use crate::spec::{DriverKind, Lab, MachineSpec};

/// A lab whose machines have been reached.
pub struct Far {
    pub plan: Plan,
    pub machines: Machines,
    /// Needed for as long as a machine may have to be reached again.
    pub config: Option<SshConfig>,
}

/// `fit`: as many connections as the machines carry.
pub async fn plan(mut lab: Lab, file: &Path, fit: bool, here: &Host) -> Result<Far> {
    let config = if lab.spec.driver == DriverKind::Vagrant { Some(bring_up(&lab, file)?) } else { None };
    let machines = Machines::reach(targets(&lab, file, config.as_ref())).await?;
    if fit {
        lab.spec.connections = machines::connections(&lab, here, &machines.found)?;
    }
    let plan = machines::decide(&lab, here, &machines.found)?;
    Ok(Far { plan, machines, config })
}

/// The nodes' names, which Vagrant's machines have too.
fn names(lab: &Lab) -> Vec<String> {
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

fn bring_up(lab: &Lab, file: &Path) -> Result<SshConfig> {
    let vagrant = Vagrant::beside(file)?;
    let down = vagrant.not_running(&names(lab))?;
    if !down.is_empty() {
        let down: Vec<String> = down.iter().map(|(name, state)| format!("{name} ({state})")).collect();
        say(format!("bringing up {}: `vagrant up` takes some minutes", down.join(", ")));
        vagrant.up()?;
    }
    vagrant.ssh_config()
}
