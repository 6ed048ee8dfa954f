//! Canonical proto-JSON, in and out, by the schema's own descriptors: what is read is checked strictly, and
//! what a newer server sends is printed as far as it is known.

use std::{collections::HashSet, fmt};

use prost::Message;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, MessageDescriptor, ReflectMessage, SerializeOptions,
};
use serde::de::{self, Deserialize, Deserializer};
use serde_json::Value;

/// Reads a message from JSON text; unknown fields are errors, and so are keys that stand twice: which of the
/// two is meant is not for us to guess.
///
/// # Errors
/// What is wrong, with line and column.
pub fn read<M: ReflectMessage + Message + Default>(text: &str) -> Result<M, serde_json::Error> {
    let message = read_dynamic(text, M::default().descriptor())?;
    message.transcode_to().map_err(de::Error::custom)
}

/// The same, of a message that is known by its descriptor only.
///
/// # Errors
/// What is wrong, with line and column.
pub fn read_dynamic(
    text: &str,
    descriptor: MessageDescriptor,
) -> Result<DynamicMessage, serde_json::Error> {
    check_keys(&mut serde_json::Deserializer::from_str(text))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message = DynamicMessage::deserialize_with_options(descriptor, &mut json, &options)?;
    json.end()?;
    Ok(message)
}

/// Looks for keys that stand twice in one object.
///
/// # Errors
/// The key and, as far as the deserializer knows it, its place; or what else cannot be read.
pub fn check_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    UniqueKeys::deserialize(deserializer).map(drop)
}

/// An error in a text of one line, to follow the number of that line.
#[must_use]
pub fn in_line(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    match told.strip_suffix(&position) {
        Some(told) => format!(", column {}: {told}", error.column()),
        None => format!(": {told}"),
    }
}

/// JSON of which no object has a key twice; the values are thrown away.
struct UniqueKeys;

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(UniqueKeys)
    }
}

impl<'de> de::Visitor<'de> for UniqueKeys {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(de::Error::custom(format!("the key {key:?} stands twice")));
            }
            seen.insert(key);
            map.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// A message as it is written out: fields in the order of the schema, so that a record begins with its name.
#[must_use]
pub fn document(message: &impl ReflectMessage) -> DynamicMessage {
    message.transcode_to_dynamic()
}

/// The JSON value of a message.
///
/// # Errors
/// When the message holds what JSON cannot say.
pub fn value(message: &impl ReflectMessage) -> Result<Value, serde_json::Error> {
    let options = SerializeOptions::new().stringify_64_bit_integers(true);
    message
        .transcode_to_dynamic()
        .serialize_with_options(serde_json::value::Serializer, &options)
}
