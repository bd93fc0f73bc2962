//! Words and orders under anything that may come through a pipe: the bounded form of the fuzz target.

use proptest::prelude::*;
use serde::Serialize;

use super::{Order, Word};

const LINES: [&str; 5] = [
    r#"{"do":"reactor","addresses":["10.99.0.1","fd00::1"],"ports":"9900-9909","backlog":9,"capacity":8,"chain":"a","place":0}"#,
    r#"{"do":"swarm","tuples":{"sources":{"first":"10.99.0.33","count":16},"source_ports":"1024-65535","server":"10.99.0.1","server_ports":"80"},"first":0,"count":5,"round_step":5,"rounds":1,"window":2,"timeout_ms":10,"rate":null,"echo":{"every_ms":5,"size":64}}"#,
    r#"{"is":"counts","tried":10,"failed":[{"operation":"connect","errno":"EIO","count":18446744073709551615},{"operation":"connect","errno":"EIO","count":1}],"echo":{"sent":4,"answered":3,"wrong":0,"skipped":1}}"#,
    r#"{"is":"quiesced","latencies":[[122,6000],[371,82]]}"#,
    r#"{"is":"ready","pid":7,"nofile":5006,"private_bytes":null}"#,
];

/// Whether it is understood; then it says the same when it is said again.
fn is_understood<T: PartialEq + Serialize>(read: fn(&[u8]) -> serde_json::Result<T>, line: &[u8]) -> bool {
    let Ok(understood) = read(line) else { return false };
    let said = serde_json::to_vec(&understood).expect("what was read can be written");
    assert!(read(&said).is_ok_and(|again| again == understood));
    true
}

#[test]
fn the_lines_are_understood() {
    for line in LINES {
        assert!(
            is_understood(Order::read, line.as_bytes()) != is_understood(Word::read, line.as_bytes()),
            "{line}"
        );
    }
}

/// One of the lines with some bytes changed, and perhaps cut off.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let parts = (0..LINES.len(), changes, any::<prop::sample::Index>());
    parts.prop_map(|(line, changes, end)| {
        let mut line = LINES[line].as_bytes().to_vec();
        for (at, byte) in changes {
            let at = at.index(line.len());
            line[at] = byte;
        }
        let length = line.len();
        // Most are left whole: what is cut off is hardly ever understood.
        let end = end.index(4 * length);
        line.truncate(if end < length { end } else { length });
        line
    })
}

proptest! {
    #[test]
    fn any_line_is_understood_or_not(line in prop_oneof![prop::collection::vec(any::<u8>(), 0..64), mutated()]) {
        is_understood(Order::read, &line);
        is_understood(Word::read, &line);
    }
}
