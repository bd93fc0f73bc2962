//! c1m-lab: hold a million and more TCP connections, account for every one, leave the host as it was.
//!
//! The modules stand in the order in which data flows.

pub mod spec;

pub mod error;
pub mod exit;
pub mod units;
