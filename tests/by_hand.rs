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

/// A server of this test's own ports, when it listens.
fn serving(ports: &str) -> (Server, impl Iterator<Item = String> + use<>) {
    let child =
        c1m_lab(&["server", "--ports", ports, "--address", "127.0.0.1"]).stdout(Stdio::piped()).spawn();
    let mut server = Server(child.expect("the server runs"));
    let mut told = BufReader::new(server.0.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let first = told.next().expect("a first line");
    assert!(first.starts_with("listening on"), "{first}");
    (server, told)
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is alive");
}

#[test]
fn a_server_with_fewer_ports_is_told_as_the_likely_cause() {
    let (_server, _told) = serving("21920-21923");
    let output = run(&["client", "127.0.0.1", "21920", "--connections", "5000", "--hold", "0s"]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("established 1,024 + failed 3,976 + untried 0"), "{told}");
    let cause =
        "likely cause: nobody listens on 21924-21939: the server listens on fewer ports; give `--ports 4`";
    assert!(told.lines().any(|line| line == cause), "{told}");
    // What it says is what helps.
    let output =
        run(&["client", "127.0.0.1", "21920", "--connections", "5000", "--hold", "0s", "--ports", "4"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn ctrl_c_ends_both_in_order() {
    let (mut server, told_by_server) = serving("21940");
    let mut client = c1m_lab(&["client", "127.0.0.1", "21940", "--ports", "1", "--connections", "2K"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client runs");
    let mut told = BufReader::new(client.stdout.take().expect("its output")).lines().map_while(Result::ok);
    assert!(told.any(|line| line == "asked 2,000 = established 2,000 + failed 0 + untried 0"));
    interrupt(&client);
    assert_ends(&mut client);
    assert_eq!(client.wait().expect("a child").code(), Some(0), "nothing failed, and nothing was lost");
    assert_eq!(told.collect::<Vec<_>>(), ["2,000 held to the end, 0 lost"]);
    interrupt(&server.0);
    assert_ends(&mut server.0);
    assert_eq!(server.0.wait().expect("a child").code(), Some(0));
    let last = told_by_server.last().expect("a last line");
    assert!(last.starts_with("ended: accepted 2,000, of which "), "{last}");
}

#[test]
fn ctrl_c_while_connecting_says_what_was_not_tried() {
    // A queue for one connection, and nobody who accepts: most of the connects get no answer.
    let stream = rustix::net::SocketType::STREAM;
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, stream, None).expect("a socket");
    rustix::net::sockopt::set_socket_reuseaddr(&socket, true).expect("an option");
    let address: std::net::SocketAddrV4 = "127.0.0.1:21950".parse().expect("an address");
    rustix::net::bind(&socket, &address).expect("the port is free");
    rustix::net::listen(&socket, 1).expect("it listens");
    let mut client = c1m_lab(&["client", "127.0.0.1", "21950", "--ports", "1", "--connections", "1K"])
        .args(["--timeout", "60s"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the client runs");
    std::thread::sleep(Duration::from_millis(500));
    assert!(client.try_wait().expect("a child").is_none(), "it waits for answers");
    interrupt(&client);
    assert_ends(&mut client);
    let output = client.wait_with_output().expect("a child");
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let sum = told.lines().find(|line| line.starts_with("asked ")).expect("a sum");
    let numbers: Vec<u64> =
        sum.split([' ', '=']).filter_map(|word| word.replace(',', "").parse().ok()).collect();
    assert_eq!(numbers[0], numbers[1..].iter().sum::<u64>(), "{sum}");
    assert!(numbers[3] > 500, "no more than the window was tried: {sum}");
}

#[test]
fn a_port_that_is_taken_is_told_with_a_remedy() {
    let (_server, _told) = serving("21960");
    let output = run(&["server", "--ports", "21960", "--address", "127.0.0.1"]);
    assert_eq!(output.status.code(), Some(3));
    let told = stderr(&output);
    assert!(told.contains("listening on 127.0.0.1:21960: address already in use"), "{told}");
    assert!(told.contains("help: another program has the port"), "{told}");
}

#[test]
fn ports_beyond_the_last_are_refused_with_how_many_there_are() {
    let output = run(&["client", "127.0.0.1", "65500"]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(told.contains("taking 100 ports from 65500: the last port is 65535"), "{told}");
    assert!(told.contains("help: give `--ports 36`, or fewer"), "{told}");
}

fn assert_ends(child: &mut Child) {
    wait_for("the client", Duration::from_secs(20), || child.try_wait().expect("a child").is_some());
}
