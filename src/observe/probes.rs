//! Everything that is looked at on this machine: the host, each namespace of the lab, each agent.

use std::fs::File;
use std::io;
use std::time::Instant;

use super::{AgentProbes, Depth, HostProbes, NodeProbes, ProbedNode, Sample, Seen, names};
use crate::kernel::netns;

pub struct Probes {
    host: HostProbes,
    nodes: Vec<NodeProbes>,
    agents: Vec<AgentProbes>,
    buffer: Vec<u8>,
}

impl Probes {
    /// A namespace that cannot be entered is left out: it is gone. What is open keeps its namespace in being. Where no
    /// thread can be had to enter any, that is an error: nothing would be seen.
    pub fn open<'a>(places: impl IntoIterator<Item = (ProbedNode, &'a File)>) -> io::Result<Probes> {
        let (probed, files): (Vec<ProbedNode>, Vec<&File>) = places.into_iter().unzip();
        let nodes = netns::inside_each(files, |node| Ok(NodeProbes::open_here(probed[node].clone())));
        let no_thread = |node: &io::Result<NodeProbes>| matches!(node, Err(why) if why.kind() == io::ErrorKind::WouldBlock);
        if let Some(Err(why)) = nodes.iter().find(|node| no_thread(node)) {
            return Err(io::Error::new(why.kind(), why.to_string()));
        }
        Ok(Probes {
            host: HostProbes::open(),
            nodes: nodes.into_iter().flatten().collect(),
            agents: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// This machine, which is a node itself.
    pub fn of_machine(node: &str) -> Probes {
        let probed = ProbedNode { name: node.to_owned(), cgroup: None };
        let nodes = vec![NodeProbes::open_here(probed)];
        Probes { host: HostProbes::open(), nodes, agents: Vec::new(), buffer: Vec::new() }
    }

    pub fn add_agent(&mut self, name: String, pid: u32) {
        self.agents.push(AgentProbes::open(name, pid));
    }

    pub fn look(&mut self, depth: Depth) -> Seen {
        let began = Instant::now();
        let mut sample = Sample::default();
        let buffer = &mut self.buffer;
        sample.places.insert(names::HOST.to_owned(), self.host.look(depth, buffer));
        for node in &mut self.nodes {
            sample.places.insert(node.name.clone(), node.look(depth, buffer));
        }
        sample.tell_others();
        if depth >= Depth::Agents {
            // Who has ended is not looked at again.
            self.agents.retain(|agent| {
                let reading = agent.look(buffer);
                let lives = reading.is_some();
                sample.places.extend(reading.map(|reading| (agent.name.clone(), reading)));
                lives
            });
        }
        Seen { sample, spent: began.elapsed() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::objects;
    use super::*;

    #[test]
    fn this_machine_is_seen() {
        let mut probes = Probes::open([]).expect("a thread");
        probes.add_agent("swarm 1".to_owned(), std::process::id());
        probes.add_agent("swarm 2".to_owned(), u32::MAX >> 2);
        let Seen { sample, spent } = probes.look(Depth::Agents);
        assert!(!spent.is_zero());
        assert!(sample.level(names::HOST, names::MEMORY_TOTAL) > Some(0));
        assert!(sample.level(names::HOST, names::FILES_OPEN) > Some(0));
        assert_eq!(sample.level("swarm 1", names::AGENT_STOPPED), Some(0));
        assert!(!sample.places.contains_key("swarm 2"));
        assert!(!objects::are_told(&sample, names::HOST), "a look at the agents does not read the caches");
    }
}
