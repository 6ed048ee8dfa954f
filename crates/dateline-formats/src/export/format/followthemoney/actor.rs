//! An actor as an entity.

use dateline_proto::v1::{Actor, Kind, Place, actor::Type, name};

use super::{Entity, id, schema, values::is_wikidata_id};
use crate::export::format::Referents;

/// The fields that the entity expresses.
pub(super) const MAPPED_FIELDS: &[&str] = &[
    "name",
    "meta.merged_from",
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

pub(super) fn actor(actor: &Actor, referents: &Referents) -> Entity {
    let is_person = actor.r#type() == Type::Person;
    let form = if is_person {
        String::new()
    } else {
        form(actor.r#type())
    };
    let active = actor.active.as_ref();
    let seat = actor.headquarters.as_ref().map(address);
    let mut entity = Entity::new(schema(actor.r#type()), Kind::Actor, id(&actor.name))
        .add("name", "display_name", &actor.display_name)
        .country("region_code", &actor.region_code)
        .add_evidence(&actor.evidence, referents)
        .add("summary", "description", &actor.description)
        .add("summary", "purpose", &actor.purpose)
        .add("legalForm", "type", form)
        .date(
            "incorporationDate",
            "active.start",
            active.and_then(|active| active.start.as_ref()),
        )
        .date(
            "dissolutionDate",
            "active.end",
            active.and_then(|active| active.end.as_ref()),
        )
        .add("address", "headquarters", seat.unwrap_or_default())
        .add_merged_with_aliases(actor.meta.as_ref());
    if is_person {
        entity = entity.add("title", "honorific_prefix", &actor.honorific_prefix);
    } else if !actor.honorific_prefix.is_empty() {
        entity.lose("honorific_prefix");
    }
    for name in &actor.names {
        entity = match property(name.r#type(), is_person) {
            // The display name was already added.
            Some("alias") if name.text == actor.display_name => entity,
            Some(property) => entity.add(property, "names.text", &name.text),
            None => {
                entity.lose("names.text");
                entity
            }
        };
    }
    for external in &actor.external_ids {
        match external.scheme.as_str() {
            "wikidata" => {
                let value = &external.value;
                entity = entity.add_if(is_wikidata_id, "wikidataId", "external_ids", value);
            }
            "iso3166-1" if external.value == actor.region_code => {}
            _ => entity.lose("external_ids"),
        }
    }
    entity
}

/// The property for a name of a type; `None` for adjectives and demonyms.
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
