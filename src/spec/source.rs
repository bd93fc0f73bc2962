//! Where each value was written: in the file, or in an argument.

use std::collections::BTreeMap;
use std::ops::Range;

use super::tree::{Node, Place, Problem};
use crate::error::{Error, Excerpt};
use crate::units::is_printable;

/// How many characters of a line are shown.
const WIDEST: usize = 100;

/// The texts a lab was read from, and the place of every key and value in them.
#[derive(Clone, Debug)]
pub struct Source {
    texts: Vec<NamedText>,
    marks: BTreeMap<String, Mark>,
    root: Place,
}

#[derive(Clone, Debug)]
struct NamedText {
    name: String,
    text: String,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    key: Place,
    value: Place,
}

impl Source {
    pub(super) fn new(file: &str, text: &str) -> Self {
        let root = Place { text: 0, start: 0, end: 0 };
        let mut source = Source { texts: Vec::new(), marks: BTreeMap::new(), root };
        source.add_text(file, text);
        source
    }

    /// Adds the text of an argument, and gives its number.
    pub(super) fn add_text(&mut self, name: &str, text: &str) -> usize {
        self.texts.push(NamedText { name: printable(name), text: text.to_owned() });
        self.texts.len() - 1
    }

    /// Remembers the place of everything in the tree.
    pub(super) fn mark(&mut self, root: &Node) {
        self.root = root.place;
        root.walk("", &mut |path, key, value| {
            self.marks.insert(path, Mark { key, value });
        });
    }

    /// The lab file's name and text, as it was read.
    pub fn file(&self) -> (&str, &str) {
        self.texts.first().map_or(("", ""), |file| (&file.name, &file.text))
    }

    /// The arguments that replaced values of the file, as they were given.
    pub fn arguments(&self) -> impl Iterator<Item = String> {
        self.texts.iter().skip(1).map(|given| format!("{} {}", given.name, given.text))
    }

    /// Whether the file or an argument says anything about `path`.
    pub fn names(&self, path: &str) -> bool {
        self.marks.contains_key(path)
    }

    /// The place of the value of `path`, or of the nearest section above that was written.
    pub fn excerpt(&self, path: &str) -> Excerpt {
        self.show(self.place(path))
    }

    /// An error about the value of `path`, such as `server.ports` or `server.ports[1]`.
    pub fn error(&self, path: &str, why: impl std::fmt::Display) -> Error {
        self.error_at(self.place(path), why)
    }

    /// An error about the key itself.
    pub fn key_error(&self, path: &str, why: impl std::fmt::Display) -> Error {
        let place = self.marks.get(path).map_or_else(|| self.place(path), |mark| mark.key);
        self.error_at(place, why)
    }

    pub(super) fn problem(&self, problem: Problem) -> Error {
        self.error_at(problem.place, problem.why).remedy(problem.remedy)
    }

    fn error_at(&self, place: Place, why: impl std::fmt::Display) -> Error {
        let attempted = format!("reading {}", self.texts[place.text].name);
        Error::input(attempted, why).at(self.show(place))
    }

    fn place(&self, path: &str) -> Place {
        if let Some(mark) = self.marks.get(path) {
            return mark.value;
        }
        let mut above = path;
        while let Some(end) = above.rfind(['.', '[']) {
            above = &above[..end];
            if let Some(mark) = self.marks.get(above) {
                return mark.key;
            }
        }
        self.root
    }

    fn show(&self, place: Place) -> Excerpt {
        let NamedText { name, text } = &self.texts[place.text];
        let start = text.floor_char_boundary(place.start);
        let end = text.floor_char_boundary(place.end.max(start));
        let (number, line) = line_of(text, start);
        let before = text[line.start..start.min(line.end)].chars().count();
        let width =
            text[start.min(line.end)..end.clamp(start.min(line.end), line.end)].trim_end().chars().count();
        let shown: Vec<char> = printable(&text[line]).chars().collect();
        let (text, column, width) = window(&shown, before, width.max(1));
        Excerpt { file: name.clone(), line: number, column, width, text }
    }
}

/// The number of the line that holds byte `offset`, and its bytes without the line break.
fn line_of(text: &str, offset: usize) -> (usize, Range<usize>) {
    let mut number = 1;
    let mut start = 0;
    let bytes = text.as_bytes();
    for (index, byte) in bytes[..offset].iter().enumerate() {
        let ends_line = *byte == b'\n' || (*byte == b'\r' && bytes.get(index + 1) != Some(&b'\n'));
        if ends_line {
            number += 1;
            start = index + 1;
        }
    }
    let end = text[start..].find(['\n', '\r']).map_or(text.len(), |length| start + length);
    (number, start..end)
}

/// A line cut to `WIDEST` characters around the caret: its text, the caret's column from 1, its width.
///
/// The end is cut first. Only a caret beyond `WIDEST` costs the beginning, and then the column is that
/// of the text shown, so that the caret stands below what it means.
fn window(line: &[char], before: usize, width: usize) -> (String, usize, usize) {
    if line.len() <= WIDEST {
        return (line.iter().collect(), before + 1, width);
    }
    let caret = width.min(WIDEST / 2);
    let first = if before + caret < WIDEST { 0 } else { before.min(line.len()).saturating_sub(WIDEST / 4) };
    let last = line.len().min(first + WIDEST - 2);
    let mut text: String = line[first..last].iter().collect();
    if last < line.len() {
        text.push('…');
    }
    if first == 0 {
        return (text, before + 1, width.min(last.saturating_sub(before)).max(1));
    }
    (format!("…{text}"), before - first + 2, width.min(last.saturating_sub(before)).max(1))
}

/// The same number of characters, none of which moves a terminal's cursor; tabs become one space.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if is_printable(c) => c,
            _ => '�',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, start: usize, end: usize) -> Excerpt {
        Source::new("lab.yaml", text).show(Place { text: 0, start, end })
    }

    #[test]
    fn columns_count_characters() {
        let at = excerpt("a: 1\r\nname: \"é漢\" # ü\nb: 2", 12, 19);
        assert_eq!((at.line, at.column, at.width), (2, 7, 4));
        assert_eq!(at.text, "name: \"é漢\" # ü");
    }

    #[test]
    fn the_end_of_the_file_is_a_place() {
        let at = excerpt("a: 1\n", 5, 5);
        assert_eq!((at.line, at.column, at.width, at.text.as_str()), (2, 1, 1, ""));
        let at = excerpt("", 0, 0);
        assert_eq!((at.line, at.column, at.width, at.text.as_str()), (1, 1, 1, ""));
    }

    #[test]
    fn control_characters_are_not_shown() {
        assert_eq!(excerpt("a:\t\u{1b}[31m\u{202e}x", 0, 1).text, "a: �[31m�x");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("{}HERE{}", "é".repeat(500), "x".repeat(500));
        let at = excerpt(&line, 1000, 1004);
        assert_eq!(at.text.chars().count(), 100);
        let underlined: String = at.text.chars().skip(at.column - 1).take(at.width).collect();
        assert_eq!(underlined, "HERE");

        let early = excerpt(&format!("HERE{}", "x".repeat(500)), 0, 4);
        assert_eq!((early.column, early.width), (1, 4));
        assert!(early.text.starts_with("HERE") && early.text.ends_with('…'));
    }
}
