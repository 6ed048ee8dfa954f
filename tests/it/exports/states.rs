//! E1, E2, E3: an export is the state at one sequence, identical every time and wherever it is interrupted.

use std::collections::BTreeMap;

use dateline_proto::v1::{ExportRequest, State, View, change::Type};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::support::{
    crowd::{crowd, filters, listed},
    editing::*,
    exporter::{
        ReceivedExport, delta_export_request, export_err, full_export_request,
        next_export_response, open_export, run_export,
    },
    gold::publish_gold,
    replica::{Replica, follow},
    server::{TestServer, start_server},
    watch::watch_from_beginning,
};

/// Starts a writer that makes all kinds of writes until it is stopped.
fn writer(
    server: &TestServer,
    records: Vec<dateline_proto::v1::Record>,
) -> impl AsyncFnOnce() -> usize {
    let (client, url, stop) = (
        server.client.clone(),
        server.url.clone(),
        CancellationToken::new(),
    );
    let stopped = stop.clone();
    let writing = tokio::spawn(async move {
        let (first, _) = feed_heads(&url).await;
        let mut count = 0;
        for record in records.iter().cycle() {
            if stopped.is_cancelled() {
                break;
            }
            let now = desk_record(&client, name(record)).await;
            match (count % 5, state(&now)) {
                (0, State::Published) => {
                    drop(commit_one(&client, retract(&now, "wrong", false)).await);
                }
                (_, State::Published) => {
                    let text = format!("said {count} times");
                    commit_one(
                        &client,
                        correct(&with_text(&now, &text), &[], "said better"),
                    )
                    .await;
                }
                _ => drop(create_drafts(&client, &[actor(&format!("late-{first}-{count}"))]).await),
            }
            count += 1;
        }
        count
    });
    async move || {
        stop.cancel();
        writing.await.unwrap()
    }
}

