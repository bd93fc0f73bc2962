//! Any text is a journal, and the next change never gets the number of one that stands. A copy for after a reboot
//! can say nothing but settings, each once.
#![no_main]

use c1m_lab::journal::kept::Kept;
use c1m_lab::journal::{Change, read_lines};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (_, standing, next) = read_lines(&String::from_utf8_lossy(bytes));
    assert!(standing.iter().all(|one| one.id.saturating_add(1) <= next));
    if let Ok((header, standing)) = Kept::read(bytes) {
        assert!(standing.iter().all(|one| matches!(one.change, Change::Setting { .. })));
        let said = serde_json::to_vec(&Kept::of(&header, &standing)).expect("a copy can be written");
        assert!(Kept::read(&said).is_ok_and(|again| again == (header, standing)));
    }
});
