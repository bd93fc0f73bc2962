//! The fields that a JSON Schema describes, with what a reader wants to know of each.

use serde_json::Value;

/// One field, by its path from where the schema begins: `server.ports`, `failed.by[].errno`.
#[derive(Clone, Debug)]
pub struct Field {
    pub path: String,
    pub meaning: String,
    pub schema: Value,
}

/// The properties of an object, in the order of their names.
pub fn of(schema: &Value, prefix: &str) -> Vec<Field> {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| Field {
            path: if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") },
            meaning: schema["description"].as_str().unwrap_or_default().to_owned(),
            schema: schema.clone(),
        })
        .collect()
}

impl Field {
    /// What lies inside: the properties of an object, or those of an array's items.
    pub fn inside(&self) -> Vec<Field> {
        match &self.schema["items"] {
            Value::Null => of(&self.schema, &self.path),
            items => of(items, &format!("{}[]", self.path)),
        }
    }

    /// The field and all that lies inside it, as deep as it goes; sections are told by what is in them.
    pub fn leaves(self) -> Vec<Field> {
        let inside: Vec<Field> = self.inside().into_iter().flat_map(Field::leaves).collect();
        match (inside.is_empty(), self.is_list()) {
            (true, _) => vec![self],
            (false, false) => inside,
            (false, true) => std::iter::once(self).chain(inside).collect(),
        }
    }

    pub fn is_list(&self) -> bool {
        !self.schema["items"].is_null()
    }

    pub fn is_section(&self) -> bool {
        self.schema["properties"].is_object() || self.schema["items"]["properties"].is_object()
    }

    /// The values of a field that takes one of a few words, each with its meaning.
    pub fn words(&self) -> Vec<(String, String)> {
        let choices = self.schema["oneOf"].as_array().into_iter().flatten();
        let described = choices.flat_map(|choice| {
            let meaning = choice["description"].as_str().unwrap_or_default();
            let several = choice["enum"].as_array().into_iter().flatten();
            let words = several.chain(choice.get("const")).filter_map(Value::as_str);
            words.map(|word| (word.to_owned(), meaning.to_owned())).collect::<Vec<_>>()
        });
        described.collect()
    }

    /// The JSON types it may have, but for null.
    pub fn types(&self) -> Vec<&str> {
        let types = match &self.schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        types.into_iter().filter(|one| *one != "null").collect()
    }

    pub fn may_be_null(&self) -> bool {
        self.schema["type"].as_array().is_some_and(|types| types.iter().any(|one| one == "null"))
    }
}

/// A value as it is written in a file: a text without quotes.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

pub fn code(text: &str) -> String {
    format!("`{text}`")
}
