//! IPTC ninjs 3.1, the exchange format of newsrooms: one item per article (`text`) and per event (`event`). Actors and
//! relations are not news items and have no files.
//!
//! A tombstone is an item with `pubStatus` `canceled` and the reason as `edNote`. A merged record is replaced by its
//! successor. Actors appear inside items, with name and URI; referenced articles and events have items of their own.
//! References to records outside the export are left out and counted. In the metadata view `representationType` is
//! `partial`.

use dateline_proto::v1::{Kind, RecordMeta, State, Topic, actor::Type, record::Kind as Body};
use serde_json::{Value, json};

use super::{
    Losses, Options, Referents,
    documents::{Documents, JsonLines, Object},
    losses::MappedFields,
    referents::ActorSummary,
};
use crate::ninjs::{MEDIA_TOPIC_PREFIX, MEDIA_TOPICS};

mod article;
mod event;

/// An encoder for records of a kind; `None` if they are not news items.
pub(super) fn encoder(kind: Kind, options: &Options) -> Option<JsonLines<Ninjs>> {
    let said = match kind {
        Kind::Article => article::MAPPED_FIELDS,
        Kind::Event => event::MAPPED_FIELDS,
        Kind::Unspecified | Kind::Actor | Kind::Relation => return None,
    };
    let ninjs = Ninjs {
        options: options.clone(),
    };
    Some(JsonLines::new(kind, MappedFields::new(said), ninjs))
}

/// The format.
pub(super) struct Ninjs {
    options: Options,
}

impl Documents for Ninjs {
    const EXPRESSES_TOMBSTONES: bool = true;

    fn documents(&self, body: &Body, referents: &Referents, losses: &mut Losses) -> Vec<Value> {
        let item = match body {
            Body::Article(article) => self.article(article, referents, losses),
            Body::Event(event) => self.event(event, referents, losses),
            Body::Actor(_) | Body::Relation(_) => return Vec::new(),
        };
        vec![item.into()]
    }
}

/// The fields of `meta` that items of every kind express.
macro_rules! with_meta_fields {
    ($($path:literal),* $(,)?) => {
        &[
            "name",
            "meta.uid",
            "meta.state",
            "meta.revision",
            "meta.create_time",
            "meta.update_time",
            "meta.embargo_time",
            "meta.corrections.note",
            $($path),*
        ]
    };
}
use with_meta_fields;

impl Ninjs {
    fn uri(&self, name: &str) -> String {
        self.options.uri(name)
    }

    /// The properties that every item begins with.
    fn item(&self, name: &str, meta: &RecordMeta, losses: &mut Losses) -> Object {
        let (collection, id) = name.split_once('/').unwrap_or_default();
        let partial = self.options.metadata_only;
        let notes = meta.corrections.len().saturating_sub(1) as u64;
        losses.add(&format!("{collection}.meta.corrections.note"), notes);
        let newest = meta.corrections.last().map(|last| last.note.as_str());
        Object::default()
            .set(
                "standard",
                json!({
                    "name": "ninjs",
                    "version": "3.1",
                    "schema": "http://www.iptc.org/std/ninjs/ninjs-schema_3.1.json#",
                }),
            )
            .set("uri", self.uri(name))
            .set("slugline", id)
            .set(
                "representationType",
                if partial { "partial" } else { "full" },
            )
            .set("version", meta.revision.to_string())
            .set("firstCreated", time(meta.create_time))
            .set("versionCreated", time(meta.update_time))
            .set("embargoedUntil", time(meta.embargo_time))
            .set("pubStatus", status(meta.state()))
            .set("edNote", newest)
    }

    /// A subject; its label is for people, its key for programs.
    fn subject(topic: &Topic, field: &str, losses: &mut Losses) -> Value {
        let code = topic.code.strip_prefix(MEDIA_TOPIC_PREFIX);
        if code.is_none() && !topic.code.is_empty() {
            losses.add(&format!("{field}.code"), 1);
        }
        Object::default()
            .set("name", topic.label.as_str())
            .set(
                "uri",
                code.map(|code| format!("http://{MEDIA_TOPICS}/{code}")),
            )
            .set("literal", topic.id.as_str())
            .into()
    }
}

fn alternative_id(role: &str, value: &str) -> Option<Value> {
    (!value.is_empty()).then(|| json!({"role": role, "value": value}))
}

fn time(time: Option<prost_types::Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}

/// The `pubStatus` of a state: unpublished records are `withheld`.
fn status(state: State) -> &'static str {
    match state {
        State::Published => "usable",
        State::Retracted | State::Merged => "canceled",
        State::Unspecified | State::Draft | State::InReview | State::Embargoed => "withheld",
    }
}

/// The list of an item for a mentioned actor; `None` for groups of people, which are neither persons nor organisations.
fn list_of(known: &ActorSummary) -> Option<&'static str> {
    match known.r#type {
        Type::Person => Some("people"),
        Type::State => Some("places"),
        Type::Intergovernmental
        | Type::GovernmentBody
        | Type::Military
        | Type::Programme
        | Type::Media
        | Type::Organization => Some("organisations"),
        Type::Group | Type::Unspecified => None,
    }
}

fn region(code: &str) -> Option<String> {
    (!code.is_empty()).then(|| format!("iso3166-1:{code}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dateline_proto::DESCRIPTORS;
    use dateline_record::name::collection;

    #[test]
    fn what_is_said_are_fields_of_the_schema() {
        for (kind, said) in [
            (Kind::Article, article::MAPPED_FIELDS),
            (Kind::Event, event::MAPPED_FIELDS),
        ] {
            let schema = DESCRIPTORS.get_message_by_name(&format!("dateline.v1.{kind:?}"));
            MappedFields::new(said).assert_fits(&schema.unwrap());
            assert!(!collection(kind).is_empty());
        }
    }
}
