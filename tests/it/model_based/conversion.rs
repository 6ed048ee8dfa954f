//! Converts content between the model's form and the service's records.

use dateline_proto::v1::{
    EventLink, Kind, Participant, Record, event_link, participant, record::Kind as Body,
};

use super::model::{Content, is_article};
use crate::support::editing;

/// Revision of an article that evidence pins when it is written.
const DRAFTED: i64 = 1;

fn kind_of(name: &str) -> Kind {
    match name.split('/').next() {
        Some("articles") => Kind::Article,
        Some("actors") => Kind::Actor,
        _ => Kind::Event,
    }
}

/// The record with this content.
pub fn record(name: &str, content: &Content) -> Record {
    let id = name.split_once('/').unwrap().1;
    let record = editing::with_text(&editing::record_of_kind(kind_of(name), id), &content.text);
    if is_article(name) {
        return record;
    }
    let cites = content
        .cites
        .iter()
        .map(|article| dateline_proto::v1::Evidence {
            article_revision: DRAFTED,
            quote: None,
            ..editing::evidence_quoting(article)
        });
    let mut record = editing::with_evidence(&record, cites.collect());
    if let Some(Body::Event(event)) = &mut record.kind {
        let names = content.names.iter().map(|actor| Participant {
            actor: actor.clone(),
            role: participant::Role::Party.into(),
            ..Participant::default()
        });
        event.participants = names.collect();
        let links = content.part_of.iter().map(|whole| EventLink {
            r#type: event_link::Type::PartOf.into(),
            event: whole.clone(),
        });
        event.links = links.collect();
    }
    record
}

/// The content of a record.
pub fn read(record: &Record) -> Content {
    let mut content = Content {
        text: editing::text(record).to_owned(),
        ..Content::default()
    };
    let evidence = match record.kind.as_ref().unwrap() {
        Body::Actor(actor) => &actor.evidence[..],
        Body::Event(event) => &event.evidence,
        _ => &[],
    };
    content.cites = evidence.iter().map(|entry| entry.article.clone()).collect();
    let moved = evidence
        .iter()
        .filter(|entry| entry.article_revision != DRAFTED);
    content.repinned = moved.map(|entry| entry.article.clone()).collect();
    if let Some(Body::Event(event)) = &record.kind {
        content.names = event
            .participants
            .iter()
            .map(|it| it.actor.clone())
            .collect();
        content.part_of = event.links.iter().map(|link| link.event.clone()).collect();
    }
    content
}
