//! One error type: what was attempted, on what, why it failed, what to do.

use std::fmt;

use unicode_width::UnicodeWidthStr;

use crate::exit::Exit;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error as a user meets it. `attempted` names the action and its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub exit: Exit,
    pub attempted: String,
    pub why: String,
    pub remedy: Option<String>,
    pub excerpt: Option<Box<Excerpt>>,
}

/// The place in a file (or in a `--set`) that an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// `lab.yaml`, or `--set` for an override.
    pub file: String,
    /// Both count from 1.
    pub line: usize,
    pub column: usize,
    /// How many characters the caret underlines; at least one is drawn.
    pub width: usize,
    /// The text of that line.
    pub text: String,
}

impl Excerpt {
    fn is_flag(&self) -> bool {
        self.file.starts_with("--")
    }

    /// The carets that stand below what is meant. Some characters take two columns of a terminal, some none.
    fn underline(&self) -> String {
        let text =
            |from: usize, count: usize| -> String { self.text.chars().skip(from).take(count).collect() };
        let before = self.column.saturating_sub(1);
        let carets = text(before, self.width).width().max(1);
        format!("{}{}", " ".repeat(text(0, before).width()), "^".repeat(carets))
    }
}

impl Error {
    pub fn new(exit: Exit, attempted: impl Into<String>, why: impl fmt::Display) -> Self {
        Error { exit, attempted: attempted.into(), why: why.to_string(), remedy: None, excerpt: None }
    }

    pub fn input(attempted: impl Into<String>, why: impl fmt::Display) -> Self {
        Error::new(Exit::Input, attempted, why)
    }

    pub fn host(attempted: impl Into<String>, why: impl fmt::Display) -> Self {
        Error::new(Exit::Host, attempted, why)
    }

    pub fn broke(attempted: impl Into<String>, why: impl fmt::Display) -> Self {
        Error::new(Exit::Broke, attempted, why)
    }

    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    pub fn at(mut self, excerpt: Excerpt) -> Self {
        self.excerpt = Some(Box::new(excerpt));
        self
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.attempted, self.why)?;
        if let Some(at) = &self.excerpt {
            let gutter = " ".repeat(at.line.to_string().len());
            // A flag is one line: its place says nothing that the caret does not.
            let place = if at.is_flag() { String::new() } else { format!(":{}:{}", at.line, at.column) };
            write!(f, "\n{gutter}--> {}{place}", at.file)?;
            write!(f, "\n{gutter} |\n{} | {}\n{gutter} | {}", at.line, at.text, at.underline())?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\nhelp: {remedy}")?;
        }
        Ok(())
    }
}

/// Adds what was attempted to an error that only knows why.
pub trait Attempt<T> {
    fn attempt(self, exit: Exit, attempted: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: fmt::Display> Attempt<T> for std::result::Result<T, E> {
    fn attempt(self, exit: Exit, attempted: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|why| Error::new(exit, attempted(), why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn underline(text: &str, column: usize, width: usize) -> String {
        let (file, text) = ("lab.yaml".to_owned(), text.to_owned());
        Excerpt { file, line: 1, column, width, text }.underline()
    }

    #[test]
    fn carets_stand_below_wide_characters() {
        assert_eq!(underline("a: xyz", 4, 3), "   ^^^");
        assert_eq!(underline("{a: 漢字, b: 漢x}", 12, 2), "             ^^^");
        assert_eq!(underline("e\u{301}: x", 5, 1), "   ^");
    }

    #[test]
    fn a_place_without_text_has_a_caret() {
        assert_eq!(underline("", 1, 1), "^");
        assert_eq!(underline("a:", 3, 0), "  ^");
    }
}
