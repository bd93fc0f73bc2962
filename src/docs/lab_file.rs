//! `docs/lab-file.md`: every key of a lab file, from its schema.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::fields::{self, Field, code, plain};
use super::origin;
use super::table::Table;
use crate::permitted::{self, Kind};
use crate::spec::{self, ClientPorts, MachineSpec, Processes};
use crate::units::{Block, Bytes, Count, Period, PortRange, Ports, Rate, Share};

const INTRODUCTION: &str = "\
# The lab file

A lab file is YAML. Only `connections` has to be there:

```yaml
connections: 10K
```

Every key can be set for one run on the command line, by its path: `c1m-lab up lab.yaml --set traffic.kind=echo
--set traffic.every=5s`. An unknown or repeated key, a wrong value or a range that ends before it begins is
shown with its line before anything is touched.

Editors check a file while it is written when its first line names the schema, which `c1m-lab schema` prints:

```yaml
# yaml-language-server: $schema=docs/lab.schema.json
```
";

const SETTINGS: &str = "
### Settings of a whole machine

A lab file is often somebody else's, and the runner is root. So it may set these of the whole host, and of machines
reached by ssh, where `sysctl.server` and `sysctl.client` are the machine's own. Any other takes
`--allow-host-setting KEY` on the command line, and a lower limit takes `--lower-host-limits`
([SECURITY.md](../SECURITY.md)). Their values are plain decimal numbers.

";

/// The order of the sections: that of a run. What is not named here comes first.
const ORDER: [&str; 10] =
    ["machines", "server", "clients", "network", "ramp", "traffic", "faults", "limits", "sysctl", "expect"];

/// Words in the middle of a meaning that begin an example.
const FOR_EXAMPLE: &str = "for example ";

pub fn page() -> String {
    let schema = spec::schema();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let (mut sections, plain): (Vec<Field>, Vec<Field>) =
        fields::of(&schema, "").into_iter().partition(Field::is_section);
    sections.sort_by_key(|section| ORDER.iter().position(|name| *name == section.path));
    let mut text = origin("the types of the lab file") + INTRODUCTION;
    text += "\n## Values\n\n";
    text += &units();
    text += "\n## The lab\n\n";
    text += &table(plain, &required);
    for section in sections {
        text += &format!("\n## {}\n\n{}\n\n", section.path, section.meaning);
        let more = if section.path == "sysctl" { permitted_settings() } else { String::new() };
        text += &table(section.leaves(), &[]);
        text += &more;
    }
    text
}

/// Those that a lab file may move by itself.
fn permitted_settings() -> String {
    let mut table = Table::new(&["Setting", "A lower value", "Why a lab can need it"]);
    for one in permitted::HOST {
        let lower = match one.kind {
            Kind::Limit(_) => "lowers a limit",
            Kind::Range => "lowers a limit, if it is narrower",
            Kind::Choice => "takes nothing away",
        };
        table.row([code(one.key), lower.to_owned(), one.why.to_owned()]);
    }
    format!("{SETTINGS}{}", table.render())
}

fn table(fields: Vec<Field>, required: &[Value]) -> String {
    let mut table = Table::new(&["Key", "Value", "Default", "Example", "Meaning"]);
    for field in fields {
        let must = required.iter().any(|name| *name == field.path);
        let default = if must { "must be given".to_owned() } else { default(&field) };
        let cells = [code(&field.path), kind(&field), default, code(&example(&field)), meaning(&field)];
        table.row(cells);
    }
    table.render()
}

/// The kinds of values that are written in a form of their own.
fn known() -> [(&'static str, Value); 11] {
    [
        ("count", form::<Count>()),
        ("size", form::<Bytes>()),
        ("time", form::<Period>()),
        ("rate", form::<Rate>()),
        ("share", form::<Share>()),
        ("ports", form::<Ports>()),
        ("port range", form::<PortRange>()),
        ("`auto` or port range", form::<ClientPorts>()),
        ("subnet", form::<Block>()),
        ("`auto` or number", form::<Processes>()),
        ("machine", form::<MachineSpec>()),
    ]
}

fn form<T: JsonSchema>() -> Value {
    T::json_schema(&mut SchemaGenerator::default()).to_value()
}

fn units() -> String {
    let mut table = Table::new(&["Value", "Written as"]);
    for (name, form) in known() {
        let examples = form["examples"].as_array().into_iter().flatten();
        table.row([name.to_owned(), examples.map(|one| code(&plain(one))).collect::<Vec<_>>().join(", ")]);
    }
    table.render()
}

fn kind(field: &Field) -> String {
    let same = |form: &Value| {
        ["pattern", "anyOf"].iter().any(|key| !form[key].is_null() && form[key] == field.schema[key])
    };
    if let Some((name, _)) = known().iter().find(|(_, form)| same(form)) {
        return (*name).to_owned();
    }
    let words: Vec<String> = field.words().iter().map(|(word, _)| code(word)).collect();
    match (words.is_empty(), field.types().first()) {
        (false, _) => words.join(" or "),
        (true, Some(&"integer")) => "number".to_owned(),
        (true, Some(&"object")) => "settings by name".to_owned(),
        (true, Some(&"string")) => "text".to_owned(),
        (true, Some(&"array")) => "list".to_owned(),
        (true, other) => other.copied().unwrap_or("any").to_owned(),
    }
}

fn default(field: &Field) -> String {
    match &field.schema["default"] {
        Value::Null => "—".to_owned(),
        Value::Object(empty) if empty.is_empty() => "—".to_owned(),
        Value::String(empty) if empty.is_empty() => "—".to_owned(),
        value => code(&plain(value)),
    }
}

/// The example that the meaning gives; else one of the form, the last of the words, the default or the least.
pub(super) fn example(field: &Field) -> String {
    if let Some((_, after)) = field.meaning.split_once(FOR_EXAMPLE) {
        // One with spaces stands between backticks.
        if let Some((whole, _)) = after.strip_prefix('`').and_then(|after| after.split_once('`')) {
            return whole.to_owned();
        }
        let end = after.find([',', ' ', ';']).unwrap_or(after.len());
        return after[..end].trim_end_matches('.').to_owned();
    }
    if let Some((last, _)) = field.words().pop() {
        return last;
    }
    let schema = &field.schema;
    let choices = [&schema["examples"][0], &schema["default"], &schema["minimum"]];
    let settings = field.types().contains(&"object");
    match choices.into_iter().find(|value| !value.is_null()) {
        _ if settings && field.path.ends_with("host") => "{fs.file-max: 4000000}".to_owned(),
        _ if settings => "{net.ipv4.tcp_max_syn_backlog: 65536}".to_owned(),
        Some(value) if *value != "" => plain(value),
        _ => "my-lab".to_owned(),
    }
}

fn meaning(field: &Field) -> String {
    let words = field.words();
    if words.len() < 2 {
        return field.meaning.clone();
    }
    let told: Vec<String> =
        words.iter().map(|(word, meaning)| format!("{}: {}", code(word), lower(meaning))).collect();
    format!("{} {}", field.meaning, told.join(" "))
}

fn lower(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}
