//! `c1m-lab plan`: everything that `up` would do, decided and printed.

use super::{Planned, plan_anywhere, print_json, print_text};
use crate::cli::PlanArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::journal;
use crate::origin::Beginning;
use crate::plan::machines::{Clock, Placed};
use crate::plan::tuples::Addresses;
use crate::plan::{Here, Home, HostSetting, LinkEnd, Nat, Node, Place, Plan, Role, Router, TupleSum};
use crate::record::PlanRecord;
use crate::units::{Period, grouped, human_bytes};

/// Nodes shown one by one; of more, the first and the last.
const SHOWN: usize = 6;

pub fn run(args: &PlanArgs) -> Result<Exit> {
    let mut host = journal::beside::host();
    match plan_anywhere(&args.lab, &mut host, args.ask_machines)? {
        Planned::Plan(plan, file) if args.json => {
            print_json(&PlanRecord::of(Beginning::now(file, &host).origin, &plan))
        }
        Planned::Plan(plan, _) => print_text(&text(&plan)),
        Planned::Unasked(unasked) if args.json => print_json(&unasked),
        Planned::Unasked(unasked) => print_text(&unasked.text()),
    }
}

fn text(plan: &Plan) -> String {
    let mut lines = vec![format!(
        "{} · {} connections · {}",
        plan.lab,
        grouped(plan.course.connections),
        listed(&plan.ends.subnets)
    )];
    lines.push(String::new());
    lines.extend(nodes(plan));
    lines.extend(links(plan));
    lines.push(String::new());
    lines.extend(tuples(&plan.ends.tuples));
    lines.extend(processes(plan));
    lines.extend(plan.course.faults.iter().map(|fault| format!(" fault        {}", fault.in_full())));
    lines.push(String::new());
    lines.extend(settings(plan));
    let memory = plan.memory;
    let at_router = match memory.router_per_connection {
        0 => String::new(),
        router => format!(", {} B at the router", grouped(router)),
    };
    lines.push(format!(
        " memory       {} expected of {} available ({} B per connection at the server, {} B at the clients{at_router})",
        human_bytes(memory.expected),
        human_bytes(memory.available),
        grouped(memory.server_per_connection),
        grouped(memory.client_per_connection),
    ));
    lines.push(String::new());
    let first = &plan.first_limit;
    lines.push(format!(
        " first limit  {} at {} connections: {}",
        first.name,
        grouped(first.connections),
        first.why
    ));
    if first.connections < plan.course.connections {
        lines.push(format!(
            "              {} are asked for: this run will meet it",
            grouped(plan.course.connections)
        ));
    }
    lines.push(format!("              to go beyond: {}", first.remedy));
    for limit in plan.limits.iter().skip(1) {
        lines.push(format!(" then         {} at {}: {}", limit.name, grouped(limit.connections), limit.why));
    }
    lines.join("\n")
}

fn nodes(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, node) in plan.ends.nodes.iter().enumerate() {
        let hidden = plan.ends.nodes.len() > SHOWN && index >= SHOWN - 1 && index + 1 < plan.ends.nodes.len();
        if hidden {
            if index == SHOWN - 1 {
                lines.push(format!(" …            {} more alike", plan.ends.nodes.len() - SHOWN));
            }
            continue;
        }
        let (place, more) = match &plan.place {
            Place::Here(here) => {
                (format!("namespace {}", here.namespaces[index].name), namespace(here, index, node))
            }
            Place::Machines(machines) => {
                let placed = &machines[index];
                (format!("machine {} · {} CPUs", placed.ssh, placed.cpus), machine(placed))
            }
        };
        lines.push(format!(" {:<12} {place} · {}", node.name, addresses(node)));
        lines.extend(more);
    }
    lines
}

fn namespace(here: &Here, index: usize, node: &Node) -> Vec<String> {
    // All clients have the same settings: those of the first are shown.
    let shown = node.settings.iter().filter(|_| node.role != Role::Client || index <= 1);
    let mut lines: Vec<String> = shown.map(|(key, value)| format!("              {key} = {value}")).collect();
    if let Some(router) = here.router.as_ref().filter(|router| router.node == index) {
        lines.push(format!("              {}", forwarding(router)));
    }
    if let Some(limit) = here.namespaces[index].memory_limit {
        lines.push(format!("              memory limit {}", human_bytes(limit)));
    }
    lines
}

fn machine(placed: &Placed) -> Vec<String> {
    let memory = &placed.memory;
    let mut lines = vec![format!(
        "              Linux {} · memory {} of {} · clock {}",
        placed.kernel,
        human_bytes(memory.expected),
        human_bytes(memory.available),
        clock(placed.clock),
    )];
    for setting in &placed.settings {
        let HostSetting { key, from, to, why, .. } = setting;
        lines.push(format!("              {key} {from} → {to}, put back afterwards: {why}"));
    }
    lines.extend(placed.out_of_reach.iter().map(|why| format!("              out of reach: {why}")));
    lines
}

