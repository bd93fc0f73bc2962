//! The settings of a machine that is a node: all of them are the machine's own.

use super::{
    FILE_MAX, FILES_PER_PROCESS, FILES_SPARE, HostSetting, NR_OPEN, TRACKED, UNPRIVILEGED_PORTS,
    asked_settings, node_settings, raised,
};
use crate::host::Host;
use crate::plan::node::Role;
use crate::plan::refusal::Refusal;
use crate::spec::Spec;

const SOMAXCONN: &str = "net.core.somaxconn";
const SYN_BACKLOG: &str = "net.ipv4.tcp_max_syn_backlog";

/// Connections of others that the machine's firewall may track meanwhile.
const TRACKED_OTHERS: u64 = 16_384;

/// What a node asks of its machine.
pub struct Needed {
    /// Ends of connections.
    pub ends: u64,
    pub processes: u64,
    /// Descriptors of one process.
    pub nofile: u64,
    /// Connections that may wait to be accepted on each port.
    pub backlog: Option<u64>,
}

/// The settings to move, and what would help and cannot be had there.
pub fn machine_settings(
    spec: &Spec,
    host: &Host,
    role: Role,
    needed: &Needed,
) -> Result<(Vec<HostSetting>, Vec<String>), Refusal> {
    let sysctl = &spec.sysctl;
    let (section, own) =
        if role == Role::Server { ("server", &sysctl.server) } else { ("client", &sysctl.client) };
    let mut moved = asked_settings(host, "host", &sysctl.host)?;
    moved.extend(asked_settings(host, section, own)?);
    let files = needed.ends + needed.processes * FILES_PER_PROCESS + host.files_open + FILES_SPARE;
    // Without the first ones the run cannot be; it goes better with the others.
    let must = [
        (FILE_MAX, files, "open files: an end of every connection, and the rest of the machine"),
        (NR_OPEN, needed.nofile, "descriptors of one process"),
    ];
    let mut may =
        vec![(TRACKED, needed.ends + TRACKED_OTHERS, "connections that the machine's firewall tracks")];
    if let Some(backlog) = needed.backlog {
        may.push((SOMAXCONN, backlog, "connections that wait to be accepted on one port"));
        may.push((SYN_BACKLOG, 65_536, "handshakes that have begun"));
    }
    let asked: Vec<String> = moved.iter().map(|setting| setting.key.clone()).collect();
    let is_asked = |key: &str| asked.iter().any(|one| one == key);
    for (key, at_least, why) in must.into_iter().filter(|(key, ..)| !is_asked(key)) {
        moved.extend(raised(spec, host, key, at_least, why)?);
    }
    moved.extend(opened_ports(spec, host, role));
    let mut out_of_reach = Vec::new();
    for (key, at_least, why) in may.into_iter().filter(|(key, ..)| !is_asked(key)) {
        match raised(spec, host, key, at_least, why) {
            Ok(setting) => moved.extend(setting),
            Err(error) => out_of_reach.push(error.why),
        }
    }
    Ok((moved, out_of_reach))
}

/// The agents are nobody: privileged ports have to be opened to them.
fn opened_ports(spec: &Spec, host: &Host, role: Role) -> Option<HostSetting> {
    let to = node_settings(spec, role, &[]).remove(UNPRIVILEGED_PORTS)?;
    let from = host.settings.get(UNPRIVILEGED_PORTS).filter(|_| host.can_set(UNPRIVILEGED_PORTS))?.clone();
    let why = "ports below it are used, by agents without privileges".to_owned();
    (from != to).then(|| HostSetting { key: UNPRIVILEGED_PORTS.to_owned(), from, to, why, lowers: None })
}
