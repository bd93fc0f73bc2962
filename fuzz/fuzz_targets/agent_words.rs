//! Any line from a pipe is an order, a word, or neither; what was understood says the same when said again.
#![no_main]

use c1m_lab::agent::{Order, Word};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn say_again<T: DeserializeOwned + PartialEq + Serialize>(line: &[u8]) {
    if let Ok(understood) = serde_json::from_slice::<T>(line) {
        let said = serde_json::to_vec(&understood).expect("what was read can be written");
        assert!(serde_json::from_slice::<T>(&said).is_ok_and(|again| again == understood));
    }
}

fuzz_target!(|line: &[u8]| {
    say_again::<Order>(line);
    say_again::<Word>(line);
});
