//! What a terminal shows: a line that is drawn over and over stays on its row.

mod common;

use std::process::Command;

use common::*;

const COLUMNS: usize = 60;

#[test]
fn a_line_that_is_drawn_over_and_over_never_wraps() {
    need_root();
    let lab = TestLab::new("terminal");
    let file = lab.file("connections: 400\nramp: {rate: 400/s}\nhold: 1s\ntraffic: {every: 100ms}");
    let run =
        format!("stty columns {COLUMNS}; {} up {file} --out {}", env!("CARGO_BIN_EXE_c1m-lab"), lab.out());
    // `script` is a terminal that keeps what was written to it.
    let output =
        Command::new("script").args(["-qec", &run, "/dev/null"]).output().expect("script, of util-linux");
    let screen = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{screen}");
    // What stays is written once, ends with its line, and may wrap; what is drawn over does not end.
    let drawn = screen.split("\r\x1b[K").filter(|line| !line.contains('\n'));
    let widths: Vec<usize> = drawn.map(|line| line.chars().count()).filter(|width| *width > 0).collect();
    assert!(widths.len() > 5 && widths.iter().all(|width| *width < COLUMNS), "{widths:?} {screen}");
    lab.assert_gone();
}
