//! Settings: those of each node, and those of the host, which are only raised as far as the plan needs.

mod of_machine;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lowering::{self, Lowering};
use super::network::{UPLINK, overlay};
use super::{Home, Reactors, Role, Swarm, admission, permits};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::permitted;
use crate::spec::{Lab, Spec};
use crate::units::{Family, grouped};

pub use of_machine::{Needed, machine_settings};

pub const FILE_MAX: &str = "fs.file-max";
const NR_OPEN: &str = "fs.nr_open";
const UNPRIVILEGED_PORTS: &str = "net.ipv4.ip_unprivileged_port_start";
const REVERSE_PATH: &str = "net.ipv4.conf.all.rp_filter";
const NEIGHBOURS: &str = "net.ipv4.neigh.default.gc_thresh3";
const NEIGHBOURS6: &str = "net.ipv6.neigh.default.gc_thresh3";
/// The value of the first namespace holds in all, and each counts its own connections.
pub const TRACKED: &str = "net.netfilter.nf_conntrack_max";
/// One table for all namespaces.
const TRACKED_BUCKETS: &str = "net.netfilter.nf_conntrack_buckets";

/// Tracked besides those that are held: attempts that are given up, and a look from outside.
const TRACKED_SPARE: u64 = 1_024;
/// Both directions of a connection have an entry each: so many connections make chains of eight.
const TRACKED_PER_BUCKET: u64 = 4;
/// What every kernel on a machine of 1 GiB allows before it is told otherwise.
const TRACKED_ANYWHERE: u64 = 65_536;

/// Files that the rest of the machine may open meanwhile.
pub const FILES_SPARE: u64 = 20_000;
/// Descriptors an agent has besides connections: a bound for all roles.
pub const FILES_PER_PROCESS: u64 = 128;

/// The privileged ports end here, unless a namespace is told otherwise.
const UNPRIVILEGED: u16 = 1024;

/// A host-wide setting that the run changes and puts back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostSetting {
    pub key: String,
    pub from: String,
    pub to: String,
    pub why: String,
    /// A limit of the whole host becomes lower.
    pub lowers: Option<Lowering>,
}

/// The settings written inside a node.
pub fn node_settings(spec: &Spec, role: Role, homes: &[Home]) -> BTreeMap<String, String> {
    let home_of = |family| homes.iter().find(|home| home.family() == family);
    let ipv6 = home_of(Family::Ipv6);
    let mut planned = BTreeMap::new();
    let mut set = |key: &str, value: String| {
        planned.insert(key.to_owned(), value);
    };
    if role != Role::Router {
        // A connection that has lost its process or its peer is given up soon: nothing lingers after a run.
        set("net.ipv4.tcp_orphan_retries", "1".to_owned());
    }
    if spec.network.asymmetric && role != Role::Client {
        // Any way back is enough, whatever a new link of this host has: the larger of both values holds.
        set(REVERSE_PATH, "2".to_owned());
        if role == Role::Server {
            set(&format!("net.ipv4.conf.{UPLINK}.rp_filter"), "0".to_owned());
        }
    }
    let lowest = match role {
        Role::Server => {
            let backlog = spec.server.backlog.unwrap_or(u32::MAX >> 1);
            set("net.core.somaxconn", backlog.min(i32::MAX as u32).to_string());
            set("net.ipv4.tcp_max_syn_backlog", "65536".to_owned());
            spec.server.ports.iter().min().unwrap_or(UNPRIVILEGED)
        }
        Role::Client => spec.clients.ports.range(&spec.sysctl.client).first,
        Role::Router => {
            if home_of(Family::Ipv4).is_some() {
                set("net.ipv4.ip_forward", "1".to_owned());
            }
            if ipv6.is_some() {
                set("net.ipv6.conf.all.forwarding", "1".to_owned());
            }
            UNPRIVILEGED
        }
    };
    if ipv6.is_some_and(|home| !home.each_address) {
        // The block is a local route, and no address of it is on a link: only this lets anyone bind to it.
        set("net.ipv6.ip_nonlocal_bind", "1".to_owned());
    }
    if lowest < UNPRIVILEGED {
        set(UNPRIVILEGED_PORTS, lowest.to_string());
    }
    match role {
        Role::Server => overlay(planned, &spec.sysctl.server),
        Role::Client => overlay(planned, &spec.sysctl.client),
        Role::Router => overlay(planned, &spec.sysctl.router),
    }
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
    let neighbours = |family| {
        let has_them = spec.network.families().contains(&family);
        if has_them { 4 * u64::from(spec.clients.count) + 256 } else { 0 }
    };
    let tracked = if spec.network.tracks() { spec.connections + TRACKED_SPARE } else { 0 };
    if !host.settings.contains_key(TRACKED) && tracked > TRACKED_ANYWHERE {
        return Err(not_loaded(lab, tracked));
    }
    let needs = [
        (FILE_MAX, files, "open files: both ends of every connection, and the rest of the machine"),
        (NR_OPEN, nofile, "descriptors of one process"),
        (NEIGHBOURS, neighbours(Family::Ipv4), "neighbour entries, shared by all namespaces"),
        (NEIGHBOURS6, neighbours(Family::Ipv6), "neighbour entries of IPv6, shared by all namespaces"),
        (TRACKED, tracked, "connections that the router tracks"),
        // The kernel rounds to whole pages: a power of two stays what it is.
        (
            TRACKED_BUCKETS,
            (tracked / TRACKED_PER_BUCKET).next_power_of_two(),
            "the table of tracked connections",
        ),
    ];
    for (key, needed, why) in needs {
        if spec.sysctl.host.contains_key(key) {
            continue;
        }
        moved.extend(raised(lab, host, key, needed, why)?);
    }
    Ok(moved)
}

