//! `--set server.ports=9900-9999`: a value given as an argument instead of in the file.

use super::source::Source;
use super::tree::{Entry, Node, Place, Problem, Value, below};
use super::yaml;
use crate::error::{Error, Result};

/// A value that replaces what the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// `server.ports`
    pub path: String,
    /// `9900-9999`, written as in the file.
    pub value: String,
    /// The argument as the user gave it: `--set server.ports=9900-9999`, `--connections 10K`.
    pub shown: String,
}

const EXAMPLE: &str = "write it like --set server.ports=9900-9999";

impl Override {
    /// The argument of `--set`.
    pub fn parse(text: &str) -> Result<Override> {
        let wrong = |why: &str, end: usize| -> Error {
            let place = Place { text: 0, start: 0, end };
            let problem = Problem { place, why: why.into(), remedy: EXAMPLE.into() };
            Source::new("--set", text).problem(problem)
        };
        let Some((path, value)) = text.split_once('=') else {
            return Err(wrong("there is no `=` between a key and its value", text.len()));
        };
        if path.is_empty() {
            return Err(wrong("there is no key before the `=`", 1));
        }
        if path.split('.').any(|key| key.trim() != key || key.is_empty()) {
            return Err(wrong("this is not a key, nor keys joined by dots", path.len()));
        }
        let shown = format!("--set {text}");
        Ok(Override { path: path.to_owned(), value: value.to_owned(), shown })
    }

    /// The flag, and what follows it.
    fn flag_and_argument(&self) -> (&str, &str) {
        self.shown.split_once(' ').unwrap_or((&self.shown, ""))
    }

    /// Puts the value into the tree and its text into the source.
    pub(super) fn apply(&self, root: &mut Node, source: &mut Source) -> Result<()> {
        let (flag, argument) = self.flag_and_argument();
        let number = source.add_text(flag, argument);
        self.set(root, argument, number).map_err(|problem| source.problem(problem))
    }

    fn set(&self, root: &mut Node, argument: &str, number: usize) -> Result<(), Problem> {
        let whole = Place { text: number, start: 0, end: argument.len() };
        let base = argument.strip_suffix(self.value.as_str()).map_or(0, str::len);
        let mut value = yaml::read(&self.value, number, base)?;
        if let Some(empty) = value.as_mut().filter(|node| node.place.start == node.place.end) {
            empty.place = whole;
        }
        let value = value.unwrap_or(Node { place: whole, value: Value::Null });

        let mut node = root;
        let mut path = String::new();
        let mut start = 0;
        for key in segments(&self.path) {
            // `--connections 10K` does not spell its path: then the whole argument is the key's place.
            let spelled = argument.starts_with(self.path.as_str());
            let place = if spelled { Place { start, end: start + key.len(), ..whole } } else { whole };
            start += key.len() + 1;
            node = descend(node, key, place, &path)?;
            path = below(&path, key);
        }
        *node = value;
        Ok(())
    }
}

/// The keys of a path. A sysctl's name is one key, although it has dots.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let most = if path.starts_with("sysctl.") { 3 } else { usize::MAX };
    path.splitn(most, '.')
}

/// The node below `key`, made if it is missing.
fn descend<'a>(node: &'a mut Node, key: &str, place: Place, path: &str) -> Result<&'a mut Node, Problem> {
    if matches!(node.value, Value::Null) {
        *node = Node { place, value: Value::Map(Vec::new()) };
    }
    let Value::Map(entries) = &mut node.value else {
        let why = format!("`{path}` is a value: there is no key `{key}` in it");
        return Err(Problem { place, why, remedy: format!("set `{path}` itself") });
    };
    let index = match entries.iter().position(|entry| entry.key == key) {
        Some(index) => index,
        None => {
            let value = Node { place, value: Value::Null };
            entries.push(Entry { key: key.to_owned(), key_place: place, value });
            entries.len() - 1
        }
    };
    Ok(&mut entries[index].value)
}
