//! What the labs beside this one have planned, and what of it they do not use yet. Pure.

use serde::{Deserialize, Serialize};

/// What a lab takes of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub memory: u64,
    /// Open files, which `fs.file-max` limits.
    pub files: u64,
    /// Processes and their threads: each has a number of its own.
    pub tasks: u64,
    pub agents: u64,
}

/// What a lab has planned for this host, as its journal keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub connections: u64,
    /// Ends of each connection that are on this host.
    pub ends: u64,
    /// The memory of one connection, all its ends here together.
    pub connection_memory: u64,
    pub agents: u64,
    /// What one agent takes besides its connections.
    pub agent: Share,
    /// Memory of what is there before the first connection: namespaces and their tables.
    pub tables: u64,
}

/// What of its reservation a lab uses by now: the host's own counters have it already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// TCP sockets in its nodes.
    pub sockets: u64,
    pub agents: u64,
    /// Whether its nodes are there.
    pub built: bool,
}

/// Another lab on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    pub lab: String,
    pub planned: Share,
    /// What it has planned and does not use yet.
    pub unused: Share,
}

impl Reservation {
    pub fn whole(&self) -> Share {
        self.unused(&InUse::default())
    }

    /// What is still to come. More than was planned is never in use: what goes beyond is nobody's reservation.
    pub fn unused(&self, in_use: &InUse) -> Share {
        let sockets = self.connections.saturating_mul(self.ends).saturating_sub(in_use.sockets);
        let agents = self.agents.saturating_sub(in_use.agents);
        let ends = u128::from(self.connection_memory) * u128::from(sockets) / u128::from(self.ends.max(1));
        let tables = if in_use.built { 0 } else { self.tables };
        let of_agents = |each: u64| each.saturating_mul(agents);
        Share {
            memory: u64::try_from(ends)
                .unwrap_or(u64::MAX)
                .saturating_add(of_agents(self.agent.memory))
                .saturating_add(tables),
            files: sockets.saturating_add(of_agents(self.agent.files)),
            tasks: of_agents(self.agent.tasks),
            agents,
        }
    }
}

/// A sum over labs.
pub fn sum(labs: &[Neighbour], of: impl Fn(&Neighbour) -> u64) -> u64 {
    labs.iter().map(of).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn large() -> Reservation {
        Reservation {
            connections: 1_000_000,
            ends: 2,
            connection_memory: 7_900,
            agents: 103,
            agent: Share { memory: 1 << 20, files: 128, tasks: 2, agents: 1 },
            tables: 16 << 20,
        }
    }

    #[test]
    fn what_is_in_use_is_not_counted_again() {
        let whole = large().whole();
        assert_eq!((whole.files, whole.tasks, whole.agents), (2_000_000 + 103 * 128, 206, 103));
        assert_eq!(whole.memory, 7_900_000_000 + (103 << 20) + (16 << 20));
        let half = large().unused(&InUse { sockets: 1_000_000, agents: 103, built: true });
        assert_eq!(half, Share { memory: 3_950_000_000, files: 1_000_000, tasks: 0, agents: 0 });
        let all = InUse { sockets: 2_000_100, agents: 110, built: true };
        assert_eq!(large().unused(&all), Share::default());
    }

    fn reservations() -> impl Strategy<Value = Reservation> {
        let agent = (0..1_u64 << 30, 0..1_000_u64, 0..9_u64).prop_map(|(memory, files, tasks)| Share {
            memory,
            files,
            tasks,
            agents: 1,
        });
        (any::<u64>(), 0..=2_u64, any::<u64>(), any::<u64>(), agent, any::<u64>()).prop_map(
            |(connections, ends, connection_memory, agents, agent, tables)| Reservation {
                connections,
                ends,
                connection_memory,
                agents,
                agent,
                tables,
            },
        )
    }

    proptest! {
        #[test]
        fn the_more_is_used_the_less_is_to_come(
            planned in reservations(),
            (sockets, more_sockets) in any::<(u64, u64)>(),
            (agents, more_agents) in any::<(u64, u64)>(),
            (built, built_later) in any::<(bool, bool)>(),
        ) {
            let before = planned.unused(&InUse { sockets, agents, built });
            let after = planned.unused(&InUse {
                sockets: sockets.saturating_add(more_sockets),
                agents: agents.saturating_add(more_agents),
                built: built || built_later,
            });
            let figures = |share: &Share| [share.memory, share.files, share.tasks, share.agents];
            for (later, earlier) in figures(&after).into_iter().zip(figures(&before)) {
                prop_assert!(later <= earlier);
            }
            for (unused, whole) in figures(&before).into_iter().zip(figures(&planned.whole())) {
                prop_assert!(unused <= whole);
            }
        }
    }
}
