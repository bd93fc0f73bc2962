//! The way from a file to a `Lab`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::overrides::Override;
use super::source::Source;
use super::tree::{Entry, Node, Place, Problem, Value};
use super::validate::{Invalid, is_name, validate};
use super::{Spec, read, yaml};
use crate::error::{Error, Result};
use crate::units::quoted;

/// The largest lab file that is read, in bytes.
pub const LARGEST_FILE: u64 = 1 << 20;

const SMALLEST_FILE: &str = "a lab file needs one line at least: `connections: 10K`";

/// A spec, and where each of its values was written.
#[derive(Clone, Debug)]
pub struct Lab {
    pub spec: Spec,
    pub source: Source,
}

/// Reads and checks a lab file.
pub fn load(path: &Path, overrides: &[Override]) -> Result<Lab> {
    let name = path.display().to_string();
    let bytes = read_bytes(path, &name)?;
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(&name, &error))?;
    parse(&name, &text, overrides)
}

/// Checks the text of a lab file. `file_name` is shown in errors, and names a lab without a name.
pub fn parse(file_name: &str, text: &str, overrides: &[Override]) -> Result<Lab> {
    if text.len() as u64 > LARGEST_FILE {
        return Err(too_large(file_name));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut source = Source::new(file_name, text);
    let mut root = root(text).map_err(|problem| source.problem(problem))?;
    for given in overrides {
        given.apply(&mut root, &mut source)?;
    }
    source.mark(&root);
    let stem = Path::new(file_name).file_stem().unwrap_or_default().to_string_lossy();
    let named_by_file = name_after_file(&mut root, &stem);
    let mut spec = read::spec(&root).map_err(|problem| source.problem(problem))?;
    follow_machines(&mut spec, &source);
    if named_by_file && !is_name(&spec.name) {
        return Err(unnamed(&source, &spec.name));
    }
    validate(&spec).map_err(|invalid| show(&source, invalid))?;
    Ok(Lab { spec, source })
}

fn read_bytes(path: &Path, name: &str) -> Result<Vec<u8>> {
    let wrong = |why: String, remedy: &str| Error::input(format!("reading {name}"), why).remedy(remedy);
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => wrong(
            "there is no such file".into(),
            "name a lab file: `c1m-lab up FILE`; labs/ has some to begin with",
        ),
        std::io::ErrorKind::PermissionDenied => {
            wrong("it may not be read by this user".into(), "change its permissions, or read another file")
        }
        _ => wrong(error.to_string(), "check the path of the lab file"),
    };
    let file = File::open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if about.is_dir() {
        return Err(wrong("it is a directory".into(), "name the lab file inside it"));
    }
    if about.len() > LARGEST_FILE {
        return Err(too_large(name));
    }
    // A pipe or a device has no size to check beforehand.
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    match bytes.len() as u64 > LARGEST_FILE {
        true => Err(too_large(name)),
        false => Ok(bytes),
    }
}

fn too_large(name: &str) -> Error {
    Error::input(format!("reading {name}"), "it is larger than 1 MiB")
        .remedy("a lab file has some dozens of lines: is this the right file?")
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> Error {
    // Everything before the first wrong byte is valid, so its offset is the same in the repaired text.
    let start = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes());
    let place = Place { text: 0, start, end: start + '�'.len_utf8() };
    let remedy = "save the file as UTF-8 text".to_owned();
    Source::new(name, &text).problem(Problem { place, why: "it is not UTF-8 text".into(), remedy })
}

/// The file's tree, which must be a map.
fn root(text: &str) -> Result<Node, Problem> {
    let start = Place { text: 0, start: 0, end: 0 };
    match yaml::read(text, 0, 0)? {
        Some(node) if matches!(node.value, Value::Map(_)) => Ok(node),
        Some(Node { value: Value::Null, .. }) | None => {
            Err(Problem { place: start, why: "it is empty".into(), remedy: SMALLEST_FILE.into() })
        }
        Some(node) => {
            let why = "a lab file is made of lines such as `connections: 10K`, but this is something else";
            Err(Problem { place: node.place, why: why.into(), remedy: "write `key: value`".into() })
        }
    }
}

/// Gives a lab without a name that of its file.
fn name_after_file(root: &mut Node, stem: &str) -> bool {
    if root.get_mut("name").is_some() {
        return false;
    }
    let place = root.place;
    if let Value::Map(entries) = &mut root.value {
        let value = Node { place, value: Value::Text { text: stem.to_owned(), plain: false } };
        entries.push(Entry { key: "name".into(), key_place: place, value });
    }
    true
}

/// What is not written of the clients follows from the machines: one client on each, with its own address.
fn follow_machines(spec: &mut Spec, source: &Source) {
    if !spec.driver.is_far() {
        return;
    }
    if !source.names("clients.count") {
        spec.clients.count = spec.machines.clients.len() as u32;
    }
    if !source.names("clients.addresses") {
        spec.clients.addresses = 1;
    }
}

fn unnamed(source: &Source, stem: &str) -> Error {
    let why = format!("the lab has no name, and that of its file, {}, cannot serve", quoted(stem));
    source.error("name", why).remedy("add a line such as `name: my-lab`")
}

fn show(source: &Source, invalid: Invalid) -> Error {
    let Invalid { path, on_key, why, remedy } = invalid;
    let error = if on_key { source.key_error(&path, why) } else { source.error(&path, why) };
    error.remedy(remedy)
}
