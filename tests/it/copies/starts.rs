//! Starts of streams, by time and by consumer; and their reported progress.

use dateline_proto::v1::{
    Consumer, GetRecordRequest, Origin, RecordFilter, View, WatchRequest, change::Type,
    record::Kind as Body, watch_request::Start,
};
use prost_types::Duration;
use tonic::Code;

use super::follower::{Follower, follow, from, next, open, refused, resume, snapshot};
use crate::{
    gold::{changes, from_beginning},
    life::hands::*,
    rig::{PATIENCE, name},
};

#[tokio::test]
async fn f5_a_stream_from_a_time_begins_with_the_first_change_since() {
    let site = base().await;
    shown(&site.client, &actor("before")).await;
    let first = shown(&site.client, &actor("first")).await;
    shown(&site.client, &actor("second")).await;
    let all = changes(&site, from_beginning(View::Published), 6).await;
    let change = all.iter().find(|it| it.name == name(&first)).unwrap();
    let since = from(View::Published, Start::Time(change.time.unwrap()));
    let seen = changes(&site, since, 2).await;
    let names: Vec<_> = seen.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["actors/first", "actors/second"]);
    // A time after all changes: only new ones follow.
    let mut stream = open(&site, from(View::Published, Start::Time(in_ms(0)))).await;
    assert_eq!(next(&mut stream).await.checkpoint.unwrap().sequence, 6);
    let tomorrow = from(View::Published, Start::Time(in_ms(86_400_000)));
    let refusal = refused(&site, tomorrow).await;
    refusal.is(Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(refusal.fields(), ["time"]);
}

#[tokio::test]
async fn a_notifier_is_spared_old_news_after_a_pause_and_a_replica_gets_all() {
    let site = base().await;
    let mut stream = open(&site, from_beginning(View::Published)).await;
    let start = next(&mut stream).await.cursor;
    let consumer = |consumer: Consumer, max_age| WatchRequest {
        consumer: consumer.into(),
        max_age,
        ..resume(View::Published, &start)
    };
    let at_once = Duration {
        seconds: 0,
        nanos: 0,
    };
    let mut spared = open(&site, consumer(Consumer::Notifier, Some(at_once))).await;
    let mut told = open(&site, consumer(Consumer::Notifier, None)).await;
    let mut replica = open(&site, consumer(Consumer::Replica, None)).await;
    assert_eq!(next(&mut spared).await.checkpoint.unwrap().sequence, 3);
    shown(&site.client, &actor("news")).await;
    let mut follower = Follower::default();
    follow(&mut follower, &mut spared, 4).await;
    assert_eq!(follower.sequences, [4]);
    for stream in [&mut told, &mut replica] {
        let mut follower = Follower::default();
        follow(&mut follower, stream, 4).await;
        assert_eq!(follower.sequences, [1, 2, 3, 4]);
    }
    let refusal = refused(&site, consumer(Consumer::Replica, Some(at_once))).await;
    refusal.is(Code::InvalidArgument, "INVALID_REQUEST");
    assert_eq!(refusal.fields(), ["max_age"]);
}

#[tokio::test]
async fn what_is_not_said_follows_from_what_a_stream_is_for() {
    let site = base().await;
    let plain = |consumer: Consumer| WatchRequest {
        consumer: consumer.into(),
        ..WatchRequest::default()
    };
    for consumer in [Consumer::Unspecified, Consumer::Notifier] {
        let first = next(&mut open(&site, plain(consumer)).await).await;
        assert_eq!(
            first.checkpoint.unwrap().sequence,
            3,
            "{consumer:?} begins now"
        );
    }
    let mut stream = open(&site, plain(Consumer::Replica)).await;
    let first = next(&mut stream).await;
    assert_eq!(
        first.snapshot_sequence, 3,
        "a replica begins with a snapshot"
    );
    assert_eq!(next(&mut stream).await.records.len(), 3);
}

#[tokio::test]
async fn f8_checkpoints_tell_how_far_behind_a_stream_is() {
    let site = base().await;
    // The server is notified of its own commits.
    let seen = GetRecordRequest {
        min_sequence: 3,
        ..get_request("actors/one", View::Published)
    };
    get(&site.client, seen).await.unwrap();
    let mut stream = open(&site, from_beginning(View::Published)).await;
    let first = next(&mut stream).await.checkpoint.unwrap();
    assert_eq!(
        (first.sequence, first.head_sequence, first.lag),
        (0, 3, None)
    );
    let mut stream = open(&site, snapshot(View::Published)).await;
    let mut follower = Follower::default();
    while follower.checkpoint.is_none() {
        follower.take(next(&mut stream).await);
    }
    let caught_up = follower.checkpoint.unwrap();
    assert_eq!((caught_up.sequence, caught_up.head_sequence), (3, 3));
    assert_eq!(caught_up.lag, Some(Duration::default()));
}

#[tokio::test]
async fn f7_who_follows_an_actor_follows_who_is_merged_into_it_from_then_on() {
    let site = base().await;
    let client = &site.client;
    shown(client, &actor("three")).await;
    let mut tie = relation("tie");
    if let Some(Body::Relation(relation)) = &mut tie.kind {
        relation.object = "actors/three".into();
    }
    let tie = shown(client, &tie).await;
    let request = WatchRequest {
        filter: Some(RecordFilter {
            actors: vec!["actors/two".into()],
            ..RecordFilter::default()
        }),
        ..from(View::Published, Start::Origin(Origin::Now.into()))
    };
    let mut stream = open(&site, request).await;
    next(&mut stream).await;
    let (loser, winner) = (
        on_desk(client, "actors/one").await,
        on_desk(client, "actors/two").await,
    );
    done(client, vec![merge(&loser, &winner)]).await;
    one(
        client,
        correct(
            &saying(&tie, "a tie of the one that was merged"),
            &[],
            "said better",
        ),
    )
    .await;
    let following = async {
        let mut seen = Vec::new();
        while !seen.contains(&("relations/tie".to_owned(), Type::Corrected)) {
            let response = next(&mut stream).await;
            let changes = response.changes.iter();
            seen.extend(changes.map(|it| (it.name.clone(), it.r#type())));
        }
        seen
    };
    let seen = tokio::time::timeout(PATIENCE, following).await;
    let seen = seen.expect("what names the loser comes too");
    assert_eq!(seen[0], ("actors/one".to_owned(), Type::Merged), "{seen:?}");
}
