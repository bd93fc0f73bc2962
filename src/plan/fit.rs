//! `--connections fit`: as many as this machine's memory and limits carry.

use super::Plan;
use super::refusal::Refusal;
use crate::spec::Spec;

/// The search's upper bound.
const MOST: u64 = u32::MAX as u64;

/// The largest number of connections that can be planned.
///
/// What can be planned with n connections can be planned with fewer, so the answer is found by halving.
pub fn most(spec: &Spec, plan: impl Fn(&Spec) -> Result<Plan, Refusal>) -> Result<u64, Refusal> {
    let mut smaller = spec.clone();
    smaller.anyway = false;
    let mut fits = |connections: u64| {
        smaller.connections = connections;
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
