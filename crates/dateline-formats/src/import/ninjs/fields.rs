//! The fields of an item, by keys in lower case: ninjs 3 writes `pubStatus` where ninjs 1 and 2 write `pubstatus`, and
//! a restriction must be recognised in either spelling.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Number of values left out, by field.
#[derive(Default)]
pub(in crate::import) struct DroppedFields(BTreeMap<String, usize>);

impl DroppedFields {
    pub(super) fn count(&mut self, field: &str) {
        self.add(field, 1);
    }

    pub(super) fn add(&mut self, field: &str, times: usize) {
        *self.0.entry(field.to_owned()).or_default() += times;
    }

    /// Formats the counts: `not taken from ninjs, for a draft of an article has no room for it: people (12), renditions
    /// (3)`
    pub(in crate::import) fn summary(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let fields = self
            .0
            .iter()
            .map(|(field, times)| format!("{field} ({times})"));
        let fields: Vec<_> = fields.collect();
        Some(format!(
            "not taken from ninjs, for a draft of an article has no room for it: {}",
            fields.join(", ")
        ))
    }
}

/// The versions of ninjs that differ in their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `headline`, `body_text`, `byline`
    One,
    /// `headlines`, `bodies`, `by`; ninjs 2 in lower case
    TwoOrThree,
}

/// The fields of an item that were not read yet.
pub(super) struct Item<'a> {
    /// Original key and value, by key in lower case.
    fields: BTreeMap<String, (String, Value)>,
    pub losses: &'a mut DroppedFields,
}

impl<'a> Item<'a> {
    /// Reads the fields of an object.
    ///
    /// # Errors
    /// If it is no object, or has a key in two spellings with different values.
    pub(super) fn new(item: &Value, losses: &'a mut DroppedFields) -> Result<Self, String> {
        let object = item.as_object().ok_or("is no object")?;
        let mut fields: BTreeMap<String, (String, Value)> = BTreeMap::new();
        for (key, value) in object {
            let value = folded(value.clone());
            let folded = key.trim().to_ascii_lowercase();
            match fields.get(&folded) {
                Some((first, other)) if *other != value => {
                    return Err(format!("says both {first} and {key}, and not the same"));
                }
                _ => drop(fields.insert(folded, (key.clone(), value))),
            }
        }
        Ok(Self { fields, losses })
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.fields
            .get(field)
            .is_some_and(|(_, value)| !value.is_null())
    }

    /// The remaining keys, in lower case and as written.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(folded, (key, _))| (folded.as_str(), key.as_str()))
    }

    pub(super) fn remove(&mut self, field: &str) -> Option<Value> {
        let (_, value) = self.fields.remove(field)?;
        Some(value).filter(|value| !value.is_null())
    }

    /// Removes and returns a value, with its key as written.
    pub(super) fn remove_with_key(&mut self, field: &str) -> Option<(String, Value)> {
        self.fields
            .remove(field)
            .filter(|(_, value)| !value.is_null())
    }

    /// Removes and returns a text; empty if there is none.
    pub(super) fn text(&mut self, field: &str) -> Result<String, String> {
        match self.remove_with_key(field) {
            None => Ok(String::new()),
            Some((_, Value::String(text))) => Ok(text.trim().to_owned()),
            Some((key, _)) => Err(format!("{key} is no string")),
        }
    }

    /// Removes and returns a list of objects; a single object is a list of one.
    pub(super) fn list(&mut self, field: &str) -> Result<Vec<Map<String, Value>>, String> {
        let (key, all) = match self.remove_with_key(field) {
            None => return Ok(Vec::new()),
            Some((key, Value::Array(all))) => (key, all),
            Some((key, _)) => return Err(format!("{key} is no list")),
        };
        let objects = all
            .into_iter()
            .enumerate()
            .map(|(index, value)| match value {
                Value::Object(object) => Ok(object),
                _ => Err(format!("{key}[{index}] is no object")),
            });
        objects.collect()
    }

    /// The version that the item declares, or otherwise the one whose keys it has.
    ///
    /// # Errors
    /// If it declares an unknown version.
    pub(super) fn dialect(&mut self) -> Result<Dialect, String> {
        let standard = self.remove("standard").or_else(|| self.remove("$standard"));
        let schema = self.remove("$schema");
        let says = |field: &str| {
            let text = standard.as_ref().and_then(|standard| standard.get(field));
            text.and_then(Value::as_str).unwrap_or_default()
        };
        let is_ninjs = says("name").is_empty() || says("name").to_lowercase().contains("ninjs");
        let schema = schema.as_ref().and_then(Value::as_str).unwrap_or_default();
        let of_schema = [says("schema"), schema]
            .iter()
            .find_map(|schema| Some(schema.split_once("ninjs-schema_")?.1.to_owned()));
        let version = if is_ninjs && !says("version").is_empty() {
            says("version").to_owned()
        } else {
            of_schema.unwrap_or_default()
        };
        let major: String = version.chars().take_while(char::is_ascii_digit).collect();
        let by_keys = self.dialect_of_keys();
        match (major.as_str(), by_keys) {
            // The keys decide if no version is declared, or if the item has none of that version's keys.
            ("", by_keys) => Ok(by_keys.unwrap_or(Dialect::TwoOrThree)),
            ("1", Some(Dialect::TwoOrThree)) if !self.has_keys_of(Dialect::One) => {
                Ok(Dialect::TwoOrThree)
            }
            ("1", _) | ("2" | "3", Some(Dialect::One)) => Ok(Dialect::One),
            ("2" | "3", _) => Ok(Dialect::TwoOrThree),
            _ => Err(format!(
                "is ninjs {version}; versions 1, 2 and 3 can be read"
            )),
        }
    }

    fn dialect_of_keys(&self) -> Option<Dialect> {
        [Dialect::TwoOrThree, Dialect::One]
            .into_iter()
            .find(|dialect| self.has_keys_of(*dialect))
    }

    fn has_keys_of(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::TwoOrThree => self.has("headlines") || self.has("bodies"),
            Dialect::One => self.keys().any(|(key, _)| {
                key == "headline" || key.starts_with("headline_") || key.starts_with("body_")
            }),
        }
    }
}

/// The value with all keys of objects in lower case.
fn folded(value: Value) -> Value {
    match value {
        Value::Array(all) => all.into_iter().map(folded).collect(),
        Value::Object(object) => object
            .into_iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), folded(value)))
            .collect(),
        other => other,
    }
}

/// A string of an object; empty if there is none.
pub(super) fn string(object: &Map<String, Value>, field: &str) -> String {
    let text = object.get(field).and_then(Value::as_str);
    text.unwrap_or_default().trim().to_owned()
}
