//! A lab whose nodes are namespaces of this host. Pure.

use super::draft::Draft;
use super::place::{Here, Place, agent_user};
use super::refusal::Refusal;
use super::{Plan, admission, fit, limits, memory, network, processes, settings, tuple_sum, turns};
use crate::error::Result;
use crate::host::Host;
use crate::spec::{Lab, Spec};

/// Decides everything, or says why this lab cannot run on this host.
pub fn decide(lab: &Lab, host: &Host) -> Result<Plan> {
    decide_spec(&lab.spec, host).map_err(|refusal| refusal.of(lab))
}

/// The largest number of connections with which this lab can be planned on this host.
pub fn connections(lab: &Lab, host: &Host) -> Result<u64> {
    fitting(&lab.spec, host).map_err(|refusal| refusal.of(lab))
}

fn decide_spec(spec: &Spec, host: &Host) -> Result<Plan, Refusal> {
    let plan = sketch(spec, host)?;
    memory::check(spec, host, &plan.memory, "", || fitting(spec, host).unwrap_or(0))?;
    Ok(plan)
}

fn fitting(spec: &Spec, host: &Host) -> Result<u64, Refusal> {
    fit::most(spec, |spec| {
        let plan = sketch(spec, host)?;
        memory::check(spec, host, &plan.memory, "", || 0).map(|()| plan)
    })
}

/// Everything decided but whether the memory is enough.
fn sketch(spec: &Spec, host: &Host) -> Result<Plan, Refusal> {
    let tuples = tuple_sum::tuple_sum(spec)?;
    memory::check_limits(spec, host)?;
    let subnets = network::subnets(spec, host)?;
    let reactors = processes::reactors(spec, host)?;
    let swarms = processes::swarms(spec, host, &reactors)?;
    admission::check_agents(host, u64::from(reactors.count) + swarms.len() as u64)?;
    let runner_nofile = processes::runner_nofile(spec, host, &reactors, swarms.len() as u64)?;
    let mut nodes = network::nodes(spec, &subnets);
    processes::place_on_cpus(spec, host, &mut nodes);
    let namespaces = network::namespaces(spec, &subnets, &nodes);
    let host_settings = settings::host_settings(spec, host, &reactors, &swarms)?;
    let memory = memory::expect(spec, host, &namespaces, &reactors, &swarms);
    let here = Here {
        namespaces,
        links: network::links(spec, &nodes),
        client_rate: spec.network.rate.map(|bytes| bytes.0),
        router: network::router(spec, &nodes),
        host_settings,
        agent_user: agent_user(host),
    };
    let draft = Draft {
        limits: limits::all(spec, host, &tuples, &memory),
        tuples,
        subnets,
        nodes,
        most_descriptors: processes::most_descriptors(host),
        swarms_at_once: turns::on_one_host(host.machine_cpus, &swarms, spec.ramp.rate),
        drains_at_once: processes::drains_at_once(host),
        reactors,
        swarms,
        place: Place::Here(here),
        memory,
        runner_nofile,
    };
    draft.into_plan(spec)
}
