//! What the author of a wrong lab file is shown, to the letter.

use super::*;

fn error_of_set(argument: &str) -> Error {
    let given = Override::parse(argument);
    given.and_then(|given| parse("lab.yaml", "connections: 10K\n", &[given])).expect_err(argument)
}

#[track_caller]
fn shows(error: &Error, lines: &[&str]) {
    assert_eq!(error.to_string().lines().collect::<Vec<_>>(), lines);
}

#[test]
fn an_unknown_key() {
    shows(
        &error("connections: 10K\nserver:\n  prots: 9900\n"),
        &[
            "reading lab.yaml: there is no key `prots` in `server`",
            " --> lab.yaml:3:3",
            "  |",
            "3 |   prots: 9900",
            "  |   ^^^^^",
            "help: did you mean `ports`? (the keys here are ports, reactors and backlog)",
        ],
    );
}

#[test]
fn a_key_that_stands_twice() {
    shows(
        &error("connections: 10K\nhold: 1s\nconnections: 20K\n"),
        &[
            "reading lab.yaml: the key `connections` stands here for the second time",
            " --> lab.yaml:3:1",
            "  |",
            "3 | connections: 20K",
            "  | ^^^^^^^^^^^",
            "help: keep one of the two: the first is in line 1",
        ],
    );
}

#[test]
fn a_wrong_type() {
    shows(
        &error("connections: 10K\nhold: [1s]\n"),
        &[
            "reading lab.yaml: `hold` is a list",
            " --> lab.yaml:2:7",
            "  |",
            "2 | hold: [1s]",
            "  |       ^^^^",
            "help: make it a length of time such as 30s or 250ms",
        ],
    );
}

#[test]
fn a_bad_unit() {
    shows(
        &error("connections: 10K\nhold: 30x\n"),
        &[
            "reading lab.yaml: `30x` is not a length of time: there is no unit `x`",
            " --> lab.yaml:2:7",
            "  |",
            "2 | hold: 30x",
            "  |       ^^^",
            "help: write it like 250ms, 30s or 2m",
        ],
    );
}

#[test]
fn a_range_that_ends_before_it_begins() {
    shows(
        &error("connections: 10K\nserver:\n  ports: 9999-9900\n"),
        &[
            "reading lab.yaml: the range `9999-9900` ends before it begins",
            " --> lab.yaml:3:10",
            "  |",
            "3 |   ports: 9999-9900",
            "  |          ^^^^^^^^^",
            "help: write 9900-9999",
        ],
    );
}

#[test]
fn port_0_in_a_list() {
    shows(
        &error("connections: 10K\nserver:\n  ports: [9900, 0]\n"),
        &[
            "reading lab.yaml: port 0 means \"any free port\" to the kernel: no one could connect to it",
            " --> lab.yaml:3:17",
            "  |",
            "3 |   ports: [9900, 0]",
            "  |                 ^",
            "help: choose ports from 1 to 65535, for example 9900-9999",
        ],
    );
}

#[test]
fn a_subnet_where_no_lab_can_live() {
    shows(
        &error("connections: 10K\nnetwork:\n  subnet: 127.8.0.0/16\n"),
        &[
            "reading lab.yaml: addresses of 127.0.0.0/8 are every host's own, and never leave it",
            " --> lab.yaml:3:11",
            "  |",
            "3 |   subnet: 127.8.0.0/16",
            "  |           ^^^^^^^^^^^^",
            "help: take private addresses such as 10.99.0.0/16, or leave the key out: a free subnet is found",
        ],
    );
    for subnet in ["0.0.0.0/0", "0.0.0.0/16", "64.0.0.0/2", "224.0.0.0/4", "239.1.0.0/16", "255.0.0.0/8"] {
        error(&format!("connections: 10K\nnetwork: {{subnet: {subnet}}}\n"));
    }
    for subnet in ["1.0.0.0/8", "126.0.0.0/8", "128.0.0.0/8", "192.168.0.0/16", "223.0.0.0/8"] {
        parse("lab.yaml", &format!("connections: 10K\nnetwork: {{subnet: {subnet}}}\n"), &[]).expect(subnet);
    }
}

