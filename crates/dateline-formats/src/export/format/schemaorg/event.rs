//! An event as an `Event` or `EventSeries`.

use std::collections::BTreeSet;

use dateline_proto::v1::{Event, Participant, Place, event::Form, event_link::Type};
use serde_json::{Value, json};

use super::{SchemaOrg, one_or_all, texts};
use crate::export::format::{Losses, Referents, dates::exact, documents::Object};

/// The fields that the node expresses.
pub(super) const MAPPED_FIELDS: &[&str] = &[
    "name",
    "meta.uid",
    "meta.merged_from",
    "form",
    "display_name",
    "summary",
    "time.start.edtf",
    "time.start.earliest",
    "time.start.latest",
    "time.end.edtf",
    "time.end.earliest",
    "time.end.latest",
    "places.display_name",
    "places.latitude",
    "places.longitude",
    "participants.actor",
    "topics.label",
    "links.type",
    "links.event",
    "evidence.article",
];

impl SchemaOrg {
    pub(super) fn event(
        &self,
        event: &Event,
        referents: &Referents,
        losses: &mut Losses,
    ) -> Object {
        let series = event.form() == Form::Series;
        let time = event.time.clone().unwrap_or_default();
        let places: Vec<_> = event.places.iter().map(place_object).collect();
        let uid = event.meta.as_ref().map(|meta| meta.uid.as_str());
        self.node(
            Some(if series { "EventSeries" } else { "Event" }),
            &event.name,
        )
        .set("identifier", uid)
        .set("name", event.display_name.as_str())
        .set("description", event.summary.as_str())
        .set(
            "startDate",
            exact(time.start.as_ref(), "events.time.start", losses),
        )
        .set(
            "endDate",
            exact(time.end.as_ref(), "events.time.end", losses),
        )
        .set("location", one_or_all(places))
        .set(
            "attendee",
            self.attendees(&event.participants, referents, losses),
        )
        .set(
            "superEvent",
            one_or_all(self.wholes(event, referents, losses)),
        )
        .set(
            "sameAs",
            one_or_all(self.merged(event.meta.as_ref()).collect()),
        )
        .set(
            "keywords",
            texts(event.topics.iter().map(|topic| &topic.label)),
        )
        .set("subjectOf", self.cited(event, referents, losses))
    }

    /// The participants in any role, each once. A country is a place in schema.org and cannot take part.
    fn attendees(
        &self,
        participants: &[Participant],
        referents: &Referents,
        losses: &mut Losses,
    ) -> Vec<Value> {
        let mut attendees = Vec::new();
        for participant in participants {
            let field = "events.participants";
            let (class, node) = self.agent(&participant.actor, field, referents, losses);
            let node = Value::from(node);
            match class {
                Some("Country") => losses.add(field, 1),
                Some(_) if !attendees.contains(&node) => attendees.push(node),
                None if participant.actor.is_empty() => losses.add(field, 1),
                // Already added, or counted.
                _ => {}
            }
        }
        attendees
    }

    fn wholes(&self, event: &Event, referents: &Referents, losses: &mut Losses) -> Vec<Value> {
        let mut wholes = Vec::new();
        for link in &event.links {
            let whole = referents
                .record(&link.event)
                .filter(|whole| *whole != event.name);
            match whole.filter(|_| link.r#type() == Type::PartOf) {
                None => losses.add("events.links", 1),
                Some(whole) => {
                    let node = Value::from(self.node(Some("Event"), whole));
                    if !wholes.contains(&node) {
                        wholes.push(node);
                    }
                }
            }
        }
        wholes
    }

    /// The articles that the event cites, each once.
    fn cited(&self, event: &Event, referents: &Referents, losses: &mut Losses) -> Vec<Value> {
        let mut articles = BTreeSet::new();
        for entry in &event.evidence {
            match referents.record(&entry.article) {
                Some(article) => drop(articles.insert(article)),
                None => losses.add("events.evidence.article", 1),
            }
        }
        let articles = articles.into_iter();
        articles
            .map(|article| json!({"@id": self.uri(article)}))
            .collect()
    }
}

fn place_object(place: &Place) -> Value {
    let point = place.latitude.zip(place.longitude).map(|(latitude, longitude)| {
        json!({"@type": "GeoCoordinates", "latitude": latitude, "longitude": longitude})
    });
    Object::default()
        .set("@type", "Place")
        .set("name", place.display_name.as_str())
        .set("geo", point)
        .into()
}
