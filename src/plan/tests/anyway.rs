//! Labs that run although the plan knows that not every connection can be had.

use super::*;
use crate::spec::{FaultAction, Moment};
use crate::units::Ports;

fn planned(text: &str, host: &Host) -> Plan {
    let refused = decide(&lab(text), host).expect_err(text);
    assert!(refused.remedy.is_some(), "{refused}");
    decide(&lab(&format!("{text}\nanyway: true")), host).expect(text)
}

#[test]
fn too_few_descriptors_are_given_to_the_last() {
    let text = "connections: 10K\nserver: {reactors: 2, ports: 9900}\nlimits: {server: {nofile: 3000}}";
    let plan = planned(text, &Host::example());
    assert_eq!((plan.ends.reactors.count, plan.ends.reactors.nofile), (2, 3_000));
    assert_eq!(plan.ends.reactors.capacity, 10_000, "the kernel says when it is enough");
    assert_eq!((&*plan.first_limit.name, plan.first_limit.connections), ("server descriptors", 2 * 2_989));
}

#[test]
fn clients_can_be_short_of_descriptors_too() {
    let text = "connections: 10K\nclients: {count: 2, processes: 2}\nlimits: {client: {nofile: 1006}}";
    let plan = planned(text, &Host::example());
    assert_eq!(
        (plan.ends.swarms.len(), plan.ends.swarms[0].count, plan.ends.swarms[0].nofile),
        (4, 2_500, 1_006)
    );
    assert_eq!((&*plan.first_limit.name, plan.first_limit.connections), ("client descriptors", 4_000));
    let enough = decide(&lab("connections: 10K\nclients: {count: 2, processes: 3}"), &Host::example());
    assert_eq!(enough.expect("a plan").ends.swarms.len(), 6);
}

#[test]
fn five_tuples_are_used_twice() {
    let text = "connections: 3K\nserver: {ports: 9900}\nclients: {addresses: 1, ports: 2001-3000}";
    let plan = planned(text, &Host::example());
    assert_eq!((&*plan.first_limit.name, plan.first_limit.connections), ("five-tuples", 1_000));
    let tuples = plan.tuples_of(&plan.ends.swarms[0]);
    assert_eq!(tuples.at(0), tuples.at(1_000));
}

#[test]
fn ports_that_nobody_listens_on() {
    let text = "connections: 1K\nserver: {ports: 9900-9907}\nclients: {server_ports: 9900-9909}";
    let plan = planned(text, &Host::example());
    assert_eq!(plan.ends.dialled_ports, "9900-9909".parse::<Ports>().expect("ports"));
    assert_eq!((plan.ends.tuples.server_ports, plan.ends.server_ports.len()), (10, 8));
    assert_eq!((&*plan.first_limit.name, plan.first_limit.connections), ("listening ports", 800));
    decide(&lab("connections: 1K\nclients: {server_ports: 9910-9919}"), &Host::example())
        .expect("some of them");
}

#[test]
fn a_cgroup_may_be_too_small_but_never_the_machine() {
    let plan = planned("connections: 100K\nlimits: {server: {memory: 16MiB}}", &Host::example());
    assert_eq!(&*plan.first_limit.name, "server memory");
    let small = crate::host::Memory { total: GIB, available: GIB };
    let host = Host { memory: small, ..Host::example() };
    decide(&lab("connections: 5M\nanyway: true"), &host).expect_err("the machine is too small");
}

#[test]
fn a_fixed_file_table_is_a_limit() {
    let text = "connections: 10K\nsysctl: {host: {fs.file-max: 12000}}";
    let plan = planned(text, &Host::example());
    assert_eq!((&*plan.first_limit.name, plan.first_limit.connections), ("system file table", 5_000));
    assert_eq!(plan.host_settings().len(), 1, "it is not raised again: {:?}", plan.host_settings());
}

#[test]
fn every_round_counts() {
    let plan = decide(&lab("connections: 1K\nclients: {count: 2}\nramp: {rounds: 3}"), &Host::example());
    let plan = plan.expect("a plan");
    assert_eq!((plan.asked(), plan.round_step(1)), (3_000, 500));
}

#[test]
fn faults_find_whom_they_strike() {
    let text = "connections: 1K\nclients: {count: 2}\nfaults:\n\
                - {established: 500, after: 2s, do: kill, agent: reactor-1}\n\
                - {at: hold, do: stop, agent: client-2}\n\
                - {do: link_down, node: client-1}\n";
    let plan = decide(&lab(text), &Host::example()).expect("a plan");
    let whom: Vec<_> = plan.course.faults.iter().map(|fault| fault.whom).collect();
    assert_eq!(whom, [Whom::Reactor(0), Whom::SwarmsOf(2), Whom::LinkOf(1)]);
    let first = &plan.course.faults[0];
    assert_eq!((first.at, first.established, first.action), (Moment::Ramp, 500, FaultAction::Kill));
    assert_eq!(first.in_full(), "ramp, 500 established, 2s later: kill reactor 1");
}

#[test]
fn faults_that_strike_nobody_are_refused_at_their_place() {
    for (fault, caret, remedy) in [
        ("{do: kill, agent: reactor-2}", "reactor-2", "reactor-1 to reactor-1"),
        ("{do: kill, agent: swarm-9}", "swarm-9", "swarm-1 to swarm-2"),
        ("{do: link_up, node: server}", "server", "client-1 to client-2"),
        ("{do: reset, ports: 9990-10000}", "9990-10000", "9900-9999"),
    ] {
        let text = format!("connections: 1K\nclients: {{count: 2}}\nfaults:\n  - {fault}\n");
        let error = decide(&lab(&text), &Host::example()).expect_err(fault);
        let at = error.excerpt.as_ref().expect("an excerpt");
        let pointed: String = at.text.chars().skip(at.column - 1).take(at.width).collect();
        assert_eq!((at.line, pointed.as_str()), (4, caret), "{error}");
        assert!(error.remedy.as_ref().is_some_and(|said| said.contains(remedy)), "{error}");
    }
}
