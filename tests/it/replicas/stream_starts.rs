//! Starts of streams, by time and by consumer; and their reported progress.

use dateline_proto::v1::{
    Consumer, GetRecordRequest, Origin, RecordFilter, View, WatchRequest, change::Type,
    record::Kind as Body, watch_request::Start,
};
use prost_types::Duration;
use tonic::Code;

use crate::support::{
    editing::*,
    replica::{Replica, follow, next_response, watch_err},
    server::TIMEOUT,
    watch::{
        open_watch, read_changes, watch_from_beginning, watch_from_cursor, watch_request,
        watch_snapshot,
    },
};

#[tokio::test]
async fn f5_a_stream_from_a_time_begins_with_the_first_change_since() {
    let server = start_server_with_base().await;
    create_published(&server.client, &actor("before")).await;
    let first = create_published(&server.client, &actor("first")).await;
    create_published(&server.client, &actor("second")).await;
    let all = read_changes(&server, watch_from_beginning(View::Published), 6).await;
    let change = all.iter().find(|it| it.name == name(&first)).unwrap();
    let since = watch_request(View::Published, Start::Time(change.time.unwrap()));
    let seen = read_changes(&server, since, 2).await;
    let names: Vec<_> = seen.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["actors/first", "actors/second"]);
    // A time after all changes: only new ones follow.
    let mut stream = open_watch(
        &server.client,
        watch_request(View::Published, Start::Time(timestamp_in_ms(0))),
    )
    .await;
    assert_eq!(
        next_response(&mut stream)
            .await
            .checkpoint
            .unwrap()
            .sequence,
        6
    );
    let tomorrow = watch_request(View::Published, Start::Time(timestamp_in_ms(86_400_000)));
    let refusal = watch_err(&server, tomorrow).await;
    refusal.assert_is(Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(refusal.fields(), ["time"]);
}

#[tokio::test]
async fn a_notifier_is_spared_old_news_after_a_pause_and_a_replica_gets_all() {
    let server = start_server_with_base().await;
    let mut stream = open_watch(&server.client, watch_from_beginning(View::Published)).await;
    let start = next_response(&mut stream).await.cursor;
    let consumer = |consumer: Consumer, max_age| WatchRequest {
        consumer: consumer.into(),
        max_age,
        ..watch_from_cursor(View::Published, &start)
    };
    let at_once = Duration {
        seconds: 0,
        nanos: 0,
    };
    let mut spared = open_watch(&server.client, consumer(Consumer::Notifier, Some(at_once))).await;
    let mut told = open_watch(&server.client, consumer(Consumer::Notifier, None)).await;
    let mut replica = open_watch(&server.client, consumer(Consumer::Replica, None)).await;
    assert_eq!(
        next_response(&mut spared)
            .await
            .checkpoint
            .unwrap()
            .sequence,
        3
    );
    create_published(&server.client, &actor("news")).await;
    let mut follower = Replica::default();
    follow(&mut follower, &mut spared, 4).await;
    assert_eq!(follower.sequences, [4]);
    for stream in [&mut told, &mut replica] {
        let mut follower = Replica::default();
        follow(&mut follower, stream, 4).await;
        assert_eq!(follower.sequences, [1, 2, 3, 4]);
    }
    let refusal = watch_err(&server, consumer(Consumer::Replica, Some(at_once))).await;
    refusal.assert_is(Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(refusal.fields(), ["max_age"]);
}

#[tokio::test]
async fn what_is_not_said_follows_from_what_a_stream_is_for() {
    let server = start_server_with_base().await;
    let plain = |consumer: Consumer| WatchRequest {
        consumer: consumer.into(),
        ..WatchRequest::default()
    };
    for consumer in [Consumer::Unspecified, Consumer::Notifier] {
        let first = next_response(&mut open_watch(&server.client, plain(consumer)).await).await;
        assert_eq!(
            first.checkpoint.unwrap().sequence,
            3,
            "{consumer:?} begins now"
        );
    }
    let mut stream = open_watch(&server.client, plain(Consumer::Replica)).await;
    let first = next_response(&mut stream).await;
    assert_eq!(
        first.snapshot_sequence, 3,
        "a replica begins with a snapshot"
    );
    assert_eq!(next_response(&mut stream).await.records.len(), 3);
}

#[tokio::test]
async fn f8_checkpoints_tell_how_far_behind_a_stream_is() {
    let server = start_server_with_base().await;
    // The server is notified of its own commits.
    let seen = GetRecordRequest {
        min_sequence: 3,
        ..get_request("actors/one", View::Published)
    };
    get_record(&server.client, seen).await.unwrap();
    let mut stream = open_watch(&server.client, watch_from_beginning(View::Published)).await;
    let first = next_response(&mut stream).await.checkpoint.unwrap();
    assert_eq!(
        (first.sequence, first.head_sequence, first.lag),
        (0, 3, None)
    );
    let mut stream = open_watch(&server.client, watch_snapshot(View::Published)).await;
    let mut follower = Replica::default();
    while follower.checkpoint.is_none() {
        follower.apply(next_response(&mut stream).await);
    }
    let caught_up = follower.checkpoint.unwrap();
    assert_eq!((caught_up.sequence, caught_up.head_sequence), (3, 3));
    assert_eq!(caught_up.lag, Some(Duration::default()));
}

#[tokio::test]
async fn f7_who_follows_an_actor_follows_who_is_merged_into_it_from_then_on() {
    let server = start_server_with_base().await;
    let client = &server.client;
    create_published(client, &actor("three")).await;
    let mut tie = relation("tie");
    if let Some(Body::Relation(relation)) = &mut tie.kind {
        relation.object = "actors/three".into();
    }
    let tie = create_published(client, &tie).await;
    let request = WatchRequest {
        filter: Some(RecordFilter {
            actors: vec!["actors/two".into()],
            ..RecordFilter::default()
        }),
        ..watch_request(View::Published, Start::Origin(Origin::Now.into()))
    };
    let mut stream = open_watch(&server.client, request).await;
    next_response(&mut stream).await;
    let (loser, winner) = (
        desk_record(client, "actors/one").await,
        desk_record(client, "actors/two").await,
    );
    commit_ok(client, vec![merge(&loser, &winner)]).await;
    commit_one(
        client,
        correct(
            &with_text(&tie, "a tie of the one that was merged"),
            &[],
            "said better",
        ),
    )
    .await;
    let following = async {
        let mut seen = Vec::new();
        while !seen.contains(&("relations/tie".to_owned(), Type::Corrected)) {
            let response = next_response(&mut stream).await;
            let changes = response.changes.iter();
            seen.extend(changes.map(|it| (it.name.clone(), it.r#type())));
        }
        seen
    };
    let seen = tokio::time::timeout(TIMEOUT, following).await;
    let seen = seen.expect("what names the loser comes too");
    assert_eq!(seen[0], ("actors/one".to_owned(), Type::Merged), "{seen:?}");
}
