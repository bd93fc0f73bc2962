//! `docs/report.md`: every field of report.json, from the types of the report.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::fields::{self, Field, code};
use super::origin;
use super::table::Table;
use crate::report::Report;

const INTRODUCTION: &str = "\
# report.json

Every run leaves a folder, `runs/<lab>-<time in UTC>/` or the one named with `--out`. It belongs to the user
who called sudo. A run that was refused leaves none. Three files are in it:

- `plan.json`: everything that was decided before the run; `c1m-lab plan --json` prints the same. `course` is what
  happens, `ends` are the nodes, addresses and processes of both sides, and `place` says where the nodes are:
  `here` (namespaces, links, the router, settings of this host) or `machines`.
- `events.jsonl`: everything that happened, one JSON object in a line, `ms` being the time since the start.
- `report.json`: what it came to. `c1m-lab up --json` prints it on stdout.

An earlier run's files in a folder named with `--out` are replaced by whole new ones. Only an ordinary file with one
name is: one of the user's, of root's, or of whose folder it is. Anything else of that name, as a link, is left as it
is, and the run is refused before it begins. So it is with `--junit FILE`. As root, c1m-lab follows a link on the way
to the folder only if it is root's, where nobody else may write: name the folder itself.

A field that could not be measured is `null`, and `not_measured` says why. No figure is an estimate.

The sum always holds: `asked = established + failed.total + untried`. A connection in `lost` was established
first, so it is part of `established`.
";

/// The order of the sections: that of a run. What is not named here comes first.
const ORDER: [&str; 10] = [
    "failed",
    "lost",
    "seconds",
    "server",
    "clients",
    "kernel",
    "echo",
    "host_settings",
    "expectations",
    "left_behind",
];

pub(super) fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Report>().to_value()
}

pub fn page() -> String {
    let (mut sections, plain): (Vec<Field>, Vec<Field>) =
        fields::of(&schema(), "").into_iter().partition(is_own);
    sections.sort_by_key(|section| ORDER.iter().position(|name| *name == section.path));
    let mut text = origin("the types of the report") + INTRODUCTION;
    text += "\n## The run\n\n";
    text += &table(plain);
    for section in sections {
        let list = if section.is_list() { " A list." } else { "" };
        text += &format!("\n## {}\n\n{}{list}\n\n", section.path, section.meaning);
        text += &table(section.inside().into_iter().flat_map(Field::leaves).collect());
    }
    text
}

/// Whether a field gets a heading of its own.
fn is_own(field: &Field) -> bool {
    !field.inside().is_empty()
}

fn table(fields: Vec<Field>) -> String {
    let mut table = Table::new(&["Field", "Type", "Meaning"]);
    for field in fields {
        table.row([code(&field.path), kind(&field), meaning(&field)]);
    }
    table.render()
}

fn kind(field: &Field) -> String {
    let map = field.schema["additionalProperties"].is_object();
    let kind = match field.types().first() {
        Some(&"integer") => "integer",
        Some(&"number") => "number",
        Some(&"string") => "text",
        Some(&"boolean") => "true or false",
        Some(&"array") => "list",
        Some(&"object") if map => "text by path",
        Some(&"object") => "object",
        _ => "word",
    };
    if field.may_be_null() { format!("{kind} or null") } else { kind.to_owned() }
}

fn meaning(field: &Field) -> String {
    let words: Vec<String> = field.words().iter().map(|(word, _)| code(word)).collect();
    if words.is_empty() {
        return field.meaning.clone();
    }
    format!("{} One of {}.", field.meaning, words.join(", "))
}
