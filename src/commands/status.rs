//! `c1m-lab status`: the labs that stand, also those whose runner is dead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::{print_json, print_text};
use crate::cli::StatusArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::journal::{self, Change, Standing};
use crate::kernel::netns;
use crate::kernel::proc;
use crate::units::grouped;

#[derive(Debug, Serialize)]
struct Status {
    lab: String,
    runner: Option<u32>,
    /// Whether its runner is still at work.
    running: bool,
    /// A reboot ended it: at most host settings are left of it.
    rebooted: bool,
    age_seconds: Option<u64>,
    nodes: Vec<StandingNode>,
    processes: usize,
    /// TCP connections held in all client nodes.
    connections: Option<u64>,
    host_settings: Vec<String>,
    run_directory: Option<String>,
}

#[derive(Debug, Serialize)]
struct StandingNode {
    namespace: String,
    tcp_sockets: Option<u64>,
}

pub fn run(args: &StatusArgs) -> Result<Exit> {
    let labs: Vec<Status> = journal::labs().iter().map(|lab| status(lab)).collect();
    if args.json {
        return print_json(&labs);
    }
    if labs.is_empty() {
        return print_text("no lab stands");
    }
    let lines: Vec<String> = labs.iter().map(line).collect();
    print_text(&lines.join("\n"))
}

fn status(lab: &str) -> Status {
    let (header, mut standing) = journal::look(lab);
    let rebooted = header.as_ref().is_some_and(journal::Header::is_of_an_earlier_boot);
    if rebooted {
        // Whoever has these names and numbers now is another.
        standing.retain(|one| matches!(one.change, Change::Setting { .. }));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let nodes: Vec<StandingNode> = standing.iter().filter_map(node).collect();
    let clients = nodes.iter().filter(|node| node.namespace.contains("-client-"));
    Status {
        lab: lab.to_owned(),
        runner: header.as_ref().map(|header| header.runner),
        running: header.as_ref().is_some_and(journal::Header::is_running),
        rebooted,
        age_seconds: header.as_ref().map(|header| now.as_secs().saturating_sub(header.began_unix_ms / 1000)),
        connections: clients.map(|node| node.tcp_sockets).sum(),
        nodes,
        processes: standing.iter().filter(|one| is_live_process(one)).count(),
        host_settings: standing.iter().filter_map(setting).collect(),
        run_directory: header.map(|header| header.run_directory.display().to_string()),
    }
}

fn node(standing: &Standing) -> Option<StandingNode> {
    let Change::Namespace { name, .. } = &standing.change else { return None };
    // The counters need the rights to enter the namespace.
    let inside = netns::open(name)
        .ok()
        .and_then(|namespace| netns::inside_each([namespace.file()], |_| proc::sockstat()).pop()?.ok());
    Some(StandingNode { namespace: name.clone(), tcp_sockets: inside.map(|sockets| sockets.tcp_inuse) })
}

fn is_live_process(standing: &Standing) -> bool {
    matches!(&standing.change, Change::Process { pid, start_time, .. } if proc::is_alive(*pid, *start_time))
}

fn setting(standing: &Standing) -> Option<String> {
    match &standing.change {
        Change::Setting { key, before, during } => Some(format!("{key}: {before} → {during}")),
        _ => None,
    }
}

fn line(status: &Status) -> String {
    if status.rebooted {
        return format!(
            "{} · ended by a reboot · {} host settings: `c1m-lab down {0}` puts back what outlasted it",
            status.lab,
            status.host_settings.len(),
        );
    }
    let runner = match (status.runner, status.running) {
        (Some(pid), true) => format!("run by process {pid}"),
        (Some(pid), false) => {
            format!("its runner {pid} has ended: `c1m-lab down {}` takes it down", status.lab)
        }
        (None, _) => "nobody is known to run it".to_owned(),
    };
    format!(
        "{} · {} nodes · {} processes · {} connections · {} s old · {runner}",
        status.lab,
        status.nodes.len(),
        status.processes,
        status.connections.map_or_else(|| "unknown".to_owned(), grouped),
        status.age_seconds.unwrap_or(0),
    )
}
