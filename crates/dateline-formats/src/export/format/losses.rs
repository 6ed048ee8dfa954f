//! Losses of a format (E6): the number of dropped values per field.

use std::collections::BTreeMap;

use dateline_proto::v1::{Kind, record::Kind as Body};
use dateline_record::name::collection;
use prost_reflect::{DynamicMessage, Value};
use serde::{Deserialize, Serialize};

/// Dropped values per field, of one format. Fields are paths from the collection, without indexes:
/// `events.evidence.quote`. A message that was dropped entirely counts once, and so does each element of a list; a path
/// without a field (`events`) counts whole records. As JSON it is one object with sorted keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Losses {
    fields: BTreeMap<String, u64>,
}

impl Losses {
    /// Counts dropped values of a field.
    pub fn add(&mut self, field: &str, values: u64) {
        if values > 0 {
            *self.fields.entry(field.to_owned()).or_default() += values;
        }
    }

    /// Counts a record that was dropped entirely.
    pub fn add_record(&mut self, kind: Kind) {
        self.add(collection(kind), 1);
    }

    /// Adds the losses of another partition of the same format.
    pub fn merge(&mut self, other: &Losses) {
        for (field, values) in &other.fields {
            self.add(field, *values);
        }
    }

    /// Dropped values by field.
    #[must_use]
    pub fn fields(&self) -> &BTreeMap<String, u64> {
        &self.fields
    }

    /// Counts every value of a record outside of the fields that a format expresses. A new field of the schema counts
    /// until the format maps it.
    pub(super) fn add_unmapped(&mut self, body: &Body, mapped: &MappedFields) {
        let path = collection(body.kind()).to_owned();
        self.add_outside(&path, &body.to_dynamic(), mapped);
    }

    fn add_outside(&mut self, path: &str, message: &DynamicMessage, mapped: &MappedFields) {
        for (field, value) in message.fields() {
            match mapped.fields.get(field.name()) {
                None => self.add(&format!("{path}.{}", field.name()), length(value)),
                Some(inner) if inner.fields.is_empty() => {}
                Some(inner) => self.add_inside(&format!("{path}.{}", field.name()), value, inner),
            }
        }
    }

    fn add_inside(&mut self, path: &str, value: &Value, mapped: &MappedFields) {
        match value {
            Value::Message(message) => self.add_outside(path, message, mapped),
            Value::List(elements) => {
                for element in elements {
                    self.add_inside(path, element, mapped);
                }
            }
            _ => {}
        }
    }
}

fn length(value: &Value) -> u64 {
    match value {
        Value::List(elements) => elements.len() as u64,
        _ => 1,
    }
}

/// The fields that a format expresses, as a tree; a leaf includes everything below it.
#[derive(Debug, Default)]
pub(super) struct MappedFields {
    fields: BTreeMap<&'static str, MappedFields>,
}

impl MappedFields {
    /// Builds the tree from paths such as `participants.actor`.
    pub(super) fn new(paths: &[&'static str]) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut at = &mut root;
            for name in path.split('.') {
                at = at.fields.entry(name).or_default();
            }
        }
        root
    }

    /// Asserts that every path is a path of the schema; for tests.
    #[cfg(test)]
    pub(super) fn assert_fits(&self, schema: &prost_reflect::MessageDescriptor) {
        for (name, inner) in &self.fields {
            let field = schema.get_field_by_name(name);
            let field = field.unwrap_or_else(|| panic!("{} has no {name}", schema.name()));
            if let Some(message) = field.kind().as_message() {
                inner.assert_fits(message);
            } else {
                assert!(inner.fields.is_empty(), "{name} has no fields");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dateline_proto::v1::{Event, EventLink, Evidence, Participant, TextSpan};

    fn event() -> Body {
        let participant = |actor: &str, capacity: &str| Participant {
            actor: actor.into(),
            capacity: capacity.into(),
            ..Participant::default()
        };
        Body::Event(Event {
            name: "events/steppe-eagle".into(),
            participants: vec![
                participant("actors/nato", ""),
                participant("actors/kazakhstan", "relations/x"),
            ],
            links: vec![EventLink::default(); 3],
            evidence: vec![Evidence {
                article: "articles/x".into(),
                quote: Some(TextSpan::default()),
                ..Evidence::default()
            }],
            ..Event::default()
        })
    }

    #[test]
    fn e6_what_is_not_said_is_counted_where_it_stands() {
        let mut losses = Losses::default();
        let mapped = MappedFields::new(&["name", "participants.actor", "evidence.article"]);
        losses.add_unmapped(&event(), &mapped);
        assert_eq!(
            serde_json::to_string(&losses).unwrap(),
            r#"{"events.evidence.quote":1,"events.links":3,"events.participants.capacity":1}"#
        );
    }

    #[test]
    fn losses_of_partitions_add_up() {
        let mut losses = Losses::default();
        losses.add("events.links", 2);
        let mut other = losses.clone();
        other.add_record(Kind::Event);
        losses.merge(&other);
        let expected = [("events".to_owned(), 1), ("events.links".to_owned(), 4)];
        assert_eq!(losses.fields(), &BTreeMap::from(expected));
    }
}
