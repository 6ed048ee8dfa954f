//! `FollowTheMoney` (4.11), the model of investigative data: an entity per line. Ids are `dl-` and the name of
//! the record with a hyphen for the slash, since ids there refuse a slash.
//!
//! | record | entities |
//! |---|---|
//! | article | `Article`, `Documentation` per credited source, `Mention` per mention of an actor |
//! | actor | `Person`, `PublicBody`, `Organization` or `LegalEntity` |
//! | relation | `Position` with `Occupancy`, `Membership`, `Representation`, `Succession`, else `UnknownLink` |
//! | event | `Event` |
//!
//! A state is a `PublicBody`: a `Territory` could be no member, organizer or involved. Dates are prefixes: a
//! season is cut to its year, what lies "somewhere between" is left out; both are counted.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::{actor::actor, article::article, event::event, relation::relation};
use super::{
    Actors, Losses,
    documents::{Documents, Lines},
    losses::Said,
};
use crate::proto::v1::{Evidence, Kind, actor::Type, record::Kind as Body};

mod actor;
mod article;
mod event;
mod relation;

/// An encoder for records of a kind.
pub(super) fn encoder(kind: Kind) -> Lines<FollowTheMoney> {
    Lines::new(kind, said(kind), FollowTheMoney)
}

fn said(kind: Kind) -> Said {
    Said::new(match kind {
        Kind::Unspecified => &[],
        Kind::Article => article::SAID,
        Kind::Actor => actor::SAID,
        Kind::Relation => relation::SAID,
        Kind::Event => event::SAID,
    })
}

/// The format.
pub(super) struct FollowTheMoney;

impl Documents for FollowTheMoney {
    const SAYS_TOMBSTONES: bool = false;

    fn documents(&self, body: &Body, actors: &Actors, losses: &mut Losses) -> Vec<Value> {
        let entities = match body {
            Body::Article(body) => article(body, actors, losses),
            Body::Actor(body) => vec![actor(body, losses)],
            Body::Relation(body) => relation(body, actors, losses),
            Body::Event(body) => vec![event(body, losses)],
        };
        entities.into_iter().map(Value::from).collect()
    }
}

/// An entity. Its properties are lists without order or repetition; they stand as they were added.
#[derive(Debug)]
struct Entity {
    id: String,
    schema: &'static str,
    properties: BTreeMap<&'static str, Vec<String>>,
}

impl Entity {
    fn new(schema: &'static str, id: String) -> Self {
        let properties = BTreeMap::new();
        Self {
            id,
            schema,
            properties,
        }
    }

    /// Adds a value, unless it is empty or there already.
    fn add(mut self, property: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            let values = self.properties.entry(property).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
        self
    }

    /// Adds a value if there is one.
    fn add_some(self, property: &'static str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.add(property, value),
            None => self,
        }
    }

    /// Adds each value.
    fn add_all<Text: Into<String>>(
        self,
        property: &'static str,
        values: impl IntoIterator<Item = Text>,
    ) -> Self {
        let add = |entity: Self, value: Text| entity.add(property, value);
        values.into_iter().fold(self, add)
    }

    /// Adds a reference to a record, if there is one.
    fn refer(self, property: &'static str, name: &str) -> Self {
        if name.is_empty() {
            self
        } else {
            self.add(property, id(name))
        }
    }

    /// Adds the articles that are cited.
    fn prove(self, evidence: &[Evidence]) -> Self {
        self.add_all("proof", evidence.iter().map(|entry| id(&entry.article)))
    }
}

impl From<Entity> for Value {
    fn from(entity: Entity) -> Self {
        json!({"id": entity.id, "schema": entity.schema, "properties": entity.properties})
    }
}

/// The id of a record's entity.
fn id(name: &str) -> String {
    format!("dl-{}", name.replace('/', "-"))
}

/// The schema of an actor's entity.
fn schema(r#type: Type) -> &'static str {
    match r#type {
        Type::Person => "Person",
        Type::State | Type::GovernmentBody | Type::Military => "PublicBody",
        Type::Intergovernmental | Type::Programme | Type::Media | Type::Organization => {
            "Organization"
        }
        Type::Group | Type::Unspecified => "LegalEntity",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::name::KINDS, proto::v1::Article};
    use prost_reflect::ReflectMessage;

    #[test]
    fn what_is_said_are_fields_of_the_schema() {
        let file = Article::default().descriptor().parent_pool().clone();
        for kind in KINDS {
            let schema = file.get_message_by_name(&format!("dateline.v1.{kind:?}"));
            said(kind).assert_fits(&schema.unwrap());
        }
    }

    #[test]
    fn an_entity_has_no_empty_and_no_repeated_value() {
        let entity = Entity::new("Person", id("actors/x"))
            .add("name", "X")
            .add("name", "X")
            .add("title", "")
            .refer("proof", "");
        assert_eq!(
            serde_json::to_string(&Value::from(entity)).unwrap(),
            r#"{"id":"dl-actors-x","properties":{"name":["X"]},"schema":"Person"}"#
        );
    }
}
