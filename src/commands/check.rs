//! `c1m-lab check`: what this host allows, what a lab needs, and the remedy.

use serde::Serialize;

use super::{Planned, plan_anywhere, print_json, print_text};
use crate::cli::{CheckArgs, LabArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::host::{Capability, Host, IPV6, Neighbour, Presence, Version};
use crate::journal;
use crate::plan::Plan;
use crate::rootless;
use crate::units::{Family, grouped, human_bytes};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    WillBeRaised,
    /// Only a machine could tell, and it was not asked.
    Unknown,
    Cannot,
}

#[derive(Debug, Serialize)]
struct CheckRow {
    what: String,
    is: String,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Serialize)]
struct CheckResult<'a> {
    rows: &'a [CheckRow],
    host: &'a Host,
    refusal: Option<String>,
}

pub fn run(args: &CheckArgs) -> Result<Exit> {
    let mut host = journal::beside::host();
    let planned = args.file.as_ref().map(|file| {
        let lab = LabArgs { file: file.clone(), ..LabArgs::default() };
        plan_anywhere(&lab, &mut host, args.ask_machines)
    });
    let mut unasked = None;
    let (plan, refusal) = match planned {
        Some(Ok(Planned::Plan(plan, _))) => (Some(*plan), None),
        Some(Ok(Planned::Unasked(machines))) => {
            unasked = Some(CheckRow { state: State::Unknown, ..row("machines", &machines.in_short()) });
            (None, None)
        }
        // What is wrong with the file is no fact about the host.
        Some(Err(error)) if error.exit == Exit::Input => return Err(error),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let mut rows = rows(&host, plan.as_ref());
    rows.extend(unasked);
    if args.json {
        print_json(&CheckResult {
            rows: &rows,
            host: &host,
            refusal: refusal.as_ref().map(ToString::to_string),
        })?;
    } else {
        print_text(&rows.iter().map(line).collect::<Vec<_>>().join("\n"))?;
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    let cannot = rows.iter().any(|row| row.state == State::Cannot);
    Ok(if cannot { Exit::Host } else { Exit::Done })
}

fn line(row: &CheckRow) -> String {
    let state = match row.state {
        State::Ok => "ok",
        State::WillBeRaised => "will be raised",
        State::Unknown => "unknown",
        State::Cannot => "cannot",
    };
    let mut line = format!(" {:<33} {state:<15} {}", row.what, row.is);
    if let Some(remedy) = &row.remedy {
        line += &format!("\n {:<33} {:<15} → {remedy}", "", "");
    }
    line
}

fn rows(host: &Host, plan: Option<&Plan>) -> Vec<CheckRow> {
    let mut rows = vec![row("kernel", &host.kernel), row("processors", &host.machine_cpus.to_string())];
    rows.extend(capabilities(host));
    rows.push(descriptors(host));
    rows.extend(settings(host, plan));
    rows.push(memory(host, plan));
    rows.extend(host.others.iter().map(beside));
    rows.push(cgroup(host, plan));
    rows.extend(features(host, plan));
    rows
}

fn row(what: &str, is: &str) -> CheckRow {
    CheckRow { what: what.to_owned(), is: is.to_owned(), state: State::Ok, remedy: None }
}

fn capabilities(host: &Host) -> Vec<CheckRow> {
    let rootless = host.uid != 0 && rootless::is_likely();
    let instead = rootless.then_some("the lab is made in a user namespace of its own");
    let stay =
        if host.uid == 0 { "agents stay root, without any capability" } else { "agents stay this user" };
    let more = "several processes carry the connections";
    let needed = [
        (Capability::SysAdmin, "make and enter network namespaces", instead),
        (Capability::NetAdmin, "make links, addresses and routes", instead),
        (Capability::Setuid, "run the agents as nobody", Some(stay)),
        (Capability::Setgid, "run the agents in nobody's group", Some(stay)),
        (Capability::Kill, "end an agent that hangs and is another user", Some("it ends with its runner")),
        (Capability::SysResource, "raise descriptor limits", Some(more)),
    ];
    let one = |(capability, what_for, instead): (Capability, &str, Option<&str>)| {
        let is = match instead {
            _ if host.has(capability) => format!("there: {what_for}"),
            Some(instead) => format!("not there, and not needed: {instead}"),
            None => format!("not there: {what_for}"),
        };
        let mut row = row(&capability.to_string(), &is);
        if !host.has(capability) && instead.is_none() {
            row.state = State::Cannot;
            row.remedy = Some(match host.uid {
                0 => "in a container: `--cap-add SYS_ADMIN --cap-add NET_ADMIN`".to_owned(),
                _ => "run as root: `sudo c1m-lab …`".to_owned(),
            });
        }
        row
    };
    needed.into_iter().map(one).collect()
}

fn descriptors(host: &Host) -> CheckRow {
    let most = crate::plan::processes::most_descriptors(host);
    let limit = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { grouped(value) };
    let is = format!("soft {}, hard {}", limit(host.nofile.soft), limit(host.nofile.hard));
    let mut row = row("nofile", &is);
    if most > host.nofile.soft {
        row.state = State::WillBeRaised;
        row.is += &format!("; each process takes what it needs, up to {}", grouped(most));
    }
    row
}

/// In a container they are another's to decide on.
fn host_settings(host: &Host) -> CheckRow {
    let is = match (host.settings_writable, host.uid) {
        (true, _) => "can be raised for a run, and are put back",
        (false, 0) => {
            "read-only, as in a container: the lab is planned within them, and sets its namespaces' own"
        }
        (false, _) => "root's alone: the lab is planned within them, and sets its namespaces' own",
    };
    row("settings of the host", is)
}

/// Settings that decide how far a run gets; those a plan moves are told with where to.
fn settings(host: &Host, plan: Option<&Plan>) -> Vec<CheckRow> {
    let known = [
        ("fs.nr_open", "the most descriptors of one process"),
        ("fs.file-max", "open files of the whole machine"),
        ("net.ipv4.tcp_mem", "pages for TCP buffers; idle connections need none"),
        (
            "net.ipv4.ip_local_port_range",
            "for `clients.ports: auto`; else each connection binds its planned port",
        ),
        ("net.netfilter.nf_conntrack_max", "for networks with a router; each network counts its own"),
        ("net.ipv4.tcp_child_ehash_entries", "sized for each namespace without touching the host's"),
    ];
    let moved = plan.map(Plan::host_settings).unwrap_or_default();
    let mut rows = vec![host_settings(host)];
    for (key, note) in known {
        let Some(value) = host.settings.get(key) else { continue };
        let moved = moved.iter().find(|setting| setting.key == key);
        let fixed = if host.can_set(key) { "" } else { "; cannot be changed from here" };
        let mut row = row(key, &format!("{value} ({note}{fixed})"));
        if let Some(setting) = moved {
            row.state = State::WillBeRaised;
            row.is = format!("{} → {} ({})", setting.from, setting.to, setting.why);
        }
        rows.push(row);
    }
    for setting in moved.iter().filter(|setting| known.iter().all(|(key, _)| *key != setting.key)) {
        let is = format!("{} → {} ({})", setting.from, setting.to, setting.why);
        rows.push(CheckRow { state: State::WillBeRaised, ..row(&setting.key, &is) });
    }
    rows
}

fn memory(host: &Host, plan: Option<&Plan>) -> CheckRow {
    let available =
        format!("{} available of {}", human_bytes(host.memory_to_use()), human_bytes(host.memory.total));
    match plan {
        None => row("memory", &format!("{available}: room for about {} connections", grouped(room(host)))),
        Some(plan) => row("memory", &format!("{} expected, {available}", human_bytes(plan.memory.expected))),
    }
}

/// Another lab, and what it is still to take of what there is.
fn beside(other: &Neighbour) -> CheckRow {
    let (planned, unused) = (&other.planned, &other.unused);
    let is = format!(
        "has planned {} and {} agents; {} of it, {} files and {} processes and threads are not in use yet",
        human_bytes(planned.memory),
        grouped(planned.agents),
        human_bytes(unused.memory),
        grouped(unused.files),
        grouped(unused.tasks),
    );
    row(&format!("lab {}", other.lab), &is)
}

/// Idle connections of which both ends fit into the memory there is.
fn room(host: &Host) -> u64 {
    host.memory_to_use() / (crate::plan::memory::SERVER_END + crate::plan::memory::CLIENT_END)
}

fn cgroup(host: &Host, plan: Option<&Plan>) -> CheckRow {
    let version = match host.cgroup.version {
        Version::None => "none",
        Version::V1 => "version 1",
        Version::V2 => "version 2",
    };
    let wanted =
        plan.is_some_and(|plan| (0..plan.ends.nodes.len()).any(|node| plan.memory_limit(node).is_some()));
    match &host.cgroup.can_limit {
        Ok(()) => row("memory cgroup", &format!("{version}; `limits: {{memory}}` can be set")),
        Err(why) => CheckRow {
            state: if wanted { State::Cannot } else { State::Ok },
            remedy: wanted.then(|| "leave `limits: {memory}` out of the lab file".to_owned()),
            ..row("memory cgroup", &format!("{version}; `limits: {{memory}}` cannot be set: {why}"))
        },
    }
}

fn features(host: &Host, plan: Option<&Plan>) -> Vec<CheckRow> {
    let router = plan.and_then(Plan::router).filter(|router| router.tracks);
    let mut needed = vec!["network_namespaces", "veth"];
    needed.extend(router.iter().flat_map(|_| ["nf_tables", "conntrack"]));
    needed.extend(router.filter(|router| !router.nat.is_empty()).map(|_| "nat"));
    let subnets = plan.map(|plan| plan.ends.subnets.as_slice()).unwrap_or_default();
    if subnets.iter().any(|subnet| subnet.family() == Family::Ipv6) {
        needed.push(IPV6);
    }
    let one = |name: &str| {
        let presence = host.feature(name);
        let is = match presence {
            Presence::Present => "there",
            Presence::Loadable => "a module, loaded when needed",
            Presence::Absent => "missing from this kernel",
            Presence::Unknown => "not known; the run will tell",
        };
        let mut row = row(&format!("kernel: {}", name.replace('_', " ")), is);
        if presence == Presence::Absent {
            row.state = State::Cannot;
            row.remedy = Some("use a kernel that has it; every distribution's own does".to_owned());
        }
        row
    };
    needed.into_iter().map(one).collect()
}
