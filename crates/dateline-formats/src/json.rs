//! Canonical proto-JSON, read and written by the schema's own descriptors. Input is checked strictly; output of a newer
//! server is printed as far as its fields are known.

use std::{cell::Cell, collections::HashSet, fmt};

use prost::Message;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, MessageDescriptor, ReflectMessage, SerializeOptions,
};
use serde::de::{self, DeserializeSeed, Deserializer};
use serde_json::Value;

use crate::{
    enum_names::{self, MessageSeed},
    yaml,
};

/// Maximum number of values of a document that is read: several times the schema's maximum for a record.
const MAX_VALUES: usize = 100_000;

/// Reads a message from JSON text. Unknown fields are errors, and so are duplicate keys.
///
/// # Errors
/// The error, with line and column.
pub fn read<M: ReflectMessage + Message + Default>(text: &str) -> Result<M, serde_json::Error> {
    let message = read_dynamic(text, M::default().descriptor())?;
    message.transcode_to().map_err(de::Error::custom)
}

/// Reads a message that is known by its descriptor only, like [`read`].
///
/// # Errors
/// The error, with line and column.
pub fn read_dynamic(
    text: &str,
    descriptor: MessageDescriptor,
) -> Result<DynamicMessage, serde_json::Error> {
    check_keys(&mut serde_json::Deserializer::from_str(text))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = DynamicMessage::deserialize_with_options(descriptor.clone(), &mut json, &strict());
    if read.as_ref().is_err_and(is_shorthand) {
        let mut json = serde_json::Deserializer::from_str(text);
        let value = MessageSeed(&descriptor).deserialize(&mut json)?;
        json.end()?;
        return DynamicMessage::deserialize_with_options(descriptor, value, &strict());
    }
    let message = read?;
    json.end()?;
    Ok(message)
}

/// Reads a message from YAML text, like [`read_dynamic`].
///
/// # Errors
/// The error, with line and column.
pub fn read_yaml(text: &str, descriptor: MessageDescriptor) -> Result<DynamicMessage, yaml::Error> {
    yaml::read(text, |yaml| check_keys(yaml))?;
    let read = yaml::read(text, |yaml| {
        DynamicMessage::deserialize_with_options(descriptor.clone(), yaml, &strict())
    });
    match read {
        Err(error) if is_shorthand(&error) => {
            let value = yaml::read(text, |yaml| MessageSeed(&descriptor).deserialize(yaml))?;
            DynamicMessage::deserialize_with_options(descriptor, value, &strict())
                .map_err(|error| yaml::Error::new(error.to_string()))
        }
        read => read,
    }
}

fn strict() -> DeserializeOptions {
    DeserializeOptions::new().deny_unknown_fields(true)
}

/// True for an unknown enum value, and for a plain value where a message is needed: it may be written as people write
/// it, which the second reading accepts. Also for an unknown field, for which the second reading suggests a known one.
fn is_shorthand(error: &impl ToString) -> bool {
    let error = error.to_string();
    [
        enum_names::UNKNOWN_VALUE,
        enum_names::UNKNOWN_FIELD,
        "expected ",
    ]
    .iter()
    .any(|text| error.contains(text))
}

/// Rejects duplicate keys of an object, and more values than a record has.
///
/// # Errors
/// The key and, if the deserializer knows it, its position; or another syntax error.
pub fn check_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    check_keys_of(deserializer, MAX_VALUES)
}

/// Like [`check_keys`], with another maximum number of values.
///
/// # Errors
/// Like [`check_keys`].
pub fn check_keys_of<'de, D: Deserializer<'de>>(
    deserializer: D,
    most: usize,
) -> Result<(), D::Error> {
    let left = Cell::new(most);
    let keys = UniqueKeys { left: &left, most };
    keys.deserialize(deserializer)
}

/// Formats an error in a one-line text, to follow the number of that line.
#[must_use]
pub fn in_line(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    match told.strip_suffix(&position) {
        Some(told) => format!(", column {}: {told}", error.column()),
        None => format!(": {told}"),
    }
}

/// JSON without duplicate keys; the values are counted and discarded.
#[derive(Clone, Copy)]
struct UniqueKeys<'a> {
    left: &'a Cell<usize>,
    most: usize,
}

impl UniqueKeys<'_> {
    fn count<E: de::Error>(self) -> Result<(), E> {
        let most = self.most;
        let left = self.left.get().checked_sub(1);
        let left = left.ok_or_else(|| {
            E::custom(format!(
                "has more values than are read at once, {most} at most"
            ))
        })?;
        self.left.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for UniqueKeys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for UniqueKeys<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.count()?;
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                let key = yaml::shortened(&key);
                return Err(de::Error::custom(format!("the key {key:?} stands twice")));
            }
            seen.insert(key);
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.count()?;
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.count()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.count()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.count()
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<(), E> {
        self.count()
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<(), E> {
        self.count()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.count()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.count()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.count()
    }
}

/// A message for output: fields in the order of the schema, so that a record starts with its name.
#[must_use]
pub fn document(message: &impl ReflectMessage) -> DynamicMessage {
    message.transcode_to_dynamic()
}

/// Converts a message to a JSON value.
///
/// # Errors
/// If the message contains values that JSON cannot represent.
pub fn value(message: &impl ReflectMessage) -> Result<Value, serde_json::Error> {
    let options = SerializeOptions::new().stringify_64_bit_integers(true);
    message
        .transcode_to_dynamic()
        .serialize_with_options(serde_json::value::Serializer, &options)
}
