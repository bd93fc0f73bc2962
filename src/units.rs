//! The units of a lab file: `1M`, `6GiB`, `30s`, `20K/s`, `9900-9999`, `10.99.0.0/16`, `fd00::/64`.
//!
//! Every type here reads a number or a text, and prints a text that it reads back as the same value.

#![forbid(unsafe_code)]

mod address;
mod bad_unit;
mod block;
mod number;
mod people;
mod ports;
mod quantity;
mod rate;
mod utc;

mod text_form;

pub use address::{Address, Family, further, number_of};
pub use bad_unit::BadUnit;
pub use block::Block;
pub use people::{grouped, human_bytes, seconds};
pub use ports::{PortRange, Ports};
pub use quantity::{Bytes, Count, Period};
pub use rate::{Rate, Share};
pub use utc::Utc;

pub(crate) use bad_unit::{is_printable, quoted};
pub(crate) use text_form::{expect_text, text_form};

#[cfg(test)]
mod properties;
