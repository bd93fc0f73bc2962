//! c1m-lab: hold a million and more TCP connections, account for every one, leave the host as it was.
//!
//! The modules stand in the order in which data flows.
#![forbid(unsafe_code)]
// No panic reaches a user: what can fail is told as an error. In tests, a panic is how they fail.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod cause;
pub mod error;
pub mod exit;
pub mod lines;
pub mod permitted;
pub mod units;

pub mod host;
pub mod kernel;
pub mod spec;

pub mod origin;

pub mod plan;

pub mod agent;
pub mod crew;
pub mod driver;
pub mod journal;
pub mod observe;
pub mod steward;
pub mod teardown;
pub mod up;

pub mod account;
pub mod climb;
pub mod diagnose;
pub mod event;
pub mod log;
pub mod progress;
pub mod record;
pub mod report;
pub mod rootless;
pub mod stderr;

pub mod cli;
pub mod commands;
pub mod docs;
