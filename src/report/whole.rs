//! Sums over all machines are told only where each of them answered. Pure.

use super::Report;
use crate::account::Account;
use crate::event::Moment;
use crate::observe::Sample;
use crate::plan::Plan;

/// What was read at this moment, unless a machine of the lab is missing in it.
pub fn sample<'a>(plan: &Plan, account: &'a Account, moment: Moment) -> Option<&'a Sample> {
    account.sample(moment).filter(|sample| absent(plan, sample).is_none())
}

/// The first node whose machine did not answer.
pub fn absent<'a>(plan: &'a Plan, sample: &Sample) -> Option<&'a str> {
    let mut nodes = plan.ends.nodes.iter().filter(|_| plan.is_on_machines());
    nodes.find(|node| !sample.places.contains_key(&node.name)).map(|node| node.name.as_str())
}

/// Why there is no whole sample of this moment; `otherwise`: the moment did not come.
pub fn why(plan: &Plan, account: &Account, moment: Moment, otherwise: &str) -> String {
    let absent = account.sample(moment).and_then(|sample| absent(plan, sample));
    absent.map_or_else(|| otherwise.to_owned(), |node| format!("the machine of {node} did not answer then"))
}

/// The reasons of sums that are null for a machine's absence; of others the reason is not this one.
pub fn explain_nulls(report: &mut Report, plan: &Plan, account: &Account) {
    let moments: [(Moment, &[&str]); 3] = [
        (Moment::Before, &["sockets_before", "bytes_before"]),
        (Moment::Peak, &["sockets_peak", "bytes_peak", "files_open_peak"]),
        (Moment::Drained, &["sockets_after_drain", "time_wait_after_drain"]),
    ];
    for (moment, fields) in moments {
        let Some(sample) = account.sample(moment) else { continue };
        if let Some(node) = absent(plan, sample) {
            for field in fields {
                let why = format!("the machine of {node} did not answer then");
                report.not_measured.insert(format!("kernel.{field}"), why);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::event::Event;
    use crate::host::Host;
    use crate::observe::{Reading, names};
    use crate::plan::machines::{Clock, Machine, decide};

    const NODES: [&str; 3] = ["server", "client-1", "client-2"];

    fn plan() -> Plan {
        let text =
            "driver: ssh\nmachines: {server: a, clients: [b, c]}\nconnections: 10K\nramp: {plateaus: [5K]}";
        let lab = crate::spec::parse("lab.yaml", text, &[]).expect("lab");
        let machine = |number| Machine {
            ssh: format!("m{number}"),
            address: Ipv4Addr::new(192, 168, 56, number).into(),
            host: Host::example(),
            clock: Clock::default(),
        };
        decide(&lab, &Host::example(), &[10, 11, 12].map(machine)).expect("plan")
    }

    /// Each machine that answers has so many sockets and so much memory in use.
    fn sample(answering: &[&str], sockets: u64, bytes: u64) -> Sample {
        let mut places: std::collections::BTreeMap<String, Reading> = answering
            .iter()
            .map(|node| {
                let mut reading = Reading::default();
                reading.level(names::SOCKETS_IN_USE, sockets);
                ((*node).to_owned(), reading)
            })
            .collect();
        let mut host = Reading::default();
        host.level(names::KERNEL_MEMORY[0], bytes * answering.len() as u64);
        places.insert(names::HOST.to_owned(), host);
        Sample { places }
    }

    fn report(peak: &[&str]) -> Report {
        let mut account = Account::default();
        let samples = [
            (Moment::Before, sample(&NODES, 0, 1_000_000)),
            (Moment::Plateau, sample(peak, 3_000, 10_000_000)),
            (Moment::Peak, sample(peak, 6_000, 20_000_000)),
            (Moment::Drained, sample(&NODES, 0, 1_000_000)),
        ];
        let client = crate::launch::AgentId::Swarm(0);
        let counts =
            crate::agent::Counts { tried: 9_000, established: 9_000, open: 9_000, ..Default::default() };
        account.see(&Event::Counts { agent: client, counts });
        for (moment, sample) in samples {
            account.see(&Event::Kernel { moment, sample });
        }
        super::super::settle(&plan(), &account)
    }

    #[test]
    fn a_sum_without_one_of_the_machines_is_null_with_the_reason() {
        let report = report(&NODES[..2]);
        let kernel = &report.kernel;
        assert_eq!((kernel.sockets_peak, kernel.bytes_peak, kernel.bytes_per_connection), (None, None, None));
        assert_eq!((kernel.sockets_before, kernel.sockets_after_drain), (Some(0), Some(0)));
        for path in ["kernel.bytes_peak", "kernel.sockets_peak", "kernel.bytes_per_connection"] {
            let why = report.not_measured.get(path).map(String::as_str);
            assert_eq!(why, Some("the machine of client-2 did not answer then"), "{path}");
        }
        assert!(report.plateaus.iter().all(|plateau| plateau.kernel_bytes_per_connection.is_none()));
    }

    #[test]
    fn with_all_machines_there_is_a_sum() {
        let report = report(&NODES);
        assert_eq!(report.kernel.bytes_peak, Some(60_000_000));
        assert!(report.kernel.bytes_per_connection.is_some(), "{:?}", report.not_measured);
    }
}
