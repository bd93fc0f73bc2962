//! Labs beside each other: two are admitted only if all that both have planned fits.

use proptest::prelude::*;

use super::*;
use crate::host::{InUse, Neighbour, Reservation, Share, TaskLimit};
use crate::plan::admission::MOST_AGENTS;
use crate::plan::admission::{agents_fit, fits, most_agents};

/// The host when a lab runs there that has taken so much of its reservation.
fn beside(mut host: Host, planned: &Reservation, in_use: InUse) -> Host {
    let (whole, unused) = (planned.whole(), planned.unused(&in_use));
    let taken = |of: fn(&Share) -> u64| of(&whole) - of(&unused);
    host.memory.available -= taken(|share| share.memory);
    host.files_open += taken(|share| share.files) + unused.files;
    for limit in &mut host.tasks {
        limit.in_use += taken(|share| share.tasks);
    }
    host.others.push(Neighbour { lab: "big".to_owned(), planned: whole, unused });
    host
}

fn nothing_yet() -> InUse {
    InUse::default()
}

fn reservation(text: &str) -> Reservation {
    decide(&lab(text), &Host::example()).expect(text).reservation()
}

#[test]
fn memory_that_another_lab_is_still_to_take_is_not_there() {
    let planned = reservation("connections: 5M\nserver: {ports: 9000-9999}");
    let host = Host::example();
    let text = "connections: 4M\nserver: {ports: 9000-9999}";
    decide(&lab(text), &host).expect("alone it fits");
    let error = decide(&lab(text), &beside(host.clone(), &planned, nothing_yet())).expect_err("both do not");
    let told = error.to_string();
    for part in
        ["the lab `big` has planned 36.", "are not in use yet", "`c1m-lab down big`", "--connections fit"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    // What it has taken by now is not counted twice.
    let standing = InUse { sockets: 10_000_000, agents: planned.agents, built: true };
    let beside_standing = beside(host.clone(), &planned, standing);
    assert_eq!(beside_standing.others[0].unused, Share::default());
    decide(&lab(text), &beside_standing).expect_err("it has taken it");
    decide(&lab("connections: 2M\nserver: {ports: 9000-9999}"), &beside_standing).expect("room for these");
    let fitting = here::connections(&lab(text), &beside(host, &planned, nothing_yet())).expect("a number");
    assert!((2_000_000..4_000_000).contains(&fitting), "{fitting}");
}

#[test]
fn open_files_that_another_lab_is_still_to_open_are_not_there() {
    let planned = reservation("connections: 100K");
    let mut host = Host::example();
    host.settings.insert("fs.file-max".to_owned(), "300000".to_owned());
    let raised = |host: &Host| {
        let plan = decide(&lab("connections: 50K"), host).expect("a plan");
        plan.host_settings()
            .iter()
            .find(|setting| setting.key == "fs.file-max")
            .map(|setting| setting.to.clone())
    };
    assert_eq!(raised(&host), None);
    let crowded = beside(host, &planned, nothing_yet());
    let to: u64 = raised(&crowded).expect("a higher limit").parse().expect("a number");
    assert!(to >= 300_000 + 20_000, "{to}");
    let mut fixed = crowded;
    fixed.settings_fixed.insert("fs.file-max".to_owned());
    let told = decide(&lab("connections: 50K"), &fixed).expect_err("no room").to_string();
    assert!(told.contains("the lab `big` has planned 200,") && told.contains("`c1m-lab down big`"), "{told}");
}

#[test]
fn processes_and_threads_of_both_have_to_fit() {
    let limit = |most| vec![TaskLimit { name: "kernel.pid_max".to_owned(), most, in_use: 200 }];
    let host = Host { tasks: limit(400), ..Host::example() };
    assert_eq!(most_agents(&host), (400 - 200 - 64) / 2);
    assert!(agents_fit(&host, 68).is_ok() && agents_fit(&host, 69).is_err());
    let many = "connections: 10K\nlimits: {client: {nofile: 206}}";
    decide(&lab(many), &host).expect("alone it fits");
    let planned = reservation("connections: 10K\nlimits: {client: {nofile: 506}}");
    let told = decide(&lab(many), &beside(host, &planned, nothing_yet())).expect_err("no room").to_string();
    assert!(
        told.contains("kernel.pid_max leaves room for") && told.contains("the lab `big` has planned"),
        "{told}"
    );
}

#[test]
fn agents_of_all_labs_together_have_a_bound() {
    let other = Share { agents: 4_000, ..Share::default() };
    let neighbour = Neighbour { lab: "big".to_owned(), planned: other, unused: Share::default() };
    let host = Host { others: vec![neighbour], ..Host::example() };
    let told = agents_fit(&host, 97).expect_err("too many").why;
    assert!(told.contains("at most 4,096 of them together; the lab `big` has planned 4,000"), "{told}");
    assert!(agents_fit(&host, 96).is_ok());
}

prop_compose! {
    fn reservations()(
        connections in 0..3_000_000_u64,
        ends in 1..=2_u64,
        connection_memory in 0..9_000_u64,
        agents in 0..3_000_u64,
        tables in 0..1_u64 << 30,
    ) -> Reservation {
        let agent = Share { memory: 1 << 20, files: 128, tasks: 2, agents: 1 };
        Reservation { connections, ends, connection_memory, agents, agent, tables }
    }
}

proptest! {
    /// However much of its reservation the first has taken by then.
    #[test]
    fn two_that_are_admitted_fit_together(
        (one, other) in (reservations(), reservations()),
        (sockets, agents) in (0.0..1.2_f64, 0.0..1.2_f64),
        built: bool,
        memory in 1_u64 << 30..80 << 30,
        file_max in 100_000..15_000_000_u64,
        most_tasks in 100..20_000_u64,
    ) {
        let mut host = Host::example();
        host.memory.available = memory;
        host.settings.insert("fs.file-max".to_owned(), file_max.to_string());
        host.tasks = vec![TaskLimit { name: "kernel.pid_max".to_owned(), most: most_tasks, in_use: 50 }];
        prop_assume!(fits(&one, &host, &[], true).is_ok());
        let share = |of: u64, share: f64| (of as f64 * share) as u64;
        let in_use = InUse {
            sockets: share(one.connections * one.ends, sockets),
            agents: share(one.agents, agents),
            built,
        };
        let later = beside(host.clone(), &one, in_use);
        let admitted = fits(&other, &later, &[], true).is_ok();
        let (one, other) = (one.whole(), other.whole());
        let both_fit = one.memory + other.memory <= memory
            && one.files + other.files + host.files_open <= file_max
            && one.tasks + other.tasks + 50 <= most_tasks
            && one.agents + other.agents <= MOST_AGENTS;
        prop_assert!(!admitted || both_fit);
        // And nobody is refused where there is plenty for both.
        let plenty = (one.memory + other.memory + (1 << 30) <= memory)
            && one.files + other.files + host.files_open + 30_000 <= file_max
            && one.tasks + other.tasks + 200 <= most_tasks
            && one.agents + other.agents <= MOST_AGENTS;
        prop_assert!(admitted || !plenty);
    }
}
