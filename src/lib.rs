//! c1m-lab: hold a million and more TCP connections, account for every one, leave the host as it was.
//!
//! The modules stand in the order in which data flows: each imports only from those before it (tests/order.rs).
#![forbid(unsafe_code)]
// No panic reaches a user: what can fail is told as an error. In tests, a panic is how they fail.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// What everyone may use.
pub mod exit;
pub mod error;
pub mod units;
pub mod cause;
pub mod lines;
pub mod permitted;
pub mod stderr;

// What a machine is, what the author of a lab file wrote, and what follows from both.
pub mod kernel;
pub mod host;
pub mod spec;
pub mod origin;
pub mod plan;

// The ends of connections, as processes.
pub mod agent;
pub mod launch;
pub mod crew;

// What is changed, looked at, and undone again.
pub mod journal;
pub mod observe;
pub mod teardown;
pub mod host_settings;
pub mod rootless;

// Machines: who keeps one, how it is reached, and how a plan is put on its feet.
pub mod fingerprint;
pub mod steward;
pub mod reach;
pub mod driver;

// A run: what happened, what it adds up to, and its life.
pub mod event;
pub mod account;
pub mod log;
pub mod up;

// What it came to.
pub mod diagnose;
pub mod report;
pub mod record;
pub mod climb;
pub mod progress;

// What people type, and what is written for them.
pub mod cli;
pub mod docs;
pub mod commands;
