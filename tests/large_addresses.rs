//! Thousands of source addresses become one local range: adding each would take minutes.

mod common;

use common::*;

#[test]
fn five_thousand_addresses_are_one_range() {
    need_root();
    for family in ["ipv4", "ipv6"] {
        let lab = TestLab::new(&format!("range-{family}"));
        let text = format!(
            "connections: 5K\nclients: {{count: 1, addresses: 5000}}\nnetwork: {{family: {family}}}\nhold: 0s"
        );
        let (output, report) = lab.up(&text, &[]);
        assert_all_established(&output, &report, 5_000);
        assert!(report["seconds"]["build"].as_f64().is_some_and(|seconds| seconds < 5.0), "{report:#}");
        let plan = std::fs::read_to_string(lab.folder.join("out/plan.json")).expect("a plan");
        let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
        let home = &plan["ends"]["nodes"][1]["homes"][0];
        assert_eq!((&home["addresses"]["count"], &home["each_address"]), (&5_000.into(), &false.into()));
        lab.assert_gone();
    }
}
