//! Small publishable records of every kind, and functions that change them.

use dateline_proto::v1::{
    Actor, Article, Event, Evidence, Kind, Name, Participant, Record, RecordMeta, Relation,
    TextSpan, actor, event, evidence, name, participant, record::Kind as Body, relation, text_span,
};

/// The kinds, for suites that run for all of them.
pub const KINDS: [Kind; 4] = [Kind::Article, Kind::Actor, Kind::Relation, Kind::Event];
/// Headline of every test article; evidence quotes it.
pub const HEADLINE: &str = "Quoted words, and others";
/// The published article of `start_server_with_base`.
pub const SOURCE: &str = "articles/source";

/// The article of the gold records.
pub const GOLD_ARTICLE: &str = "articles/kazakhstan-confirms-partnership-with-nato-us";

/// Evidence that quotes the beginning of a headline, at the article's first revision.
pub fn evidence_beginning(article: &str, words: &str) -> Evidence {
    Evidence {
        article: article.to_owned(),
        article_revision: 1,
        quote: Some(TextSpan {
            part: text_span::Part::Headline.into(),
            start: 0,
            end: i32::try_from(words.chars().count()).unwrap(),
            exact: words.to_owned(),
            ..TextSpan::default()
        }),
        modality: evidence::Modality::Asserted.into(),
        ..Evidence::default()
    }
}

/// Evidence that quotes the headline of a test article.
pub fn evidence_quoting(article: &str) -> Evidence {
    evidence_beginning(article, "Quoted words")
}

/// Evidence that quotes the headline of the gold article.
pub fn gold_evidence() -> Evidence {
    evidence_beginning(GOLD_ARTICLE, "Kazakhstan")
}

pub fn article(id: &str) -> Record {
    article_with_body(id, &format!("The text of {id}."))
}

pub fn article_with_body(id: &str, body: &str) -> Record {
    Body::Article(Article {
        name: format!("articles/{id}"),
        headline: HEADLINE.into(),
        body: body.to_owned(),
        language_code: "en".into(),
        ..Article::default()
    })
    .into()
}

pub fn actor(id: &str) -> Record {
    actor_citing(id, evidence_quoting(SOURCE))
}

/// A small actor that can be published once the gold article is.
pub fn gold_actor(id: &str) -> Record {
    actor_citing(id, gold_evidence())
}

pub fn actor_citing(id: &str, evidence: Evidence) -> Record {
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
        evidence: vec![evidence],
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

/// A relation of two records; the first one is a member of the second.
pub fn membership(id: &str, subject: &str, object: &str, evidence: Evidence) -> Record {
    Body::Relation(Relation {
        name: format!("relations/{id}"),
        r#type: relation::Type::MemberOf.into(),
        subject: subject.to_owned(),
        object: object.to_owned(),
        evidence: vec![evidence],
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

/// The record with another etag.
pub fn with_etag(record: &Record, etag: &str) -> Record {
    let mut record = record.clone();
    let etag = etag.to_owned();
    let meta = RecordMeta {
        etag,
        ..meta(&record)
    };
    record.kind.as_mut().unwrap().set_meta(Some(meta));
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

pub fn as_article(record: &mut Record) -> &mut Article {
    match record.kind.as_mut() {
        Some(Body::Article(article)) => article,
        other => panic!("no article: {other:?}"),
    }
}

pub fn as_event(record: &mut Record) -> &mut Event {
    match record.kind.as_mut() {
        Some(Body::Event(event)) => event,
        other => panic!("no event: {other:?}"),
    }
}

pub fn name(record: &Record) -> &str {
    record.kind.as_ref().map(Body::name).unwrap_or_default()
}

pub fn meta(record: &Record) -> RecordMeta {
    record
        .kind
        .as_ref()
        .and_then(Body::meta)
        .cloned()
        .unwrap_or_default()
}

/// The record without the fields that the service sets.
pub fn without_server_fields(record: &Record) -> Record {
    let mut record = record.clone();
    record.kind.as_mut().and_then(Body::take_meta);
    record
}
