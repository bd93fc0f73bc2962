//! The two programs by hand, as anyone may start them on two machines.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use common::*;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The time at the end of a line such as `       1,000 connected     0.021 s`.
fn elapsed(line: &str) -> f64 {
    let seconds = line.trim_end().strip_suffix(" s").and_then(|line| line.rsplit(' ').next());
    seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or_else(|| panic!("no time in {line:?}"))
}

fn assert_thousands(lines: &[String], what: &str) {
    let told: Vec<&String> = lines.iter().filter(|line| line.contains(what)).collect();
    for (line, thousand) in told.iter().zip(["1,000", "2,000", "3,000"]) {
        assert!(line.trim_start().starts_with(&format!("{thousand} {what}")), "{line}");
    }
    assert_eq!(told.len(), 3, "{lines:?}");
    assert!(told.iter().map(|line| elapsed(line)).is_sorted(), "{told:?}");
}

#[test]
fn a_client_opens_three_thousand_to_a_server() {
    let _turn = beside();
    // Loopback needs no rights. The ports are this test's own, below those the system gives away.
    let child = c1m_lab(&["server", "--ports", "21900-21909", "--address", "127.0.0.1"])
        .stdout(Stdio::piped())
        .spawn();
    let mut server = Server(child.expect("the server runs"));
    let mut told = BufReader::new(server.0.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let first = told.next().expect("a first line");
    assert!(first.starts_with("listening on 127.0.0.1:21900-21909, room for "), "{first}");

    let client = |more: &[&str]| {
        run(&[&["client", "127.0.0.1", "21900", "--ports", "10", "--hold", "0s"], more].concat())
    };
    let output = client(&["--connections", "3000"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    assert_thousands(&lines, "connected");
    let sum = "asked 3,000 = established 3,000 + failed 0 + untried 0";
    assert!(lines.iter().any(|line| line == sum), "{lines:?}");
    let accepted: Vec<String> = told.by_ref().take_while(|line| !line.contains("0 open")).collect();
    assert_thousands(&accepted, "accepted");

    // With planned source addresses, of which loopback has many.
    let output = client(&["--connections", "500", "--source", "127.0.0.2", "--sources", "4"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn a_client_without_a_server_says_why() {
    let _turn = beside();
    // Without --hold it would hold until Ctrl-C, if there were anything to hold.
    let mut client = c1m_lab(&["client", "127.0.0.1", "21990", "--ports", "1", "--connections", "10"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client runs");
    assert_ends(&mut client);
    let output = client.wait_with_output().expect("a child");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("established 0 + failed 10") && told.contains("ECONNREFUSED"), "{told}");
    assert_eq!(stderr(&output), "nothing is connected: there is nothing to hold\n");
}

#[test]
fn a_client_whose_server_goes_away_ends() {
    let _turn = beside();
    let start = |arguments: &[&str]| {
        let piped = c1m_lab(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Server(piped.expect("it runs"))
    };
    let mut server = start(&["server", "--ports", "21980", "--address", "127.0.0.1"]);
    let mut told = BufReader::new(server.0.stdout.take().expect("its output")).lines();
    told.next().expect("a first line").expect("text");
    let mut client = start(&["client", "127.0.0.1", "21980", "--ports", "1", "--connections", "1K"]);
    let mut told = BufReader::new(client.0.stdout.take().expect("its output")).lines().map_while(Result::ok);
    assert!(told.any(|line| line == "asked 1,000 = established 1,000 + failed 0 + untried 0"));
    drop(server);
    assert_ends(&mut client.0);
    assert_eq!(client.0.wait().expect("a child").code(), Some(1));
    let told: Vec<String> = told.collect();
    assert!(told.iter().any(|line| line.contains("1,000 lost: receive")), "{told:?}");
}

fn assert_ends(child: &mut Child) {
    wait_for("the client", Duration::from_secs(20), || child.try_wait().expect("a child").is_some());
}
