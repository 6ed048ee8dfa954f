//! An event as an item of type `event`.
//!
//! Dates there are approximate (`expectedStartDate`: a year, a month or a day), so a season is cut to its year.
//! An event without such a date has no `eventDetails.dates`: none is guessed, and a time at which an event is
//! attested (`as_of`) is neither its start nor its end.

use serde_json::{Value, json};

use super::{Ninjs, Object, alternative_id, article::text, region, said_of_meta};
use crate::{
    export::format::{Actors, Losses, dates::cut},
    proto::v1::{Event, EventLink, Participant, Place, actor::Type, participant::Role},
};

/// The fields that the item says.
pub(super) const SAID: &[&str] = said_of_meta![
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
    "places.display_name",
    "places.region_code",
    "places.subdivision_code",
    "places.latitude",
    "places.longitude",
    "participants.actor",
    "participants.role",
    "topics.id",
    "topics.label",
    "topics.code",
    "links",
    "codes",
    "evidence.article",
];

impl Ninjs {
    pub(super) fn event(&self, event: &Event, actors: &Actors, losses: &mut Losses) -> Object {
        let meta = event.meta.clone().unwrap_or_default();
        let mut descriptions = text("summary", &event.summary);
        descriptions.extend(text("purpose", &event.purpose));
        let subject = |topic| Self::subject(topic, "events.topics", losses);
        let mut subjects: Vec<_> = event.topics.iter().map(subject).collect();
        subjects.extend(codes(event));
        let item = self
            .item(&event.name, &meta, losses)
            .set("type", "event")
            .set("title", event.display_name.as_str())
            .set("headlines", text("main", &event.display_name))
            .set("descriptions", descriptions)
            .set("subjects", subjects)
            .set("places", event.places.iter().map(place).collect::<Vec<_>>())
            .set("events", self.links(event))
            .set("infoSources", self.cited(event))
            .set(
                "altIds",
                alternative_id("uid", &meta.uid)
                    .into_iter()
                    .collect::<Vec<_>>(),
            );
        let organiser = event.participants.iter().position(|participant| {
            participant.role() == Role::Organizer && is_organisation(participant, actors)
        });
        let organiser = organiser.map(|position| &event.participants[position]);
        let details = Object::default().set("dates", dates(event, losses)).set(
            "organiser",
            organiser.and_then(|one| self.participant(one, actors)),
        );
        self.with_participants(item.set("eventDetails", details), event, actors, losses)
    }

    /// Persons and the rest: who acts is an organisation there, also a state. Of whom nothing is known it
    /// cannot be said which.
    fn with_participants(
        &self,
        item: Object,
        event: &Event,
        actors: &Actors,
        losses: &mut Losses,
    ) -> Object {
        let (mut people, mut organisations) = (Vec::new(), Vec::new());
        for participant in &event.participants {
            let Some(entry) = self.participant(participant, actors) else {
                losses.add("events.participants", 1);
                continue;
            };
            if is_organisation(participant, actors) {
                organisations.push(entry);
            } else {
                people.push(entry);
            }
        }
        item.set("people", people)
            .set("organisations", organisations)
    }

    fn participant(&self, participant: &Participant, actors: &Actors) -> Option<Value> {
        let known = actors.get(&participant.actor)?;
        let role = participant.role().as_str_name().trim_start_matches("ROLE_");
        let entry = Object::default()
            .set("name", known.display_name.as_ref())
            .set("uri", self.uri(&participant.actor))
            .set("rel", role.to_ascii_lowercase());
        Some(entry.into())
    }

    fn links(&self, event: &Event) -> Vec<Value> {
        let link = |link: &EventLink| {
            let word = link.r#type().as_str_name().trim_start_matches("TYPE_");
            json!({
                "id": link.event,
                "uri": self.uri(&link.event),
                "rel": word.to_ascii_lowercase(),
            })
        };
        event.links.iter().map(link).collect()
    }

    /// The articles that tell of it, each once.
    fn cited(&self, event: &Event) -> Vec<Value> {
        let mut articles: Vec<_> = event.evidence.iter().map(|entry| &entry.article).collect();
        articles.sort_unstable();
        articles.dedup();
        let cited = |article: &&String| json!({"uri": self.uri(article), "role": "evidence"});
        articles.iter().map(cited).collect()
    }
}

fn is_organisation(participant: &Participant, actors: &Actors) -> bool {
    let known = actors.get(&participant.actor);
    known.is_some_and(|known| known.r#type != Type::Person)
}

/// What sort of event it is, in our words and in those of other codings.
fn codes(event: &Event) -> Vec<Value> {
    let word = event.r#type().as_str_name().trim_start_matches("TYPE_");
    let mut codes = Vec::new();
    if !event.display_name.is_empty() {
        codes.push(json!({"rel": "type", "literal": word.to_ascii_lowercase()}));
    }
    codes.extend(
        event
            .codes
            .iter()
            .map(|code| json!({"rel": "code", "literal": code})),
    );
    codes
}

fn dates(event: &Event, losses: &mut Losses) -> Object {
    let time = event.time.clone().unwrap_or_default();
    Object::default()
        .set(
            "expectedStartDate",
            cut(time.start.as_ref(), "events.time.start", losses),
        )
        .set(
            "expectedEndDate",
            cut(time.end.as_ref(), "events.time.end", losses),
        )
}

fn place(place: &Place) -> Value {
    let code = match place.subdivision_code.as_str() {
        "" => region(&place.region_code),
        code => Some(format!("iso3166-2:{code}")),
    };
    let point = place.longitude.zip(place.latitude).map(
        |(longitude, latitude)| json!({"type": "Point", "coordinates": [longitude, latitude]}),
    );
    Object::default()
        .set("name", place.display_name.as_str())
        .set("literal", code)
        .set("geoJSON", point)
        .into()
}
