//! R8 and W6: many writes at once, and checks without writing.

use dateline::json;
use dateline_proto::v1::{CommitRequest, CreateRecordRequest, Write, record::Kind as Body, write};
use serde_json::json;
use tonic::Code;

use super::{BadRequest, Row, actor, answer, evidence, gold_server, heads, invalid, prove, record};
use crate::support::builders::{create, version_with_etag};

fn creates(count: usize, bad: Option<usize>) -> Vec<Write> {
    let Some(Body::Actor(many)) = record(&actor(json!({}))).kind else {
        panic!("an actor is one")
    };
    let create_numbered = |index| {
        let mut actor = many.clone();
        actor.name = format!("actors/many-{index}");
        if bad == Some(index) {
            actor.region_code = "UK".to_owned();
        }
        create(&Body::Actor(actor).into())
    };
    (0..count).map(create_numbered).collect()
}

#[tokio::test]
async fn r8_a_batch_is_bounded_and_one_bad_write_is_told_by_its_index() {
    let server = gold_server().await;
    let commit = |writes| {
        BadRequest::Commit(CommitRequest {
            writes,
            ..CommitRequest::default()
        })
    };
    let row = |id, sent, answer| Row { id, sent, answer };
    let mut stale = creates(2, None);
    let version = version_with_etag("actors/draft", "\"9\"");
    stale.push(Write {
        action: Some(write::Action::Delete(version)),
    });
    let nobody = answer(
        Code::NotFound,
        "RECORD_NOT_FOUND",
        "there is no record actors/draft",
    );
    prove(
        &server,
        vec![
            row(
                "R8",
                commit(Vec::new()),
                invalid("INVALID_RECORD", "writes", "has 0 entries; at least 1"),
            ),
            row(
                "R8",
                commit(vec![Write::default()]),
                invalid("INVALID_RECORD", "writes[0]", "set one action"),
            ),
            row(
                "#64",
                commit(creates(1001, None)),
                invalid("INVALID_RECORD", "writes", "has 1001 entries; at most 1000"),
            ),
            row(
                "R8",
                commit(creates(100_000, None)),
                answer(
                    Code::ResourceExhausted,
                    "MESSAGE_TOO_LARGE",
                    "send less at once",
                ),
            ),
            row(
                "R8",
                commit(creates(1000, Some(713))),
                invalid(
                    "INVALID_RECORD",
                    "writes[713].create.record.actor.region_code",
                    "write GB",
                ),
            ),
            row("#65", commit(stale), nobody),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn w6_validate_only_gives_the_same_answers_and_writes_nothing() {
    let server = gold_server().await;
    let bad = actor(super::with(
        json!({"regionCode": "UK"}),
        evidence(json!({"supports": ["x"]})),
    ));
    let mut records = server.client.records.clone();
    let mut ask = async |validate_only| {
        let request = CreateRecordRequest {
            record: Some(record(&bad)),
            validate_only,
            ..CreateRecordRequest::default()
        };
        let status = records.create_record(request).await.unwrap_err();
        let told = tonic_types::StatusExt::get_details_bad_request(&status).unwrap();
        told.field_violations
    };
    let told = ask(true).await;
    assert_eq!(told.len(), 2, "{told:?}");
    let unvalidated = ask(false).await;
    assert_eq!(format!("{told:?}"), format!("{unvalidated:?}"));
    let before = heads(&server).await;
    let request = CreateRecordRequest {
        record: Some(record(&actor(json!({})))),
        validate_only: true,
        ..CreateRecordRequest::default()
    };
    let answer = records.create_record(request).await.unwrap().into_inner();
    assert_eq!(
        json::value(&answer).unwrap()["record"]["actor"]["displayName"],
        "Ann"
    );
    assert_eq!(heads(&server).await, before);
    server.stop().await;
}
