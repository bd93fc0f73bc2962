//! What each agent is told first: what it is, and its part of the plan. Pure.

use crate::agent::{Order, ReactorOrder, SwarmOrder};
use crate::launch::AgentId;
use crate::plan::{Plan, turns};

pub fn first(plan: &Plan, agent: AgentId) -> Order {
    match agent {
        AgentId::Reactor(place) => Order::Reactor(ReactorOrder {
            addresses: plan.server_addresses(),
            ports: plan.ends.server_ports.clone(),
            backlog: plan.ends.reactors.backlog,
            capacity: plan.ends.reactors.capacity,
            place,
        }),
        AgentId::Swarm(index) => {
            let swarm = &plan.ends.swarms[index as usize];
            Order::Swarm(SwarmOrder {
                tuples: plan.tuples_of(swarm),
                first: swarm.first,
                count: swarm.count,
                round_step: plan.round_step(swarm.node),
                rounds: plan.course.ramp.rounds,
                window: plan.course.ramp.window,
                timeout_ms: plan.course.ramp.timeout.as_millis() as u64,
                rate: turns::rate_of(index as usize, plan.ends.swarms_at_once, plan.course.ramp.rate),
                talk: plan.course.talk,
            })
        }
    }
}
