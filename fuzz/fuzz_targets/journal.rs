//! Any text is a journal, and the next change never gets the number of one that stands.
#![no_main]

use c1m_lab::journal::read_lines;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (_, standing, next) = read_lines(&String::from_utf8_lossy(bytes));
    assert!(standing.iter().all(|one| one.id.saturating_add(1) <= next));
});
