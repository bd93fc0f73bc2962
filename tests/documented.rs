//! The documented runs at a small scale; `ci/documented` has them at full scale.

mod common;

use common::*;
use serde_json::Value;

/// Runs a lab file with what differs from it, and returns its report.
fn run_lab(file: &str, differs: &[&str]) -> (Option<i32>, Value, String) {
    let lab = TestLab::new(&format!("{}-{}", &file[..file.len().min(12)], differs.len()));
    let path = format!("{}/labs/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
    let name = format!("name={}", lab.name);
    let mut arguments = vec!["up", &path, "--set", &name, "--json", "--hold", "0s", "--lower-host-limits"];
    let out = lab.out();
    arguments.extend(["--out", &out]);
    arguments.extend(differs);
    let output = run(&arguments);
    lab.assert_gone();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), stderr(&output))
}

#[test]
fn what_was_reached_is_reached_without_a_verdict() {
    for file in ["c1000k-reactor", "four-machines", "forty-addresses"] {
        let (code, report, told) = run_lab(file, &["--connections", "10K"]);
        assert_eq!(code, Some(0), "{file}: {told}");
        assert_eq!(report["established"], 10_000, "{file}: {told}");
        assert_eq!(report["verdicts"], Value::Array(Vec::new()), "{file}: {told}");
    }
}

#[test]
fn the_processes_of_a_client_share_its_source_ports() {
    let few = ["--connections", "6K", "--set", "clients.ports=32768-33767", "--set", "clients.processes=3"];
    let (code, report, told) = run_lab("c1000k-reactor", &few);
    assert_eq!((code, report["established"].as_u64()), (Some(0), Some(6_000)), "{told}");
}

#[test]
fn the_table_of_tracked_connections_is_named_when_it_is_full() {
    let smaller = "sysctl.host.net.netfilter.nf_conntrack_max=4000";
    let (code, report, told) = run_lab(
        "four-machines-conntrack",
        &["--connections", "10K", "--set", smaller, "--set", "ramp.timeout=1s"],
    );
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(report["verdicts"][0]["cause"], "conntrack_full", "{told}");
}

#[test]
fn a_router_s_last_translated_tuple_is_where_it_breaks() {
    let fewer = "network.nat.ports=20000-20999";
    let (code, report, told) =
        run_lab("virtual-router", &["--connections", "3K", "--set", fewer, "--set", "ramp.timeout=1s"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(report["verdicts"][0]["cause"], "nat_tuples", "{told}");
    let breaks_at = report["breaks_at"].as_u64().expect("where it breaks");
    assert!((800..=1000).contains(&breaks_at), "{breaks_at}: {told}");
}

/// Climbs with what differs, and returns the limits met on the way up.
fn ladder(name: &str, differs: &[&str]) -> Vec<String> {
    let lab = TestLab::new(&format!("climb-{name}"));
    let path = format!("{}/labs/eleven-adjustments.yaml", env!("CARGO_MANIFEST_DIR"));
    let (name, out) = (format!("name={}", lab.name), lab.out());
    let mut arguments = vec![
        "climb",
        &path,
        "--connections",
        "6K",
        "--set",
        "ramp.timeout=1s",
        "--set",
        &name,
        "--out",
        &out,
    ];
    arguments.extend(differs);
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    lab.assert_gone();
    let text = std::fs::read_to_string(format!("{out}/ladder.json")).expect("a ladder");
    let ladder: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(ladder["end"], "reached", "{ladder:#}");
    let rungs = ladder["rungs"].as_array().expect("rungs");
    rungs.iter().filter_map(|rung| rung["limit"].as_str().map(ToOwned::to_owned)).collect()
}

#[test]
fn a_climb_finds_its_rungs_by_itself() {
    let stock = ladder("stock", &[]);
    for limit in ["client_descriptors", "server_descriptors"] {
        assert!(stock.iter().any(|met| met == limit), "{stock:?}");
    }
    // From other limits it is another ladder.
    let other = ladder(
        "other",
        &[
            "--set",
            "limits={server: {nofile: 10K}, client: {nofile: 10K}}",
            "--set",
            "clients.ports=40000-40999",
            "--set",
            "server.backlog=65536",
        ],
    );
    assert_eq!(other, ["source_tuples"]);
}
