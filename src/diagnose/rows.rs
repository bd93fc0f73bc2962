//! One row for each limit: what a user sees, what speaks for it, how it is lifted, where it was met.
//!
//! `find` explains what can be told from an error; `suspect` says how much this limit has silently dropped.

mod deaths;
mod kernel;
pub mod leftover;
mod network;
mod overflow;
mod queues;
mod tables;
mod tuples;
mod way;

use super::case::Case;
use super::missing::Missing;
use super::{Change, Finding};
use crate::cause::Cause;

pub struct Row {
    pub cause: Cause,
    /// One line.
    pub title: &'static str,
    /// What a user sees.
    pub sees: &'static str,
    /// What speaks for it, among what is observed.
    pub evidence: &'static str,
    pub remedy: &'static str,
    /// An example to paste into a lab file; empty where no change to it helps.
    pub example: &'static str,
    /// Where the documented runs met it; empty where they did not.
    pub met: &'static str,
    pub find: Option<fn(&Case, &mut Missing) -> Finding>,
    pub suspect: Option<fn(&Case) -> Option<Suspect>>,
}

/// A limit that has dropped packets without a word.
pub struct Suspect {
    pub drops: u64,
    pub evidence: Vec<String>,
    pub changes: Vec<Change>,
    /// One drop may hold back any number of connections.
    pub holds_back: bool,
}

/// In the order in which they are asked: who knows for certain comes first.
pub fn all() -> &'static [Row] {
    const ROWS: &[Row] = &[
        deaths::SERVER_MEMORY,
        deaths::CLIENT_MEMORY,
        deaths::AGENT_DIED,
        tables::CLIENT_DESCRIPTORS,
        tables::SERVER_DESCRIPTORS,
        tables::SYSTEM_FILE_TABLE,
        tuples::TIME_WAIT,
        tuples::SOURCE_TUPLES,
        tuples::CONNTRACK_FULL,
        tuples::NAT_TUPLES,
        queues::SERVER_STALLED,
        queues::SYN_COOKIES,
        queues::ACCEPT_QUEUE,
        queues::SYN_QUEUE,
        kernel::TCP_MEMORY,
        kernel::ORPHANS,
        network::NEIGHBOUR_TABLE,
        network::RX_BACKLOG,
        way::REVERSE_PATH,
        way::RESET_ON_THE_WAY,
        network::REFUSED,
        network::UNREACHABLE,
        leftover::FILTERED,
        leftover::UNEXPLAINED,
    ];
    ROWS
}

pub fn row(cause: Cause) -> &'static Row {
    all().iter().find(|row| row.cause == cause).unwrap_or(&leftover::UNEXPLAINED)
}
