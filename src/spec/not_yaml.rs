//! The YAML parser's complaints, in words for the author of a lab file.

use serde_yaml::granit_parser::ErrorKind;

/// Why, and what to do: the parser's words where they are plain, ours where they are not.
pub(super) fn explain(kind: &ErrorKind) -> (String, &'static str) {
    let why = match kind {
        ErrorKind::RecursionLimitExceeded => "the values are nested too deeply".into(),
        ErrorKind::UnknownAnchor => "aliases (`*name`) have no place in a lab file".into(),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => "a quote is not closed".into(),
        ErrorKind::SimpleKeyExpected => "a key without its `:`".into(),
        ErrorKind::MappingValueNotAllowed => "a `:` stands where no key can be".into(),
        kind => format!("this is not YAML: {kind}"),
    };
    let remedy = match kind {
        ErrorKind::RecursionLimitExceeded => "a lab file is at most four levels deep",
        ErrorKind::UnknownAnchor => "write the value itself",
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => "close the quote on the line where it begins",
        ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::MismatchedFlowCollectionEnd { .. } => {
            "close every `[` with `]` and every `{` with `}`"
        }
        ErrorKind::SimpleKeyExpected => "write every entry as `key: value`",
        ErrorKind::MappingValueNotAllowed => {
            "put each `key: value` on a line of its own, and check its indentation"
        }
        _ => "check the indentation, the brackets and the quotes; entries are written `key: value`",
    };
    (why, remedy)
}
