//! What can be wrong with a value, in words for the author of a lab file.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::tree::{Place, Problem};
use crate::units::quoted;

/// An error while values become a `Spec`; it learns its place on the way out.
#[derive(Debug)]
pub(super) struct Wrong {
    why: Why,
    at: Option<(Place, String)>,
}

#[derive(Debug)]
enum Why {
    /// In the words of the type, with its remedy after `\nhelp: `.
    Said(String),
    NotA {
        found: String,
        expected: String,
    },
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    UnknownWord {
        word: String,
        known: &'static [&'static str],
    },
    Missing(&'static str),
}

impl Wrong {
    pub fn not_a(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Why::NotA { found: found.into(), expected: expected.into() }.into()
    }

    /// The innermost place is kept.
    pub fn at(mut self, place: Place, path: &str) -> Self {
        self.at.get_or_insert_with(|| (place, path.to_owned()));
        self
    }

    /// `root` is the place if none was ever given.
    pub fn into_problem(self, root: Place) -> Problem {
        let (place, path) = self.at.unwrap_or((root, String::new()));
        let (why, remedy) = self.why.words(&path);
        Problem { place, why, remedy }
    }
}

impl Why {
    /// Why, and what to do.
    fn words(self, path: &str) -> (String, String) {
        let subject = if path.is_empty() { "the lab file".to_owned() } else { format!("`{path}`") };
        match self {
            Why::Said(text) => match text.split_once("\nhelp: ") {
                Some((why, remedy)) => (why.to_owned(), remedy.to_owned()),
                None => (
                    format!("{subject}: {text}"),
                    "see the lab file's schema for what can be written here".into(),
                ),
            },
            Why::NotA { found, expected } => (format!("{subject} {found}"), format!("make it {expected}")),
            Why::UnknownKey { key, known } => {
                let place = if path.is_empty() { "a lab file".to_owned() } else { format!("`{path}`") };
                let why = format!("there is no key {} in {place}", quoted(&key));
                (why, suggest(&key, known, &format!("the keys here are {}", listed(known, "and"))))
            }
            Why::UnknownWord { word, known } => {
                let why = format!("{subject} cannot be {}", quoted(&word));
                (why, suggest(&word, known, &format!("it can be {}", listed(known, "or"))))
            }
            Why::Missing("connections") => (
                "the lab file does not say how many `connections` to hold".into(),
                "add a line such as `connections: 10K`".into(),
            ),
            Why::Missing(key) => (format!("the key `{key}` is missing in {subject}"), format!("add `{key}`")),
        }
    }
}

impl From<Why> for Wrong {
    fn from(why: Why) -> Self {
        Wrong { why, at: None }
    }
}

impl std::error::Error for Wrong {}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.why)
    }
}

impl Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Why::Said(message.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unit | Unexpected::Option => "has no value".to_owned(),
            Unexpected::Unsigned(number) => format!("is the number {number}"),
            Unexpected::Str(text) => format!("is the text {}", quoted(text)),
            Unexpected::Seq => "is a list".to_owned(),
            Unexpected::Map => "is a map of keys".to_owned(),
            other => format!("is {other}"),
        };
        Wrong::not_a(found, expected.to_string())
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Why::UnknownKey { key: key.to_owned(), known }.into()
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Why::UnknownWord { word: word.to_owned(), known }.into()
    }

    fn missing_field(key: &'static str) -> Self {
        Why::Missing(key).into()
    }
}

/// `a, b and c`, or `a, b or c`
pub(super) fn listed(words: &[&str], conjunction: &str) -> String {
    match words {
        [] => "none".to_owned(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} {conjunction} {last}", most.join(", ")),
    }
}

fn suggest(word: &str, known: &[&str], all: &str) -> String {
    nearest(word, known).map_or_else(|| all.to_owned(), |near| format!("did you mean `{near}`? ({all})"))
}

/// The known word that takes the fewest edits, if those are few for its length.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    const LONGEST: usize = 40;
    let word: String = word.chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    // A character inserted, removed or replaced is one edit, and so are two neighbours that are swapped.
    let (edits, near) = known.iter().map(|near| (strsim::osa_distance(&word, near), *near)).min()?;
    (edits <= near.len().max(3) / 3).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["ports", "reactors", "backlog"];
        assert_eq!(nearest("port", &known), Some("ports"));
        assert_eq!(nearest("prots", &known), Some("ports"));
        assert_eq!(nearest("Reactor", &known), Some("reactors"));
        assert_eq!(nearest("threads", &known), None);
        assert_eq!(nearest("", &known), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), &known), None);
    }
}
