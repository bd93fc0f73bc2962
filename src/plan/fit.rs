//! `--connections fit`: as many as this machine's memory and limits carry.

use crate::error::Result;
use crate::host::Host;
use crate::spec::Lab;

use super::{Plan, memory, sketch};

/// The search's upper bound.
const MOST: u64 = u32::MAX as u64;

/// The largest number of connections with which this lab can be planned on this host.
pub fn connections(lab: &Lab, host: &Host) -> Result<u64> {
    most(lab, |lab| {
        let plan = sketch(lab, host)?;
        memory::check(lab, host, &plan.memory, "", || 0).map(|()| plan)
    })
}

/// The largest number of connections that can be planned.
///
/// What can be planned with n connections can be planned with fewer, so the answer is found by halving.
pub fn most(lab: &Lab, plan: impl Fn(&Lab) -> Result<Plan>) -> Result<u64> {
    let mut smaller = lab.clone();
    smaller.spec.anyway = false;
    let mut fits = |connections: u64| {
        smaller.spec.connections = connections;
        plan(&smaller).map(|plan| plan.limits)
    };
    // More than these limits allow could be planned, but would not be established.
    let limits = fits(1)?;
    let within = limits.iter().filter(|limit| !limit.refused).map(|limit| limit.connections).min();
    let (mut fitting, mut too_many) = (1, within.unwrap_or(MOST).clamp(1, MOST) + 1);
    while too_many - fitting > 1 {
        let middle = fitting + (too_many - fitting) / 2;
        match fits(middle) {
            Ok(_) => fitting = middle,
            Err(_) => too_many = middle,
        }
    }
    Ok(fitting)
}