/// The setting to move; none: it is high enough, or not there, or its limit is to be met.
fn raised(lab: &Lab, host: &Host, key: &str, needed: u64, why: &str) -> Result<Option<HostSetting>> {
    let Some(now) = host.number(key).filter(|now| *now < needed) else { return Ok(None) };
    if host.can_set(key) {
        let (key, from, to) = (key.to_owned(), now.to_string(), needed.to_string());
        return Ok(Some(HostSetting { key, from, to, why: why.to_owned(), lowers: None }));
    }
    if lab.spec.anyway { Ok(None) } else { Err(cannot_raise((lab, host), key, (now, needed), why)) }
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
        now => {
            let from = now.unwrap_or_default();
            let lowers = lowering::of(host, key, &from, to);
            let mut why = "asked for by the lab file".to_owned();
            if permitted::find(key).is_none() {
                why += &format!("; `up` wants {} {key} for it", permits::FLAG);
            }
            if lowers.is_some() {
                why += "; `up` wants --lower-host-limits for it";
            }
            let (key, to) = (key.to_owned(), to.to_owned());
            Ok(Some(HostSetting { key, from, to, why, lowers }))
        }
    }
}

fn not_loaded(lab: &Lab, tracked: u64) -> Error {
    let text = format!(
        "{} connections are to be tracked, and what this host allows is not known: it tracks none yet",
        grouped(tracked)
    );
    super::refusal(lab, "connections", text)
        .remedy("`modprobe nf_conntrack` on the host, or `network: {kind: routed, conntrack: false}`")
}

fn cannot_raise((lab, host): (&Lab, &Host), key: &str, (now, needed): (u64, u64), why: &str) -> Error {
    let text = format!(
        "{key} is {} and {} are needed ({why}), and it cannot be written here{}",
        grouped(now),
        grouped(needed),
        if key == FILE_MAX { admission::files_beside(host) } else { String::new() },
    );
    let remedy =
        format!("on the host: `sysctl -w {key}={needed}`; or fewer connections (`--connections fit`)");
    super::refusal(lab, "connections", text).remedy(match key {
        FILE_MAX => admission::remedy_beside(host, &remedy),
        _ => remedy,
    })
}
