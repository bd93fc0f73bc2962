//! Machines in a lab file.

use super::*;

fn read(text: &str) -> crate::error::Result<Spec> {
    parse("lab.yaml", &format!("connections: 10K\n{text}"), &[]).map(|lab| lab.spec)
}

#[test]
fn a_machine_is_a_word_or_a_map() {
    let spec = read(
        "driver: ssh\nmachines:\n  server: {ssh: root@one, address: 10.9.9.1}\n  clients: [two, three]\n",
    );
    let spec = spec.expect("a lab");
    let server = spec.machines.server.expect("a server");
    assert_eq!((server.ssh.as_deref(), server.address), (Some("root@one"), Some([10, 9, 9, 1].into())));
    assert_eq!(spec.machines.clients[1].ssh.as_deref(), Some("three"));
    assert_eq!(
        (spec.clients.count, spec.clients.addresses),
        (2, 1),
        "one client on each, with its own address"
    );
}

#[test]
fn the_documented_machines_are_in_the_lab_files() {
    let texts =
        [include_str!("../../../vagrant/lab.yaml"), include_str!("../../../vagrant/four-machines/lab.yaml")];
    let [two, three] = texts.map(|text| parse("lab.yaml", text, &[]).expect("a lab").spec);
    let gibibytes =
        |spec: &Spec| spec.machines.all().map(|one| one.memory.map_or(0, |bytes| bytes.0 >> 30)).collect();
    let (two_are, three_are): (Vec<u64>, Vec<u64>) = (gibibytes(&two), gibibytes(&three));
    assert_eq!((two_are, three_are), (vec![6, 3, 3], vec![6, 4, 4, 4]));
    assert_eq!((two.connections, three.connections), (1_000_000, 1_020_000));
}

#[test]
fn wrong_machines_are_told() {
    let both = "machines: {server: one, clients: [two]}";
    let wrong = [
        (both.to_owned(), "the lab is made on this host, and takes no machines"),
        ("driver: ssh".to_owned(), "`driver: ssh` needs machines, and names no server"),
        (
            "driver: ssh\nmachines: {server: one}".to_owned(),
            "`driver: ssh` needs machines, and names no clients",
        ),
        (
            format!("driver: ssh\n{both}\nclients: {{count: 3}}"),
            "3 clients, and 1 machines are named for them",
        ),
        (
            format!("driver: ssh\n{both}\nlimits: {{server: {{memory: 1GiB}}}}"),
            "a machine's memory is its own: it is not limited further",
        ),
        (
            "driver: ssh\nmachines: {server: {ssh: one, memory: 1GiB}, clients: [two]}".to_owned(),
            "a machine reached by ssh has the hardware it has",
        ),
        (
            "driver: ssh\nmachines: {server: -oProxyCommand=x, clients: [two]}".to_owned(),
            "`-oProxyCommand=x` is nothing that ssh may be given",
        ),
        (
            "driver: ssh\nmachines: {server: \"one;id\", clients: [two]}".to_owned(),
            "`one;id` is nothing that ssh may be given",
        ),
        (
            "driver: ssh\nmachines: {server: {address: 10.0.0.1}, clients: [two]}".to_owned(),
            "nothing says how ssh reaches this machine",
        ),
        (
            format!("driver: ssh\n{}", both.replace('}', ", binary: /bin/sh}")),
            "`/bin/sh` is no place of c1m-lab",
        ),
        (
            "driver: ssh\nmachines: {server: {address: 1.2.3}, clients: [two]}".to_owned(),
            "`1.2.3` is no IPv4 or IPv6 address",
        ),
        (format!("driver: vagrant\n{both}"), "Vagrant knows how its machines are reached"),
        (
            "driver: vagrant\nmachines: {server: {cpus: 2}, clients: [{cpus: 2}]}".to_owned(),
            "a virtual machine's address is missing",
        ),
    ];
    for (text, why) in wrong {
        let error = read(&text).expect_err(&text);
        assert_eq!(error.why, why, "{text}");
        assert!(error.remedy.is_some() && error.excerpt.is_some(), "{error}");
    }
}
