//! `FollowTheMoney` (4.11), the model of investigative data: one entity per line. Ids are `dl-` and the name of the
//! record with a hyphen for the slash, which the model does not allow in ids.
//!
//! | record | entities |
//! |---|---|
//! | article | `Article`, `Documentation` per credited source, `Mention` per mention of an actor |
//! | actor | `Person`, `PublicBody`, `Organization` or `LegalEntity` |
//! | relation | `Position` with `Occupancy`, `Membership`, `Representation`, `Succession`, else `UnknownLink` |
//! | event | `Event` |
//!
//! A state is a `PublicBody`, since a `Territory` cannot be a member, organizer or participant. Dates are prefixes: a
//! season is cut to its year, a date "somewhere between" is left out; both are counted.
//!
//! References lead only to entities of the export: a merged record is replaced by its successor, which lists the old
//! ids as `referents` and the old names as aliases. References to missing records are left out and counted; a relation
//! without one of its ends is left out as a whole.

use dateline_proto::v1::{Kind, actor::Type, record::Kind as Body};
use serde_json::Value;

use self::{actor::actor, article::article, entity::Entity, event::event, relation::relation};
use super::{
    Losses, Referents,
    documents::{Documents, JsonLines},
    losses::MappedFields,
};

mod actor;
mod article;
mod entity;
mod event;
mod relation;
mod values;

/// An encoder for records of a kind.
pub(super) fn encoder(kind: Kind) -> JsonLines<FollowTheMoney> {
    JsonLines::new(kind, mapped_fields(kind), FollowTheMoney)
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
pub(super) struct FollowTheMoney;

impl Documents for FollowTheMoney {
    const EXPRESSES_TOMBSTONES: bool = false;

    fn documents(&self, body: &Body, referents: &Referents, losses: &mut Losses) -> Vec<Value> {
        let entities = match body {
            Body::Article(body) => article(body, referents, losses),
            Body::Actor(body) => vec![actor(body, referents)],
            Body::Relation(body) => relation(body, referents).unwrap_or_default(),
            Body::Event(body) => vec![event(body, referents)],
        };
        let told = entities.into_iter().map(|entity| entity.into_json(losses));
        told.collect()
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
    use dateline_proto::v1::Article;
    use dateline_record::name::KINDS;
    use prost_reflect::ReflectMessage;

    #[test]
    fn what_is_said_are_fields_of_the_schema() {
        let file = Article::default().descriptor().parent_pool().clone();
        for kind in KINDS {
            let schema = file.get_message_by_name(&format!("dateline.v1.{kind:?}"));
            mapped_fields(kind).assert_fits(&schema.unwrap());
        }
    }
}
