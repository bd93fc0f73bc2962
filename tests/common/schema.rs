//! Whether a value is what a JSON Schema says: those keywords that schemars writes, and no others.
//!
//! A crate that knows all of JSON Schema brings some fifty others. Here an unknown keyword is a failure, so that nothing
//! is passed over.
#![allow(dead_code, reason = "no test uses all of it")]

use serde_json::Value;

/// What says nothing about whether a value is right.
const ANNOTATIONS: [&str; 8] =
    ["$schema", "title", "description", "default", "examples", "format", "deprecated", "pattern"];

/// Why the value is not what the schema says; empty: it is.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(schema, value, "", &mut faults);
    faults
}

fn fits(schema: &Value, value: &Value) -> bool {
    faults(schema, value).is_empty()
}

fn check(schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        if *schema != Value::Bool(true) {
            faults.push(format!("{path}: nothing is right here"));
        }
        return;
    };
    for (keyword, rule) in keywords {
        let mut is_right = true;
        match keyword.as_str() {
            "type" => is_right = list(rule).iter().any(|name| has_type(name, value)),
            "const" => is_right = rule == value,
            "enum" => is_right = list(rule).contains(&value),
            "minimum" => is_right = value.as_f64().is_none_or(|number| Some(number) >= rule.as_f64()),
            "maximum" => is_right = value.as_f64().is_none_or(|number| Some(number) <= rule.as_f64()),
            "minItems" => {
                is_right = value.as_array().is_none_or(|all| Some(all.len() as u64) >= rule.as_u64())
            }
            "maxItems" => {
                is_right = value.as_array().is_none_or(|all| Some(all.len() as u64) <= rule.as_u64())
            }
            "minProperties" => {
                is_right = value.as_object().is_none_or(|all| Some(all.len() as u64) >= rule.as_u64())
            }
            "maxProperties" => {
                is_right = value.as_object().is_none_or(|all| Some(all.len() as u64) <= rule.as_u64())
            }
            "oneOf" => is_right = list(rule).iter().filter(|one| fits(one, value)).count() == 1,
            "anyOf" => is_right = list(rule).iter().any(|one| fits(one, value)),
            "allOf" => list(rule).iter().for_each(|one| check(one, value, path, faults)),
            "required" => {
                is_right = value.as_object().is_none_or(|object| {
                    list(rule).iter().all(|name| name.as_str().is_some_and(|name| object.contains_key(name)))
                });
            }
            "properties" => {
                for (name, schema) in rule.as_object().into_iter().flatten() {
                    if let Some(value) = value.get(name) {
                        check(schema, value, &format!("{path}.{name}"), faults);
                    }
                }
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object();
                for (name, value) in value.as_object().into_iter().flatten() {
                    if !known.is_some_and(|known| known.contains_key(name)) {
                        check(rule, value, &format!("{path}.{name}"), faults);
                    }
                }
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flat_map(|object| object.keys()) {
                    check(rule, &Value::String(name.clone()), path, faults);
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    // A list of schemas: one for each place.
                    let schema = if rule.is_array() { rule.get(index) } else { Some(rule) };
                    if let Some(schema) = schema {
                        check(schema, value, &format!("{path}[{index}]"), faults);
                    }
                }
            }
            annotation if ANNOTATIONS.contains(&annotation) => {}
            other => panic!("{path}: the keyword {other} is not known here"),
        }
        if !is_right {
            faults.push(format!("{path}: {value} is not {keyword} {rule}"));
        }
    }
}

fn list(rule: &Value) -> Vec<&Value> {
    rule.as_array().map_or_else(|| vec![rule], |list| list.iter().collect())
}

fn has_type(name: &Value, value: &Value) -> bool {
    match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    }
}
