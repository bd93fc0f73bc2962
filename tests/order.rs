//! The order of the house: a module of src/lib.rs imports only from those that stand before it there, and inside a
//! module no two files import each other.
//!
//! A workspace of several crates would have the compiler say so. It would also make every type that crosses a border
//! public to the world, and a change of a border a change of manifests; one test is enough to keep the order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// A file without what is for tests only: those may look anywhere.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("text");
    let without_tests = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = without_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The path of a file as a module: `plan/network/ways.rs` is `plan::network::ways`.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(root().join("src")).expect("below src").with_extension("");
    below.to_string_lossy().replace('/', "::")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files with code of the program: not those of tests, and not those that hold nothing else.
fn files() -> BTreeMap<String, String> {
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    let named = paths.iter().map(|path| (module(path), path));
    let for_tests = |name: &str| {
        let parts: Vec<&str> = name.split("::").collect();
        parts.iter().any(|part| {
            ["tests", "properties", "example", "recorded", "mock", "replay", "greeting"].contains(part)
        })
    };
    let kept = named.filter(|(name, _)| !for_tests(name) && name != "lib" && name != "main");
    kept.map(|(name, path)| (name, code(path))).collect()
}

/// The modules in the order in which src/lib.rs has them.
fn order() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let names = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// The top-level modules that a text names by `crate::`, also in groups: `use crate::{error, exit};`.
fn imported(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split('}').next().unwrap_or_default();
            let names = group.split(',').map(|part| part.trim().split("::").next().unwrap_or_default());
            found.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
        } else {
            found.insert(rest.chars().take_while(|c| is_name(*c)).collect());
        }
    }
    found
}

#[test]
fn modules_import_only_from_those_before_them() {
    let order = order();
    assert!(order.len() > 30, "src/lib.rs lists its modules: {order:?}");
    let place = |name: &str| order.iter().position(|one| one == name);
    let mut wrong = Vec::new();
    let mut arrows = 0;
    for (file, text) in files() {
        let own = file.split("::").next().unwrap_or_default().to_owned();
        let at = place(&own).unwrap_or_else(|| panic!("{own} is not in src/lib.rs"));
        for name in imported(&text) {
            let Some(there) = place(&name) else { continue };
            arrows += usize::from(there != at);
            if there > at {
                wrong.push(format!("{file} imports {name}, which stands after {own}"));
            }
        }
    }
    assert!(arrows > 300, "only {arrows} imports were found: the test does not read them any more");
    assert_eq!(wrong, [""; 0], "{}", wrong.join("\n"));
}

/// What a file of a room names of the same room, by `super::` or by its whole name.
fn siblings<'a>(file: &str, text: &str, all: &'a BTreeMap<String, String>) -> BTreeSet<&'a str> {
    let parent = file.rsplit_once("::").map_or("", |(parent, _)| parent);
    let beside = |name: &&'a String| {
        let (above, last) = name.rsplit_once("::").unwrap_or(("", name));
        above == parent && name.as_str() != file && !parent.is_empty() && {
            let by_super =
                [format!("super::{last}::"), format!("super::{last};"), format!("super::{{{last}")];
            let by_name = [format!("crate::{name}::"), format!("crate::{name};")];
            let in_group = text.split("use super::{").skip(1).any(|group| {
                let group = group.split("};").next().unwrap_or_default();
                group.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == last)
            });
            in_group || by_super.iter().chain(&by_name).any(|way| text.contains(way.as_str()))
        }
    };
    all.keys().filter(beside).map(String::as_str).collect()
}

#[test]
fn no_two_files_of_a_room_import_each_other() {
    let all = files();
    let arrows: BTreeMap<&str, BTreeSet<&str>> =
        all.iter().map(|(file, text)| (file.as_str(), siblings(file, text, &all))).collect();
    let mut circles = Vec::new();
    for (one, others) in &arrows {
        for other in others.iter().filter(|other| arrows[*other].contains(one) && one < *other) {
            circles.push(format!("{one} and {other}"));
        }
    }
    assert!(
        arrows.values().map(BTreeSet::len).sum::<usize>() > 60,
        "the test does not read imports any more"
    );
    assert_eq!(circles, [""; 0], "import each other: {}", circles.join(", "));
}

#[test]
fn the_order_is_read_as_it_is_written() {
    let text = "use crate::{error, exit::Exit};\nlet a = crate::plan::decide();";
    let names: Vec<String> = imported(text).into_iter().collect();
    assert_eq!(names, ["error", "exit", "plan"]);
}
