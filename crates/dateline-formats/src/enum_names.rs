//! Messages as people write them. Enum values: `organization` for `TYPE_ORGANIZATION`; an unknown one is refused, with
//! the list of known ones. A plain text in place of a message with a field that is typed alone: `NATO` for a name. Reads
//! a message as JSON in the schema's own form.

use std::fmt;

use dateline_proto::has_rule;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer},
};
use serde_json::{Map, Value};

/// Error text for an unknown enum value.
pub(crate) const UNKNOWN_VALUE: &str = "unrecognized enum value";
/// Error text for an unknown field.
pub(crate) const UNKNOWN_FIELD: &str = "unrecognized field name";

/// Likeness of two words, from 0 to 1, from which on one is suggested for the other (Jaro-Winkler).
const MIN_LIKENESS: f64 = 0.85;

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
                let names: Vec<_> = self
                    .0
                    .fields()
                    .map(|it| it.json_name().to_owned())
                    .collect();
                return Err(de::Error::custom(format!(
                    "{UNKNOWN_FIELD} '{key}'{}",
                    nearest(&key, &names)
                )));
            };
            let value = map.next_value_seed(FieldSeed(&field))?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        typed(self.0, text).ok_or_else(|| E::invalid_type(de::Unexpected::Str(text), &self))
    }

    // A year looks like a number in YAML.
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        self.visit_str(&number.to_string())
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

/// Returns the field that a plain text in place of a message sets.
fn typed_alone(message: &MessageDescriptor) -> Option<FieldDescriptor> {
    message
        .fields()
        .find(|field| has_rule(field, "typed_alone"))
}

/// Returns the message that a plain text stands for; `None` if it stands for none.
fn typed(message: &MessageDescriptor, text: &str) -> Option<Value> {
    let field = typed_alone(message)?;
    let value = match field.kind() {
        Kind::Message(inner) => typed(&inner, text)?,
        _ => Value::String(text.to_owned()),
    };
    Some(Value::Object(Map::from_iter([(
        field.name().to_owned(),
        value,
    )])))
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
            Kind::Message(message) if typed_alone(message).is_some() => {
                deserializer.deserialize_any(MessageSeed(message))
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
                "{UNKNOWN_VALUE} '{word}'{}; there are: {}",
                nearest(word, &words),
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

/// Names the word that is most like another one, if one is much like it: ", did you mean 'organization'?".
fn nearest(word: &str, known: &[String]) -> String {
    let likeness = |it: &&String| strsim::jaro_winkler(&word.to_lowercase(), &it.to_lowercase());
    let best = known
        .iter()
        .map(|it| (likeness(&it), it))
        .filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    best.map(|(_, it)| format!(", did you mean '{it}'?"))
        .unwrap_or_default()
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

/// The values of an enum as people write them, in the order of the schema, without the unspecified one.
pub fn value_names(of: &EnumDescriptor) -> impl Iterator<Item = String> {
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

#[cfg(test)]
mod tests {
    use dateline_proto::v1::{Actor, Event, evidence::Modality, name::Type};

    use crate::json;

    #[test]
    fn a_text_stands_for_the_message_that_it_is_typed_for() {
        let actor: Actor = json::read(
            r#"{"names": ["NATO", {"text": "OTAN", "type": "acronym"}], "evidence": ["a", {"quote": "b", "modality": "Claimed"}]}"#,
        )
        .unwrap();
        let names: Vec<_> = actor
            .names
            .iter()
            .map(|name| (name.text.as_str(), name.r#type()))
            .collect();
        assert_eq!(
            names,
            [("NATO", Type::Unspecified), ("OTAN", Type::Acronym)]
        );
        let quotes: Vec<_> = actor
            .evidence
            .iter()
            .map(|entry| (entry.quote.clone().unwrap().exact, entry.modality()))
            .collect();
        let expected = [
            ("a".to_owned(), Modality::Unspecified),
            ("b".to_owned(), Modality::Claimed),
        ];
        assert_eq!(quotes, expected);
        for text in ["time: 2021", "time: 2021-09", "time: {start: 2021-09}"] {
            let read = json::read_yaml(
                text,
                prost_reflect::ReflectMessage::descriptor(&Event::default()),
            );
            let event: Event = read.unwrap().transcode_to().unwrap();
            let edtf = event.time.unwrap().start.unwrap().edtf;
            assert!(
                text.contains(&edtf) && edtf.starts_with("2021"),
                "{text}: {edtf}"
            );
        }
    }

    #[test]
    fn unknown_words_are_answered_with_the_nearest_one() {
        for (text, expected) in [
            (
                r#"{"type": "organisation"}"#,
                "did you mean 'organization'?; there are: person",
            ),
            (
                r#"{"dispalyName": "x"}"#,
                "'dispalyName', did you mean 'displayName'?",
            ),
            (r#"{"headquarters": "Brussels"}"#, "expected a Place"),
            (r#"{"zzz": 1}"#, "unrecognized field name 'zzz' at line"),
        ] {
            let error = json::read::<Actor>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
