//! Any text is a lab, or an error that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = c1m_lab::spec::parse("lab.yaml", text, &[]) {
        assert!(!error.to_string().is_empty());
    }
});
