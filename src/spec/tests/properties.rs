//! What holds for every text.

use proptest::prelude::*;

use super::*;

const VALID: &str = "\
# é comment
name: c1000k
connections: 1_000_000
server:
  ports: [80, \"9900-9999\"]
  reactors: auto
clients: {count: 2, addresses: 16, ports: 1024-65535}
network:
  subnet: 10.99.0.0/16
ramp: {rate: 20K/s, timeout: 10s}
sysctl:
  server:
    net.core.somaxconn: 65536
expect:
  established: 100%
  lost: 0
";

/// A text is a lab, or an error that points into it.
fn reads(text: &str, overrides: &[Override]) -> Result<(), TestCaseError> {
    let Err(error) = parse("lab.yaml", text, overrides) else {
        return Ok(());
    };
    prop_assert!(error.remedy.is_some(), "{}", error);
    let at = error.excerpt.as_deref().expect("an excerpt");
    let source = match overrides {
        [given] if at.file == "--set" => given.shown.trim_start_matches("--set "),
        _ => text,
    };
    let lines = source.replace("\r\n", "\n").split(['\n', '\r']).count();
    prop_assert!((1..=lines).contains(&at.line), "line {} of {}: {}", at.line, lines, error);
    let shown = at.text.chars().count();
    prop_assert!(shown <= 100 && (1..=shown + 1).contains(&at.column), "{}", error);
    prop_assert!(at.column - 1 + at.width <= shown.max(at.column), "{}", error);
    prop_assert!(!at.text.chars().any(char::is_control));
    Ok(())
}

/// Pieces of YAML, which random characters hardly ever make.
fn alike() -> impl Strategy<Value = String> {
    let pieces = vec![
        "connections",
        "server",
        "ports",
        "hold",
        ": ",
        ":",
        "\n",
        "\n  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "#",
        "\"",
        "'",
        "&a ",
        "*a",
        "!t ",
        "---\n",
        "...\n",
        "\t",
        "|\n",
        ">\n",
        "? ",
        "10K",
        "0",
        "~",
        "é",
        "漢",
        "\r\n",
        "\r",
        "%YAML 1.2\n",
        "<<",
        "\u{feff}",
        "\u{85}",
        "\u{2028}",
        "\0",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

/// A valid file with some characters removed, replaced or added.
fn mutated() -> impl Strategy<Value = String> {
    let edit =
        (0..VALID.chars().count(), 0usize..12, prop_oneof![any::<String>(), alike(), Just(String::new())]);
    prop::collection::vec(edit, 1..4).prop_map(|edits| {
        let mut text: Vec<char> = VALID.chars().collect();
        for (start, length, new) in edits {
            let start = start.min(text.len());
            let end = (start + length).min(text.len());
            text.splice(start..end, new.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_a_lab_or_an_error(text in prop_oneof![any::<String>(), alike(), mutated()]) {
        reads(&text, &[])?;
    }

    #[test]
    fn any_argument_is_read_or_an_error(
        path in prop_oneof!["[a-z.]{0,20}", Just("server.ports".to_owned()), Just("sysctl.host.a.b".to_owned())],
        value in prop_oneof![any::<String>(), alike()],
    ) {
        if let Ok(given) = Override::parse(&format!("{path}={value}")) {
            reads(VALID, &[given])?;
        }
    }
}

#[test]
fn the_valid_file_is_valid() {
    parse("lab.yaml", VALID, &[]).unwrap();
}
