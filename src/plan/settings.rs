//! Settings: those of each node, and those of the host, which are only raised as far as the plan needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::network::overlay;
use super::{Reactors, Role, Swarm};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::spec::{Lab, Spec};
use crate::units::grouped;

pub const FILE_MAX: &str = "fs.file-max";
const NR_OPEN: &str = "fs.nr_open";
const CONNTRACK: &str = "net.netfilter.nf_conntrack_max";
const SOMAXCONN: &str = "net.core.somaxconn";
const SYN_BACKLOG: &str = "net.ipv4.tcp_max_syn_backlog";
const UNPRIVILEGED_PORTS: &str = "net.ipv4.ip_unprivileged_port_start";
const NEIGHBOURS: &str = "net.ipv4.neigh.default.gc_thresh3";

/// Files that the rest of the machine may open meanwhile.
pub const FILES_SPARE: u64 = 20_000;
/// Connections of others that a machine's firewall may track meanwhile.
const CONNTRACK_SPARE: u64 = 16_384;
/// Descriptors an agent has besides connections: a bound for all roles.
const FILES_PER_PROCESS: u64 = 128;

/// The privileged ports end here, unless a namespace is told otherwise.
const UNPRIVILEGED: u16 = 1024;

/// A host-wide setting that the run changes and puts back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSetting {
    pub key: String,
    pub from: String,
    pub to: String,
    pub why: String,
}

/// The settings written inside a node.
pub fn node_settings(spec: &Spec, role: Role) -> BTreeMap<String, String> {
    let mut planned = BTreeMap::new();
    let mut set = |key: &str, value: String| {
        planned.insert(key.to_owned(), value);
    };
    // A connection that has lost its process or its peer is given up soon: nothing lingers after a run.
    set("net.ipv4.tcp_orphan_retries", "1".to_owned());
    let lowest = match role {
        Role::Server => {
            let backlog = spec.server.backlog.unwrap_or(u32::MAX >> 1);
            set("net.core.somaxconn", backlog.min(i32::MAX as u32).to_string());
            set("net.ipv4.tcp_max_syn_backlog", "65536".to_owned());
            spec.server.ports.iter().min().unwrap_or(UNPRIVILEGED)
        }
        Role::Client => spec.clients.ports.first,
    };
    if lowest < UNPRIVILEGED {
        set(UNPRIVILEGED_PORTS, lowest.to_string());
    }
    match role {
        Role::Server => overlay(planned, &spec.sysctl.server),
        Role::Client => overlay(planned, &spec.sysctl.client),
    }
}

/// A setting that has to be at least so high.
struct Need {
    key: &'static str,
    at_least: u64,
    why: &'static str,
    /// Without it the run cannot be; else it only goes better with it.
    must: bool,
}

/// The host-wide settings to move, and why. What the author asks for is set; what the plan needs is raised.
pub fn host_settings(
    lab: &Lab,
    host: &Host,
    reactors: &Reactors,
    swarms: &[Swarm],
) -> Result<Vec<HostSetting>> {
    let spec = &lab.spec;
    let mut moved = asked_settings(lab, host, "host", &spec.sysctl.host)?;
    let processes = u64::from(reactors.count) + swarms.len() as u64;
    let files = 2 * spec.connections + processes * FILES_PER_PROCESS + host.files_open + FILES_SPARE;
    let nofile = swarms.iter().map(|swarm| swarm.nofile).max().unwrap_or(0).max(reactors.nofile);
    let neighbours = 4 * u64::from(spec.clients.count) + 256;
    let need = |key, at_least, why| Need { key, at_least, why, must: true };
    let needs = [
        need(FILE_MAX, files, "open files: both ends of every connection, and the rest of the machine"),
        need(NR_OPEN, nofile, "descriptors of one process"),
        need(NEIGHBOURS, neighbours, "neighbour entries, shared by all namespaces"),
    ];
    let left = needs.iter().filter(|need| !spec.sysctl.host.contains_key(need.key));
    for need in left {
        moved.extend(raised(lab, host, need)?);
    }
    Ok(moved)
}

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

