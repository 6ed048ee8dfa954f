//! An event as an `Event` or `EventSeries`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{SchemaOrg, class_of_agent, one_or_all, texts};
use crate::{
    export::format::{Actors, Losses, dates::exact, documents::Object},
    proto::v1::{Event, Participant, Place, event::Form, event_link::Type},
};

/// The fields that the node says.
pub(super) const SAID: &[&str] = &[
    "name",
    "meta.uid",
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
    pub(super) fn event(&self, event: &Event, actors: &Actors, losses: &mut Losses) -> Object {
        let series = event.form() == Form::Series;
        let time = event.time.clone().unwrap_or_default();
        let places: Vec<_> = event.places.iter().map(place).collect();
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
            self.attendees(&event.participants, actors, losses),
        )
        .set("superEvent", one_or_all(self.wholes(event, losses)))
        .set(
            "keywords",
            texts(event.topics.iter().map(|topic| &topic.label)),
        )
        .set("subjectOf", self.cited(event))
    }

    /// Whoever took part, in whatever role. A country is a place there and takes part in nothing.
    fn attendees(
        &self,
        participants: &[Participant],
        actors: &Actors,
        losses: &mut Losses,
    ) -> Vec<Value> {
        let mut attendees = Vec::new();
        for participant in participants {
            let class = class_of_agent(&participant.actor, actors);
            if participant.actor.is_empty() || class == Some("Country") {
                losses.add("events.participants", 1);
            } else {
                attendees.push(self.node(class, &participant.actor).into());
            }
        }
        attendees
    }

    fn wholes(&self, event: &Event, losses: &mut Losses) -> Vec<Value> {
        let mut wholes = Vec::new();
        for link in &event.links {
            if link.r#type() == Type::PartOf {
                wholes.push(self.node(Some("Event"), &link.event).into());
            } else {
                losses.add("events.links", 1);
            }
        }
        wholes
    }

    /// The articles that tell of it, each once.
    fn cited(&self, event: &Event) -> Vec<Value> {
        let articles: BTreeSet<_> = event.evidence.iter().map(|entry| &entry.article).collect();
        let articles = articles.into_iter();
        articles
            .map(|article| json!({"@id": self.uri(article)}))
            .collect()
    }
}

fn place(place: &Place) -> Value {
    let point = place.latitude.zip(place.longitude).map(|(latitude, longitude)| {
        json!({"@type": "GeoCoordinates", "latitude": latitude, "longitude": longitude})
    });
    Object::default()
        .set("@type", "Place")
        .set("name", place.display_name.as_str())
        .set("geo", point)
        .into()
}
