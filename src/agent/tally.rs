//! Counting what happened, by operation and errno, never by text.

use std::collections::BTreeMap;

use rustix::io::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errno;

/// The call that failed, or by which an end was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Socket,
    Bind,
    Connect,
    Accept,
    Watch,
    /// What the talk begins with.
    Handshake,
    Receive,
    Send,
    /// The process that held the connection ended.
    Agent,
}

/// One row of a tally, as the report shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The call that failed, or by which the end was noticed.
    pub operation: Operation,
    /// The errno's name; `EOF`: closed by the other side; for `agent`: how its process ended.
    pub errno: String,
    /// How many.
    pub count: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Row>", into = "Vec<Row>")]
pub struct Tally(BTreeMap<(Operation, String), u64>);

impl JsonSchema for Tally {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Tally".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Vec::<Row>::json_schema(generator)
    }
}

impl Tally {
    pub fn add(&mut self, operation: Operation, error: Errno) {
        self.add_named(operation, &errno::name(error), 1);
    }

    pub fn add_named(&mut self, operation: Operation, name: &str, count: u64) {
        if count > 0 {
            let sum = self.0.entry((operation, name.to_owned())).or_default();
            // An agent is not believed to be able to count.
            *sum = sum.saturating_add(count);
        }
    }

    pub fn merge(&mut self, other: &Tally) {
        for ((operation, name), count) in &other.0 {
            self.add_named(*operation, name, *count);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The same, with no number beyond `most`.
    pub fn at_most(&self, most: u64) -> Tally {
        Tally(self.0.iter().map(|(key, count)| (key.clone(), (*count).min(most))).collect())
    }

    pub fn rows(&self) -> Vec<Row> {
        self.clone().into()
    }
}

impl From<Vec<Row>> for Tally {
    fn from(rows: Vec<Row>) -> Self {
        let mut tally = Tally::default();
        for row in rows {
            tally.add_named(row.operation, &row.errno, row.count);
        }
        tally
    }
}

impl From<Tally> for Vec<Row> {
    fn from(tally: Tally) -> Self {
        let row = |((operation, errno), count)| Row { operation, errno, count };
        tally.0.into_iter().map(row).collect()
    }
}

/// Everything one agent has counted since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counts {
    /// Connects begun (swarm); accepts that returned, well or not (reactor).
    #[serde(skip_serializing_if = "is_zero")]
    pub tried: u64,
    /// Connected (swarm); accepted (reactor).
    #[serde(skip_serializing_if = "is_zero")]
    pub established: u64,
    /// Held now.
    #[serde(skip_serializing_if = "is_zero")]
    pub open: u64,
    /// Ended as planned.
    #[serde(skip_serializing_if = "is_zero")]
    pub closed: u64,
    #[serde(skip_serializing_if = "Tally::is_empty")]
    pub failed: Tally,
    /// Ended before they should have.
    #[serde(skip_serializing_if = "Tally::is_empty")]
    pub lost: Tally,
    /// Established, and done with their talk's handshake.
    #[serde(skip_serializing_if = "is_zero")]
    pub ready: u64,
    #[serde(skip_serializing_if = "TalkCounts::is_empty")]
    pub talk: TalkCounts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TalkCounts {
    #[serde(skip_serializing_if = "is_zero")]
    pub sent: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub answered: u64,
    /// Answers that were not what was sent, byte for byte.
    #[serde(skip_serializing_if = "is_zero")]
    pub wrong: u64,
    /// Messages that were due and not sent: the answer before was still out, or the process was late.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped: u64,
}

/// What is 0 is not told: there are many agents, and each tells often.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Counts {
    /// Adds up to what a number can hold: agents are not believed to be able to count.
    pub fn merge(&mut self, other: &Counts) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.tried, other.tried);
        add(&mut self.established, other.established);
        add(&mut self.open, other.open);
        add(&mut self.closed, other.closed);
        self.failed.merge(&other.failed);
        self.lost.merge(&other.lost);
        add(&mut self.ready, other.ready);
        add(&mut self.talk.sent, other.talk.sent);
        add(&mut self.talk.answered, other.talk.answered);
        add(&mut self.talk.wrong, other.talk.wrong);
        add(&mut self.talk.skipped, other.talk.skipped);
    }

    /// What was tried and has not been told to be connected or failed.
    pub fn unanswered(&self) -> u64 {
        self.tried.saturating_sub(self.established).saturating_sub(self.failed.total())
    }
}

impl TalkCounts {
    pub fn is_empty(&self) -> bool {
        *self == TalkCounts::default()
    }

    pub fn unanswered(&self) -> u64 {
        self.sent.saturating_sub(self.answered).saturating_sub(self.wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_survives_json_and_keeps_its_sum() {
        let mut tally = Tally::default();
        tally.add(Operation::Connect, Errno::TIMEDOUT);
        tally.add(Operation::Connect, Errno::TIMEDOUT);
        tally.add(Operation::Socket, Errno::MFILE);
        let json = serde_json::to_string(&tally).expect("tally to JSON");
        assert!(json.contains(r#"{"operation":"connect","errno":"ETIMEDOUT","count":2}"#), "{json}");
        let back: Tally = serde_json::from_str(&json).expect("tally from JSON");
        assert_eq!(back, tally);
        assert_eq!(back.total(), 3);
    }
}
