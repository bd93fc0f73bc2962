//! What a plan says of machines that nobody has asked: what the lab file tells, and what is unknown.

use std::path::Path;

use serde::Serialize;

use super::plan::tuples;
use crate::error::Result;
use crate::permitted;
use crate::plan::{TupleSum, permits, tuple_sum};
use crate::spec::{DriverKind, Lab};
use crate::units::grouped;

/// The flag that lets them be asked.
pub const FLAG: &str = "--ask-machines";

const UNKNOWN: [&str; 5] = [
    "whether the machines can be reached, and what they are",
    "which settings have to be raised there, and from where",
    "how many processes carry the connections",
    "whether their memory is enough",
    "which limit comes first",
];

#[derive(Debug, Serialize)]
pub struct Unasked {
    lab: String,
    driver: DriverKind,
    /// None: as many as fit.
    connections: Option<u64>,
    machines: Vec<Machine>,
    /// The lab file's own configuration of ssh, or the Vagrantfile: what is run on this host to reach them.
    runs_here: Option<String>,
    tuples: TupleSum,
    /// What the lab file sets on whole machines.
    settings: Vec<Setting>,
    unknown: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Machine {
    node: String,
    reached: String,
}

#[derive(Debug, Serialize)]
struct Setting {
    on: &'static str,
    key: String,
    to: String,
    /// Whether `up` takes it from a lab file by itself.
    permitted: bool,
}

impl Unasked {
    pub fn new(lab: &Lab, file: &Path, fit: bool) -> Result<Unasked> {
        let spec = &lab.spec;
        let machine = |(node, machine): (String, &crate::spec::MachineSpec)| {
            let reached = match (&machine.ssh, machine.address) {
                (Some(ssh), _) => format!("ssh {ssh}"),
                (None, Some(address)) => format!("Vagrant's machine {node}, {address}"),
                (None, None) => format!("Vagrant's machine {node}"),
            };
            Machine { node, reached }
        };
        let folder = file.parent().unwrap_or(Path::new(""));
        let runs_here = match (spec.driver, &spec.machines.ssh_config) {
            (DriverKind::Vagrant, _) => Some(folder.join("Vagrantfile")),
            (_, config) => config.as_ref().map(|config| folder.join(config)),
        };
        let sysctl = &spec.sysctl;
        let setting = |(on, key): (&'static str, &String)| {
            let section = match on {
                "server" => &sysctl.server,
                "client" => &sysctl.client,
                _ => &sysctl.host,
            };
            let to = section.get(key).cloned().unwrap_or_default();
            Setting { on, key: key.clone(), to, permitted: permitted::find(key).is_some() }
        };
        Ok(Unasked {
            lab: spec.name.clone(),
            driver: spec.driver,
            connections: (!fit).then_some(spec.connections),
            machines: super::far::names(lab).into_iter().zip(spec.machines.all()).map(machine).collect(),
            runs_here: runs_here.map(|path| path.display().to_string()),
            tuples: tuple_sum::tuple_sum(spec).map_err(|refusal| refusal.of(lab))?,
            settings: permits::of_whole_machines(spec).map(setting).collect(),
            unknown: UNKNOWN.to_vec(),
        })
    }

    /// In a few words, for a row of `check`.
    pub fn in_short(&self) -> String {
        format!("{} machines, not asked: `{FLAG}` asks what they allow", self.machines.len())
    }

    pub fn text(&self) -> String {
        let connections = self.connections.map_or_else(|| "as many as fit".to_owned(), grouped);
        let count = self.machines.len();
        let mut lines =
            vec![format!("{} · {connections} connections · {count} machines, not asked", self.lab)];
        lines.push(String::new());
        lines.extend(self.machines.iter().map(|one| format!(" {:<12} {}", one.node, one.reached)));
        lines.extend(self.runs_here.iter().map(|path| {
            format!(" runs here    {path}: `up` and `{FLAG}` use it, and it can run commands on this host")
        }));
        lines.push(String::new());
        lines.extend(tuples(&self.tuples));
        for Setting { on, key, to, permitted } in &self.settings {
            let all = if *on == "host" { "all machines" } else { on };
            let flag = if *permitted {
                String::new()
            } else {
                format!("; `up` wants {} {key} for it", permits::FLAG)
            };
            lines.push(format!(" setting      {key} → {to} on {all}, put back afterwards{flag}"));
        }
        lines.push(String::new());
        lines.extend(self.unknown.iter().map(|what| format!(" unknown      {what}")));
        lines.push(format!(
            "              `{FLAG}` reaches them and asks; nothing is changed or started there"
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    fn unasked(text: &str) -> Unasked {
        let lab =
            spec::parse("lab.yaml", &format!("name: far\nconnections: 10K\n{text}"), &[]).expect("a lab");
        Unasked::new(&lab, Path::new("labs/lab.yaml"), false).expect("enough five-tuples")
    }

    #[test]
    fn what_is_unknown_is_said_and_what_would_run_is_named() {
        let text = "driver: ssh\nmachines: {server: root@one, clients: [two], ssh_config: lab.ssh}\n\
                    sysctl: {host: {fs.file-max: 9000000}, server: {net.ipv4.ip_forward: 1}}";
        let text = unasked(text).text();
        for part in [
            "far · 10,000 connections · 2 machines, not asked",
            "server       ssh root@one",
            "client-1     ssh two",
            "runs here    labs/lab.ssh",
            "fs.file-max → 9000000 on all machines",
            "net.ipv4.ip_forward → 1 on server, put back afterwards; `up` wants --allow-host-setting",
            "unknown      whether their memory is enough",
            "`--ask-machines` reaches them",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_vagrantfile_is_named() {
        let text = "driver: vagrant\nmachines: {server: {address: 10.9.9.1}, clients: [{address: 10.9.9.2}]}";
        let text = unasked(text).text();
        assert!(text.contains("Vagrant's machine client-1, 10.9.9.2"), "{text}");
        assert!(text.contains("runs here    labs/Vagrantfile"), "{text}");
    }
}
