//! YAML text → tree. Only what a lab file needs: one document of maps, lists and plain values.
//!
//! The parser's events are read one by one, so that keys have places too, and so that whatever can make
//! a small file large (anchors, aliases, merges) is refused where it stands.

use std::collections::HashMap;

use serde_yaml::granit_parser::{
    Event, Options, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle,
};

use super::not_yaml::explain;
use super::tree::{Entry, Node, Place, Problem, Value};
use crate::units::quoted;

/// A lab file nests four deep and holds some dozens of values.
const DEEPEST: usize = 16;
const MOST_VALUES: usize = 10_000;
const LONGEST_KEY: usize = 128;

/// Reads `text`, of which byte 0 is byte `base` of text number `number`. An empty text is no node.
pub(super) fn read(text: &str, number: usize, base: usize) -> Result<Option<Node>, Problem> {
    let mut options = Options::default();
    options.flow_nesting_limit = DEEPEST;
    options.block_nesting_limit = DEEPEST;
    options.set_emit_comments(false);
    let events = Parser::new_from_str_with_options(text, options);
    Reader { text, number, base, events, values: 0 }.document()
}

struct Reader<'a> {
    text: &'a str,
    number: usize,
    base: usize,
    events: Parser<'a, StrInput<'a>>,
    values: usize,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Result<Option<Node>, Problem> {
        let mut root = None;
        let mut documents = 0;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::DocumentStart(..) if documents > 0 => {
                    let why = "a second document begins here, but a lab file is one document";
                    return Err(self.problem(span, why, "remove the line `---`, or use a file for each lab"));
                }
                Event::DocumentStart(..) => documents += 1,
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                node => root = Some(self.node(node, span)?),
            }
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        self.events.next().transpose().map_err(|error| self.not_yaml(&error))
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Problem> {
        self.values += 1;
        if self.values > MOST_VALUES {
            let why = format!("there are more than {MOST_VALUES} values");
            return Err(self.problem(span, why, "a lab file needs some dozens: is this the right file?"));
        }
        self.refuse_decoration(&event, span)?;
        match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                let empty = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if empty { Value::Null } else { Value::Text { text: text.into_owned(), plain } };
                Ok(Node { place: self.place(span), value })
            }
            Event::SequenceStart(style, ..) => self.list(style, span),
            Event::MappingStart(style, ..) => self.map(style, span),
            _ => Err(self.problem(span, "there is no value here", "write a value, or remove the key")),
        }
    }

    /// Anchors, aliases and tags: no lab file needs them, and they can make a small file very large.
    fn refuse_decoration(&self, event: &Event<'a>, span: Span) -> Result<(), Problem> {
        let (anchor, tagged) = match event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(_, anchor, tag) | Event::MappingStart(_, anchor, tag) => {
                (*anchor, tag.is_some())
            }
            Event::Alias(_) => (1, false),
            _ => (0, false),
        };
        if anchor != 0 {
            let why = "anchors (`&name`) and aliases (`*name`) have no place in a lab file";
            let mut problem = self.problem(span, why, "write the value itself wherever it is needed");
            if let Some(mark) = self.anchor_before(problem.place.start - self.base) {
                problem.place.start = self.base + mark;
            }
            return Err(problem);
        }
        if tagged {
            let why = "tags (`!name`) have no place in a lab file";
            return Err(self.problem(
                span.tag_span().unwrap_or(span),
                why,
                "write the value without its tag",
            ));
        }
        Ok(())
    }

    fn list(&mut self, style: StructureStyle, start: Span) -> Result<Node, Problem> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                let first = items.first().map(|item: &Node| item.place);
                let place = self.collection_place(style, start, span, first);
                return Ok(Node { place, value: Value::List(items) });
            }
            items.push(self.node(event, span)?);
        }
        Err(self.problem(start, "this list does not end", "close it with `]`"))
    }

    fn map(&mut self, style: StructureStyle, start: Span) -> Result<Node, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        while let Some((event, span)) = self.next()? {
            if event == Event::MappingEnd {
                let first = entries.first().map(|entry| entry.key_place);
                let place = self.collection_place(style, start, span, first);
                return Ok(Node { place, value: Value::Map(entries) });
            }
            let (key, key_place) = self.key(event, span)?;
            self.refuse_tab(style, key_place)?;
            if let Some(line) = lines.insert(key.clone(), span.start.line()) {
                let why = format!("the key {} stands here for the second time", quoted(&key));
                return Err(self.problem(
                    span,
                    why,
                    format!("keep one of the two: the first is in line {line}"),
                ));
            }
            let mut value = self.entry_value(span)?;
            // A block of lines below the key has no end to underline: its place is the key.
            if value.place.start == value.place.end || is_block(&value, key_place) {
                value.place = key_place;
            }
            entries.push(Entry { key, key_place, value });
        }
        Err(self.problem(start, "this map does not end", "close it with `}`"))
    }

    fn key(&mut self, event: Event<'a>, span: Span) -> Result<(String, Place), Problem> {
        let node = self.node(event, span)?;
        match node.value {
            // Paths are made of keys: a long one above many values would fill the memory.
            Value::Text { text, .. } if text.len() > LONGEST_KEY => {
                let why = format!("this key is longer than {LONGEST_KEY} bytes");
                Err(self.problem(span, why, "write every entry as `key: value`"))
            }
            Value::Text { text, .. } => Ok((text, node.place)),
            _ => Err(self.problem(span, "a key is missing here", "write every entry as `key: value`")),
        }
    }

    fn entry_value(&mut self, key: Span) -> Result<Node, Problem> {
        match self.next()? {
            Some((event, span)) => self.node(event, span),
            None => Err(self.problem(key, "this key has no value", "write it as `key: value`")),
        }
    }

    fn place(&self, span: Span) -> Place {
        let start = span.start.byte_offset().unwrap_or_else(|| self.byte_of_char(span.start.index()));
        let end = span.end.byte_offset().unwrap_or_else(|| self.byte_of_char(span.end.index()));
        Place { text: self.number, start: self.base + start, end: self.base + end.max(start) }
    }

    fn byte_of_char(&self, index: usize) -> usize {
        self.text.char_indices().nth(index).map_or(self.text.len(), |(byte, _)| byte)
    }

    /// `[...]` and `{...}` are underlined as a whole, a block of lines at its first entry.
    fn collection_place(&self, style: StructureStyle, start: Span, end: Span, first: Option<Place>) -> Place {
        let (start, end) = (self.place(start), self.place(end));
        match (style, first) {
            (StructureStyle::Block, Some(first)) => first,
            _ => Place { end: end.end, ..start },
        }
    }

    fn problem(&self, span: Span, why: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem { place: self.place(span), why: why.into(), remedy: remedy.into() }
    }

    fn not_yaml(&self, error: &ScanError) -> Problem {
        let place = self.place(Span::empty(*error.marker()));
        let (why, remedy) = explain(error.kind());
        self.tab_problem(place).unwrap_or_else(|| Problem {
            place: self.on_text(place),
            why,
            remedy: remedy.into(),
        })
    }

    /// The parser lets some tabs pass that other tools refuse or misread.
    fn refuse_tab(&self, style: StructureStyle, key: Place) -> Result<(), Problem> {
        match self.tab_problem(key) {
            Some(problem) if style == StructureStyle::Block => Err(problem),
            _ => Ok(()),
        }
    }

    /// The tab in the white space that begins the line of `place`.
    fn tab_problem(&self, place: Place) -> Option<Problem> {
        let before = self.text.get(..place.start - self.base)?;
        let begin = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
        let spaces = self.text[begin..].bytes().take_while(|byte| *byte == b' ').count();
        let tab = self.base + begin + spaces;
        if self.text.as_bytes().get(begin + spaces) != Some(&b'\t') {
            return None;
        }
        let place = Place { start: tab, end: tab + 1, ..place };
        let why = "a tab stands here, but YAML is indented with spaces".into();
        Some(Problem { place, why, remedy: "replace the tab with spaces".into() })
    }

    /// The `&` of an anchor stands before the value that it names.
    fn anchor_before(&self, offset: usize) -> Option<usize> {
        self.text.get(..offset)?.rfind(['&', '\n', '\r']).filter(|at| self.text.as_bytes()[*at] == b'&')
    }

    /// A place on an empty line, such as the end of the file, shows nothing: the last text before it does.
    fn on_text(&self, place: Place) -> Place {
        let offset = place.start - self.base;
        let before = self.text.get(..offset).unwrap_or(self.text);
        let rest = self.text.get(offset..).unwrap_or("");
        let nothing_after = rest.is_empty() || rest.starts_with(['\n', '\r']);
        let begin = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
        match before.trim_end().char_indices().last() {
            Some((last, c)) if nothing_after && before[begin..].trim().is_empty() => {
                Place { start: self.base + last, end: self.base + last + c.len_utf8(), ..place }
            }
            _ => place,
        }
    }
}

/// Whether a value is a map or list that begins on a line after its key.
fn is_block(value: &Node, key: Place) -> bool {
    let first = match &value.value {
        Value::Map(entries) => entries.first().map(|entry| entry.key_place),
        Value::List(items) => items.first().map(|item| item.place),
        _ => None,
    };
    first == Some(value.place) && value.place.start > key.end
}
