//! Rows about amplification: records with the bookkeeping of another database, and requests of which every byte is
//! copied or looked up a thousand times.

use bytes::Bytes;
use dateline_proto::v1::{
    Actor, Correction, Evidence, LoadRecordsRequest, Participant, Record, RecordMeta,
    RecordVersion, RetractRecordsRequest, SendBackRecordsRequest, State, UpdateRecordRequest,
    correction, record::Kind as Body,
};
use prost_types::Timestamp;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use super::{
    BadRequest, Row, actor, answer, assert_answer, assert_serves, event, evidence, gold_server,
    heads, invalid, names::make, prove, record, with,
};
use crate::support::{builders::version_with_etag, records::meta};

fn loaded(change: impl FnOnce(&mut Body, &mut RecordMeta)) -> Record {
    let mut record = record(&actor(json!({"name": "actors/loaded"})));
    let body = record.kind.as_mut().unwrap();
    let mut meta = RecordMeta {
        uid: Uuid::now_v7().to_string(),
        state: State::Published.into(),
        revision: 3,
        ..RecordMeta::default()
    };
    change(body, &mut meta);
    body.set_meta(Some(meta));
    record
}

fn load(records: Vec<Record>) -> BadRequest {
    BadRequest::Load(LoadRecordsRequest {
        records,
        ..LoadRecordsRequest::default()
    })
}

fn as_actor(body: &mut Body) -> &mut Actor {
    match body {
        Body::Actor(actor) => actor,
        _ => panic!("an actor is one"),
    }
}

/// Records with invalid meta, the path of the field, and a part of the error.
fn metas() -> Vec<(Record, &'static str, &'static str)> {
    let meta = |change: &dyn Fn(&mut RecordMeta)| loaded(|_, meta| change(meta));
    let time = |seconds, nanos| Some(Timestamp { seconds, nanos });
    let noted = |note: &str| Correction {
        kind: correction::Kind::Correction.into(),
        note: note.to_owned(),
        ..Correction::default()
    };
    let embargoed = |embargo_time| {
        meta(&move |meta| {
            meta.state = State::Embargoed.into();
            meta.embargo_time = embargo_time;
        })
    };
    vec![
        (meta(&|it| it.revision = 0), "revision", "at least 1"),
        (meta(&|it| it.revision = -1), "revision", "at least 0"),
        (
            meta(&|it| it.revision = i64::MAX),
            "revision",
            "no more than there ever were",
        ),
        (meta(&|it| it.state = 99), "state", "has no value 99"),
        (
            meta(&|it| it.uid = Uuid::nil().to_string()),
            "uid",
            "must be the UUID",
        ),
        (
            meta(&|it| it.uid = "\0".to_owned()),
            "uid",
            "null character",
        ),
        (
            meta(&|it| it.create_time = time(i64::MAX, 0)),
            "create_time",
            "0001 to 9999",
        ),
        (
            meta(&|it| it.update_time = time(0, -1)),
            "update_time",
            "0001 to 9999",
        ),
        (embargoed(None), "embargo_time", "is missing"),
        (
            embargoed(time(-62_135_596_801, 0)),
            "embargo_time",
            "0001 to 9999",
        ),
        (
            meta(&|it| it.state = State::Merged.into()),
            "merged_into",
            "took its place",
        ),
        (
            meta(&|it| it.merged_into = "actors/nato".into()),
            "merged_into",
            "merged records only",
        ),
        (
            meta(&|it| it.merged_into = "a\0".into()),
            "merged_into",
            "null character",
        ),
        (
            meta(&|it| it.merged_from = vec!["events/x".into()]),
            "merged_from[0]",
            "this kind",
        ),
        (
            meta(&|it| it.corrections = vec![noted("a\0")]),
            "corrections[0].note",
            "null character",
        ),
        (
            meta(&|it| it.corrections = vec![noted("")]),
            "corrections[0].note",
            "must not be empty",
        ),
    ]
}

#[tokio::test]
async fn n12_what_is_loaded_has_a_past_that_there_can_have_been() {
    let server = gold_server().await;
    let mut rows: Vec<_> = metas()
        .into_iter()
        .map(|(record, field, words)| Row {
            id: "N12",
            sent: load(vec![record]),
            answer: invalid(
                "INVALID_RECORD",
                &format!("records[0].actor.meta.{field}"),
                words,
            ),
        })
        .collect();
    // A tombstone has a name only; any other field is validated as usual.
    let talking = loaded(|body, meta| {
        meta.state = State::Retracted.into();
        as_actor(body).description = "a\0".to_owned();
    });
    let row = |id, records, answer| Row {
        id,
        sent: load(records),
        answer,
    };
    let hashed = |hash: &str| {
        let mut article = record(&super::article(json!({"name": "articles/loaded"})));
        let body = article.kind.as_mut().unwrap();
        if let Body::Article(article) = body {
            article.original_sha256 = hash.to_owned();
        }
        let mut other = loaded(|_, _| {});
        body.set_meta(other.kind.as_mut().and_then(Body::take_meta));
        article
    };
    for (hash, words) in [
        ("a\n\0", "line break"),
        ("a\0", "null character"),
        ("none", "SHA-256"),
    ] {
        let field = "records[0].article.original_sha256";
        let refused = invalid("INVALID_RECORD", field, words);
        rows.push(row("N12", vec![hashed(hash)], refused));
    }
    let twin = |name: &str| {
        loaded(|body, meta| {
            as_actor(body).name = name.to_owned();
            meta.uid = "0190f1cf-eb93-728c-bfc4-65fa001ae9ed".to_owned();
        })
    };
    let known = crate::support::editing::desk_record(&server.client, "actors/nato").await;
    let again = loaded(|_, loaded| loaded.uid = meta(&known).uid);
    rows.extend([
        row(
            "#35",
            vec![talking],
            invalid(
                "INVALID_RECORD",
                "records[0].actor.description",
                "null character",
            ),
        ),
        row(
            "#64",
            vec![twin("actors/one"), twin("actors/two")],
            invalid("INVALID_RECORD", "records[1]", "the uid of another record"),
        ),
        row(
            "#43",
            vec![again],
            answer(Code::AlreadyExists, "NAME_TAKEN", "its uid is taken"),
        ),
    ]);
    prove(&server, rows).await;
    server.stop().await;
}

