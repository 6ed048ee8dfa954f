//! An event as an entity.

use dateline_proto::v1::{Event, Kind, participant::Role};

use super::{Entity, id};
use crate::export::format::Referents;

/// The fields that the entity expresses.
pub(super) const MAPPED_FIELDS: &[&str] = &[
    "name",
    "meta.merged_from",
    "type",
    "display_name",
    "summary",
    "purpose",
    "time.start.edtf",
    "time.start.earliest",
    "time.start.latest",
    "time.end.edtf",
    "time.end.earliest",
    "time.end.latest",
    "time.as_of.edtf",
    "time.as_of.earliest",
    "time.as_of.latest",
    "places.display_name",
    "places.region_code",
    "participants.actor",
    "topics.label",
    "codes",
    "evidence.article",
];

pub(super) fn event(event: &Event, referents: &Referents) -> Entity {
    let time = event.time.clone().unwrap_or_default();
    let r#type = event.r#type().as_str_name().trim_start_matches("TYPE_");
    let topics = event.topics.iter().map(|topic| &topic.label);
    let mut entity = Entity::new("Event", Kind::Event, id(&event.name))
        .add("name", "display_name", &event.display_name)
        .add("summary", "summary", &event.summary)
        .add("notes", "purpose", &event.purpose)
        .date("startDate", "time.start", time.start.as_ref())
        .date("endDate", "time.end", time.end.as_ref())
        .date("date", "time.as_of", time.as_of.as_ref())
        .add("keywords", "type", r#type.to_ascii_lowercase())
        .add_all("keywords", "topics.label", topics)
        .add_all("keywords", "codes", &event.codes)
        .add_evidence(&event.evidence, referents)
        .add_merged_with_aliases(event.meta.as_ref());
    for place in &event.places {
        entity = entity
            .add("location", "places.display_name", &place.display_name)
            .country("places.region_code", &place.region_code);
    }
    for participant in &event.participants {
        let organizes = matches!(participant.role(), Role::Host | Role::Organizer);
        let property = if organizes { "organizer" } else { "involved" };
        entity = entity.add_reference(
            property,
            "participants.actor",
            &participant.actor,
            referents,
        );
    }
    entity
}