/// The settings to move on a machine that is a node, and what cannot be had there.
pub fn machine_settings(
    lab: &Lab,
    host: &Host,
    role: Role,
    needed: &Needed,
) -> Result<(Vec<HostSetting>, Vec<String>)> {
    let sysctl = &lab.spec.sysctl;
    let (section, own) =
        if role == Role::Server { ("server", &sysctl.server) } else { ("client", &sysctl.client) };
    let mut moved = asked_settings(lab, host, "host", &sysctl.host)?;
    moved.extend(asked_settings(lab, host, section, own)?);
    let files = needed.ends + needed.processes * FILES_PER_PROCESS + host.files_open + FILES_SPARE;
    let need = |key, at_least, why, must| Need { key, at_least, why, must };
    let mut needs = vec![
        need(FILE_MAX, files, "open files: an end of every connection, and the rest of the machine", true),
        need(NR_OPEN, needed.nofile, "descriptors of one process", true),
        need(
            CONNTRACK,
            needed.ends + CONNTRACK_SPARE,
            "connections that the machine's firewall tracks",
            false,
        ),
    ];
    if let Some(backlog) = needed.backlog {
        needs.push(need(SOMAXCONN, backlog, "connections that wait to be accepted on one port", false));
        needs.push(need(SYN_BACKLOG, 65_536, "handshakes that have begun", false));
    }
    needs.retain(|need| !moved.iter().any(|moved| moved.key == need.key));
    moved.extend(opened_ports(lab, host, role));
    let mut out_of_reach = Vec::new();
    for need in &needs {
        match raised(lab, host, need) {
            Ok(setting) => moved.extend(setting),
            Err(why) if need.must => return Err(why),
            Err(why) => out_of_reach.push(why.why),
        }
    }
    Ok((moved, out_of_reach))
}

/// The agents are nobody: privileged ports have to be opened to them.
fn opened_ports(lab: &Lab, host: &Host, role: Role) -> Option<HostSetting> {
    let to = node_settings(&lab.spec, role).remove(UNPRIVILEGED_PORTS)?;
    let from = host.settings.get(UNPRIVILEGED_PORTS).filter(|_| host.can_set(UNPRIVILEGED_PORTS))?.clone();
    let why = "ports below it are used, by agents without privileges".to_owned();
    (from != to).then(|| HostSetting { key: UNPRIVILEGED_PORTS.to_owned(), from, to, why })
}

/// The setting to move; none: it is high enough, or not there.
fn raised(lab: &Lab, host: &Host, need: &Need) -> Result<Option<HostSetting>> {
    let Some(now) = host.number(need.key).filter(|now| *now < need.at_least) else { return Ok(None) };
    if !host.can_set(need.key) {
        return Err(cannot_raise(lab, need.key, now, need.at_least, need.why));
    }
    let (from, to) = (now.to_string(), need.at_least.to_string());
    Ok(Some(HostSetting { key: need.key.to_owned(), from, to, why: need.why.to_owned() }))
}

fn asked_settings(
    lab: &Lab,
    host: &Host,
    section: &str,
    asked: &BTreeMap<String, String>,
) -> Result<Vec<HostSetting>> {
    let one = |(key, to): (&String, &String)| asked_setting(lab, host, (section, key), to).transpose();
    asked.iter().filter_map(one).collect()
}

fn asked_setting(
    lab: &Lab,
    host: &Host,
    (section, key): (&str, &str),
    to: &str,
) -> Result<Option<HostSetting>> {
    let now = host.settings.get(key).cloned();
    let same = |now: &String| now.split_whitespace().eq(to.split_whitespace());
    match now {
        Some(now) if same(&now) => Ok(None),
        Some(_) if !host.can_set(key) => Err(super::refusal(
            lab,
            &format!("sysctl.{section}.{key}"),
            "this setting cannot be written here",
        )
        .remedy("leave it out, or set it on the host before the run")),
        now => Ok(Some(HostSetting {
            key: key.to_owned(),
            from: now.unwrap_or_default(),
            to: to.to_owned(),
            why: "asked for by the lab file".to_owned(),
        })),
    }
}

fn cannot_raise(lab: &Lab, key: &str, now: u64, needed: u64, why: &str) -> Error {
    let text = format!(
        "{key} is {} and {} are needed ({why}), and it cannot be written here",
        grouped(now),
        grouped(needed)
    );
    super::refusal(lab, "connections", text).remedy(format!(
        "on the host: `sysctl -w {key}={needed}`; or fewer connections (`--connections fit`)"
    ))
}
