//! How the connections of each plateau are divided among the swarms. Pure.

/// For each plateau: how many of its stretch each swarm has tried there. All of them go up together, each by its part of
/// what is still to be opened.
pub fn shares(counts: &[u64], plateaus: &[u64]) -> Vec<Vec<u64>> {
    let mut tried = vec![0; counts.len()];
    let climb = |plateau: &u64| {
        let more = plateau.saturating_sub(tried.iter().sum());
        let rooms: Vec<u64> = counts.iter().zip(&tried).map(|(count, tried)| count - tried).collect();
        let room: u128 = rooms.iter().map(|room| u128::from(*room)).sum();
        let more = u128::from(more).min(room);
        let mut before = 0;
        for (tried, room_here) in tried.iter_mut().zip(rooms) {
            let after = before + u128::from(room_here);
            // Never more than the room here: the whole is not more than all room.
            let part = after * more / room.max(1) - before * more / room.max(1);
            *tried += u64::try_from(part).unwrap_or(room_here);
            before = after;
        }
        tried.clone()
    };
    plateaus.iter().map(climb).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::shares;

    #[test]
    fn every_swarm_has_its_part() {
        assert_eq!(shares(&[600, 600], &[1000, 1001]), [[500, 500], [500, 501]]);
        assert_eq!(shares(&[10, 1], &[1, 5, 20]), [[0, 1], [4, 1], [10, 1]]);
        assert_eq!(shares(&[], &[7]), [Vec::<u64>::new()]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn parts_make_up_the_whole_and_never_shrink(
            counts in prop::collection::vec(0_u64..2_000_000, 0..200),
            mut plateaus in prop::collection::vec(0_u64..5_000_000, 0..8),
        ) {
            plateaus.sort_unstable();
            let all: u64 = counts.iter().sum();
            let mut before = vec![0; counts.len()];
            for (here, plateau) in shares(&counts, &plateaus).into_iter().zip(plateaus) {
                prop_assert_eq!(here.iter().sum::<u64>(), plateau.min(all));
                prop_assert!(here.iter().zip(&counts).all(|(tried, count)| tried <= count));
                prop_assert!(before.iter().zip(&here).all(|(before, tried)| before <= tried));
                before = here;
            }
        }
    }
}
