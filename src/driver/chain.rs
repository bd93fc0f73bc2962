//! The ways between neighbours in the chain of reactors: whoever starts the reactors makes them, and gives each its
//! ends. A way has no name, so nobody else comes to the listening sockets that go over it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use super::AgentId;
use crate::agent::given::{ChainEnds, Given};
use crate::error::{Attempt, Result};
use crate::exit::Exit;

/// The ends that are kept for reactors that are not started yet, by their place.
#[derive(Debug, Default)]
pub struct Chain(BTreeMap<u32, UnixStream>);

impl Chain {
    /// Nothing of them stays here: if the reactor dies, its neighbours see the end of the stream.
    fn ends_of(&mut self, agent: AgentId) -> io::Result<ChainEnds> {
        let AgentId::Reactor(place) = agent else { return Ok(ChainEnds::default()) };
        let (after, of_next) = UnixStream::pair()?;
        self.0.insert(place.saturating_add(1), of_next);
        Ok(ChainEnds { before: self.0.remove(&place), after: Some(after) })
    }

    /// What an agent is given when it is started: its ends, and the namespace that it is to enter, by the descriptor that
    /// it was made with. Its name may be another's by then.
    pub fn given_to(&mut self, agent: AgentId, namespace: Option<&File>) -> Result<Given> {
        let what = || format!("starting {agent}");
        let namespace = namespace.map(|file| file.as_fd().try_clone_to_owned()).transpose();
        let namespace = namespace.attempt(Exit::Broke, what)?;
        Ok(Given { namespace, ends: self.ends_of(agent).attempt(Exit::Broke, what)? })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn neighbours_have_the_two_ends_of_a_way() {
        let mut chain = Chain::default();
        let first = chain.ends_of(AgentId::Reactor(0)).expect("a pair");
        let second = chain.ends_of(AgentId::Reactor(1)).expect("a pair");
        assert!(first.before.is_none());
        let (mut after, mut before) = (first.after.expect("a way"), second.before.expect("a way"));
        before.write_all(b"x").expect("the way is whole");
        after.read_exact(&mut [0]).expect("the way is whole");
        // The end of one is seen by the other: there is no third copy.
        drop(after);
        assert_eq!(before.read(&mut [0]).expect("the end"), 0);
        assert!(chain.ends_of(AgentId::Swarm(0)).expect("nothing").after.is_none());
    }
}
