//! An actor as an entity.

use super::{Entity, id, schema};
use crate::{
    export::format::{Losses, dates::cut},
    proto::v1::{Actor, Place, actor::Type, name},
};

/// The fields that the entity says.
pub(super) const SAID: &[&str] = &[
    "name",
    "type",
    "display_name",
    "names.text",
    "names.type",
    "description",
    "purpose",
    "honorific_prefix",
    "region_code",
    "headquarters.display_name",
    "headquarters.region_code",
    "active.start.edtf",
    "active.start.earliest",
    "active.start.latest",
    "active.end.edtf",
    "active.end.earliest",
    "active.end.latest",
    "external_ids",
    "evidence.article",
];

pub(super) fn actor(actor: &Actor, losses: &mut Losses) -> Entity {
    let is_person = actor.r#type() == Type::Person;
    let form = if is_person {
        String::new()
    } else {
        form(actor.r#type())
    };
    let active = actor.active.as_ref();
    let start = active.and_then(|active| active.start.as_ref());
    let end = active.and_then(|active| active.end.as_ref());
    let mut entity = Entity::new(schema(actor.r#type()), id(&actor.name))
        .add("name", &actor.display_name)
        .add("country", actor.region_code.to_ascii_lowercase())
        .prove(&actor.evidence)
        .add("summary", &actor.description)
        .add("summary", &actor.purpose)
        .add("legalForm", form)
        .add_some(
            "incorporationDate",
            cut(start, "actors.active.start", losses),
        )
        .add_some("dissolutionDate", cut(end, "actors.active.end", losses))
        .add(
            "address",
            actor.headquarters.as_ref().map(address).unwrap_or_default(),
        );
    entity = if is_person {
        entity.add("title", &actor.honorific_prefix)
    } else {
        losses.add(
            "actors.honorific_prefix",
            u64::from(!actor.honorific_prefix.is_empty()),
        );
        entity
    };
    for name in &actor.names {
        entity = match property(name.r#type(), is_person) {
            // The name to show is there already.
            Some("alias") if name.text == actor.display_name => entity,
            Some(property) => entity.add(property, &name.text),
            None => {
                losses.add("actors.names.text", 1);
                entity
            }
        };
    }
    for external in &actor.external_ids {
        match external.scheme.as_str() {
            "wikidata" => entity = entity.add("wikidataId", &external.value),
            "iso3166-1" if external.value == actor.region_code => {}
            _ => losses.add("actors.external_ids", 1),
        }
    }
    entity
}

/// Where a name of a type goes; `None` for adjectives and inhabitants.
fn property(r#type: name::Type, is_person: bool) -> Option<&'static str> {
    match r#type {
        name::Type::Short if is_person => Some("weakAlias"),
        name::Type::Full | name::Type::Short | name::Type::Other | name::Type::Unspecified => {
            Some("alias")
        }
        name::Type::Acronym => Some("abbreviation"),
        name::Type::Former => Some("previousName"),
        name::Type::Demonym => None,
    }
}

fn form(r#type: Type) -> String {
    r#type
        .as_str_name()
        .trim_start_matches("TYPE_")
        .to_ascii_lowercase()
}

fn address(place: &Place) -> String {
    let parts = [place.display_name.as_str(), place.region_code.as_str()];
    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}
