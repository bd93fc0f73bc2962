//! The lab file from outside: texts in, labs or errors out.

mod files;
mod machines;
mod messages;
mod places;
mod properties;
mod right;

use std::time::{Duration, Instant};

use super::*;
use crate::error::Error;
use crate::exit::Exit;

/// The error of a wrong lab file: quick, ours, and with a remedy.
fn error(text: &str) -> Error {
    let began = Instant::now();
    let error = parse("lab.yaml", text, &[]).expect_err(text);
    assert!(began.elapsed() < Duration::from_secs(1), "{error} took {:?}", began.elapsed());
    assert_eq!(error.exit, Exit::Input, "{error}");
    assert!(error.remedy.is_some(), "{error}");
    error
}
