//! Why a text is not the value it should be, and how it is written instead.

use std::fmt;

/// Prints as `why`, then `help: remedy` on a line of its own: the form of [`crate::error::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUnit {
    pub why: String,
    pub remedy: String,
}

impl BadUnit {
    pub(crate) fn new(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        BadUnit { why: why.into(), remedy: remedy.into() }
    }
}

impl std::error::Error for BadUnit {}

impl fmt::Display for BadUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhelp: {}", self.why, self.remedy)
    }
}

/// A user's text inside a message: short, on one line, and harmless to a terminal.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut shown: String =
        text.chars().take(LONGEST).map(|c| if is_printable(c) { c } else { '�' }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Neither a control character nor one that turns the direction of the text around it.
pub(crate) fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_short_and_harmless() {
        assert_eq!(quoted("30x"), "`30x`");
        assert_eq!(quoted("\u{1b}[31mred\n"), "`�[31mred�`");
        assert_eq!(quoted(&"é".repeat(41)), format!("`{}…`", "é".repeat(40)));
    }
}
