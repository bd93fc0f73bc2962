//! The committed pages are the rendered ones, and what they say is accepted by the code.

use super::fields::{self, Field};
use super::{exit_codes, lab_file, pages, report};
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

fn all(schema: &serde_json::Value) -> Vec<Field> {
    fields::of(schema, "").into_iter().flat_map(Field::leaves).collect()
}

#[test]
fn every_field_has_a_meaning() {
    for field in all(&spec::schema()).into_iter().chain(all(&report::schema())) {
        assert!(!field.meaning.is_empty(), "{} has no sentence", field.path);
    }
}

const NEAR: &str = "connections: 10K\n";
const FAR: &str = "connections: 10K\ndriver: ssh\nmachines: {server: one, clients: [other]}\n";
const VIRTUAL: &str =
    "connections: 10K\nmachines: {server: {address: 10.9.9.1}, clients: [{address: 10.9.9.2}]}\n";

#[test]
fn every_example_is_accepted() {
    for field in all(&spec::schema()) {
        let set = format!("{}={}", field.path, lab_file::example(&field));
        let given = Override::parse(&set).expect("an override");
        // These make a lab only together.
        let with = match field.path.as_str() {
            "driver" => VIRTUAL,
            path if path.starts_with("machines.") => FAR,
            _ => NEAR,
        };
        if let Err(error) = spec::parse("lab.yaml", with, &[given]) {
            panic!("docs/lab-file.md shows `{set}`:\n{error}");
        }
    }
}
