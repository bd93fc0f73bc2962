//! Saying something on stderr. A terminal that is gone is no reason to stop, and never to panic.

use std::fmt::Display;
use std::io::Write;

pub fn print_line(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
