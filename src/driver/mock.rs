//! A driver that builds nothing: its agents are scripts. For tests of a run's life.

use futures::StreamExt;
use futures::stream;

use super::{AgentId, Built, Driver, Heard, Started};
use crate::error::Result;
use crate::observe::Sample;
use crate::plan::{HostSetting, Plan};
use crate::teardown::Outcome;

/// What a scripted agent says to each order line, given as (agent, line).
pub type Script = fn(AgentId, &str) -> Vec<Heard>;

pub struct MockDriver {
    pub script: Script,
    /// What was done, in order.
    pub done: Vec<&'static str>,
}

impl MockDriver {
    pub fn new(script: Script) -> Self {
        MockDriver { script, done: Vec::new() }
    }

    fn one(&self, agent: AgentId) -> Started {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(theirs));
        let script = self.script;
        let said = stream::unfold(Some(lines), move |lines| async move {
            let mut lines = lines?;
            match lines.next_line().await {
                Ok(Some(line)) => Some((script(agent, &line), Some(lines))),
                _ => Some((vec![Heard::Ended("exit code 0".to_owned())], None)),
            }
        });
        Started { pid: 0, orders: Box::pin(ours), heard: said.flat_map(stream::iter).boxed_local() }
    }
}

impl Driver for MockDriver {
    async fn build(&mut self, plan: &Plan) -> Result<Built> {
        self.done.push("build");
        Ok(Built { namespaces: plan.nodes.len(), links: plan.links.len(), addresses: 0 })
    }

    fn start(&mut self, _: &Plan, agents: &[AgentId]) -> Result<Vec<Started>> {
        Ok(agents.iter().map(|agent| self.one(*agent)).collect())
    }

    fn sample(&mut self, _: &Plan) -> Sample {
        Sample::default()
    }

    async fn part(&mut self, _: &Plan) -> Result<()> {
        self.done.push("part");
        Ok(())
    }

    async fn down(&mut self) -> Result<Outcome> {
        self.done.push("down");
        Ok(Outcome::default())
    }

    fn moved_settings(&self) -> &[HostSetting] {
        &[]
    }
}
