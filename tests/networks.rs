//! Labs with a router between clients and server, looked at from inside their nodes and from outside.

mod common;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use common::*;
use serde_json::Value;

const TWO_CLIENTS: &str = "connections: 2K\nclients: {count: 2, addresses: 4}\n";

/// What a command says inside a node of a lab.
fn inside(lab: &TestLab, node: &str, command: &[&str]) -> String {
    let node = format!("{}/{node}", lab.name);
    let output = run(&[&["exec", &node, "--"], command].concat());
    assert!(output.status.success(), "{command:?} in {node}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("text")
}

/// The connections that the router tracks.
fn tracked(lab: &TestLab) -> u64 {
    let count = inside(lab, "router", &["cat", "/proc/sys/net/netfilter/nf_conntrack_count"]);
    count.trim().parse().expect("a count")
}

/// The other ends of the server's connections.
fn peers(lab: &TestLab) -> Vec<IpAddr> {
    let sockets = inside(lab, "server", &["ss", "-Htn", "state", "established"]);
    let peer = |line: &str| {
        let (address, _) = line.split_whitespace().last().expect("a peer").rsplit_once(':').expect("a port");
        address.trim_matches(['[', ']']).parse().expect("an address")
    };
    sockets.lines().map(peer).collect()
}

fn plan(lab: &TestLab) -> Value {
    let text = std::fs::read_to_string(lab.folder.join("out/plan.json")).expect("a plan");
    serde_json::from_str(&text).expect("JSON")
}

/// All addresses of the plan's `{first, count}`.
fn addresses(range: &Value) -> BTreeSet<IpAddr> {
    let first: IpAddr = range["first"].as_str().expect("an address").parse().expect("an address");
    let count = u32::try_from(range["count"].as_u64().expect("a count")).expect("few");
    let further = |by: u32| match first {
        IpAddr::V4(first) => IpAddr::from((first.to_bits() + by).to_be_bytes()),
        IpAddr::V6(first) => IpAddr::from((first.to_bits() + u128::from(by)).to_be_bytes()),
    };
    (0..count).map(further).collect()
}

/// Those of a node, of every family it has.
fn own_addresses(node: &Value) -> BTreeSet<IpAddr> {
    let homes = node["homes"].as_array().expect("a list");
    homes.iter().flat_map(|home| addresses(&home["addresses"])).collect()
}

/// The labs of these tests are made with addresses of each family.
const FAMILIES: [&str; 3] = ["ipv4", "ipv6", "dual"];

/// The rules of nf_tables in this namespace, which is the host's.
fn rules() -> String {
    let output =
        std::process::Command::new("nft").args(["list", "ruleset"]).output().expect("nft(8) is there");
    // Else nothing would be compared with nothing.
    assert!(output.status.success(), "nft: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn end(lab: &TestLab, mut kept: Kept) -> Value {
    kept.signal("INT");
    assert_eq!(kept.ends_with(), Some(0));
    lab.assert_gone();
    let report = std::fs::read(Path::new(&lab.out()).join("report.json")).expect("a report");
    serde_json::from_slice(&report).expect("JSON")
}

#[test]
fn a_router_forwards_and_tracks() {
    need_root();
    let before = rules();
    for family in FAMILIES {
        let lab = TestLab::new(&format!("routed-{family}"));
        let kept = lab.keep(&format!("{TWO_CLIENTS}hold: 0s\nnetwork: {{kind: routed, family: {family}}}"));
        assert_eq!(tracked(&lab), 2_000);
        let nodes = plan(&lab)["ends"]["nodes"].clone();
        let clients: BTreeSet<_> = [1, 2].iter().flat_map(|node| own_addresses(&nodes[node])).collect();
        let peers = peers(&lab);
        assert_eq!((peers.len(), peers.into_iter().collect::<BTreeSet<_>>()), (2_000, clients));
        assert_eq!(rules(), before, "the host's own rules");
        let report = end(&lab, kept);
        assert_eq!((&report["established"], &report["lost"]["total"]), (&2_000.into(), &0.into()));
        assert_eq!(rules(), before);
    }
}

#[test]
fn a_router_that_need_not_track_does_not() {
    need_root();
    let lab = TestLab::new("untracked");
    let text = "connections: 500\nhold: 0s\nnetwork: {kind: routed, conntrack: false}\nsysctl: {router: {net.ipv4.ip_default_ttl: 17}}";
    let kept = lab.keep(text);
    assert_eq!(tracked(&lab), 0);
    assert_eq!(inside(&lab, "router", &["cat", "/proc/sys/net/ipv4/ip_default_ttl"]), "17\n");
    assert_eq!(inside(&lab, "router", &["nft", "list", "ruleset"]), "");
    assert_eq!(end(&lab, kept)["established"], 500);
}

#[test]
fn a_router_hides_the_clients_behind_its_addresses() {
    need_root();
    let before = rules();
    // Two ways to say it to the kernel: one address, and several.
    let families = FAMILIES.into_iter();
    for (family, count) in families.flat_map(|family| [(family, 1_u32), (family, 3)]) {
        let lab = TestLab::new(&format!("nat{count}-{family}"));
        let network = format!(
            "network: {{kind: nat, family: {family}, nat: {{addresses: {count}, ports: 20000-29999}}}}"
        );
        let kept = lab.keep(&format!("{TWO_CLIENTS}hold: 0s\n{network}"));
        assert_eq!(tracked(&lab), 2_000);
        let plan = plan(&lab);
        let nat = plan["place"]["here"]["router"]["nat"].as_array().expect("a list");
        let hidden_behind: BTreeSet<_> = nat.iter().flat_map(|nat| addresses(&nat["addresses"])).collect();
        let all = count as usize * nat.len();
        assert_eq!((hidden_behind.len(), nat.len()), (all, if family == "dual" { 2 } else { 1 }));
        let peers = peers(&lab);
        assert_eq!(peers.len(), 2_000);
        for address in &hidden_behind {
            let share = peers.iter().filter(|peer| *peer == address).count();
            assert!((2_000 / all).abs_diff(share) < 200, "{share} of 2,000 by {address}");
        }
        assert_eq!(peers.into_iter().collect::<BTreeSet<_>>(), hidden_behind);
        assert!(inside(&lab, "router", &["nft", "list", "ruleset"]).contains("snat to"));
        // The server has no way to the clients' own addresses.
        let client = plan["ends"]["nodes"][1]["homes"][0]["addresses"]["first"].as_str().expect("an address");
        let routes = inside(&lab, "server", &["sh", "-c", "ip route; ip -6 route"]);
        let known = routes.lines().filter(|route| route.contains("via"));
        assert!(!routes.contains(client) && known.count() == nat.len(), "{routes}");
        assert_eq!(end(&lab, kept)["established"], 2_000);
    }
    assert_eq!(rules(), before);
}

#[test]
fn echoes_come_back_through_a_translation() {
    need_root();
    for family in FAMILIES {
        let lab = TestLab::new(&format!("natecho-{family}"));
        let network = format!("network: {{kind: nat, family: {family}}}");
        let text = format!("{TWO_CLIENTS}hold: 2s\n{network}\ntraffic: {{kind: echo, every: 1s}}");
        let (output, report) = lab.up(&text, &[]);
        assert_all_established(&output, &report, 2_000);
        let echo = &report["echo"];
        assert_eq!((&echo["answered"], &echo["wrong"]), (&echo["sent"], &0.into()), "{report:#}");
        assert!(echo["sent"].as_u64() >= Some(2_000), "{echo}");
        lab.assert_gone();
    }
}

#[test]
fn thousands_of_addresses_on_both_sides_of_a_router() {
    need_root();
    for family in ["ipv4", "ipv6"] {
        let lab = TestLab::new(&format!("natmany-{family}"));
        let text = format!(
            "connections: 3K\nclients: {{addresses: 2000}}\nserver: {{ports: 9900}}\nhold: 0s\n\
             network: {{kind: nat, family: {family}, nat: {{addresses: 1500}}}}"
        );
        let kept = lab.keep(&text);
        let hidden_behind = addresses(&plan(&lab)["place"]["here"]["router"]["nat"][0]["addresses"]);
        let peers = peers(&lab);
        assert_eq!((peers.len(), tracked(&lab)), (3_000, 3_000));
        assert!(peers.iter().all(|peer| hidden_behind.contains(peer)));
        end(&lab, kept);
    }
}

/// How many were established, and the only way in which the others failed.
fn established_and_failed(report: &Value) -> (u64, String) {
    let by = report["failed"]["by"].as_array().expect("rows");
    assert!(by.len() <= 1, "{report:#}");
    let how = by.first().map_or_else(String::new, |row| {
        format!("{} {}", row["operation"].as_str().expect("text"), row["errno"].as_str().expect("text"))
    });
    (report["established"].as_u64().expect("a count"), how)
}

#[test]
fn a_translation_ends_where_its_tuples_end() {
    need_root();
    let lab = TestLab::new("natshort");
    let text = format!(
        "{TWO_CLIENTS}server: {{ports: 9900}}\nhold: 0s\nramp: {{window: 2000, timeout: 3s}}\n\
         network: {{kind: nat, nat: {{addresses: 1, ports: 20000-20999}}}}"
    );
    let (output, report) = lab.up(&text, &[]);
    let (established, how) = established_and_failed(&report);
    assert!((950..=1_000).contains(&established), "{report:#}");
    assert_eq!(
        (how.as_str(), &report["findings"]),
        ("connect ETIMEDOUT", &Value::Array(vec![])),
        "{report:#}"
    );
    assert_eq!(output.status.code(), Some(0), "nothing else was expected");
    lab.assert_gone();
    // A second server port: each translated pair serves twice.
    let lab = TestLab::new("natenough");
    let (output, report) = lab.up(&text.replace("9900", "9900-9902"), &[]);
    assert_all_established(&output, &report, 2_000);
}

#[test]
fn the_kernel_runs_out_of_ports_to_choose_from() {
    need_root();
    let text = "connections: 2K\nclients: {addresses: 2, ports: auto}\nserver: {ports: 9900}\nhold: 0s\n\
                sysctl: {client: {net.ipv4.ip_local_port_range: 30000 30799}}";
    let lab = TestLab::new("fewports");
    let (_, report) = lab.up(text, &[]);
    assert_eq!(established_and_failed(&report), (1_600, "connect EADDRNOTAVAIL".to_owned()), "{report:#}");
    let lab = TestLab::new("moreports");
    let (output, report) = lab.up(&text.replace("9900", "9900-9901"), &[]);
    assert_all_established(&output, &report, 2_000);
    lab.assert_gone();
}
