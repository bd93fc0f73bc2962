//! Tree → `Spec`: serde over our own tree, so that every error knows its place and its path.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::Spec;
use super::tree::{Entry, Node, Place, Problem, Value, below};
use super::wrong::{Wrong, listed};

pub(super) fn spec(root: &Node) -> Result<Spec, Problem> {
    let reader = At { node: root, path: String::new() };
    Spec::deserialize(reader).map_err(|wrong| wrong.into_problem(root.place))
}

/// A node on its way to becoming a value.
struct At<'a> {
    node: &'a Node,
    path: String,
}

impl At<'_> {
    /// What stands here, for an error.
    fn found(&self) -> Unexpected<'_> {
        match (&self.node.value, self.node.number()) {
            (_, Some(number)) => Unexpected::Unsigned(number),
            (Value::Null, _) => Unexpected::Unit,
            (Value::Text { text, .. }, _) => Unexpected::Str(text),
            (Value::List(_), _) => Unexpected::Seq,
            (Value::Map(_), _) => Unexpected::Map,
        }
    }

    fn not_a(&self, expected: &str) -> Wrong {
        Wrong::invalid_type(self.found(), &expected)
    }
}

/// Numbers are checked here, because serde calls them `u32`, which says nothing to a user.
macro_rules! whole_number {
    ($method:ident, $visit:ident, $type:ty) => {
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
            match self.node.number().map(<$type>::try_from) {
                Some(Ok(number)) => visitor.$visit(number),
                Some(Err(_)) => Err(self.not_a(&format!("a whole number up to {}", <$type>::MAX))),
                None => Err(self.not_a("a whole number such as 4")),
            }
        }
    };
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Text { text, .. } => match self.node.number() {
                Some(number) => visitor.visit_u64(number),
                None => visitor.visit_str(text),
            },
            Value::List(items) => visitor.visit_seq(Items { items, next: 0, path: &self.path }),
            Value::Map(entries) => visitor.visit_map(Entries { entries, value: None, path: &self.path }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Text { text, plain: true } if text == "true" => visitor.visit_bool(true),
            Value::Text { text, plain: true } if text == "false" => visitor.visit_bool(false),
            _ => Err(self.not_a("`true` or `false`")),
        }
    }

    /// A text is a text even if it looks like a number: a sysctl's value may be `1`.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Text { text, .. } => visitor.visit_str(text),
            _ => Err(self.not_a("a text")),
        }
    }

    /// A section without keys, perhaps because all are commented out, is a section of defaults.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Null => visitor.visit_map(Entries { entries: &[], value: None, path: &self.path }),
            Value::Map(entries) => visitor.visit_map(Entries { entries, value: None, path: &self.path }),
            _ => Err(self.not_a("a map of `name: value`")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Null | Value::Map(_) => self.deserialize_map(visitor),
            _ => Err(self.not_a(&format!("a map with the keys {}", listed(keys, "and")))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Text { text, .. } => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(self.not_a(&format!("one of {}", listed(words, "and")))),
        }
    }

    whole_number!(deserialize_u8, visit_u8, u8);
    whole_number!(deserialize_u16, visit_u16, u16);
    whole_number!(deserialize_u32, visit_u32, u32);
    whole_number!(deserialize_u64, visit_u64, u64);

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char str bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct identifier ignored_any
    }
}

struct Items<'a> {
    items: &'a [Node],
    next: usize,
    path: &'a str,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let Some(node) = self.items.get(self.next) else {
            return Ok(None);
        };
        let path = format!("{}[{}]", self.path, self.next);
        self.next += 1;
        read_below(node, path, seed).map(Some)
    }
}

struct Entries<'a> {
    entries: &'a [Entry],
    value: Option<&'a Entry>,
    path: &'a str,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        let Some((entry, rest)) = self.entries.split_first() else {
            return Ok(None);
        };
        self.entries = rest;
        self.value = Some(entry);
        let key: StrDeserializer<'_, Wrong> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|wrong| wrong.at(entry.key_place, self.path))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let entry = self.value.take().ok_or_else(|| Wrong::custom("a value without a key"))?;
        read_below(&entry.value, below(self.path, &entry.key), seed)
    }
}

fn read_below<'de, S: DeserializeSeed<'de>>(node: &Node, path: String, seed: S) -> Result<S::Value, Wrong> {
    let place: Place = node.place;
    seed.deserialize(At { node, path: path.clone() }).map_err(|wrong| wrong.at(place, &path))
}
