//! What cannot run is refused with its reason, its place and a remedy.

use super::*;
use crate::error::Error;
use crate::exit::Exit;

fn refusal(text: &str, host: &Host) -> Error {
    let error = decide(&lab(text), host).expect_err(text);
    assert!(error.remedy.is_some(), "{error}");
    error
}

/// The line that the error points at.
fn line(error: &Error) -> &str {
    &error.excerpt.as_ref().expect("an excerpt").text
}

fn with_memory(memory: u64) -> Host {
    let memory = crate::host::Memory { total: memory, available: memory };
    Host { memory, ..Host::example() }
}

#[test]
fn too_few_five_tuples() {
    let error = refusal(
        "server: {ports: 9900}\nconnections: 1M\nclients: {count: 2, addresses: 1}",
        &Host::example(),
    );
    assert_eq!((error.exit, line(&error)), (Exit::Input, "connections: 1M"));
    assert!(error.why.contains("2 client addresses × 64,512 client ports × 1 server ports"), "{error}");
    // The remedy is enough.
    assert!(error.remedy.as_ref().is_some_and(|remedy| remedy.contains("{addresses: 8}")), "{error}");
    decide(
        &lab("server: {ports: 9900}\nconnections: 1M\nclients: {count: 2, addresses: 8}"),
        &Host::example(),
    )
    .expect("the remedy helps");
}

#[test]
fn too_small_a_subnet() {
    let error = refusal(
        "connections: 1K\nnetwork:\n  subnet: 10.5.0.0/26\nclients: {count: 2, addresses: 16}",
        &Host::example(),
    );
    assert_eq!((error.exit, line(&error)), (Exit::Input, "  subnet: 10.5.0.0/26"));
    assert!(error.remedy.as_ref().is_some_and(|remedy| remedy.contains("/25 or larger")), "{error}");
}

#[test]
fn too_little_memory_says_how_many_fit() {
    for clients in [1, 300] {
        let text = format!("connections: 5M\nclients: {{count: {clients}}}");
        let host = with_memory(2 * GIB);
        let error = refusal(&text, &host);
        assert_eq!((error.exit, line(&error)), (Exit::Host, "connections: 5M"));
        let remedy = error.remedy.expect("a remedy");
        assert!(remedy.contains("`--connections fit`"), "{remedy}");
        let fitting: u64 =
            remedy.split(' ').next().expect("a number").replace(',', "").parse().expect(&remedy);
        let mut smaller = lab(&text);
        smaller.spec.connections = fitting;
        decide(&smaller, &host).expect("as many as the remedy says");
        smaller.spec.connections = fitting + 1;
        decide(&smaller, &host).expect_err("no more than the remedy says");
    }
}

#[test]
fn no_memory_at_all() {
    let error = refusal("connections: 1K", &with_memory(100 << 20));
    assert_eq!((error.exit, error.remedy.as_deref()), (Exit::Host, Some("free some memory")));
}

#[test]
fn one_reactor_where_a_process_may_open_too_little() {
    let error = refusal("connections: 1M\nserver: {reactors: 1}", &bounded(20_000));
    assert_eq!((error.exit, line(&error)), (Exit::Host, "server: {reactors: 1}"));
    let arithmetic = "1,000,000 connections in 1 reactor need 1,000,110 descriptors each (1,000,000 connections + 110 \
                      of its own), and a process may open 20,000 here";
    assert!(error.why.contains(arithmetic) && error.why.contains("SYS_RESOURCE"), "{error}");
    assert!(
        error.remedy.as_ref().is_some_and(|remedy| remedy.contains("`reactors: auto` takes 51")),
        "{error}"
    );
}

#[test]
fn more_descriptors_than_possible() {
    let error = refusal("connections: 1K\nlimits:\n  server: {nofile: 30K}", &bounded(20_000));
    assert_eq!((error.exit, line(&error)), (Exit::Host, "  server: {nofile: 30K}"));
    assert!(error.why.contains("30,000") && error.why.contains("20,000"), "{error}");
}

#[test]
fn fewer_descriptors_than_ports() {
    let error = refusal("connections: 1K\nlimits: {server: {nofile: 100}}", &Host::example());
    assert_eq!(error.exit, Exit::Host);
    assert!(error.why.contains("100 listening ports do not fit into 100 descriptors"), "{error}");
}

#[test]
fn a_file_table_that_cannot_be_raised() {
    let mut host = Host::example();
    host.settings.insert(settings::FILE_MAX.to_owned(), "1000000".to_owned());
    decide(&lab("connections: 1M"), &host).expect("it is raised");
    host.settings_fixed.insert(settings::FILE_MAX.to_owned());
    let error = refusal("connections: 1M", &host);
    assert_eq!((error.exit, line(&error)), (Exit::Host, "connections: 1M"));
    assert!(error.why.contains("fs.file-max is 1,000,000"), "{error}");
    assert!(error.remedy.as_ref().is_some_and(|remedy| remedy.contains("sysctl -w fs.file-max=")), "{error}");
}

#[test]
fn a_memory_limit_that_cannot_be_set() {
    let mut host = Host::example();
    let text = "connections: 1K\nlimits:\n  client: {memory: 512MiB}";
    decide(&lab(text), &host).expect("it can be set");
    host.cgroup.can_limit = Err("no cgroup counts memory".to_owned());
    let error = refusal(text, &host);
    assert_eq!((error.exit, line(&error)), (Exit::Host, "  client: {memory: 512MiB}"));
    assert!(error.why.contains("512MiB") && error.why.contains("no cgroup counts memory"), "{error}");
    decide(&lab("connections: 1K"), &host).expect("nothing is limited");
}

/// The limit on agents is told beforehand, and to the connection.
#[test]
fn the_agents_limit_is_where_the_refusal_begins() {
    let mut host = bounded(2_000);
    host.memory = crate::host::Memory { total: 1024 * GIB, available: 1024 * GIB };
    host.capabilities = host.capabilities.without(Capability::SysResource);
    for (text, runner) in [
        ("clients: {count: 3, addresses: 200}", None),
        ("clients: {count: 40, addresses: 200}\nlimits: {client: {nofile: 333}}", None),
        ("clients: {count: 3, addresses: 200}\nserver: {reactors: 100}", Some(100)),
        ("clients: {count: 7, addresses: 20}\nlimits: {server: {nofile: 150}, client: {nofile: 20}}", None),
    ] {
        let mut lab = lab(&format!("connections: 1K\n{text}"));
        let plan = decide(&lab, &host).expect(text);
        let agents = plan.limits.iter().find(|limit| limit.name == "agents").expect("a limit").connections;
        let first = plan.first_limit.connections;
        assert!(first <= agents && (runner.is_some() || first == agents), "{:?}", plan.limits);
        lab.spec.connections = first;
        decide(&lab, &host).expect(text);
        lab.spec.connections = first + 1;
        decide(&lab, &host).expect_err(text);
    }
}

#[test]
fn more_agents_than_a_lab_has() {
    let mut host = with_memory(1024 * GIB);
    host.nofile = crate::host::Nofile { soft: 1024, hard: 2_000 };
    host.capabilities = host.capabilities.without(Capability::SysResource);
    let error = refusal("connections: 50M\nclients: {count: 4, addresses: 200}", &host);
    assert_eq!(error.exit, Exit::Host);
    assert!(error.why.contains("reactors and") && error.why.contains("4,096"), "{error}");
    // Fewer agents, but still more than the runner can hear.
    let error = refusal("connections: 1M\nclients: {count: 4}", &host);
    assert!(error.why.contains("descriptors in the runner"), "{error}");
}
