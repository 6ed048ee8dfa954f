//! schema.org as JSON-LD: one node per line, with its own `@context`.
//!
//! An article is a `NewsArticle`, an actor a `Person`, `Country` or `Organization`, an event an `Event`. A relation is
//! written as properties of its subject's node: readers of JSON-LD join the parts of a node by `@id`. Relations without
//! a property in schema.org, such as cooperation of states, are left out and counted. Dates are written only if they
//! are years, months or days.
//!
//! Every `@id` is that of a node of the export: a merged record is replaced by its successor, which lists the old ids
//! as `sameAs`; references to missing records are left out and counted.

use dateline_proto::v1::{Kind, RecordMeta, actor::Type, record::Kind as Body};
use serde_json::{Value, json};

use super::{
    Losses, Options, Referents,
    documents::{Documents, JsonLines, Object},
    losses::MappedFields,
    referents::ActorSummary,
};

mod actor;
mod article;
mod event;
mod relation;

/// An encoder for records of a kind.
pub(super) fn encoder(kind: Kind, options: &Options) -> JsonLines<SchemaOrg> {
    let schema = SchemaOrg {
        options: options.clone(),
    };
    JsonLines::new(kind, mapped_fields(kind), schema)
}

fn mapped_fields(kind: Kind) -> MappedFields {
    MappedFields::new(match kind {
        Kind::Unspecified => &[],
        Kind::Article => article::MAPPED_FIELDS,
        Kind::Actor => actor::MAPPED_FIELDS,
        Kind::Relation => relation::MAPPED_FIELDS,
        Kind::Event => event::MAPPED_FIELDS,
    })
}

/// The format.
pub(super) struct SchemaOrg {
    options: Options,
}

impl Documents for SchemaOrg {
    const EXPRESSES_TOMBSTONES: bool = false;

    fn documents(&self, body: &Body, referents: &Referents, losses: &mut Losses) -> Vec<Value> {
        let node = match body {
            Body::Article(body) => Some(self.article(body, referents, losses)),
            Body::Actor(body) => Some(self.actor(body, losses)),
            Body::Relation(body) => self.relation(body, referents, losses),
            Body::Event(body) => Some(self.event(body, referents, losses)),
        };
        let node = node.map(|node| node.set("@context", "https://schema.org"));
        node.into_iter().map(Value::from).collect()
    }
}

impl SchemaOrg {
    fn uri(&self, name: &str) -> String {
        self.options.uri(name)
    }

    /// A node with only its type and `@id`.
    fn node(&self, r#type: Option<&str>, name: &str) -> Object {
        Object::default()
            .set("@type", r#type)
            .set("@id", (!name.is_empty()).then(|| self.uri(name)))
    }

    /// A node of a referenced actor, and its class. An actor outside of the export is counted, and its node has no
    /// `@id`.
    fn agent(
        &self,
        name: &str,
        field: &str,
        referents: &Referents,
        losses: &mut Losses,
    ) -> (Option<&'static str>, Object) {
        let Some((record, known)) = referents.actor(name) else {
            losses.add(field, u64::from(!name.is_empty()));
            return (None, Object::default());
        };
        let class = class_of_agent(known);
        (Some(class), self.node(Some(class), record))
    }

    /// Links to its names before merges.
    fn merged<'a>(
        &self,
        meta: Option<&'a RecordMeta>,
    ) -> impl Iterator<Item = Value> + use<'a, '_> {
        let merged = meta.map_or(&[][..], |meta| &meta.merged_from);
        merged.iter().map(|name| json!(self.uri(name)))
    }
}

/// The class of an actor.
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

/// The class of an actor that takes part: a person, an organisation, or a country, which has no properties for that.
fn class_of_agent(known: &ActorSummary) -> &'static str {
    match class(known.r#type) {
        itself @ ("Person" | "Country") => itself,
        _ => "Organization",
    }
}

fn texts<'a>(values: impl IntoIterator<Item = &'a String>) -> Vec<Value> {
    values.into_iter().map(|value| json!(value)).collect()
}

/// One value alone, or several as a list.
fn one_or_all(mut values: Vec<Value>) -> Value {
    match values.len() {
        1 => values.remove(0),
        _ => Value::Array(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dateline_proto::DESCRIPTORS;
    use dateline_record::name::KINDS;

    #[test]
    fn what_is_said_are_fields_of_the_schema() {
        for kind in KINDS {
            let schema = DESCRIPTORS.get_message_by_name(&format!("dateline.v1.{kind:?}"));
            mapped_fields(kind).assert_fits(&schema.unwrap());
        }
    }
}
