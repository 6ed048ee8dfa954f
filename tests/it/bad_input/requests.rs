//! R rows of writes: etags, masks, request ids, batches, states.

use dateline_proto::v1::{
    CreateRecordRequest, DeleteRecordRequest, PublishRecordsRequest, Record, RecordVersion,
    RetractRecordsRequest, UpdateRecordRequest, record::Kind as Body,
};
use prost_types::FieldMask;
use serde_json::json;
use tonic::Code;
use uuid::Uuid;

use super::{
    BadRequest, Row, actor, answer, gold_server, heads, invalid, names::make, prove, record,
};
use crate::support::{
    builders::version_with_etag,
    records::{meta, name, with_etag},
    server::TestServer,
};

fn update(record: &Record, paths: &[&str]) -> BadRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    BadRequest::Update(UpdateRecordRequest {
        record: Some(record.clone()),
        update_mask: Some(FieldMask { paths }),
        ..UpdateRecordRequest::default()
    })
}

fn delete(name: &str, etag: &str) -> BadRequest {
    BadRequest::Delete(DeleteRecordRequest {
        name: name.to_owned(),
        etag: etag.to_owned(),
        ..DeleteRecordRequest::default()
    })
}

fn publish(version: RecordVersion) -> BadRequest {
    BadRequest::Publish(PublishRecordsRequest {
        records: vec![version],
        ..PublishRecordsRequest::default()
    })
}

fn retract(version: RecordVersion, note: &str) -> BadRequest {
    BadRequest::Retract(RetractRecordsRequest {
        records: vec![version],
        note: note.to_owned(),
        ..RetractRecordsRequest::default()
    })
}

/// A draft at its second revision, another record, and a published record.
struct Records {
    first: Record,
    draft: Record,
    other: Record,
    published: Record,
}

async fn records(server: &TestServer) -> Records {
    let first = make(server, &actor(json!({"name": "actors/draft"}))).await;
    let mut next = first.clone();
    if let Some(Body::Actor(actor)) = &mut next.kind {
        actor.purpose = "To be changed".to_owned();
    }
    let mut client = server.client.records.clone();
    let request = UpdateRecordRequest {
        record: Some(next),
        ..UpdateRecordRequest::default()
    };
    let draft = client.update_record(request).await.unwrap().into_inner();
    let other = make(server, &actor(json!({"name": "actors/other"}))).await;
    let request = dateline_proto::v1::GetRecordRequest {
        name: "actors/nato".to_owned(),
        view: dateline_proto::v1::View::Desk.into(),
        ..Default::default()
    };
    let published = client.get_record(request).await.unwrap().into_inner();
    Records {
        first,
        draft: draft.record.unwrap(),
        other,
        published: published.record.unwrap(),
    }
}

