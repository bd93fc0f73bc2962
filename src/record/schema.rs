//! The JSON Schemas of what c1m-lab reads and writes, made from the types.

use clap::ValueEnum;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::PlanRecord;
use crate::log::Timed;
use crate::report::Report;
use crate::spec;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Lab files
    #[default]
    Lab,
    /// plan.json
    Plan,
    /// A line of events.jsonl
    Events,
    /// report.json
    Report,
}

impl Kind {
    pub fn schema(self) -> Value {
        match self {
            Kind::Lab => spec::schema(),
            Kind::Plan => of::<PlanRecord>(),
            Kind::Events => of::<Timed>(),
            Kind::Report => of::<Report>(),
        }
    }
}

/// Written out in full, as the schema of lab files is.
fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_in_docs_are_these() {
        for (kind, name) in [(Kind::Plan, "plan"), (Kind::Events, "events"), (Kind::Report, "report")] {
            let path = format!("{}/docs/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
            let written = std::fs::read(&path).unwrap_or_default();
            let written: Value = serde_json::from_slice(&written).unwrap_or_default();
            assert!(
                written == kind.schema(),
                "docs/{name}.schema.json is out of date; renew it: c1m-lab schema {name} > docs/{name}.schema.json"
            );
        }
    }
}
