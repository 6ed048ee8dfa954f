//! An event as an item of type `event`.
//!
//! Dates of the format are approximate (`expectedStartDate`: a year, a month or a day), so a season is cut to its year.
//! An event without such a date has no `eventDetails.dates`: none is guessed, and the time at which an event is
//! attested (`as_of`) is neither its start nor its end.

use std::collections::BTreeSet;

use dateline_proto::v1::{Event, Participant, Place, actor::Type, participant::Role};
use serde_json::{Value, json};

use super::{Ninjs, Object, alternative_id, article::text, region, with_meta_fields};
use crate::export::format::{Losses, Referents, dates::cut};

/// The fields that the item expresses.
pub(super) const MAPPED_FIELDS: &[&str] = with_meta_fields![
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
    pub(super) fn event(
        &self,
        event: &Event,
        referents: &Referents,
        losses: &mut Losses,
    ) -> Object {
        let meta = event.meta.clone().unwrap_or_default();
        let mut descriptions = text("summary", &event.summary);
        descriptions.extend(text("purpose", &event.purpose));
        let subject = |topic| Self::subject(topic, "events.topics", losses);
        let mut subjects: Vec<_> = event.topics.iter().map(subject).collect();
        subjects.extend(codes(event));
        let merged = meta.merged_from.iter();
        let merged = merged.filter_map(|name| alternative_id("mergedFrom", &self.uri(name)));
        let ids = alternative_id("uid", &meta.uid).into_iter().chain(merged);
        let item = self
            .item(&event.name, &meta, losses)
            .set("type", "event")
            .set("title", event.display_name.as_str())
            .set("headlines", text("main", &event.display_name))
            .set("descriptions", descriptions)
            .set("subjects", subjects)
            .set(
                "places",
                event.places.iter().map(place_object).collect::<Vec<_>>(),
            )
            .set("events", self.links(event, referents, losses))
            .set("infoSources", self.cited(event, referents, losses))
            .set("altIds", ids.collect::<Vec<_>>());
        let organiser = event.participants.iter().find(|participant| {
            participant.role() == Role::Organizer && is_organisation(participant, referents)
        });
        let details = Object::default().set("dates", dates(event, losses)).set(
            "organiser",
            organiser.and_then(|one| self.participant(one, referents)),
        );
        self.with_participants(item.set("eventDetails", details), event, referents, losses)
    }

    /// Adds persons and organisations; states count as organisations here. Participants that lead to no actor are
    /// counted as lost, since their type is unknown.
    fn with_participants(
        &self,
        item: Object,
        event: &Event,
        referents: &Referents,
        losses: &mut Losses,
    ) -> Object {
        let (mut people, mut organisations) = (Vec::new(), Vec::new());
        for participant in &event.participants {
            let Some(entry) = self.participant(participant, referents) else {
                losses.add("events.participants", 1);
                continue;
            };
            let list = if is_organisation(participant, referents) {
                &mut organisations
            } else {
                &mut people
            };
            // Two participants may have been merged into one actor.
            if !list.contains(&entry) {
                list.push(entry);
            }
        }
        item.set("people", people)
            .set("organisations", organisations)
    }

    fn participant(&self, participant: &Participant, referents: &Referents) -> Option<Value> {
        let (actor, known) = referents.actor(&participant.actor)?;
        let role = participant.role().as_str_name().trim_start_matches("ROLE_");
        let entry = Object::default()
            .set("name", known.display_name.as_ref())
            .set("uri", self.uri(actor))
            .set("rel", role.to_ascii_lowercase());
        Some(entry.into())
    }

    fn links(&self, event: &Event, referents: &Referents, losses: &mut Losses) -> Vec<Value> {
        let mut links = Vec::new();
        for link in &event.links {
            let other = referents.record_or_tombstone(&link.event);
            let Some(other) = other.filter(|other| *other != event.name) else {
                losses.add("events.links", 1);
                continue;
            };
            let word = link.r#type().as_str_name().trim_start_matches("TYPE_");
            let entry = json!({
                "id": other,
                "uri": self.uri(other),
                "rel": word.to_ascii_lowercase(),
            });
            if !links.contains(&entry) {
                links.push(entry);
            }
        }
        links
    }

    /// The articles that the event cites, each once.
    fn cited(&self, event: &Event, referents: &Referents, losses: &mut Losses) -> Vec<Value> {
        let mut articles = BTreeSet::new();
        for entry in &event.evidence {
            match referents.record_or_tombstone(&entry.article) {
                Some(article) => drop(articles.insert(article)),
                None => losses.add("events.evidence.article", 1),
            }
        }
        let cited = |article: &str| json!({"uri": self.uri(article), "role": "evidence"});
        articles.into_iter().map(cited).collect()
    }
}

fn is_organisation(participant: &Participant, referents: &Referents) -> bool {
    let known = referents.actor(&participant.actor);
    known.is_some_and(|(_, known)| known.r#type != Type::Person)
}

/// The type of the event, as our own word and in other codings.
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

fn place_object(place: &Place) -> Value {
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
