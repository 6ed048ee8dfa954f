//! Enum values as people write them: `organization` for `TYPE_ORGANIZATION`. Reads a message as JSON with the schema's
//! own values; an unknown one is refused, with the list of known ones.

use std::fmt;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer},
};
use serde_json::{Map, Value};

/// Error text for an unknown enum value.
pub(crate) const UNKNOWN_VALUE: &str = "unrecognized enum value";

/// A message whose fields are read by their types.
pub(crate) struct MessageSeed<'a>(pub &'a MessageDescriptor);

/// One field.
struct FieldSeed<'a>(&'a FieldDescriptor);

/// One value, alone or in a list.
struct ValueSeed<'a>(&'a Kind);

struct ListSeed<'a>(&'a Kind);

struct EnumSeed<'a>(&'a EnumDescriptor);

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for MessageSeed<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a {}", self.0.name())
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let field = self.0.get_field_by_json_name(&key);
            let Some(field) = field.or_else(|| self.0.get_field_by_name(&key)) else {
                return Err(de::Error::custom(format!(
                    "unrecognized field name '{key}'"
                )));
            };
            let value = map.next_value_seed(FieldSeed(&field))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let kind = self.0.kind();
        if self.0.is_map() {
            Value::deserialize(deserializer)
        } else if self.0.is_list() {
            deserializer.deserialize_any(ListSeed(&kind))
        } else {
            ValueSeed(&kind).deserialize(deserializer)
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.0 {
            // Read as text: a year looks like a number in YAML.
            Kind::String | Kind::Bytes => {
                let text = Option::<String>::deserialize(deserializer)?;
                Ok(text.map_or(Value::Null, Value::String))
            }
            Kind::Enum(words) => deserializer.deserialize_any(EnumSeed(words)),
            Kind::Message(message) if message.package_name() == "google.protobuf" => {
                Value::deserialize(deserializer)
            }
            Kind::Message(message) => deserializer.deserialize_option(MessageSeed(message)),
            _ => Value::deserialize(deserializer),
        }
    }
}

impl<'de> de::Visitor<'de> for ListSeed<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = list.next_element_seed(ValueSeed(self.0))? {
            all.push(one);
        }
        Ok(Value::Array(all))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

impl de::Visitor<'_> for EnumSeed<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a word or a number")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Value, E> {
        let Some(full) = full_name(self.0, word) else {
            let words: Vec<_> = value_names(self.0).collect();
            return Err(E::custom(format!(
                "{UNKNOWN_VALUE} '{word}'; there are: {}",
                words.join(", ")
            )));
        };
        Ok(Value::String(full))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// The enum value that a word stands for: its full name, or the name without its prefix, in any case.
fn full_name(words: &EnumDescriptor, word: &str) -> Option<String> {
    let prefix = prefix(words);
    let upper = word.trim().to_uppercase().replace(['-', ' '], "_");
    let mut values = words.values();
    let found = values.find(|value| {
        let name = value.name();
        name == word || name == upper || name.strip_prefix(&prefix) == Some(upper.as_str())
    });
    found.map(|value| value.name().to_owned())
}

/// The values of an enum as people write them.
fn value_names(of: &EnumDescriptor) -> impl Iterator<Item = String> {
    let prefix = prefix(of);
    let values: Vec<_> = of.values().filter(|value| value.number() != 0).collect();
    values.into_iter().map(move |value| {
        let name = value.name();
        name.strip_prefix(&prefix).unwrap_or(name).to_lowercase()
    })
}

/// The common prefix of an enum's values: `TYPE_` if the first one is `TYPE_UNSPECIFIED`.
fn prefix(words: &EnumDescriptor) -> String {
    let zero = words.get_value(0);
    zero.map(|zero| zero.name().trim_end_matches("UNSPECIFIED").to_owned())
        .unwrap_or_default()
}
