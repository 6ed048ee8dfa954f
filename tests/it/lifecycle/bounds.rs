//! Cost limits of one request: long values, deep chains, large batches. And references that lead through merges to a
//! record that no longer exists.

use dateline_proto::v1::{
    BatchGetRecordsRequest, Kind, RecordFilter, Topic, View, record::Kind as Body,
};
use prost::Message;
use tonic::Code;

use super::references::linked;
use crate::support::editing::*;

#[tokio::test]
async fn w9_a_target_that_was_merged_into_something_withdrawn_does_not_do() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let old = create_published(client, &actor("old-name")).await;
    let new = create_published(client, &actor("new-name")).await;
    let newest = create_published(client, &actor("newest-name")).await;
    commit_one(client, merge(&old, &new)).await;
    let new = desk_record(client, name(&new)).await;
    commit_one(client, merge(&new, &newest)).await;
    let mut pointing = event("pointing");
    as_event(&mut pointing).participants[0].actor = "actors/old-name".into();
    let led_on = create_drafts(client, &[pointing.clone()]).await;
    publish_all(client, &led_on).await;

    let newest = desk_record(client, name(&newest)).await;
    commit_one(client, retract(&newest, "never was", false)).await;
    as_event(&mut pointing).name = "events/pointing-too".into();
    let late = create_drafts(client, &[pointing]).await;
    let answer = commit_err(client, vec![publish(&late[0])]).await;
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
}

#[tokio::test]
async fn w6_a_code_that_no_index_takes_is_refused_by_its_field() {
    let server = start_server_with_base().await;
    let mut long = event("long");
    as_event(&mut long).topics = vec![Topic {
        id: "long".into(),
        label: "Long".into(),
        code: format!("x:{}", "a".repeat(199)),
        ..Topic::default()
    }];
    let answer = commit_err(&server.client, vec![create(&long)]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(
        answer.fields(),
        ["writes[0].create.record.event.topics[0].code"]
    );
}

#[tokio::test]
async fn w9_a_chain_of_events_that_is_longer_than_anybody_looks_is_refused_at_once() {
    const LONG: usize = 60;
    let server = start_server_with_base().await;
    let client = &server.client;
    let links = (0..LONG).map(|place| {
        let link = event(&format!("link-{place}"));
        match place {
            0 => link,
            _ => linked(&link, &[&format!("events/link-{}", place - 1)]),
        }
    });
    let drafts = create_drafts(client, &links.collect::<Vec<_>>()).await;
    let shown = publish_all(client, &drafts).await;
    let mut last = shown[LONG - 1].clone();
    as_event(&mut last).summary = "The last of many.".into();
    let answer = commit_err(client, vec![correct(&last, &["summary"], "a summary")]).await;
    answer.assert_is(Code::FailedPrecondition, "PART_OF_ITSELF");
    let mut near = shown[10].clone();
    as_event(&mut near).summary = "One of the first.".into();
    let near = commit_one(client, correct(&near, &["summary"], "a summary")).await;
    assert_eq!(meta(&near).revision, 3);
}

#[tokio::test]
async fn f9_nobody_has_to_hold_a_batch_or_an_answer_of_any_size() {
    const LARGE: usize = 90;
    let server = start_server_with_base().await;
    let client = &server.client;
    let mut drafts = Vec::new();
    for part in 0..LARGE / 9 {
        let large = (0..9).map(|number| {
            let mut record = record_of_kind(Kind::Article, &format!("large-{part}-{number}"));
            if let Some(Body::Article(article)) = &mut record.kind {
                article.body = "long ".repeat(40_000).trim_end().to_owned();
            }
            record
        });
        drafts.extend(create_drafts(client, &large.collect::<Vec<_>>()).await);
    }
    let all = drafts.iter().map(publish).collect();
    let answer = commit_err(client, all).await;
    answer.assert_is(Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    let request = |count: usize| BatchGetRecordsRequest {
        names: drafts[..count]
            .iter()
            .map(|it| name(it).to_owned())
            .collect(),
        view: View::Desk.into(),
        min_sequence: 0,
    };
    let mut records = client.records.clone();
    let some = records.batch_get_records(request(LARGE)).await.unwrap();
    let some = some.into_inner();
    assert!(some.encoded_len() <= 4 * 1024 * 1024);
    let found = names(&some.records).into_iter().map(str::to_owned);
    let told: Vec<_> = found.chain(some.omitted.clone()).collect();
    assert_eq!(told, request(LARGE).names, "none is missing");
    assert!(!some.omitted.is_empty());
    let all = client.batch_get(request(LARGE)).await.unwrap();
    assert_eq!(names(&all.records), request(LARGE).names);
    // A reader learns nothing from the size limit: these records are invisible to readers.
    let mut unseen = request(LARGE);
    unseen.view = View::Published.into();
    let answer = records
        .batch_get_records(unseen)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.missing.len(), LARGE);
}

#[tokio::test]
async fn lists_by_several_kinds_hold_those_and_no_other() {
    let server = start_server_with_base().await;
    let kinds = [Kind::Relation, Kind::Article];
    let drafts = [Kind::Article, Kind::Actor, Kind::Relation, Kind::Event]
        .map(|kind| record_of_kind(kind, "one-of-them"));
    create_drafts(&server.client, &drafts).await;
    let request = dateline_proto::v1::ListRecordsRequest {
        filter: Some(RecordFilter {
            kinds: kinds.map(Into::into).to_vec(),
            ..RecordFilter::default()
        }),
        view: View::Desk.into(),
        ..Default::default()
    };
    let mut records = server.client.records.clone();
    let listed = records.list_records(request).await.unwrap().into_inner();
    let found: Vec<_> = listed.records.iter().map(name).collect();
    assert!(found.contains(&"articles/one-of-them"));
    assert!(found.contains(&"relations/one-of-them"));
    let others = found
        .iter()
        .filter(|name| !name.starts_with("articles/") && !name.starts_with("relations/"));
    assert_eq!(others.count(), 0, "{found:?}");
}
