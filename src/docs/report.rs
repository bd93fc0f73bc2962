//! `docs/report.md`: every field of report.json, from the types of the report.

use serde_json::Value;

use super::fields::{self, Field, code};
use super::origin;
use super::table::Table;
use crate::record::schema::Kind;

const INTRODUCTION: &str = "\
# report.json

Every run leaves a folder, `runs/<lab>-<time in UTC>/` or the one named with `--out`. It belongs to the user
who called sudo. A run that was refused leaves none. Three files are in it:

- `plan.json`: everything that was decided before the run; `c1m-lab plan --json` prints the same. `course` is what
  happens, `ends` are the nodes, addresses and processes of both sides, and `place` says where the nodes are:
  `here` (namespaces, links, the router, settings of this host) or `machines`.
- `events.jsonl`: everything that happened, one JSON object in a line, `ms` being the time since the run began.
- `report.json`: what it came to. `c1m-lab up --json` prints it on stdout.

Each of them says where it comes from: `format` (1), `began`, `version`, `lab_file` and `machine`. In `plan.json` and
`report.json` these are the first fields, in `events.jsonl` they are the first line, whose `event` is `run`. A file with
another `format`, or without one, is of another version of c1m-lab, and is refused when it is read. New fields come
without a new number: a reader passes over those that it does not know. `plan.schema.json`, `events.schema.json` (one
line) and `report.schema.json` are their JSON Schemas, which `c1m-lab schema plan`, `events` and `report` print.

`events.jsonl` is written as things happen, in whole lines, so that another program can follow it: up to the last end of a
line, since the beginning of a long line may be seen a moment before its end. Its last line is the event `over`; without
that, the run goes on or was cut off. Plan and events alone come to the same report.

Four kinds of events are figures that come again and again: `counts` (all counts of an agent so far), `progress` (the
same of all clients), `observed` (what has changed of the kernel's counters) and `latencies` (a histogram of the answers
since the one before, every few seconds). They are written at most four times a second, `counts` and `progress` only
when they have changed. What is 0 is left out of `counts`.

Figures are thinned out as a run gets longer. They may take 750 KB in each phase that begins, and 5 KB in each second of
the run, which makes at most 25 MB for an hour of a million connections that echo. When they have taken it, they are
written less often: for a million connections from some seconds after a phase began, and then every 10 s or so.
Nothing is left out by that: of `counts` and `progress` the last is written, and the `progress` with the highest rate;
`latencies` are added up; in `observed` the growth of counters is added up, levels are as they were last, and `highest`
has those that were higher in between. All other events are written at once, and before each of them the figures until
then.

An earlier run's files in a folder named with `--out` are replaced by whole new ones. Only an ordinary file with one
name is: one of the user's, of root's, or of whose folder it is. Anything else of that name, as a link, is left as it
is, and the run is refused before it begins. So it is with `--junit FILE`. As root, c1m-lab follows a link on the way
to the folder only if it is root's, where nobody else may write: name the folder itself.

A field that could not be measured is `null`, and `not_measured` says why. No figure is an estimate.

The sum always holds: `asked = established + failed.total + untried`. A connection in `lost` was established
first, so it is part of `established`.
";

/// The order of the sections: that of a run. What is not named here comes first.
const ORDER: [&str; 12] = [
    "lab_file",
    "machine",
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
    Kind::Report.schema()
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
