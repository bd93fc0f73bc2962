//! The committed pages are the rendered ones, and what they say is accepted by the code.

use super::fields::{self, Field};
use super::{exit_codes, lab_file, manual, pages, report};
use crate::cli::Cli;
use crate::spec::{self, Override};

const RENEW: &str = "renew it: cargo run -- docs docs";

#[test]
fn the_pages_in_docs_are_these() {
    for page in pages() {
        let path = format!("{}/docs/{}", env!("CARGO_MANIFEST_DIR"), page.name);
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(written == page.text, "docs/{} is out of date; {RENEW}", page.name);
    }
}

#[test]
fn the_readme_has_the_exit_codes() {
    let readme = include_str!("../../README.md");
    let codes = exit_codes();
    assert!(readme.contains(&codes), "README.md's exit codes are out of date; they are now:\n{codes}");
}

#[test]
fn there_is_a_manual_page_for_every_command_that_is_shown() {
    let pages = manual::pages().expect("pages");
    let names: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
    assert_eq!(names[..3], ["c1m-lab.1", "c1m-lab-up.1", "c1m-lab-climb.1"]);
    assert!(names.iter().all(|name| !name.contains("agent")), "{names:?}");
    let texts: Vec<String> =
        pages.iter().map(|page| String::from_utf8_lossy(&page.text).into_owned()).collect();
    assert!(texts[0].contains("something could not be taken down"), "no exit codes: {}", texts[0]);
    // roff writes a dash as \\-.
    for (name, flag) in [("c1m-lab-up.1", "junit"), ("c1m-lab-client.1", "sources")] {
        let page = names.iter().position(|other| *other == name).map(|index| &texts[index]);
        assert!(page.is_some_and(|page| page.contains(flag)), "{name} has no --{flag}");
    }
}

#[test]
fn shells_complete_what_is_shown_and_nothing_else() {
    for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::shown(), "c1m-lab", &mut script);
        let script = String::from_utf8(script).expect("text");
        for word in ["up", "plan", "status", "completions", "junit", "connections"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        assert!(!script.contains("netns"), "{shell} completes what is not for users");
    }
}

fn all(schema: &serde_json::Value) -> Vec<Field> {
    fields::of(schema, "").into_iter().flat_map(Field::leaves).collect()
}

#[test]
fn every_field_has_a_meaning() {
    for field in all(&spec::schema()).into_iter().chain(all(&report::schema())) {
        assert!(!field.meaning.is_empty(), "{} has no sentence", field.path);
    }
}

#[test]
fn every_example_is_accepted() {
    // What stands in a list is set with the whole list, which has an example of its own.
    for field in all(&spec::schema()).into_iter().filter(|field| !field.path.contains("[]")) {
        let set = format!("{}={}", field.path, lab_file::example(&field));
        let given = Override::parse(&set).expect("an override");
        // Some keys say something about a router, or make a lab only together.
        let beside = match field.path.as_str() {
            path if path.starts_with("network.nat") => "network: {kind: nat}",
            // A dual lab has two, of which IPv4 is the first.
            "network.subnet6" => "clients: {count: 2}\nnetwork: {family: dual}",
            "network.family" => "clients: {count: 2}",
            "sysctl.router" | "network.asymmetric" => "network: {kind: routed}",
            "driver" => "machines: {server: {address: 10.9.9.1}, clients: [{address: 10.9.9.2}]}",
            path if path.starts_with("machines.") => "driver: ssh\nmachines: {server: one, clients: [other]}",
            _ => "",
        };
        if let Err(error) = spec::parse("lab.yaml", &format!("connections: 10K\n{beside}\n"), &[given]) {
            panic!("docs/lab-file.md shows `{set}`:\n{error}");
        }
    }
}
