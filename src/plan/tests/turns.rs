//! Whose turn it is to connect, and at which rate: on one host, and on machines.

use proptest::prelude::*;

use super::super::machines::{Clock, Machine, decide as decide_on_machines};
use super::super::turns;
use super::*;
use crate::host::Nofile;

fn machine(number: u8, cpus: u32, nofile: u64) -> Machine {
    let mut host = bounded(nofile);
    host.machine_cpus = cpus;
    let address = address(&format!("192.168.56.{number}"));
    Machine { ssh: format!("m{number}"), address, host, clock: Clock::default() }
}

fn lab_on_machines(clients: usize, connections: u64, rate: &str) -> Lab {
    let names = vec!["there"; clients].join(", ");
    lab(&format!(
        "driver: ssh\nmachines: {{server: here, clients: [{names}]}}\nconnections: {connections}\nramp: {{rate: {rate}}}"
    ))
}

/// The rates that the swarms are told.
fn rates(plan: &Plan) -> Vec<Option<u64>> {
    let rate = |index| turns::rate_of(index, plan.ends.swarms_at_once, plan.course.ramp.rate);
    (0..plan.ends.swarms.len()).map(rate).collect()
}

fn rates_are_what_was_asked(plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert!((1..=plan.ends.swarms.len()).contains(&plan.ends.swarms_at_once));
    let Rate::PerSecond(asked) = plan.course.ramp.rate else {
        prop_assert!(rates(plan).iter().all(Option::is_none));
        return Ok(());
    };
    let rates: Vec<u64> = rates(plan).into_iter().flatten().collect();
    prop_assert_eq!(rates.len(), plan.ends.swarms.len());
    prop_assert!(!rates.contains(&0), "a swarm that never connects");
    for together in rates.windows(plan.ends.swarms_at_once) {
        prop_assert_eq!(together.iter().sum::<u64>(), asked);
    }
    Ok(())
}

#[test]
fn two_machines_with_one_swarm_each_have_half_of_the_rate_each() {
    let machines = [machine(10, 2, 1 << 20), machine(11, 2, 1 << 20), machine(12, 2, 1 << 20)];
    let lab = lab_on_machines(2, 100_000, "20K/s");
    let plan = decide_on_machines(&lab, &Host::example(), &machines).expect("plan");
    assert_eq!((plan.ends.swarms.len(), plan.ends.swarms_at_once), (2, 2));
    assert_eq!(rates(&plan), [Some(10_000), Some(10_000)]);
}

#[test]
fn a_rate_that_cannot_be_divided_is_still_the_whole() {
    let rate = |rate| (0..3).filter_map(move |index| turns::rate_of(index, 3, Rate::PerSecond(rate)));
    assert_eq!(rate(20_000).collect::<Vec<_>>(), [6_667, 6_667, 6_666]);
    // One connection in a second is one swarm's, not one for each of three.
    let mut plan = decide(&lab("connections: 1M\nramp: {rate: 1/s}"), &bounded(20_000)).expect("plan");
    assert_eq!(plan.ends.swarms_at_once, 1);
    plan.course.ramp.rate = Rate::Max;
    assert!(rates(&plan).iter().all(Option::is_none));
}

fn rate() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("max".to_owned()),
        (1_u64..50).prop_map(|rate| format!("{rate}/s")),
        (1_u64..5_000_000).prop_map(|rate| format!("{rate}/s"))
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn machines_connect_at_the_rate_that_was_asked_for(
        clients in prop::collection::vec((1_u32..=64, prop_oneof![200_u64..3_000, 3_000_u64..2_000_000]), 1..12),
        connections in prop_oneof![1_u64..20, 1_u64..400_000],
        rate in rate(),
    ) {
        let mut machines = vec![machine(10, 4, 1 << 20)];
        machines.extend(clients.iter().zip(11..).map(|((cpus, nofile), number)| machine(number, *cpus, *nofile)));
        let lab = lab_on_machines(clients.len(), connections, &rate);
        let Ok(plan) = decide_on_machines(&lab, &Host::example(), &machines) else { return Ok(()) };
        rates_are_what_was_asked(&plan)?;
        // No machine is counted with more swarms than it has, or than its processors are kept busy by.
        let own = |client: usize| plan.ends.swarms.iter().filter(|swarm| swarm.node == client + 1).count();
        let most: usize =
            clients.iter().enumerate().map(|(client, (cpus, _))| own(client).min(*cpus as usize + 1)).sum();
        prop_assert!(plan.ends.swarms_at_once <= most, "{} of {}", plan.ends.swarms_at_once, most);
        if plan.course.ramp.rate == Rate::Max {
            prop_assert_eq!(plan.ends.swarms_at_once, most);
        }
    }

    #[test]
    fn one_host_connects_at_the_rate_that_was_asked_for(
        cpus in 1_u32..=64,
        nofile in prop_oneof![200_u64..3_000, 3_000_u64..2_000_000],
        connections in prop_oneof![1_u64..20, 1_u64..400_000],
        clients in 1_u32..12,
        rate in rate(),
    ) {
        let mut host = bounded(nofile);
        host.machine_cpus = cpus;
        host.nofile = Nofile { soft: 64, hard: nofile };
        let lab = lab(&format!("connections: {connections}\nclients: {{count: {clients}}}\nramp: {{rate: {rate}}}"));
        let Ok(plan) = decide(&lab, &host) else { return Ok(()) };
        rates_are_what_was_asked(&plan)?;
        prop_assert!(plan.ends.swarms_at_once <= cpus as usize + 1);
    }
}
