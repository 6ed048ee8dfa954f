//! schema.org as JSON-LD: a node per line, with its own `@context`.
//!
//! An article is a `NewsArticle`, an actor a `Person`, `Country` or `Organization`, an event an `Event`. A
//! relation is told as what it adds to the node of its subject: readers of JSON-LD put the parts of a node
//! together by `@id`. Relations for which schema.org has no word between such things, such as cooperation of
//! states, are left out and counted. Dates are written only where they are years, months or days.

use serde_json::{Value, json};

use super::{
    Actors, Losses, Options,
    documents::{Documents, Lines, Object},
    losses::Said,
};
use crate::proto::v1::{Kind, actor::Type, record::Kind as Body};

mod actor;
mod article;
mod event;
mod relation;

/// An encoder for records of a kind.
pub(super) fn encoder(kind: Kind, options: &Options) -> Lines<SchemaOrg> {
    let schema = SchemaOrg {
        options: options.clone(),
    };
    Lines::new(kind, said(kind), schema)
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
pub(super) struct SchemaOrg {
    options: Options,
}

impl Documents for SchemaOrg {
    const SAYS_TOMBSTONES: bool = false;

    fn documents(&self, body: &Body, actors: &Actors, losses: &mut Losses) -> Vec<Value> {
        let node = match body {
            Body::Article(body) => Some(self.article(body, actors, losses)),
            Body::Actor(body) => Some(self.actor(body, losses)),
            Body::Relation(body) => self.relation(body, actors, losses),
            Body::Event(body) => Some(self.event(body, actors, losses)),
        };
        let node = node.map(|node| node.set("@context", "https://schema.org"));
        node.into_iter().map(Value::from).collect()
    }
}

impl SchemaOrg {
    fn uri(&self, name: &str) -> String {
        self.options.uri(name)
    }

    /// A node of which no more is said than what and which it is.
    fn node(&self, r#type: Option<&str>, name: &str) -> Object {
        Object::default()
            .set("@type", r#type)
            .set("@id", (!name.is_empty()).then(|| self.uri(name)))
    }
}

/// What an actor is there.
fn class(r#type: Type) -> &'static str {
    match r#type {
        Type::Person => "Person",
        Type::State => "Country",
        Type::GovernmentBody | Type::Military => "GovernmentOrganization",
        Type::Media => "NewsMediaOrganization",
        Type::Unspecified
        | Type::Intergovernmental
        | Type::Programme
        | Type::Organization
        | Type::Group => "Organization",
    }
}

/// What an actor is where it takes part: a person, an organisation of whatever sort, or a country, which can
/// do nothing there. `None` if it is not known.
fn class_of_agent(name: &str, actors: &Actors) -> Option<&'static str> {
    actors.get(name).map(|known| match class(known.r#type) {
        itself @ ("Person" | "Country") => itself,
        _ => "Organization",
    })
}

fn texts<'a>(values: impl IntoIterator<Item = &'a String>) -> Vec<Value> {
    values.into_iter().map(|value| json!(value)).collect()
}

/// One value alone, several as a list.
fn one_or_all(mut values: Vec<Value>) -> Value {
    match values.len() {
        1 => values.remove(0),
        _ => Value::Array(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::name::KINDS, proto::DESCRIPTORS};

    #[test]
    fn what_is_said_are_fields_of_the_schema() {
        for kind in KINDS {
            let schema = DESCRIPTORS.get_message_by_name(&format!("dateline.v1.{kind:?}"));
            said(kind).assert_fits(&schema.unwrap());
        }
    }
}
