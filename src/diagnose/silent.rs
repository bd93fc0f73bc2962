//! Connections that vanish without an error: time-outs, and those that only the client believes in.
//!
//! Nobody says why a packet was dropped, but whoever drops one counts it. So the silent ones are shared out
//! among those that dropped, in proportion to how much; nobody gets more than he has dropped,
//! unless one drop of his holds back many.

use super::case::Case;
use super::missing::Missing;
use super::rows::{self, Suspect};
use super::{Cause, Finding};
use crate::agent::tally::Operation;
use crate::units::grouped;

pub fn share_out(case: &Case, missing: &mut Missing) -> Vec<(Cause, Finding)> {
    let suspects: Vec<(Cause, Suspect)> = rows::all()
        .iter()
        .filter_map(|row| Some((row.cause, (row.suspect?)(case)?)))
        .filter(|(_, suspect)| suspect.drops > 0)
        .collect();
    let timeouts = missing.failed(Operation::Connect, &["ETIMEDOUT"]);
    let drops: Vec<u64> = suspects.iter().map(|(_, suspect)| suspect.drops).collect();
    let shares = in_proportion(timeouts, &drops);
    // What is more than all have dropped, for the first who may have held back more than he dropped.
    let mut rest = Some(timeouts - shares.iter().sum::<u64>());
    let mut findings = Vec::new();
    for ((cause, suspect), share) in suspects.into_iter().zip(shares) {
        let share = if suspect.holds_back { share + rest.take().unwrap_or(0) } else { share };
        let connections = missing.take_failed(Operation::Connect, &["ETIMEDOUT"], share);
        findings.push((cause, Finding { connections, evidence: suspect.evidence, changes: suspect.changes }));
    }
    findings.push((Cause::Filtered, rows::leftover::filtered(case, missing)));
    share_given_up(case, missing, &mut findings);
    findings
}

/// What was let go of, or not tried any more, would have met what the others have met.
fn share_given_up(case: &Case, missing: &mut Missing, findings: &mut [(Cause, Finding)]) {
    let Some(seconds) = case.account.gave_up else { return };
    let met: Vec<u128> = findings.iter().map(|(_, finding)| finding.connections.into()).collect();
    let (sum, all) = (met.iter().sum::<u128>(), u128::from(missing.given_up));
    let shares = met.iter().map(|met| (all * met).checked_div(sum).unwrap_or(0) as u64);
    let mut shares: Vec<u64> = shares.collect();
    let rest = missing.given_up - shares.iter().sum::<u64>();
    let largest = (0..met.len()).max_by_key(|place| met[*place]).filter(|place| met[*place] > 0);
    if let Some(largest) = largest.and_then(|place| shares.get_mut(place)) {
        *largest += rest;
    }
    for ((_, finding), share) in findings.iter_mut().zip(shares) {
        let more = missing.take_given_up(share);
        if more > 0 {
            finding.connections += more;
            finding.evidence.push(format!(
                "{} more were let go of or never tried: for {seconds:.1} s the server accepted nothing",
                grouped(more)
            ));
        }
    }
}

/// Shares of `total` in proportion to the agent_memory, none above its weight, and together as much as they can.
fn in_proportion(total: u64, agent_memory: &[u64]) -> Vec<u64> {
    let sum: u128 = agent_memory.iter().map(|weight| u128::from(*weight)).sum();
    if sum == 0 {
        return vec![0; agent_memory.len()];
    }
    let total = u128::from(total).min(sum);
    let mut shares: Vec<u64> =
        agent_memory.iter().map(|weight| (total * u128::from(*weight) / sum) as u64).collect();
    let mut rest = total as u64 - shares.iter().sum::<u64>();
    for (share, weight) in shares.iter_mut().zip(agent_memory) {
        let more = rest.min(1).min(weight - *share);
        *share += more;
        rest -= more;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_larger_dropper_gets_the_larger_share() {
        assert_eq!(in_proportion(100, &[300, 100]), [75, 25]);
        assert_eq!(in_proportion(100, &[30, 10]), [30, 10]);
        assert_eq!(in_proportion(7, &[1000, 1000, 1000]), [3, 2, 2]);
        assert_eq!(in_proportion(7, &[]), Vec::<u64>::new());
    }

    proptest! {
        #[test]
        fn shares_add_up_and_stay_within_their_weights(
            total in 0_u64..1 << 40,
            agent_memory in prop::collection::vec(0_u64..1 << 40, 0..6),
        ) {
            let shares = in_proportion(total, &agent_memory);
            prop_assert!(shares.iter().zip(&agent_memory).all(|(share, weight)| share <= weight));
            prop_assert_eq!(shares.iter().sum::<u64>(), total.min(agent_memory.iter().sum()));
        }
    }
}
