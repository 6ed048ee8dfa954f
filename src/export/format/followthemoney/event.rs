//! An event as an entity.

use super::{Entity, id};
use crate::{
    export::format::{Losses, dates::cut},
    proto::v1::{Event, participant::Role},
};

/// The fields that the entity says.
pub(super) const SAID: &[&str] = &[
    "name",
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

pub(super) fn event(event: &Event, losses: &mut Losses) -> Entity {
    let time = event.time.clone().unwrap_or_default();
    let r#type = event.r#type().as_str_name().trim_start_matches("TYPE_");
    let mut entity = Entity::new("Event", id(&event.name))
        .add("name", &event.display_name)
        .add("summary", &event.summary)
        .add("notes", &event.purpose)
        .add_some(
            "startDate",
            cut(time.start.as_ref(), "events.time.start", losses),
        )
        .add_some("endDate", cut(time.end.as_ref(), "events.time.end", losses))
        .add_some(
            "date",
            cut(time.as_of.as_ref(), "events.time.as_of", losses),
        )
        .add("keywords", r#type.to_ascii_lowercase())
        .add_all("keywords", event.topics.iter().map(|topic| &topic.label))
        .add_all("keywords", &event.codes)
        .prove(&event.evidence);
    for place in &event.places {
        entity = entity
            .add("location", &place.display_name)
            .add("country", place.region_code.to_ascii_lowercase());
    }
    for participant in &event.participants {
        let organizes = matches!(participant.role(), Role::Host | Role::Organizer);
        let property = if organizes { "organizer" } else { "involved" };
        entity = entity.refer(property, &participant.actor);
    }
    entity
}
