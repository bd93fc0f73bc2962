//! What a lab file may say, and where its values were found.

use super::*;

fn lab(text: &str, arguments: &[&str]) -> Lab {
    let overrides: Vec<Override> = arguments.iter().map(|given| Override::parse(given).unwrap()).collect();
    parse("labs/small.yaml", text, &overrides).unwrap()
}

#[test]
fn one_line_is_a_lab() {
    let spec = lab("connections: 10K\n", &[]).spec;
    assert_eq!((spec.name.as_str(), spec.connections), ("small", 10_000));
    assert_eq!(spec.server, ServerSpec::default());
    assert_eq!(spec.server.ports.to_string(), "9900-9999");
    assert_eq!((spec.clients.count, spec.clients.addresses), (1, 16));
    assert_eq!(spec.clients.ports.to_string(), "1024-65535");
    assert_eq!((spec.ramp.rate, spec.ramp.window), (Rate::Max, 256));
    assert_eq!((spec.ramp.timeout.to_string(), spec.hold.to_string()), ("10s".into(), "30s".into()));
    assert_eq!((spec.traffic.kind, spec.traffic.size), (TrafficKind::Idle, Bytes(64)));
    assert_eq!(spec.expect, ExpectSpec::default());
}

#[test]
fn the_labs_that_come_with_the_project_are_right() {
    let c1000k = parse("lab.yaml", include_str!("../../../lab.yaml"), &[]).unwrap().spec;
    assert_eq!((c1000k.name.as_str(), c1000k.connections), ("c1000k", 1_000_000));
    assert_eq!((c1000k.clients.count, c1000k.clients.addresses), (2, 16));
    assert_eq!(c1000k.expect.established, Some(Share::Percent(100.0)));
    assert_eq!(c1000k.expect.lost, Some(Count(0)));

    let smoke = parse("labs/smoke.yaml", include_str!("../../../labs/smoke.yaml"), &[]).unwrap().spec;
    assert_eq!((smoke.name.as_str(), smoke.connections, smoke.clients.count), ("smoke", 10_000, 2));
    assert_eq!((smoke.traffic.kind, smoke.traffic.every.to_string()), (TrafficKind::Echo, "500ms".into()));
    assert_eq!(smoke.expect.echo_wrong, Some(Count(0)));
}

#[test]
fn a_section_may_be_empty() {
    let spec =
        lab("connections: 1\nserver:\n  # ports: 80\nexpect:\nlimits: {server: , client: {}}\n", &[]).spec;
    assert_eq!(spec.server, ServerSpec::default());
    assert_eq!(spec.limits, LimitsSpec::default());
}

#[test]
fn settings_are_texts_however_they_are_written() {
    let text = "connections: 1\nsysctl:\n  server:\n    net.core.somaxconn: 65536\n    net.ipv4.tcp_rmem: 4096 87380 6291456\n";
    let spec = lab(text, &["sysctl.client.net.ipv4.tcp_fin_timeout='5'"]).spec;
    assert_eq!(spec.sysctl.server["net.core.somaxconn"], "65536");
    assert_eq!(spec.sysctl.server["net.ipv4.tcp_rmem"], "4096 87380 6291456");
    assert_eq!(spec.sysctl.client["net.ipv4.tcp_fin_timeout"], "5");
}

#[test]
fn arguments_replace_what_the_file_says() {
    let text = "connections: 10K\nserver: {ports: 80}\n";
    let lab = lab(text, &["server.ports=9900-9999", "traffic={kind: echo, every: 1s}", "hold=5s", "hold=7s"]);
    assert_eq!(lab.spec.server.ports.len(), 100);
    assert_eq!(lab.spec.traffic.kind, TrafficKind::Echo);
    assert_eq!(lab.spec.hold.to_string(), "7s");

    let at = lab.source.excerpt("server.ports");
    assert_eq!((at.file.as_str(), at.column, at.width), ("--set", 14, 9));
    assert_eq!(at.text, "server.ports=9900-9999");
    let at = lab.source.excerpt("traffic.every");
    assert_eq!((at.column, at.width, at.text.as_str()), (29, 2, "traffic={kind: echo, every: 1s}"));
}

#[test]
fn every_value_knows_its_place() {
    let text = "connections: 10K\nserver:\n  ports:\n    - 80\n    - 9900-9999\nhold: 1s\n";
    let source = lab(text, &[]).source;
    let place = |path: &str| {
        let at = source.excerpt(path);
        (at.line, at.column, at.width)
    };
    assert_eq!(place("connections"), (1, 14, 3));
    assert_eq!(place("server"), (2, 1, 6));
    assert_eq!(place("server.ports"), (3, 3, 5));
    assert_eq!(place("server.ports[1]"), (5, 7, 9));
    // What was not written is shown at the section it would stand in, or at the beginning.
    assert_eq!(place("server.backlog"), (2, 1, 6));
    assert_eq!(place("server.ports[7]"), (3, 3, 5));
    assert_eq!(place("network.subnet"), (1, 1, 11));
    assert!(source.names("server.ports") && !source.names("network.subnet") && !source.names("name"));

    let error = source.error("connections", "there are more connections than five-tuples");
    assert_eq!(error.attempted, "reading labs/small.yaml");
    assert_eq!(error.excerpt.unwrap().text, "connections: 10K");
    assert_eq!(source.key_error("hold", "why").excerpt.unwrap().column, 1);
}

#[test]
fn a_spec_is_written_and_read_back() {
    let text = "
connections: 1_234_567
server: {ports: [80, 9900-9999], reactors: 3, backlog: 4096}
clients: {ports: auto}
network: {subnet: 10.99.0.0/16, kind: nat, conntrack: true, nat: {addresses: 4, ports: 20000-29999}}
ramp: {rate: 20K/s, timeout: 1500ms}
limits: {server: {nofile: 20K, memory: 6GiB, cpus: 2}}
sysctl: {host: {fs.nr_open: 2000000}, router: {net.ipv4.ip_default_ttl: 32}}
expect: {established: 99.9%, seconds: 1m, server_bytes_per_connection: 5KiB}
";
    let spec = lab(text, &[]).spec;
    let json = serde_json::to_string_pretty(&spec).unwrap();
    assert_eq!(parse("other.yaml", &json, &[]).unwrap().spec, spec);
    assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
}
