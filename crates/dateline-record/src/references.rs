//! The references of a record to others, including repeated ones.

use dateline_proto::v1::{State, record::Kind as Body};

use super::{
    name::Name,
    walk::{Path, Rules, Visitor, Walk},
};

/// A reference in a field of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedField {
    /// The field, without indexes: `evidence.article`.
    pub field: String,
    /// The name of the other record.
    pub name: String,
}

/// Lists every reference of a record, in the order of its fields; for a merged record also the record that replaced it.
/// The record is not changed.
#[must_use]
pub fn references(body: &mut Body) -> Vec<NamedField> {
    let mut found = ReferenceCollector::default();
    body.walk(&mut Path::default(), &mut found);
    let meta = body.meta();
    let merged = meta.filter(|meta| meta.state() == State::Merged && !meta.merged_into.is_empty());
    found.0.extend(merged.map(|meta| NamedField {
        field: "meta.merged_into".to_owned(),
        name: meta.merged_into.clone(),
    }));
    found.0
}

#[derive(Default)]
struct ReferenceCollector(Vec<NamedField>);

impl Visitor for ReferenceCollector {
    fn string(&mut self, at: &Path, rules: &Rules, value: &mut String) {
        if !rules.refers_to.is_empty() && Name::parse(value).is_some() {
            self.0.push(NamedField {
                field: at.template(),
                name: value.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dateline_proto::v1::{Actor, Event, Participant, Place, RecordMeta};

    #[test]
    fn every_reference_is_listed_where_it_stands_and_free_text_is_none() {
        let participant = |actor: &str| Participant {
            actor: actor.into(),
            display_name: "actors/in-words".into(),
            ..Participant::default()
        };
        let mut event = Body::Event(Event {
            name: "events/talks".into(),
            places: vec![Place {
                venue: "somewhere".into(),
                ..Place::default()
            }],
            participants: vec![
                participant("actors/nato"),
                participant("actors/nato"),
                participant(""),
            ],
            ..Event::default()
        });
        let fields: Vec<_> = references(&mut event)
            .into_iter()
            .map(|named| (named.field, named.name))
            .collect();
        let twice = ("participants.actor".to_owned(), "actors/nato".to_owned());
        assert_eq!(fields, [twice.clone(), twice]);
    }

    #[test]
    fn a_merged_record_refers_to_its_winner_and_no_other_to_what_is_left_of_an_old_merge() {
        let merged = |state: State| {
            Body::Actor(Actor {
                name: "actors/nato-2".into(),
                meta: Some(RecordMeta {
                    state: state.into(),
                    merged_into: "actors/nato".into(),
                    ..RecordMeta::default()
                }),
                ..Actor::default()
            })
        };
        assert_eq!(references(&mut merged(State::Merged)).len(), 1);
        assert_eq!(references(&mut merged(State::Published)), []);
    }
}