#[test]
fn no_connections() {
    shows(
        &error("# a lab\nname: x\nhold: 1s\n"),
        &[
            "reading lab.yaml: the lab file does not say how many `connections` to hold",
            " --> lab.yaml:2:1",
            "  |",
            "2 | name: x",
            "  | ^^^^",
            "help: add a line such as `connections: 10K`",
        ],
    );
}

#[test]
fn an_alias_bomb() {
    shows(
        &error("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
        &[
            "reading lab.yaml: anchors (`&name`) and aliases (`*name`) have no place in a lab file",
            " --> lab.yaml:1:4",
            "  |",
            "1 | a: &a [x, x]",
            "  |    ^^^^",
            "help: write the value itself wherever it is needed",
        ],
    );
}

#[test]
fn a_wrong_value_in_an_argument() {
    shows(
        &error_of_set("server.ports=[9900, 0]"),
        &[
            "reading --set: port 0 means \"any free port\" to the kernel: no one could connect to it",
            " --> --set",
            "  |",
            "1 | server.ports=[9900, 0]",
            "  |                     ^",
            "help: choose ports from 1 to 65535, for example 9900-9999",
        ],
    );
    let given =
        Override { path: "connections".into(), value: "10Q".into(), shown: "--connections 10Q".into() };
    shows(
        &parse("lab.yaml", "connections: 10K\n", &[given]).unwrap_err(),
        &[
            "reading --connections: `10Q` is not a count: there is no unit `Q`",
            " --> --connections",
            "  |",
            "1 | 10Q",
            "  | ^^^",
            "help: write it like 500, 10K, 1.5M or 1_000_000",
        ],
    );
}

#[test]
fn an_unknown_path_in_an_argument() {
    shows(
        &error_of_set("server.prots=9900"),
        &[
            "reading --set: there is no key `prots` in `server`",
            " --> --set",
            "  |",
            "1 | server.prots=9900",
            "  |        ^^^^^",
            "help: did you mean `ports`? (the keys here are ports, reactors and backlog)",
        ],
    );
    shows(
        &error_of_set("server.ports"),
        &[
            "reading --set: there is no `=` between a key and its value",
            " --> --set",
            "  |",
            "1 | server.ports",
            "  | ^^^^^^^^^^^^",
            "help: write it like --set server.ports=9900-9999",
        ],
    );
}

#[test]
fn keys_about_a_router_that_is_not_there() {
    shows(
        &error("connections: 10K\nnetwork:\n  nat: {addresses: 4}\n"),
        &[
            "reading lab.yaml: nothing is translated in a network of this kind",
            " --> lab.yaml:3:3",
            "  |",
            "3 |   nat: {addresses: 4}",
            "  |   ^^^",
            "help: add `kind: nat`, or leave the key out",
        ],
    );
    shows(
        &error("connections: 10K\nnetwork: {kind: nat, conntrack: false}\n"),
        &[
            "reading lab.yaml: a router that translates has to track connections",
            " --> lab.yaml:2:33",
            "  |",
            "2 | network: {kind: nat, conntrack: false}",
            "  |                                 ^^^^^",
            "help: leave the key out, or take `kind: routed`",
        ],
    );
    let why = |text: &str| error(&format!("connections: 10K\n{text}\n")).why;
    assert_eq!(why("network: {kind: routed, nat: {}}"), "nothing is translated in a network of this kind");
    assert_eq!(
        why("network: {conntrack: true}"),
        "nothing tracks connections in a direct network: it has no router"
    );
    assert_eq!(why("network: {kind: nat, nat: {addresses: 0}}"), "`network.nat.addresses` is 0");
    assert_eq!(why("network: {kind: routed, conntrack: maybe}"), "`network.conntrack` is the text `maybe`");
    assert_eq!(why("sysctl: {router: {net.ipv4.ip_forward: 1}}"), "a direct network has no router");
    assert_eq!(
        why("sysctl: {client: {net.ipv4.ip_local_port_range: 60000}}"),
        "`60000` is no range of ports"
    );
}
