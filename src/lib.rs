//! c1m-lab: hold a million and more TCP connections, account for every one, leave the host as it was.
//!
//! The modules stand in the order in which data flows.
#![forbid(unsafe_code)]

pub mod error;
pub mod exit;
pub mod units;

pub mod host;
pub mod kernel;
pub mod spec;

pub mod plan;

pub mod agent;
pub mod crew;
pub mod driver;
pub mod journal;
pub mod observe;
pub mod teardown;
pub mod up;

pub mod account;
pub mod event;
pub mod progress;
pub mod report;
pub mod rootless;
pub mod say;

pub mod cli;
pub mod commands;
