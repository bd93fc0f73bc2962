//! The lab file as a tree in which every key and value knows its place.

/// A stretch of one of the texts a lab is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// 0 is the file, 1 the first override.
    pub text: usize,
    /// Bytes; `end` is the first one after.
    pub start: usize,
    pub end: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing was written, or `null`.
    Null,
    /// `plain` means that it was written without quotes, so that it may be a number.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub value: Node,
}

/// What is wrong with the text at a place.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub place: Place,
    pub why: String,
    pub remedy: String,
}

impl Node {
    /// The whole number written here.
    pub fn number(&self) -> Option<u64> {
        match &self.value {
            Value::Text { text, plain: true } if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok()
            }
            _ => None,
        }
    }

    /// The value below `key`, if this is a map that has it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => {
                entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
            }
            _ => None,
        }
    }

    /// Calls `visit` with the path, the key's place and the value's place of everything below this node.
    pub fn walk(&self, path: &str, visit: &mut dyn FnMut(String, Place, Place)) {
        match &self.value {
            Value::Null | Value::Text { .. } => {}
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    item.walk(&path, visit);
                    visit(path, item.place, item.place);
                }
            }
            Value::Map(entries) => {
                for Entry { key, key_place, value } in entries {
                    let path = below(path, key);
                    value.walk(&path, visit);
                    visit(path, *key_place, value.place);
                }
            }
        }
    }
}

/// `server` and `ports` make `server.ports`.
pub(super) fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
