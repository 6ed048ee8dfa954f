//! Canonical proto-JSON, in and out, by the schema's own descriptors: what is read is checked strictly, and
//! what a newer server sends is printed as far as it is known.

use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, ReflectMessage, SerializeOptions};
use serde_json::Value;

/// Reads a message from JSON text; unknown fields are errors.
///
/// # Errors
/// What is wrong, with line and column.
pub fn read<M: ReflectMessage + Message + Default>(text: &str) -> Result<M, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message =
        DynamicMessage::deserialize_with_options(M::default().descriptor(), &mut json, &options)?;
    json.end()?;
    message.transcode_to().map_err(serde::de::Error::custom)
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