#[tokio::test]
async fn c9_a_note_is_not_copied_a_thousand_times_before_it_is_looked_at() {
    let server = gold_server().await;
    let version = |index: usize| version_with_etag(&format!("actors/a-{index}"), "x");
    let note = "n".repeat(3_900_000);
    let before = super::framing::resident_bytes();
    let retract = RetractRecordsRequest {
        records: (0..1000).map(version).collect(),
        note: note.clone(),
        ..RetractRecordsRequest::default()
    };
    let send_back = SendBackRecordsRequest {
        records: (0..1000).map(version).collect(),
        note,
        ..SendBackRecordsRequest::default()
    };
    // Each note is within its limit; together the notes of many records are too large.
    let many = RetractRecordsRequest {
        records: (0..60_000).map(|_| RecordVersion::default()).collect(),
        note: "n".repeat(2000),
        ..RetractRecordsRequest::default()
    };
    let long = "is 3900000 characters long; at most 2000 are allowed";
    let row = |sent, field, words| Row {
        id: "#9",
        sent,
        answer: invalid("INVALID_RECORD", field, words),
    };
    prove(
        &server,
        vec![
            row(BadRequest::Retract(retract), "note", long),
            row(BadRequest::SendBack(send_back), "note", long),
            row(
                BadRequest::Retract(many),
                "records",
                "has 60000 entries; at most 1000",
            ),
        ],
    )
    .await;
    let grown = super::framing::resident_bytes().saturating_sub(before);
    // Copies would use 4 GB each. Includes the memory of other tests of this process.
    assert!(grown < 1024 * 1024 * 1024, "grew by {grown} bytes");
    server.stop().await;
}

#[tokio::test]
async fn c52_lists_of_tens_of_thousands_are_refused_without_a_look_at_each_against_each() {
    let server = gold_server().await;
    let draft = make(&server, &event(json!({"name": "events/draft"}))).await;
    let mut edited = draft.clone();
    let Some(Body::Event(body)) = &mut edited.kind else {
        panic!("an event is one")
    };
    body.participants = (0..10_000)
        .map(|index| Participant {
            actor: format!("actors/somebody-of-a-crowd-that-is-much-too-large-{index}"),
            role: 1,
            ..Participant::default()
        })
        .collect();
    let mut new = record(&event(with(json!({}), evidence(json!({})))));
    let Some(Body::Event(crowded)) = &mut new.kind else {
        panic!("an event is one")
    };
    crowded.participants.clone_from(&body.participants);
    let entry = Evidence {
        // None of these records exists.
        supports: (0..30)
            .map(|index| format!("participants[b-{index}]"))
            .collect(),
        ..crowded.evidence[0].clone()
    };
    crowded.evidence = vec![entry; 300];
    let row = |sent, field: &str| Row {
        id: "#52",
        sent,
        answer: invalid("INVALID_RECORD", field, "has 10000 entries; at most 200"),
    };
    prove(
        &server,
        vec![
            row(
                BadRequest::Update(UpdateRecordRequest {
                    record: Some(edited),
                    ..UpdateRecordRequest::default()
                }),
                "record.event.participants",
            ),
            row(
                BadRequest::Create(dateline_proto::v1::CreateRecordRequest {
                    record: Some(new),
                    ..Default::default()
                }),
                "record.event.participants",
            ),
        ],
    )
    .await;
    // Comparing all pairs would exceed the server's own deadline.
    server.stop().await;
}

#[tokio::test]
async fn c9_a_flood_behind_an_unknown_group_is_refused_before_it_is_decoded() {
    let server = gold_server().await;
    let group = b"\xc3\x3e\xc4\x3e".to_vec();
    let flood = [group, b"\x0a\x00".repeat(2_000_000)].concat();
    let before = heads(&server).await;
    let wire = crate::support::raw_grpc::GrpcConnection::connect(&server).await;
    let request =
        crate::support::raw_grpc::grpc_request(&server, crate::support::raw_grpc::COMMIT, &[]);
    let frame: Bytes = crate::support::raw_grpc::frame(&flood);
    let reply = wire.call(request, frame).await.unwrap();
    let refusal = answer(Code::InvalidArgument, "INVALID_REQUEST", "far more entries");
    assert_answer("#9", &reply.status(), &refusal);
    assert_eq!(heads(&server).await, before);
    assert_serves(&server).await;
    server.stop().await;
}