#[tokio::test]
async fn r1_no_change_without_the_etag_that_was_read() {
    let server = gold_server().await;
    let Records {
        first,
        draft,
        other,
        ..
    } = records(&server).await;
    let stale = meta(&first).etag;
    let foreign = meta(&other).etag;
    let mismatch = || {
        answer(
            Code::Aborted,
            "ETAG_MISMATCH",
            "actors/draft has changed since it was read",
        )
    };
    let needed = "must be the etag that was read";
    let row = |id, sent, answer| Row { id, sent, answer };
    let long = "e".repeat(1_000_000);
    let etag = "record.actor.meta.etag";
    prove(
        &server,
        vec![
            row(
                "R1",
                update(&with_etag(&draft, ""), &[]),
                invalid("INVALID_RECORD", etag, needed),
            ),
            row(
                "R1",
                delete("actors/draft", ""),
                invalid("INVALID_RECORD", "etag", needed),
            ),
            row(
                "#84",
                publish(version_with_etag(name(&draft), "")),
                invalid("INVALID_RECORD", "records[0].etag", needed),
            ),
            row(
                "#84",
                retract(version_with_etag(name(&draft), ""), "wrong"),
                invalid("INVALID_RECORD", "records[0].etag", needed),
            ),
            row("R1", update(&with_etag(&draft, &stale), &[]), mismatch()),
            row("R1", delete("actors/draft", &stale), mismatch()),
            row(
                "R1",
                publish(version_with_etag(name(&draft), &stale)),
                mismatch(),
            ),
            row("R1", delete("actors/draft", &foreign), mismatch()),
            row(
                "R1",
                delete("actors/draft", &long),
                invalid("INVALID_RECORD", "etag", "is 1000000 bytes long"),
            ),
            row("#86", delete("actors/draft", "W/\"1\""), mismatch()),
            row(
                "#35",
                delete("actors/draft", "\0"),
                invalid("INVALID_RECORD", "etag", "null character"),
            ),
            row(
                "#97",
                delete("actors/draft", "\"9223372036854775808\""),
                mismatch(),
            ),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn r1_a_stale_etag_is_answered_with_the_current_one_and_what_changed() {
    let server = gold_server().await;
    let Records { first, draft, .. } = records(&server).await;
    let mut records = server.client.records.clone();
    let request = DeleteRecordRequest {
        name: "actors/draft".to_owned(),
        etag: meta(&first).etag,
        ..DeleteRecordRequest::default()
    };
    let status = records.delete_record(request).await.unwrap_err();
    let info = tonic_types::StatusExt::get_details_error_info(&status).unwrap();
    assert_eq!(info.metadata["etag"], meta(&draft).etag);
    assert_eq!(info.metadata["changed_paths"], "purpose");
    server.stop().await;
}

#[tokio::test]
async fn r2_a_mask_names_fields_that_there_are_and_that_clients_set() {
    let server = gold_server().await;
    let Records { draft, .. } = records(&server).await;
    let mut rows = Vec::new();
    for (id, path, words) in [
        ("R2", "nope", "there is no field \"nope\" in Actor"),
        ("R2", "meta.uid", "meta is set by the service"),
        ("#87", "name", "name is set by the service"),
        (
            "R2",
            "headquarters.nope",
            "there is no field \"nope\" in Place",
        ),
        (
            "R2",
            "display_name.x",
            "display_name has no fields of its own",
        ),
        (
            "R2",
            "evidence[0]",
            "there is no field \"evidence[0]\" in Actor",
        ),
        ("R2", "names.text", "a list is replaced whole"),
        ("#35", "\0", "there is no field"),
        ("R2", "", "there is no field"),
        (
            "#87",
            "active.start.earliest",
            "earliest is set by the service",
        ),
    ] {
        rows.push(Row {
            id,
            sent: update(&draft, &["purpose", path]),
            answer: invalid("INVALID_RECORD", "update_mask.paths[1]", words),
        });
    }
    rows.push(Row {
        id: "R2",
        sent: update(&draft, &vec!["purpose"; 10_000]),
        answer: invalid(
            "INVALID_RECORD",
            "update_mask",
            "has 10000 paths; at most 256",
        ),
    });
    let long = format!("{}a", "a.".repeat(1000));
    rows.push(Row {
        id: "#72",
        sent: update(&draft, &[&long]),
        answer: invalid(
            "INVALID_RECORD",
            "update_mask.paths[0]",
            "there is no field \"a\"",
        ),
    });
    // A draft is validated as it would be after the update, with paths as the client wrote them.
    let mut worse = draft.clone();
    if let Some(Body::Actor(actor)) = &mut worse.kind {
        actor.region_code = "UK".to_owned();
    }
    rows.push(Row {
        id: "D11",
        sent: update(&worse, &["region_code"]),
        answer: invalid("INVALID_RECORD", "record.actor.region_code", "write GB"),
    });
    prove(&server, rows).await;
    // `*`, an empty mask and a repeated path are valid, and change nothing here.
    let before = heads(&server).await;
    for paths in [&["*"][..], &[], &["purpose", "purpose"]] {
        update(&draft, paths).send(&server).await.unwrap();
    }
    assert_eq!(heads(&server).await, before, "#89");
    server.stop().await;
}

#[tokio::test]
async fn r7_a_request_id_is_a_uuid_of_one_request() {
    let server = gold_server().await;
    let create = |id: &str, fields| {
        BadRequest::Create(CreateRecordRequest {
            record: Some(record(&actor(fields))),
            request_id: id.to_owned(),
            ..CreateRecordRequest::default()
        })
    };
    let used = Uuid::now_v7().to_string();
    create(&used, json!({})).send(&server).await.unwrap();
    let before = heads(&server).await;
    create(&used, json!({})).send(&server).await.unwrap();
    assert_eq!(heads(&server).await, before, "R7: the first answer again");
    let long = "a".repeat(10_000);
    let no_ids = ["not-a-uuid", "00000000-0000-0000-0000-000000000000", &long];
    let mut rows: Vec<_> = no_ids
        .into_iter()
        .map(|id| Row {
            id: "R7",
            sent: create(id, json!({"name": "actors/new"})),
            answer: invalid("INVALID_RECORD", "request_id", "must be a UUID"),
        })
        .collect();
    rows.push(Row {
        id: "#35",
        sent: create("\0", json!({"name": "actors/new"})),
        answer: invalid("INVALID_RECORD", "request_id", "null character"),
    });
    rows.push(Row {
        id: "#46",
        sent: create(&used, json!({"name": "actors/new"})),
        answer: invalid("REQUEST_ID_REUSED", "request_id", "take a new id"),
    });
    prove(&server, rows).await;
    server.stop().await;
}

#[tokio::test]
async fn r9_a_record_in_another_state_is_answered_with_the_verb_to_use() {
    let server = gold_server().await;
    let Records {
        draft, published, ..
    } = records(&server).await;
    let wrong = |words: &str| answer(Code::FailedPrecondition, "WRONG_STATE", words);
    let etag = |record: &Record| meta(record).etag;
    let mut changed = published.clone();
    if let Some(Body::Actor(actor)) = &mut changed.kind {
        actor.purpose = "Another".to_owned();
    }
    let row = |id, sent, answer| Row { id, sent, answer };
    let nato = "actors/nato";
    prove(
        &server,
        vec![
            row(
                "R9",
                update(&changed, &[]),
                wrong("actors/nato is published: a published record changes only by Correct"),
            ),
            row(
                "R9",
                delete(nato, &etag(&published)),
                wrong("only drafts can be deleted"),
            ),
            row(
                "R9",
                retract(version_with_etag(name(&draft), &etag(&draft)), "wrong"),
                wrong("actors/draft is draft"),
            ),
            row(
                "R9",
                retract(version_with_etag(name(&published), &etag(&published)), " "),
                invalid("INVALID_RECORD", "note", "must not be blank"),
            ),
            row(
                "#35",
                retract(
                    version_with_etag(name(&published), &etag(&published)),
                    "a\0",
                ),
                invalid("INVALID_RECORD", "note", "null character"),
            ),
            row(
                "#92",
                publish(version_with_etag(name(&draft), &etag(&draft))),
                answer(
                    Code::FailedPrecondition,
                    "MISSING_EVIDENCE",
                    "1 record of the batch has no evidence",
                ),
            ),
            row(
                "#64",
                BadRequest::Publish(PublishRecordsRequest::default()),
                invalid("INVALID_RECORD", "records", "at least 1"),
            ),
        ],
    )
    .await;
    // #92: publishing twice is neither an error nor a change.
    let before = heads(&server).await;
    publish(version_with_etag(name(&published), &etag(&published)))
        .send(&server)
        .await
        .unwrap();
    assert_eq!(heads(&server).await, before);
    server.stop().await;
}
