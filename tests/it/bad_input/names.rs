//! N rows: names, ids and references.

use dateline_proto::v1::{
    CommitRequest, CreateRecordRequest, DeleteRecordRequest, GetRecordRequest,
    PublishRecordsRequest, Record, RetractRecordsRequest, UpdateRecordRequest, View, Write,
    record::Kind as Body, write,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{
    BadRequest, Row, actor, answer, article, bad_record, create, event, evidence, gold_server,
    invalid, prove, record, relation,
};
use crate::support::{builders::version_with_etag, records::meta, server::TestServer};

const IN_WORDS: &str = "1 to 63 lower-case letters a-z, digits and hyphens after the slash";

#[tokio::test]
async fn n_names_and_references_that_cannot_be_are_refused() {
    let server = gold_server().await;
    let draft = make(&server, &actor(json!({"name": "actors/draft"}))).await;
    let deleted = make(&server, &actor(json!({"name": "actors/deleted"}))).await;
    let delete = DeleteRecordRequest {
        name: "actors/deleted".to_owned(),
        etag: meta(&deleted).etag,
        ..DeleteRecordRequest::default()
    };
    let mut records = server.client.records.clone();
    records.delete_record(delete).await.unwrap();
    let mut rows = names();
    rows.extend(absent());
    rows.extend(references());
    rows.extend(taken());
    rows.push(dangling(&server).await);
    prove(&server, rows).await;
    assert_eq!(meta(&draft).revision, 1);
    server.stop().await;
}

pub async fn make(server: &TestServer, json: &Value) -> Record {
    let request = CreateRecordRequest {
        record: Some(record(json)),
        ..CreateRecordRequest::default()
    };
    let mut records = server.client.records.clone();
    let created = records.create_record(request).await.unwrap().into_inner();
    created.record.unwrap()
}

fn names() -> Vec<Row> {
    let long = format!("actors/{}", "a".repeat(64));
    let longer = format!("actors/{}", "a".repeat(129));
    let mut rows = Vec::new();
    for (id, bad) in [
        ("N1", ""),
        ("N1", "actors"),
        ("N1", "actors/"),
        ("N1", "actors/A"),
        ("N1", "actors/a_b"),
        ("N1", &long),
        ("N1", "actors/-a"),
        ("N1", "actors/a/b"),
        ("N1", "../actors/a"),
        ("N1", "actors/а"),
        ("#39", "actors/раypal"),
        ("#39", "actors/ａ"),
        ("#42", "actors/../../x"),
        ("#42", "actors/-"),
        ("#42", "actors/.."),
        ("#42", &longer),
    ] {
        rows.push(bad_record(
            id,
            &actor(json!({"name": bad})),
            "name",
            IN_WORDS,
        ));
        let get = GetRecordRequest {
            name: bad.to_owned(),
            ..GetRecordRequest::default()
        };
        rows.push(Row {
            id,
            sent: BadRequest::Get(get),
            answer: invalid("INVALID_REQUEST", "name", IN_WORDS),
        });
    }
    rows.push(bad_record(
        "N2",
        &article(json!({"name": "actors/x"})),
        "name",
        "must be a name in articles",
    ));
    rows.push(Row {
        id: "N3",
        sent: BadRequest::Create(CreateRecordRequest {
            record: Some(Record::default()),
            ..CreateRecordRequest::default()
        }),
        answer: invalid("INVALID_RECORD", "record", "record is empty"),
    });
    rows.push(Row {
        id: "N3",
        sent: BadRequest::Create(CreateRecordRequest::default()),
        answer: invalid("INVALID_RECORD", "record", "must be set"),
    });
    rows
}

/// N4: the answer is the same for a missing name and for one that is invisible to the caller.
fn absent() -> Vec<Row> {
    let nowhere = |name: &str| {
        answer(
            Code::NotFound,
            "RECORD_NOT_FOUND",
            &format!("there is no record {name}"),
        )
    };
    let version = || version_with_etag("actors/nobody", "\"1\"");
    let mut nobody = record(&actor(json!({"name": "actors/nobody"})));
    if let Some(Body::Actor(actor)) = &mut nobody.kind {
        actor.meta = Some(dateline_proto::v1::RecordMeta {
            etag: "\"1\"".to_owned(),
            ..Default::default()
        });
    }
    let get = |name: &str| {
        BadRequest::Get(GetRecordRequest {
            name: name.to_owned(),
            ..GetRecordRequest::default()
        })
    };
    let update = UpdateRecordRequest {
        record: Some(nobody),
        ..UpdateRecordRequest::default()
    };
    let delete = DeleteRecordRequest {
        name: version().name,
        etag: version().etag,
        ..DeleteRecordRequest::default()
    };
    let publish = PublishRecordsRequest {
        records: vec![version()],
        ..PublishRecordsRequest::default()
    };
    let retract = RetractRecordsRequest {
        records: vec![version()],
        note: "wrong".to_owned(),
        ..RetractRecordsRequest::default()
    };
    let row = |id, sent, name| Row {
        id,
        sent,
        answer: nowhere(name),
    };
    vec![
        row("N4", get("actors/nobody"), "actors/nobody"),
        row("#67", get("actors/draft"), "actors/draft"),
        row("#68", get("actors/deleted"), "actors/deleted"),
        row("N4", BadRequest::Update(update), "actors/nobody"),
        row("N4", BadRequest::Delete(delete), "actors/nobody"),
        row("N4", BadRequest::Publish(publish), "actors/nobody"),
        row("N4", BadRequest::Retract(retract), "actors/nobody"),
    ]
}

fn taken() -> Vec<Row> {
    let taken = |id, name: &str| Row {
        id,
        sent: create(&actor(json!({"name": name}))),
        answer: answer(
            Code::AlreadyExists,
            "NAME_TAKEN",
            &format!("the name {name} is taken"),
        ),
    };
    vec![
        taken("N5", "actors/nato"),
        taken("#43", "actors/draft"),
        taken("N6", "actors/deleted"),
    ]
}

fn references() -> Vec<Row> {
    let needed = "a name in actors is needed here";
    let same = write::Action::Create(write::Create {
        record: Some(record(&actor(json!({})))),
        original: Vec::new(),
    });
    let write = Write { action: Some(same) };
    let participant = json!({"participants": [{"actor": "events/x", "role": "ROLE_PARTY"}]});
    let itself = json!({"links": [{"type": "TYPE_PART_OF", "event": "events/bad"}]});
    let many = json!({"links": vec![json!({"type": "TYPE_BEFORE", "event": "events/x"}); 10_001]});
    vec![
        bad_record("N9", &event(participant), "participants[0].actor", needed),
        bad_record(
            "N9",
            &actor(evidence(json!({"article": "actors/nato"}))),
            "evidence[0].article",
            "a name in articles",
        ),
        bad_record(
            "N9",
            &relation(json!({"onBehalfOf": "articles/a"})),
            "on_behalf_of",
            needed,
        ),
        bad_record(
            "N11",
            &relation(json!({"object": "actors/nato"})),
            "object",
            "is the subject too",
        ),
        bad_record(
            "N11",
            &event(itself),
            "links[0].event",
            "is this event itself",
        ),
        bad_record(
            "#52",
            &event(many),
            "links",
            "has 10001 entries; at most 64 are allowed",
        ),
        Row {
            id: "N13",
            sent: BadRequest::Commit(CommitRequest {
                writes: vec![write.clone(), write],
                ..CommitRequest::default()
            }),
            answer: invalid(
                "INVALID_RECORD",
                "writes[1]",
                "actors/bad is also changed by writes[0]",
            ),
        },
    ]
}

/// N8: the error names everything that is missing.
async fn dangling(server: &TestServer) -> Row {
    let fields = super::with(
        json!({"name": "events/dangling", "participants": [
            {"actor": "actors/draft", "role": "ROLE_PARTY"},
            {"actor": "actors/nobody", "role": "ROLE_HOST"},
        ]}),
        evidence(json!({})),
    );
    // N7: a draft may have dangling references.
    let made = make(server, &event(fields)).await;
    let version = version_with_etag("events/dangling", &meta(&made).etag);
    Row {
        id: "N8",
        sent: BadRequest::Publish(PublishRecordsRequest {
            records: vec![version],
            ..PublishRecordsRequest::default()
        }),
        answer: answer(
            Code::FailedPrecondition,
            "UNRESOLVED_REFERENCES",
            "2 references",
        ),
    }
}

#[tokio::test]
async fn n4_a_name_that_is_not_seen_answers_byte_for_byte_like_one_that_is_not_there() {
    let server = gold_server().await;
    make(&server, &actor(json!({"name": "actors/drafty"}))).await;
    let ask = async |name: &str, view: View| -> Status {
        let request = GetRecordRequest {
            name: name.to_owned(),
            view: view.into(),
            ..GetRecordRequest::default()
        };
        let mut records = server.client.records.clone();
        records.get_record(request).await.unwrap_err()
    };
    let unseen = ask("actors/drafty", View::Published).await;
    let absent = ask("actors/nobody", View::Published).await;
    let renamed = |text: &str| text.replace("drafty", "nobody");
    assert_eq!(renamed(unseen.message()), absent.message());
    let details = String::from_utf8_lossy(unseen.details()).into_owned();
    assert_eq!(renamed(&details), String::from_utf8_lossy(absent.details()));
    server.stop().await;
}

#[tokio::test]
async fn d7_evidence_is_published_only_if_the_pinned_revision_says_it() {
    let server = gold_server().await;
    let quote = json!({"part": "PART_HEADLINE", "start": 0, "end": 10, "exact": "Kyrgyzstan"});
    let citing = |id: &str, article: &str, fields: Value| {
        let mut entry = evidence(fields);
        entry["evidence"][0]["article"] = json!(article);
        actor(super::with(json!({"name": format!("actors/{id}")}), entry))
    };
    let cases = [
        ("misquotes", json!({"quote": quote}), "evidence[0].quote"),
        (
            "from-nowhere",
            json!({"articleRevision": "7"}),
            "evidence[0].article_revision",
        ),
    ];
    let mut records = server.client.records.clone();
    for (id, fields, field) in &cases {
        // References to existing records are checked when the draft is written …
        let there = "articles/kazakhstan-confirms-partnership-with-nato-us";
        let request = CreateRecordRequest {
            record: Some(record(&citing(id, there, fields.clone()))),
            ..CreateRecordRequest::default()
        };
        let status = records.create_record(request).await.unwrap_err();
        super::assert_contract("D7", &status);
        assert!(status.message().contains(field), "{}", status.message());
        // … and references to missing ones when it is published.
        make(&server, &citing(id, "articles/late", fields.clone())).await;
    }
    let late = json!({"article": {"name": "articles/late", "headline": "Kazakhstan", "languageCode": "en"}});
    make(&server, &late).await;
    for (id, _, field) in &cases {
        let versions = [format!("actors/{id}"), "articles/late".to_owned()]
            .map(|name| version_with_etag(&name, ""));
        let mut request = PublishRecordsRequest {
            records: versions.to_vec(),
            ..PublishRecordsRequest::default()
        };
        for version in &mut request.records {
            let ask = GetRecordRequest {
                name: version.name.clone(),
                view: View::Desk.into(),
                ..GetRecordRequest::default()
            };
            let found = records.get_record(ask).await.unwrap().into_inner();
            version.etag = meta(&found.record.unwrap()).etag;
        }
        let mut editorial = server.client.editorial.clone();
        let status = editorial.publish_records(request).await.unwrap_err();
        super::assert_contract("D7", &status);
        let field = format!("records[0].{field}");
        assert!(status.message().contains(&field), "{}", status.message());
    }
    server.stop().await;
}