fn clock(clock: Clock) -> String {
    let ahead = if clock.offset_us < 0 { "behind" } else { "ahead" };
    let ms = |us: u64| us as f64 / 1000.0;
    let (offset, error) = (ms(clock.offset_us.unsigned_abs()), ms(clock.round_trip_us / 2));
    format!("{offset:.1} ms {ahead} (±{error:.1})")
}

fn addresses(node: &Node) -> String {
    let of_family = |home: &Home| {
        let Addresses { first, count } = home.addresses;
        let last = home.addresses.last();
        match (count, home.each_address) {
            (1, _) => first.to_string(),
            (count, true) => format!("{} addresses {first} … {last}", grouped(count.into())),
            (count, false) => {
                let count = grouped(count.into());
                format!("{count} addresses {first} … {last}, as the local range {}", home.block)
            }
        }
    };
    listed(node.homes.iter().map(of_family))
}

fn listed(all: impl IntoIterator<Item = impl ToString>) -> String {
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    all.join(" and ")
}

fn forwarding(router: &Router) -> String {
    let translated =
        |nat: &Nat| format!("{} … {}, ports {}", nat.addresses.first, nat.addresses.last(), nat.ports);
    match (router.nat.as_slice(), router.tracks) {
        ([], true) => "forwards and tracks".to_owned(),
        ([], false) => "forwards".to_owned(),
        (nat, _) => {
            format!("forwards and tracks; translates the clients to {}", listed(nat.iter().map(translated)))
        }
    }
}

pub(super) fn tuples(tuples: &TupleSum) -> Vec<String> {
    let chosen = if tuples.kernel_chooses { " that the kernel chooses from" } else { "" };
    let mut lines = vec![format!(
        " five-tuples  {} addresses × {} client ports{chosen} × {} server ports = {} possible, {} needed",
        grouped(tuples.addresses),
        grouped(tuples.client_ports),
        grouped(tuples.server_ports),
        grouped(tuples.possible),
        grouped(tuples.needed),
    )];
    lines.extend(tuples.translated.map(|translated| {
        format!(
            " translated   {} addresses × {} ports × {} server ports = {} possible",
            grouped(translated.addresses),
            grouped(translated.ports),
            grouped(tuples.server_ports),
            grouped(translated.possible),
        )
    }));
    lines
}

fn links(plan: &Plan) -> Vec<String> {
    let line = |link: &crate::plan::Link| {
        let end = |end: &LinkEnd| format!("{}:{}", plan.ends.nodes[end.node].name, end.name);
        format!(" link         {} ── {}", end(&link.ends[0]), end(&link.ends[1]))
    };
    let links = plan.here().map(|here| here.links.as_slice()).unwrap_or_default();
    let mut lines: Vec<String> = links.iter().take(SHOWN - 1).map(line).collect();
    if links.len() >= SHOWN {
        lines.push(format!(" …            {} more alike", links.len() + 1 - SHOWN));
    }
    lines
}

fn processes(plan: &Plan) -> Vec<String> {
    let reactors = &plan.ends.reactors;
    let most = plan.ends.swarms.iter().map(|swarm| swarm.count).max().unwrap_or(0);
    let nofile = plan.ends.swarms.iter().map(|swarm| swarm.nofile).max().unwrap_or(0);
    let mut lines = vec![
        format!(
            " reactors     {} × up to {} connections, {} descriptors each, accept queues of {}",
            grouped(reactors.count.into()),
            grouped(reactors.capacity),
            grouped(reactors.nofile),
            grouped(reactors.backlog.into()),
        ),
        format!(
            " swarms       {} × up to {} connections, {} descriptors each, {} connecting at a time",
            grouped(plan.ends.swarms.len() as u64),
            grouped(most),
            grouped(nofile),
            plan.ends.swarms_at_once,
        ),
    ];
    let plateaus: Vec<String> = plan.course.ramp.plateaus.iter().map(|plateau| grouped(*plateau)).collect();
    if !plateaus.is_empty() {
        lines.push(format!(" plateaus     {}, {} on each", plateaus.join(" · "), Period(plan.course.hold)));
    }
    lines
}

fn settings(plan: &Plan) -> Vec<String> {
    // Those of machines are told with each of them.
    let Some(here) = plan.here() else { return Vec::new() };
    if here.host_settings.is_empty() {
        return vec![" host         no setting has to change".to_owned()];
    }
    let line = |setting: &crate::plan::HostSetting| {
        format!(
            " host         {} {} → {}, put back afterwards: {}",
            setting.key, setting.from, setting.to, setting.why
        )
    };
    here.host_settings.iter().map(line).collect()
}
