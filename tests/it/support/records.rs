//! Small publishable records of every kind, and functions that change them.

use dateline_proto::v1::{
    Actor, Article, Event, Evidence, Kind, Name, Participant, Record, Relation, TextSpan, actor,
    event, evidence, name, participant, record::Kind as Body, relation, text_span,
};

/// The kinds, for suites that run for all of them.
pub const KINDS: [Kind; 4] = [Kind::Article, Kind::Actor, Kind::Relation, Kind::Event];
/// Headline of every test article; evidence quotes it.
pub const HEADLINE: &str = "Quoted words, and others";
/// The published article of [`super::builders::start_server_with_base`].
pub const SOURCE: &str = "articles/source";

/// Evidence that quotes the headline of an article at its first revision.
pub fn evidence_quoting(article: &str) -> Evidence {
    Evidence {
        article: article.to_owned(),
        article_revision: 1,
        quote: Some(TextSpan {
            part: text_span::Part::Headline.into(),
            start: 0,
            end: 12,
            exact: "Quoted words".into(),
        }),
        modality: evidence::Modality::Asserted.into(),
        ..Evidence::default()
    }
}

pub fn article(id: &str) -> Record {
    Body::Article(Article {
        name: format!("articles/{id}"),
        headline: HEADLINE.into(),
        body: format!("The text of {id}."),
        language_code: "en".into(),
        ..Article::default()
    })
    .into()
}

pub fn actor(id: &str) -> Record {
    let text = format!("Actor {id}");
    Body::Actor(Actor {
        name: format!("actors/{id}"),
        r#type: actor::Type::Organization.into(),
        display_name: text.clone(),
        names: vec![Name {
            text,
            language_code: "en".into(),
            r#type: name::Type::Full.into(),
        }],
        evidence: vec![evidence_quoting(SOURCE)],
        ..Actor::default()
    })
    .into()
}

pub fn relation(id: &str) -> Record {
    Body::Relation(Relation {
        name: format!("relations/{id}"),
        r#type: relation::Type::HoldsPosition.into(),
        subject: "actors/one".into(),
        object: "actors/two".into(),
        role_title: format!("Holder of {id}"),
        evidence: vec![evidence_quoting(SOURCE)],
        ..Relation::default()
    })
    .into()
}

pub fn event(id: &str) -> Record {
    Body::Event(Event {
        name: format!("events/{id}"),
        r#type: event::Type::Meeting.into(),
        form: event::Form::Single.into(),
        status: event::Status::Occurred.into(),
        display_name: format!("Event {id}"),
        participants: vec![Participant {
            actor: "actors/one".into(),
            role: participant::Role::Host.into(),
            ..Participant::default()
        }],
        evidence: vec![evidence_quoting(SOURCE)],
        ..Event::default()
    })
    .into()
}

pub fn record_of_kind(kind: Kind, id: &str) -> Record {
    match kind {
        Kind::Unspecified => panic!("no kind"),
        Kind::Article => article(id),
        Kind::Actor => actor(id),
        Kind::Relation => relation(id),
        Kind::Event => event(id),
    }
}

/// The path of the free text of a record, which differs by kind.
pub fn text_field(record: &Record) -> &'static str {
    match record.kind.as_ref().unwrap() {
        Body::Article(_) | Body::Event(_) => "summary",
        Body::Actor(_) => "description",
        Body::Relation(_) => "role_title",
    }
}

pub fn text(record: &Record) -> &str {
    match record.kind.as_ref().unwrap() {
        Body::Article(article) => &article.summary,
        Body::Event(event) => &event.summary,
        Body::Actor(actor) => &actor.description,
        Body::Relation(relation) => &relation.role_title,
    }
}

/// The record with another free text, and the etag as it was read.
pub fn with_text(record: &Record, text: &str) -> Record {
    let mut record = record.clone();
    match record.kind.as_mut().unwrap() {
        Body::Article(article) => article.summary = text.to_owned(),
        Body::Event(event) => event.summary = text.to_owned(),
        Body::Actor(actor) => actor.description = text.to_owned(),
        Body::Relation(relation) => relation.role_title = text.to_owned(),
    }
    record
}

/// The record with other evidence.
pub fn with_evidence(record: &Record, entries: Vec<Evidence>) -> Record {
    let mut record = record.clone();
    match record.kind.as_mut().unwrap() {
        Body::Article(_) => panic!("articles cite nothing"),
        Body::Event(event) => event.evidence = entries,
        Body::Actor(actor) => actor.evidence = entries,
        Body::Relation(relation) => relation.evidence = entries,
    }
    record
}

pub fn as_actor(record: &mut Record) -> &mut Actor {
    match record.kind.as_mut() {
        Some(Body::Actor(actor)) => actor,
        other => panic!("no actor: {other:?}"),
    }
}

pub fn as_event(record: &mut Record) -> &mut Event {
    match record.kind.as_mut() {
        Some(Body::Event(event)) => event,
        other => panic!("no event: {other:?}"),
    }
}
