//! `FollowTheMoney`: the seed's entities, and all entities in the real library.

use std::{collections::BTreeMap, fs};

use dateline_export::format::Format;
use dateline_proto::v1::{
    Actor, Article, ExternalId, FuzzyDate, Period, Place, Record, Relation, Topic, actor,
    record::Kind as Body, relation,
};
use dateline_record::name::KINDS;
use serde_json::Value;

use super::{ExportedFiles, export, read_by, varied};
use crate::support::{gold::gold_records, tools::repo_path};

fn entities(files: &ExportedFiles) -> BTreeMap<String, Value> {
    let lines = KINDS.into_iter().flat_map(|kind| files.lines(kind));
    lines.map(by_id).collect()
}

fn by_id(entity: Value) -> (String, Value) {
    (entity["id"].as_str().unwrap().to_owned(), entity)
}

#[test]
fn the_gold_records_are_the_seeds_103_entities() {
    let text = fs::read_to_string(repo_path("seed/gold_followthemoney.jsonl")).unwrap();
    let expected = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut expected: BTreeMap<_, _> = expected.map(by_id).collect();
    assert_eq!(expected.len(), 103);
    // The SHA-1 of the received file: a record has its SHA-256 only.
    let article = "dl-articles-kazakhstan-confirms-partnership-with-nato-us";
    let properties = &mut expected.get_mut(article).unwrap()["properties"];
    properties
        .as_object_mut()
        .unwrap()
        .remove("contentHash")
        .unwrap();
    let found = entities(&export(Format::FollowTheMoney, &gold_records()));
    for (id, entity) in &expected {
        assert_eq!(found.get(id), Some(entity), "{id}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn e6_the_losses_of_the_gold_records_are_those_that_the_mapping_names() {
    let files = export(Format::FollowTheMoney, &gold_records());
    let quotes = ["actors", "relations", "events"].map(|of| format!("{of}.evidence.quote"));
    let quotes: u64 = quotes.iter().map(|field| files.lost(field)).sum();
    assert_eq!(quotes, 72);
    for (field, lost) in [
        // Of the 54 mentions 6 name events, and `resolved` cannot point to those; offsets go with the rest.
        ("articles.mentions", 6),
        ("actors.names.language_code", 27),
        // One of the 22 belongs to participants without a name.
        ("events.participants.role", 22),
        ("events.participants.capacity", 5),
        ("events.participants.quantity", 3),
        ("events.links", 8),
        ("actors.active.end.edtf", 1),
    ] {
        assert_eq!(files.lost(field), lost, "{field}");
    }
    // Seasons reduced to a year, and dates between two bounds.
    let dates = files
        .losses
        .fields()
        .iter()
        .filter(|(field, _)| field.ends_with("edtf"));
    assert_eq!(dates.map(|(_, lost)| lost).sum::<u64>(), 7 + 4);
}

#[tokio::test]
async fn the_library_accepts_every_value_of_the_gold_records() {
    let files = export(Format::FollowTheMoney, &gold_records());
    let told = read_by("export_ftm.py", &files, ("nothing", b"")).await;
    assert_eq!(told, "103 entities, 492 values\n");
}

#[tokio::test]
async fn the_library_accepts_records_that_are_as_full_as_the_schema_allows() {
    let records: Vec<Record> = varied();
    let files = export(Format::FollowTheMoney, &records);
    let told = read_by("export_ftm.py", &files, ("nothing", b"")).await;
    assert!(told.starts_with("111 entities"), "{told}");
}

/// Records with values that the library drops or refuses on reading.
fn hostile() -> Vec<Record> {
    let date = |edtf: &str| {
        Some(FuzzyDate {
            edtf: edtf.into(),
            ..FuzzyDate::default()
        })
    };
    let actor = |id: &str, r#type: actor::Type, display_name: String| Actor {
        name: format!("actors/{id}"),
        r#type: r#type.into(),
        display_name,
        region_code: "XK".into(),
        ..Actor::default()
    };
    let long = |word: &str, letters: usize| {
        word.repeat(letters)
            .chars()
            .take(letters)
            .collect::<String>()
    };
    let mut body = actor("body", actor::Type::GovernmentBody, long("é", 400));
    body.external_ids = vec![ExternalId {
        scheme: "wikidata".into(),
        value: "P31".into(),
    }];
    body.headquarters = Some(Place {
        display_name: long("Ж", 300),
        region_code: "RU".into(),
        ..Place::default()
    });
    body.active = Some(Period {
        start: date("0987"),
        end: date("3000"),
        ..Period::default()
    });
    vec![
        Body::Actor(body).into(),
        Body::Actor(actor("holder", actor::Type::Person, "Somebody".into())).into(),
        Body::Relation(Relation {
            name: "relations/office".into(),
            r#type: relation::Type::HoldsPosition.into(),
            subject: "actors/holder".into(),
            object: "actors/body".into(),
            role_title: long("deputy ", 299),
            topics: (0..64)
                .map(|_| Topic {
                    label: long("topic ", 1300),
                    ..Topic::default()
                })
                .collect(),
            ..Relation::default()
        })
        .into(),
        Body::Article(Article {
            name: "articles/long".into(),
            headline: "Long".into(),
            body: long("wörd ", 200_000),
            summary: "\u{200b}".into(),
            language_code: "sah".into(),
            published: date("0999-12-31"),
            source_url: "https://a.b/x".into(),
            ..Article::default()
        })
        .into(),
    ]
}

#[tokio::test]
async fn e6_what_the_library_would_drop_is_cut_or_left_out_and_counted() {
    let files = export(Format::FollowTheMoney, &hostile());
    let told = read_by("export_ftm.py", &files, ("nothing", b"")).await;
    assert!(told.starts_with("5 entities"), "{told}");
    for (field, lost) in [
        ("actors.display_name", 1),
        ("actors.headquarters", 1),
        ("actors.external_ids", 1),
        ("actors.active.start.edtf", 1),
        ("actors.active.end.edtf", 1),
        ("relations.role_title", 1),
        ("relations.topics.label", 1),
        ("articles.body", 1),
        ("articles.summary", 1),
        ("articles.language_code", 1),
        ("articles.published.edtf", 1),
        ("articles.source_url", 1),
    ] {
        assert_eq!(files.lost(field), lost, "{field}: {:?}", files.losses);
    }
}
