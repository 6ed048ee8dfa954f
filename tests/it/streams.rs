//! The behaviour of one stream: filters, exits, silence, views, sizes.

use std::time::Duration;

use dateline_proto::v1::{
    Kind, Record, RecordFilter, RetractRecordsRequest, State, UpdateRecordRequest, View,
    WatchRequest, change::Type, record::Kind as Body,
};
use dateline_server::Config;

use crate::support::{
    builders::{create_request, version},
    gold::publish_gold,
    records::{gold_actor, meta, name, without_server_fields},
    replica::next_response,
    server::{TIMEOUT, TestServer, config, create_database, start_server, start_server_with},
    watch::{open_watch, read_changes, watch_from_beginning, watch_from_cursor, watch_from_now},
};

fn filtered(view: View, filter: RecordFilter) -> WatchRequest {
    WatchRequest {
        filter: Some(filter),
        ..watch_from_beginning(view)
    }
}

#[tokio::test]
async fn a_stream_by_kind_gets_that_kind_and_the_last_of_a_batch_is_marked() {
    let server = start_server().await;
    publish_gold(&server).await;
    let filter = RecordFilter {
        kinds: vec![Kind::Event.into()],
        ..RecordFilter::default()
    };
    let events = read_changes(&server, filtered(View::Published, filter), 11).await;
    assert!(events.iter().all(|change| change.kind() == Kind::Event));
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0].sequence < pair[1].sequence)
    );
    let marks: Vec<_> = events.iter().map(|change| change.last_in_batch).collect();
    assert_eq!(marks.iter().filter(|mark| **mark).count(), 1);
    assert!(
        marks[10],
        "the last event is the last of the batch on this stream"
    );
}

#[tokio::test]
async fn filters_are_or_within_and_and_between_dimensions() {
    let server = start_server().await;
    publish_gold(&server).await;
    let filter = RecordFilter {
        kinds: vec![Kind::Event.into(), Kind::Relation.into()],
        actors: vec!["actors/nato".into()],
        types: vec!["meeting".into(), "member_of".into(), "agreement".into()],
        ..RecordFilter::default()
    };
    let mut client = server.client.clone();
    let request = dateline_proto::v1::ListRecordsRequest {
        filter: Some(filter.clone()),
        ..Default::default()
    };
    let listed = client
        .records
        .list_records(request)
        .await
        .unwrap()
        .into_inner()
        .records;
    let listed: Vec<_> = listed
        .iter()
        .map(|record| name(record).to_owned())
        .collect();
    assert_eq!(
        listed,
        [
            "events/baimukhan-presents-credentials-2021-09",
            "events/ipap-kazakhstan-nato-2022-2025",
            "events/kazakhstan-nato-centcom-meetings-summer-2021",
        ]
    );
    let mut streamed: Vec<_> = read_changes(&server, filtered(View::Published, filter), 3)
        .await
        .into_iter()
        .map(|change| change.name)
        .collect();
    streamed.sort();
    assert_eq!(
        streamed, listed,
        "a stream and a list answer the same question alike"
    );
}

