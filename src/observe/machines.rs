//! What the machines of a lab count, where each node is one: the growth on each machine first, then the sum. Pure.

use std::collections::BTreeMap;

use super::{Reading, Sample, Values, names};

/// Each machine's own counters so far, by its node.
#[derive(Debug, Default)]
pub struct Machines(BTreeMap<String, Counted>);

#[derive(Debug, Default)]
struct Counted {
    last: Values,
    /// How far each counter grew since it was first told.
    grown: Values,
}

impl Counted {
    fn see(&mut self, counters: &Values) {
        for (name, value) in counters {
            let before = self.last.insert(name.clone(), *value).unwrap_or(*value);
            let grown = self.grown.entry(name.clone()).or_default();
            // A counter that went back begins anew: the machine was started again.
            *grown = grown.saturating_add(value.saturating_sub(before));
        }
    }
}

impl Machines {
    /// Folds what the machines that answer have told into one sample. Each node's reading has its machine's in it.
    /// The host's levels are the sum over these machines. Its counters are how far those of all machines grew since
    /// each was first heard: one that is away for a while neither takes its share away nor brings it twice.
    pub fn see(&mut self, told: impl IntoIterator<Item = (String, Sample)>) -> Sample {
        let (mut host, mut places) = (Reading::default(), BTreeMap::new());
        for (node, mut sample) in told {
            let machine = sample.places.remove(names::HOST).unwrap_or_default();
            self.0.entry(node.clone()).or_default().see(&machine.counters);
            // What an object occupies is no amount: two machines' sum would be neither's.
            let is_amount = |name: &String| !name.starts_with(names::OBJECT);
            add(&mut host.levels, machine.levels.iter().filter(|(name, _)| is_amount(name)));
            let reading: &mut Reading = sample.places.entry(node).or_default();
            reading.levels.extend(machine.levels);
            reading.counters.extend(machine.counters);
            places.append(&mut sample.places);
        }
        self.0.values().for_each(|machine| add(&mut host.counters, &machine.grown));
        places.insert(names::HOST.to_owned(), host);
        Sample { places }
    }
}

/// Another machine may have told any number: sums stay numbers.
fn add<'a>(sums: &mut Values, values: impl IntoIterator<Item = (&'a String, &'a u64)>) {
    for (name, value) in values {
        let sum = sums.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::observe::{Depth, History, Watch};

    const KILLS: &str = names::HOST_KILLS;
    const NODES: [&str; 3] = ["server", "client-1", "client-2"];

    fn machine(node: &str, kills: u64) -> (String, Sample) {
        let (mut host, mut own) = (Reading::default(), Reading::default());
        host.counter(KILLS, kills);
        host.level(names::FILES_OPEN, 10);
        own.level(names::SOCKETS_USED, 7);
        let places = [(names::HOST, host), (node, own)].map(|(place, reading)| (place.to_owned(), reading));
        (node.to_owned(), Sample { places: places.into() })
    }

    /// What a run makes of it: all looks one after the other.
    #[derive(Default)]
    struct Run {
        machines: Machines,
        watch: Watch,
        history: History,
    }

    impl Run {
        fn look<'a>(&mut self, told: impl IntoIterator<Item = (&'a str, u64)>) {
            let sample = self.machines.see(told.into_iter().map(|(node, kills)| machine(node, kills)));
            self.history.see(&self.watch.take(sample, Duration::ZERO, Depth::Quick));
        }

        fn kills(&self, place: &str) -> u64 {
            self.history.growth(place, KILLS)
        }
    }

    #[test]
    fn machines_are_nodes_with_a_host_in_each() {
        let mut machines = Machines::default();
        machines.see([machine("server", 1), machine("client-1", 2)]);
        let all = machines.see([machine("server", 2), machine("client-1", 5)]);
        let kills = |place: &str| all.places[place].counters[KILLS];
        assert_eq!((kills("server"), kills("client-1"), kills(names::HOST)), (2, 5, 4));
        assert_eq!(all.level("client-1", names::SOCKETS_USED), Some(7));
        assert_eq!(all.level(names::HOST, names::FILES_OPEN), Some(20));
    }

    #[test]
    fn a_machine_that_was_away_brings_only_its_growth() {
        let mut run = Run::default();
        run.look([("server", 500), ("client-1", 40)]);
        run.look([("client-1", 40)]);
        run.look([("server", 502), ("client-1", 40)]);
        assert_eq!((run.kills("server"), run.kills(names::HOST)), (2, 2));
    }

    #[test]
    fn a_machine_that_is_heard_late_begins_there() {
        let mut run = Run::default();
        run.look([("client-1", 40)]);
        run.look([("server", 500), ("client-1", 41)]);
        run.look([("server", 503), ("client-1", 41)]);
        assert_eq!((run.kills("server"), run.kills(names::HOST)), (3, 4));
    }

    #[test]
    fn a_machine_that_was_started_again_begins_anew() {
        let mut run = Run::default();
        for kills in [500, 501, 3, 5] {
            run.look([("server", kills), ("client-1", 40)]);
        }
        assert_eq!((run.kills("server"), run.kills(names::HOST)), (3, 3));
    }

    #[test]
    fn a_machine_that_goes_away_at_the_end_takes_nothing_with_it() {
        let mut run = Run::default();
        run.look([("server", 500), ("client-1", 40)]);
        run.look([("server", 504), ("client-1", 40)]);
        run.look([("client-1", 41)]);
        run.look([]);
        assert_eq!((run.kills("server"), run.kills(names::HOST)), (4, 5));
    }

    /// What happens to a machine between two looks, and whether it answers then.
    fn steps() -> impl Strategy<Value = Vec<[(Option<u64>, bool); 3]>> {
        let grows = prop_oneof![8 => (0_u64..5).prop_map(Some), 1 => Just(None)];
        prop::collection::vec(prop::array::uniform3((grows, any::<bool>())), 1..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// However machines come and go, the host's counters grew as far as all machines' that were heard, and no
        /// machine's total since its start counts.
        #[test]
        fn only_growth_between_answers_counts(
            since_boot in prop::array::uniform3(0_u64..1 << 40),
            steps in steps(),
        ) {
            let mut run = Run::default();
            let (mut counts, mut last) = (since_boot, [None; 3]);
            let mut expected = [0; 3];
            for step in steps {
                let mut told = Vec::new();
                for (index, (grows, answers)) in step.into_iter().enumerate() {
                    // None: it is started again.
                    counts[index] = grows.map_or(0, |grows| counts[index] + grows);
                    if answers {
                        let before = last[index].replace(counts[index]).unwrap_or(counts[index]);
                        expected[index] += counts[index].saturating_sub(before);
                        told.push((NODES[index], counts[index]));
                    }
                }
                run.look(told);
            }
            for (node, expected) in NODES.iter().zip(expected) {
                prop_assert_eq!(run.kills(node), expected);
            }
            prop_assert_eq!(run.kills(names::HOST), expected.iter().sum::<u64>());
        }
    }
}
