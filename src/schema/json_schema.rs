//! `dateline schema`: the JSON Schema (2020-12) of a record in a file, for editors that check and complete YAML and JSON.
//! It describes what `dateline create` reads: words of enums as they are printed, and plain texts in place of some
//! messages. It is no stricter than the service, whose rules across fields no schema can hold.

use std::collections::BTreeMap;

use anyhow::Result;
use dateline_record::name::{KINDS, kind_label};
use prost_reflect::{FieldDescriptor, Kind as Type, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::field::{
    bound, field_comment, is_required, is_typed, message_comment, message_of, pattern, typed_alone,
    typed_fields, words,
};

/// Returns the schema of a record.
pub(super) fn document() -> Result<Value> {
    let mut definitions = BTreeMap::new();
    let mut kinds = Map::new();
    for kind in KINDS {
        let message = message_of(kind)?;
        kinds.insert(
            kind_label(kind).to_owned(),
            reference(&message, &mut definitions),
        );
    }
    Ok(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of Dateline, as dateline create reads it",
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
        "properties": kinds,
        "$defs": definitions,
    }))
}

/// Returns a reference to a message, and defines it.
fn reference(message: &MessageDescriptor, definitions: &mut BTreeMap<String, Value>) -> Value {
    let name = message.name().to_owned();
    if !definitions.contains_key(&name) {
        // Messages may contain each other.
        definitions.insert(name.clone(), Value::Null);
        let defined = definition(message, definitions);
        definitions.insert(name.clone(), defined);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn definition(message: &MessageDescriptor, definitions: &mut BTreeMap<String, Value>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in typed_fields(message) {
        let schema = field_schema(&field, definitions);
        let (key, own) = (field.json_name().to_owned(), field.name().to_owned());
        if is_required(&field) {
            // Either spelling of the key.
            required.push(if key == own {
                json!({ "required": [key] })
            } else {
                json!({ "anyOf": [{ "required": [key] }, { "required": [own] }] })
            });
        }
        properties.insert(own, schema.clone());
        properties.insert(key, schema);
    }
    // Printed by `dateline get`, and ignored.
    for field in message.fields().filter(|field| !is_typed(field)) {
        properties.insert(field.name().to_owned(), json!({ "readOnly": true }));
        properties.insert(field.json_name().to_owned(), json!({ "readOnly": true }));
    }
    let mut schema = json!({
        "description": message_comment(message),
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        schema["allOf"] = Value::Array(required);
    }
    schema
}

fn field_schema(field: &FieldDescriptor, definitions: &mut BTreeMap<String, Value>) -> Value {
    let mut one = value_schema(field, definitions);
    if field.is_list() {
        one = json!({ "type": "array", "items": one });
        for (rule, key) in [("min_items", "minItems"), ("max_items", "maxItems")] {
            // An actor's names may be left to the name that is displayed, so an empty list is no error of its own.
            if let Some(count) = bound(field, rule) {
                one[key] = json!(count);
            }
        }
    }
    one["description"] = Value::String(field_comment(field));
    one
}

fn value_schema(field: &FieldDescriptor, definitions: &mut BTreeMap<String, Value>) -> Value {
    match field.kind() {
        Type::String => string_schema(field),
        Type::Bytes => json!({ "type": "string" }),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Double | Type::Float => json!({ "type": "number" }),
        Type::Enum(of) => {
            // Words of people first, then those that `dateline get` prints.
            let words = words(&of).into_iter().map(|(word, _)| word);
            let names = of.values().filter(|value| value.number() != 0);
            let names = names.map(|value| value.name().to_owned());
            json!({ "enum": words.chain(names).collect::<Vec<_>>() })
        }
        Type::Message(message) if message.package_name() == "google.protobuf" => {
            json!({ "type": "string" })
        }
        Type::Message(message) => {
            let whole = reference(&message, definitions);
            if typed_alone(&message).is_some() {
                json!({ "anyOf": [whole, { "type": ["string", "integer"] }] })
            } else {
                json!({ "allOf": [whole] })
            }
        }
        _ => json!({ "type": ["integer", "string"] }),
    }
}

fn string_schema(field: &FieldDescriptor) -> Value {
    // YAML reads a year as a number, and the service reads it as a text.
    let mut schema = json!({ "type": ["string", "integer"] });
    for (rule, key) in [("min_len", "minLength"), ("max_len", "maxLength")] {
        if let Some(length) = bound(field, rule) {
            schema[key] = json!(length);
        }
    }
    if let Some(pattern) = pattern(field) {
        schema["pattern"] = Value::String(pattern);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_described_with_its_words_and_bounds() {
        let schema = document().unwrap();
        let event = &schema["$defs"]["Event"];
        assert_eq!(event["properties"]["participants"]["maxItems"], 200);
        assert_eq!(event["properties"]["displayName"]["maxLength"], 300);
        assert_eq!(event["properties"]["display_name"]["minLength"], 1);
        let types = event["properties"]["type"]["enum"].as_array().unwrap();
        assert!(types.contains(&json!("meeting")), "{types:?}");
        assert!(event["properties"]["type"]["description"].is_string());
        assert_eq!(
            schema["$defs"]["FuzzyDate"]["properties"]["earliest"],
            json!({ "readOnly": true })
        );
        let quote = &schema["$defs"]["Evidence"]["properties"]["quote"]["anyOf"];
        assert_eq!(quote[0]["$ref"], "#/$defs/TextSpan");
        let kinds = schema["properties"].as_object().unwrap();
        assert_eq!(kinds.len(), KINDS.len());
    }
}