/// Folds the log up to a sequence.
async fn fold(
    server: &TestServer,
    view: View,
    at: i64,
) -> BTreeMap<String, dateline_proto::v1::Record> {
    let mut follower = Replica::default();
    let mut stream =
        crate::support::watch::open_watch(&server.client, watch_from_beginning(view)).await;
    let mut done = false;
    while !done {
        let mut response = crate::support::replica::next_response(&mut stream).await;
        response.changes.retain(|change| change.sequence <= at);
        follower.apply(response);
        let last = follower.sequences.last().copied().unwrap_or_default();
        let told = follower.checkpoint.as_ref().map_or(0, |it| it.sequence);
        done = last.max(told) >= at;
    }
    follower.records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn e1_e3_an_export_that_is_cut_everywhere_under_writers_is_the_state_at_its_sequence() {
    let servers = start_two_servers_with_base().await;
    let crowd = crowd(&servers[0], 3000).await;
    for view in [View::Published, View::Desk] {
        let edited = crowd.iter().step_by(30).cloned().collect();
        let stop = writer(&servers[0], edited);
        let mut taken = ReceivedExport::default();
        let mut request = full_export_request(view);
        for turn in 0.. {
            let mut stream = open_export(&servers[turn % 2], request.clone()).await;
            // The first response of each stream describes the export.
            taken.apply_response(next_export_response(&mut stream).await);
            taken.apply_response(next_export_response(&mut stream).await);
            if taken.complete {
                assert!(turn > 10, "{turn} streams");
                break;
            }
            request.cursor.clone_from(&taken.cursor);
        }
        // A cursor of a partition is invalid for another export.
        let parts = run_export(
            &servers[1],
            ExportRequest {
                sequence: Some(taken.sequence()),
                ..full_export_request(view)
            },
        )
        .await;
        assert!(stop().await > 0, "somebody wrote");
        assert_eq!(
            taken.records,
            fold(&servers[0], view, taken.sequence()).await
        );
        assert_eq!(
            parts.records, taken.records,
            "the same the second time (E2)"
        );
        assert_eq!(taken.digest(), taken.begin.clone().unwrap().digest.unwrap());
    }
}

#[tokio::test]
async fn e1_partitions_are_the_whole_and_no_record_is_in_two() {
    let server = start_server().await;
    publish_gold(&server).await;
    let all = run_export(&server, full_export_request(View::Published)).await;
    assert_eq!(all.records.len(), 47);
    let mut parts = BTreeMap::new();
    let mut sizes = Vec::new();
    for partition in 0..4 {
        let request = ExportRequest {
            sequence: Some(all.sequence()),
            partitions: 4,
            partition,
            ..full_export_request(View::Published)
        };
        let part = run_export(&server, request).await.records;
        sizes.push(part.len());
        for (name, record) in part {
            assert!(parts.insert(name, record).is_none());
        }
    }
    assert_eq!(parts, all.records);
    assert!(sizes.iter().all(|size| *size > 2), "{sizes:?}");
}

#[tokio::test]
async fn e1_an_export_under_a_filter_is_what_a_list_under_it_returns() {
    let server = start_server().await;
    publish_gold(&server).await;
    for view in [View::Published, View::Desk] {
        // Without the last filter, which matches nothing.
        for filter in &filters()[..4] {
            let listed = listed(&server, view, filter).await;
            let request = ExportRequest {
                filter: Some(filter.clone()),
                ..full_export_request(view)
            };
            let taken: Vec<_> = run_export(&server, request)
                .await
                .records
                .into_values()
                .collect();
            assert!(!taken.is_empty());
            assert_eq!(taken, listed, "{view:?} {filter:?}");
        }
    }
}

#[tokio::test]
async fn e2_an_older_sequence_is_exported_as_it_was_and_tombstones_on_request() {
    let server = start_server_with_base().await;
    let before = run_export(&server, full_export_request(View::Published)).await;
    let first = create_published(&server.client, &actor("changed")).await;
    commit_one(&server.client, retract(&first, "wrong", false)).await;
    let again = ExportRequest {
        sequence: Some(before.sequence()),
        ..full_export_request(View::Published)
    };
    let again = run_export(&server, again).await;
    assert_eq!(again.records, before.records);
    assert_eq!(again.begin.unwrap().digest, None, "the feed has moved on");
    let with_tombstones = ExportRequest {
        tombstones: true,
        ..full_export_request(View::Published)
    };
    let with_tombstones = run_export(&server, with_tombstones).await;
    let tombstone = &with_tombstones.records["actors/changed"];
    assert_eq!(state(tombstone), State::Retracted);
    assert_eq!(with_tombstones.records.len(), before.records.len() + 1);
}

#[tokio::test]
async fn e5_a_delta_says_why_a_record_is_gone() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let names = ["retracted", "merged", "stays", "purged", "leaves"];
    let mut records = Vec::new();
    for name in names {
        records.push(create_published(client, &actor(name)).await);
    }
    let draft = create_drafts(client, &[actor("dropped")])
        .await
        .swap_remove(0);
    let (desk, wire) = feed_heads(&server.url).await;
    commit_one(client, retract(&records[0], "wrong", false)).await;
    commit_one(client, merge(&records[1], &records[2])).await;
    commit_ok(client, vec![purge(&records[3], false)]).await;
    commit_ok(client, vec![delete(&draft)]).await;
    // Created and deleted between the two sequences.
    let late = create_drafts(client, &[actor("brief")])
        .await
        .swap_remove(0);
    commit_ok(client, vec![delete(&late)]).await;
    let new = create_published(client, &actor("new")).await;
    let removed = |taken: &ReceivedExport| -> Vec<(String, Type, String)> {
        let removed = taken.removed.values();
        removed
            .map(|it| (it.name.clone(), it.r#type(), it.merged_into.clone()))
            .collect()
    };
    let on_wire = run_export(&server, delta_export_request(View::Published, wire)).await;
    let gone = |name: &str, why, into: &str| (format!("actors/{name}"), why, into.to_owned());
    assert_eq!(
        removed(&on_wire),
        [
            gone("merged", Type::Merged, "actors/stays"),
            gone("purged", Type::Purged, ""),
            gone("retracted", Type::Retracted, ""),
        ]
    );
    // The winner of a merge lists the loser, and so has changed.
    let changed: Vec<_> = on_wire.records.keys().collect();
    assert_eq!(changed, [name(&new), "actors/stays"]);
    let at_desk = run_export(&server, delta_export_request(View::Desk, desk)).await;
    assert_eq!(
        removed(&at_desk),
        [
            gone("dropped", Type::Deleted, ""),
            gone("merged", Type::Merged, "actors/stays"),
            gone("purged", Type::Purged, ""),
            gone("retracted", Type::Retracted, ""),
        ]
    );
}

#[tokio::test]
async fn f6_what_cannot_be_exported_is_refused_and_never_something_else() {
    let server = start_server().await;
    publish_gold(&server).await;
    let ask = |request: ExportRequest, code, reason| export_err(&server, request, code, reason);
    let wire = full_export_request(View::Published);
    ask(
        ExportRequest {
            sequence: Some(48),
            ..wire.clone()
        },
        Code::OutOfRange,
        "CURSOR_IN_FUTURE",
    )
    .await;
    ask(
        delta_export_request(View::Published, 48),
        Code::OutOfRange,
        "CURSOR_IN_FUTURE",
    )
    .await;
    for bad in [
        ExportRequest {
            partitions: 4,
            partition: 4,
            ..wire.clone()
        },
        ExportRequest {
            partition: 1,
            ..wire.clone()
        },
        ExportRequest {
            partitions: 257,
            ..wire.clone()
        },
        ExportRequest {
            sequence: Some(-1),
            ..wire.clone()
        },
        ExportRequest {
            sequence: Some(3),
            since_sequence: Some(4),
            ..wire.clone()
        },
    ] {
        ask(bad, Code::InvalidArgument, "INVALID_REQUEST").await;
    }
    let cursor = next_export_response(&mut open_export(&server, wire.clone()).await)
        .await
        .cursor;
    for other in [
        ExportRequest {
            tombstones: true,
            ..wire.clone()
        },
        ExportRequest {
            partitions: 2,
            ..wire.clone()
        },
        delta_export_request(View::Published, 3),
        ExportRequest {
            sequence: Some(46),
            ..wire.clone()
        },
        ExportRequest {
            cursor: "noise".into(),
            ..wire.clone()
        },
    ] {
        let cursor = if other.cursor.is_empty() {
            cursor.clone()
        } else {
            other.cursor.clone()
        };
        ask(
            ExportRequest { cursor, ..other },
            Code::InvalidArgument,
            "INVALID_CURSOR",
        )
        .await;
    }
    let of_desk = ExportRequest {
        cursor: cursor.clone(),
        ..full_export_request(View::Desk)
    };
    ask(of_desk, Code::FailedPrecondition, "CURSOR_FOREIGN").await;
    // Cursors of exports are invalid for streams, and the other way round.
    let watching = crate::support::watch::watch_from_cursor(View::Published, &cursor);
    crate::support::replica::watch_err(&server, watching)
        .await
        .assert_is(Code::InvalidArgument, "INVALID_CURSOR");
    let mut following = Replica::default();
    let mut stream =
        crate::support::watch::open_watch(&server.client, watch_from_beginning(View::Published))
            .await;
    follow(&mut following, &mut stream, 47).await;
    let of_stream = ExportRequest {
        cursor: following.cursor,
        ..wire.clone()
    };
    ask(of_stream, Code::InvalidArgument, "INVALID_CURSOR").await;
    // Compacted history.
    let stays = desk_record(&server.client, "actors/nato").await;
    commit_one(
        &server.client,
        correct(&with_text(&stays, "better"), &[], "said better"),
    )
    .await;
    let compact = dateline_proto::v1::CompactFeedRequest {
        before: Some(dateline_proto::v1::compact_feed_request::Before::DeskSequence(96)),
        validate_only: false,
    };
    server
        .client
        .clone()
        .admin
        .compact_feed(compact)
        .await
        .unwrap();
    ask(
        ExportRequest {
            sequence: Some(46),
            ..wire.clone()
        },
        Code::OutOfRange,
        "CURSOR_EXPIRED",
    )
    .await;
    ask(
        delta_export_request(View::Published, 3),
        Code::OutOfRange,
        "CURSOR_EXPIRED",
    )
    .await;
    ask(
        ExportRequest { cursor, ..wire },
        Code::OutOfRange,
        "CURSOR_EXPIRED",
    )
    .await;
}

/// An article of about `bytes` bytes of text.
fn long(id: &str, bytes: usize) -> dateline_proto::v1::Record {
    let mut record = article(id);
    if let Some(dateline_proto::v1::record::Kind::Article(article)) = &mut record.kind {
        article.body = "long ".repeat(bytes / 5).trim_end().to_owned();
    }
    record
}

#[tokio::test]
async fn e1_pages_that_are_full_lose_nothing() {
    let server = start_server().await;
    // About 3 MB; a page holds 1 MiB and ends between the names of one read.
    let sizes = [190_000, 30, 150_000, 195_000, 120_000, 90_000, 180_000, 30];
    for round in 0..3 {
        for (number, bytes) in sizes.into_iter().enumerate() {
            create_drafts(
                &server.client,
                &[long(&format!("p-{round}-{number}"), bytes)],
            )
            .await;
        }
    }
    let made = 3 * sizes.len();
    for parts in [1, 2] {
        let mut names = Vec::new();
        for partition in 0..parts {
            let request = ExportRequest {
                partitions: parts,
                partition,
                ..full_export_request(View::Desk)
            };
            names.extend(run_export(&server, request).await.records.into_keys());
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), made, "{parts}: {names:?}");
    }
    let begin = run_export(&server, full_export_request(View::Desk)).await;
    assert_eq!(Some(begin.digest()), begin.begin.unwrap().digest);
    server.stop().await;
}
