//! The JSON Schema of a lab file, for editors.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Spec;
use crate::units::text_form;

/// The schema, made from the types. It is written out in full, because editors differ in following references.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Spec>().to_value()
}

/// Kernel settings by their dotted names.
pub(super) struct AnySettings;

/// Kernel settings that belong to a network namespace.
pub(super) struct NetworkSettings;

text_form!(schema AnySettings, {
    "type": "object",
    "propertyNames": { "pattern": r"^[a-zA-Z0-9_/-]+(\.[a-zA-Z0-9_/-]+)+$" },
    "additionalProperties": { "type": ["integer", "string"] }
});

text_form!(schema NetworkSettings, {
    "type": "object",
    "propertyNames": { "pattern": r"^net(\.[a-zA-Z0-9_/-]+)+$" },
    "additionalProperties": { "type": ["integer", "string"] }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_docs_is_this_one() {
        let written: Value = serde_json::from_str(include_str!("../../docs/lab.schema.json")).unwrap();
        assert!(
            written == schema(),
            "docs/lab.schema.json is out of date; renew it: c1m-lab schema > docs/lab.schema.json"
        );
    }
}