#[tokio::test]
async fn f7_a_record_that_stops_matching_is_announced_by_name_only() {
    let server = start_server().await;
    let mut client = server.client.clone();
    let created = client
        .editorial
        .commit(create_request(&[gold_actor("mover")]))
        .await
        .unwrap()
        .into_inner();
    let mut moved = created.records[0].clone();
    if let Some(Body::Actor(actor)) = &mut moved.kind {
        actor.region_code = "KZ".into();
    }
    let in_kazakhstan = RecordFilter {
        regions: vec!["KZ".into()],
        ..RecordFilter::default()
    };
    let update = |record: Record| UpdateRecordRequest {
        record: Some(record),
        ..UpdateRecordRequest::default()
    };
    let updated = client
        .records
        .update_record(update(moved))
        .await
        .unwrap()
        .into_inner()
        .record
        .unwrap();
    let mut away = updated.clone();
    if let Some(Body::Actor(actor)) = &mut away.kind {
        actor.region_code = "DE".into();
    }
    client.records.update_record(update(away)).await.unwrap();
    let seen = read_changes(&server, filtered(View::Desk, in_kazakhstan), 2).await;
    assert_eq!(seen[0].r#type(), Type::Updated);
    assert_eq!(
        (
            seen[0].sequence,
            without_server_fields(seen[0].record.as_ref().unwrap())
        ),
        (2, without_server_fields(&updated))
    );
    assert_eq!(seen[1].r#type(), Type::Left);
    assert_eq!(
        (seen[1].sequence, seen[1].name.as_str(), &seen[1].record),
        (3, "actors/mover", &None)
    );
}

#[tokio::test]
async fn f7_f10_a_retraction_always_arrives_and_brings_no_content() {
    let server = start_server().await;
    let published = publish_gold(&server).await;
    let event = published
        .iter()
        .find(|record| name(record) == "events/steppe-eagle")
        .unwrap();
    let request = RetractRecordsRequest {
        records: vec![version(event)],
        note: "it was another exercise".into(),
        ..RetractRecordsRequest::default()
    };
    server
        .client
        .clone()
        .editorial
        .retract_records(request)
        .await
        .unwrap();
    let only_published = RecordFilter {
        states: vec![State::Published.into()],
        types: vec!["exercise".into()],
        ..RecordFilter::default()
    };
    let seen = read_changes(&server, filtered(View::Published, only_published), 3).await;
    let last = &seen[2];
    assert_eq!(
        (last.r#type(), last.sequence, last.note.as_str()),
        (Type::Retracted, 48, "it was another exercise")
    );
    let Some(Body::Event(tombstone)) = last.record.clone().unwrap().kind else {
        panic!("an event")
    };
    assert_eq!(
        meta(last.record.as_ref().unwrap()).state(),
        State::Retracted
    );
    assert_eq!(
        meta(last.record.as_ref().unwrap()).corrections[0].note,
        "it was another exercise"
    );
    assert_eq!(
        (tombstone.display_name.as_str(), tombstone.evidence.len()),
        ("", 0)
    );
}

#[tokio::test]
async fn f8_a_quiet_stream_gets_checkpoints_that_resume_and_a_filtered_one_moves_on() {
    let config = Config {
        checkpoint_interval: Duration::from_millis(50),
        ..config(&create_database().await)
    };
    let server = start_server_with(config).await;
    let filter = RecordFilter {
        regions: vec!["IS".into()],
        ..RecordFilter::default()
    };
    let mut stream = open_watch(&server.client, filtered(View::Published, filter)).await;
    assert_eq!(
        next_response(&mut stream)
            .await
            .checkpoint
            .unwrap()
            .sequence,
        0
    );
    publish_gold(&server).await;
    let reached = loop {
        let response = next_response(&mut stream).await;
        assert!(response.changes.is_empty(), "nothing matches");
        let checkpoint = response.checkpoint.unwrap();
        assert!(checkpoint.time.is_some());
        if checkpoint.sequence == 47 {
            assert_eq!(checkpoint.head_sequence, 47);
            break response.cursor;
        }
    };
    let request = watch_from_cursor(View::Published, &reached);
    let mut resumed = open_watch(&server.client, request).await;
    assert_eq!(
        next_response(&mut resumed)
            .await
            .checkpoint
            .unwrap()
            .sequence,
        47
    );
}

#[tokio::test]
async fn f10_drafts_reach_no_reader_and_leave_no_hole_in_their_numbers() {
    let server = start_server().await;
    let mut wire = open_watch(&server.client, watch_from_now(View::Published)).await;
    next_response(&mut wire).await;
    let mut client = server.client.clone();
    client
        .editorial
        .commit(create_request(&[
            gold_actor("zz-draft-one"),
            gold_actor("zz-draft-two"),
        ]))
        .await
        .unwrap();
    let published = publish_gold_after(&server, 2).await;
    let mut sequences = Vec::new();
    while sequences.len() < published {
        for change in next_response(&mut wire).await.changes {
            assert!(!change.name.contains("zz-draft"));
            sequences.push(change.sequence);
        }
    }
    assert_eq!(sequences, (1..=47).collect::<Vec<_>>());
    let unseen = |view: View| dateline_proto::v1::GetRecordRequest {
        name: "actors/zz-draft-one".into(),
        view: view.into(),
        min_sequence: 0,
        ..Default::default()
    };
    assert!(client.records.get_record(unseen(View::Desk)).await.is_ok());
    let hidden = client
        .records
        .get_record(unseen(View::Published))
        .await
        .unwrap_err();
    let mut unknown = unseen(View::Published);
    unknown.name = "actors/nothing-here".into();
    let unknown = client.records.get_record(unknown).await.unwrap_err();
    assert_eq!(hidden.code(), unknown.code());
    assert_eq!(
        hidden.message().replace("zz-draft-one", "x"),
        unknown.message().replace("nothing-here", "x")
    );
    assert_eq!(
        hidden.details().len() - 3 * "zz-draft-one".len(),
        unknown.details().len() - 3 * "nothing-here".len()
    );
    let request = dateline_proto::v1::ListRecordsRequest::default();
    let listed = client
        .records
        .list_records(request)
        .await
        .unwrap()
        .into_inner()
        .records;
    assert!(
        listed
            .iter()
            .all(|record| !name(record).contains("zz-draft"))
    );
}

/// Publishes the gold records on a feed that has `before` changes; returns their number.
async fn publish_gold_after(server: &TestServer, before: i64) -> usize {
    let created = server
        .client
        .commit(create_request(&crate::support::gold::gold_records()))
        .await
        .unwrap();
    assert_eq!(created.sequence, before + 47);
    let request = dateline_proto::v1::PublishRecordsRequest {
        records: created.records.iter().map(version).collect(),
        ..Default::default()
    };
    server.client.publish(request).await.unwrap().records.len()
}

/// Commits a batch of 40 that is larger than a message, changes 2 to 41, and one before and after it.
async fn commit_large(server: &TestServer) {
    let mut client = server.client.clone();
    let large: Vec<_> = (0..40)
        .map(|number| {
            let mut record = gold_actor(&format!("large-{number}"));
            if let Some(Body::Actor(actor)) = &mut record.kind {
                let name = actor.names[0].clone();
                actor.names = (0..100)
                    .map(|_| dateline_proto::v1::Name {
                        text: "x".repeat(290),
                        ..name.clone()
                    })
                    .collect();
            }
            record
        })
        .collect();
    client
        .editorial
        .commit(create_request(&[gold_actor("before")]))
        .await
        .unwrap();
    client
        .editorial
        .commit(create_request(&large))
        .await
        .unwrap();
    client
        .editorial
        .commit(create_request(&[gold_actor("after")]))
        .await
        .unwrap();
}

#[tokio::test]
async fn f3_a_batch_larger_than_a_message_comes_in_parts_that_hold_nothing_else() {
    let server = start_server().await;
    commit_large(&server).await;
    let mut stream = open_watch(&server.client, watch_from_beginning(View::Desk)).await;
    let (mut seen, mut parts) = (0, 0);
    while seen < 42 {
        let response = next_response(&mut stream).await;
        let batches: std::collections::BTreeSet<_> =
            response.changes.iter().map(|change| change.batch).collect();
        if batches.contains(&41) {
            assert_eq!(batches.len(), 1, "a part of a batch stands alone");
            parts += 1;
        }
        seen += response.changes.len();
    }
    assert!(parts > 1, "the batch is larger than a message");
}

#[tokio::test]
async fn f3_only_the_first_checkpoint_of_a_stream_falls_inside_of_a_batch() {
    // A checkpoint may be due at any time.
    let server = start_server_with(Config {
        checkpoint_interval: Duration::from_nanos(1),
        ..config(&create_database().await)
    })
    .await;
    commit_large(&server).await;
    let mut stream = open_watch(&server.client, watch_from_beginning(View::Desk)).await;
    // Any number of checkpoints may be sent before the server is notified of the batch.
    let batch = async {
        loop {
            let response = next_response(&mut stream).await;
            if response.changes.first().is_some_and(|it| it.batch == 41) {
                return response;
            }
        }
    };
    let batch = tokio::time::timeout(TIMEOUT, batch).await;
    let response = batch.expect("something but checkpoints comes");
    assert!(
        response.changes.last().unwrap().sequence < 41,
        "it is a part"
    );
    let inside = watch_from_cursor(View::Desk, &response.cursor);
    let mut stream = open_watch(&server.client, inside).await;
    assert!(next_response(&mut stream).await.checkpoint.is_some());
    let mut last = 0;
    while last < 41 {
        let response = next_response(&mut stream).await;
        assert_eq!(response.checkpoint, None, "after {last}");
        last = response.changes.last().unwrap().sequence;
    }
}

#[tokio::test]
async fn what_is_stored_today_is_read_by_every_later_version() {
    use dateline::json;
    use dateline_proto::DESCRIPTORS;
    for kind in ["Article", "Actor", "Relation", "Event"] {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let payload = directory.join(format!("{}.binpb", kind.to_lowercase()));
        let expected = directory.join(format!("{}.json", kind.to_lowercase()));
        let descriptor = DESCRIPTORS
            .get_message_by_name(&format!("dateline.v1.{kind}"))
            .unwrap();
        let bytes = std::fs::read(&payload).unwrap();
        let message = prost_reflect::DynamicMessage::decode(descriptor, bytes.as_slice()).unwrap();
        let expected: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(expected).unwrap()).unwrap();
        assert_eq!(json::value(&message).unwrap(), expected, "{kind}");
        assert!(message.unknown_fields().next().is_none());
    }
}
