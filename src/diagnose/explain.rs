//! A row in words: for `c1m-lab explain`, and for `docs/limits.md`.

use super::rows::{Row, all};
use super::{Change, Verdict};
use crate::cause::Cause;
use crate::units::grouped;

const WIDTH: usize = 96;

/// All causes with their titles.
pub fn list() -> String {
    let line = |cause: &Cause| format!(" {:<20} {}\n", cause.name(), super::row(*cause).title);
    let lines: String = Cause::ALL.iter().map(line).collect();
    format!("{lines}\n `c1m-lab explain CAUSE` tells more of one.")
}

pub fn one(cause: Cause) -> String {
    let row = super::row(cause);
    let mut text = format!(" {}: {}\n", row.cause, row.title);
    for (heading, body) in parts(row) {
        text += &format!("\n {heading}\n{}", indented(&wrapped(body)));
    }
    if !row.example.is_empty() {
        text += &format!("\n In the lab file\n{}", indented(row.example));
    }
    text.trim_end().to_owned()
}

/// What is told of a row, each part under its heading; what a row does not have is left out.
fn parts(row: &Row) -> impl Iterator<Item = (&'static str, &'static str)> {
    let parts = [
        ("What you see", row.sees),
        ("What speaks for it", row.evidence),
        ("What to do", row.remedy),
        ("Where it was met", row.met),
    ];
    parts.into_iter().filter(|(_, body)| !body.is_empty())
}

/// The page of all limits.
pub fn page() -> String {
    let mut text = "# Limits\n\nWhy connections go missing, what speaks for each cause, and how it is lifted. A run names \
                    these causes in its report as `verdicts`; `c1m-lab explain CAUSE` prints one of them.\n"
        .to_owned();
    for row in all() {
        text += &section(row);
    }
    text
}

fn section(row: &Row) -> String {
    let mut text = format!("\n## {}\n\n{}.\n", row.cause, capitalised(row.title));
    for (heading, body) in parts(row) {
        text += &format!("\n- **{heading}**: {}\n", capitalised(body));
    }
    if !row.example.is_empty() {
        text += &format!("\n```yaml\n{}```\n", row.example);
    }
    // A list of its own for each point would be spaced apart.
    text.replace("\n\n- **What speaks", "\n- **What speaks")
        .replace("\n\n- **What to do", "\n- **What to do")
        .replace("\n\n- **Where", "\n- **Where")
}

/// The lines of one verdict for the end of a run.
pub fn verdict(verdict: &Verdict) -> Vec<String> {
    let row = super::row(verdict.cause);
    let share = verdict.share * 100.0;
    let connections = grouped(verdict.connections);
    let mut lines = vec![format!(
        "{}: {} ({connections} connections, {share:.0} % of the missing)",
        row.cause, row.title
    )];
    lines.extend(verdict.evidence.iter().map(|evidence| format!("  seen    {evidence}")));
    lines.push(format!("  remedy  {}", verdict.remedy));
    lines.extend(as_yaml(&verdict.changes).lines().map(|line| format!("          {line}")));
    lines
}

/// Changes as a piece of a lab file that can be pasted: every section once.
pub fn as_yaml(changes: &[Change]) -> String {
    let mut paths: Vec<(Vec<&str>, &Change)> =
        changes.iter().map(|change| (segments(&change.path), change)).collect();
    paths.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    for (path, change) in &paths {
        let Some((key, sections)) = path.split_last() else { continue };
        let shared = open.iter().zip(sections).take_while(|(one, other)| *one == *other).count();
        for (depth, section) in sections.iter().enumerate().skip(shared) {
            text += &format!("{}{section}:\n", "  ".repeat(depth));
        }
        open = sections.to_vec();
        text += &format!("{}{key}: {}\n", "  ".repeat(sections.len()), change.value);
    }
    text
}

/// A kernel setting's own name has dots that part no sections.
fn segments(path: &str) -> Vec<&str> {
    match path.strip_prefix("sysctl.").and_then(|rest| rest.split_once('.')) {
        Some((place, setting)) => vec!["sysctl", place, setting],
        None => path.split('.').collect(),
    }
}

fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, String::len);
        if line + word.len() >= WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}\n")).collect()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if first.is_alphabetic() => first.to_uppercase().chain(characters).collect(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_row() {
        for cause in Cause::ALL {
            assert_eq!(super::super::row(*cause).cause, *cause);
            assert!(one(*cause).contains(cause.name()));
            assert!(list().contains(cause.name()));
            assert!(page().contains(&format!("\n## {cause}\n")));
        }
        assert_eq!(all().len(), Cause::ALL.len());
    }

    #[test]
    fn every_example_is_a_part_of_a_lab_file() {
        for row in all().iter().filter(|row| !row.example.is_empty()) {
            let text = format!("connections: 1K\n{}", row.example);
            let lab = crate::spec::parse("example.yaml", &text, &[]);
            assert!(
                lab.is_ok(),
                "{}: {}",
                row.cause,
                lab.err().map(|error| error.to_string()).unwrap_or_default()
            );
        }
    }

    #[test]
    fn changes_of_one_section_stand_below_it_once() {
        let changes = [
            Change::new("sysctl.server.net.ipv4.tcp_syncookies", 1),
            Change::new("server.backlog", 65_536),
            Change::new("sysctl.server.net.core.somaxconn", 65_536),
        ];
        let expected = "server:\n  backlog: 65536\nsysctl:\n  server:\n    net.core.somaxconn: 65536\n    \
                        net.ipv4.tcp_syncookies: 1\n";
        assert_eq!(as_yaml(&changes), expected);
    }
}
