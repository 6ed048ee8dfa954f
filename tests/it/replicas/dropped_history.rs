//! F6: a client that resumes from history that was dropped, or that this database never had, gets an error; no stream
//! continues silently.

use dateline_client::Client;
use dateline_proto::v1::{
    CompactFeedRequest, CompactFeedResponse, ForkFeedRequest, GetRecordRequest, View,
    admin_service_client::AdminServiceClient, compact_feed_request::Before,
};
use sqlx::{Connection, PgConnection};
use tonic::Code;

use crate::support::{
    crowd::crowd,
    editing::*,
    replica::{Replica, follow, get_feed, next_response, read_to_error, watch_err},
    server::{TestServer, config, start_server_with},
    watch::{open_watch, read_changes, watch_from_beginning, watch_from_cursor, watch_snapshot},
};

/// Publishes `count` small actors one by one.
pub async fn publish_some(client: &Client, of: &str, count: usize) {
    for number in 0..count {
        create_published(client, &actor(&format!("{of}-{number}"))).await;
    }
}

/// The cursor of a stream at a sequence of the wire feed.
pub async fn cursor_at(server: &TestServer, sequence: i64) -> String {
    let mut stream = open_watch(&server.client, watch_from_beginning(View::Published)).await;
    let mut follower = Replica::default();
    follow(&mut follower, &mut stream, sequence).await;
    follower.cursor
}

pub async fn compact(server: &TestServer, before: i64, only_count: bool) -> CompactFeedResponse {
    let request = CompactFeedRequest {
        before: Some(Before::DeskSequence(before)),
        validate_only: only_count,
    };
    let mut admin = AdminServiceClient::new(server.client.channel());
    admin.compact_feed(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn f6_after_a_compaction_older_cursors_are_refused_and_copies_can_begin_anew() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let start =
        next_response(&mut open_watch(&server.client, watch_from_beginning(View::Published)).await)
            .await
            .cursor;
    let mut edited = create_published(client, &actor("edited")).await;
    for number in 0..5 {
        let text = with_text(&edited, &format!("text {number}"));
        edited = commit_one(client, correct(&text, &[], "said better")).await;
    }
    let source = desk_record(client, "articles/source").await;
    commit_one(
        client,
        correct(&with_text(&source, "another summary"), &[], "misspelt"),
    )
    .await;
    let (desk, wire) = feed_heads(&server.url).await;
    let late = cursor_at(&server, wire).await;
    let before = get_feed(&server, View::Published).await;

    let counted = compact(&server, desk, true).await;
    // Dropped: of `edited` a draft, a publication and four corrections; drafts of two actors. The article is kept: it
    // is cited.
    assert_eq!(counted.revisions, 8, "{counted:?}");
    assert_eq!(
        (
            counted.earliest_desk_sequence,
            counted.earliest_wire_sequence
        ),
        (desk, wire)
    );
    assert_eq!(
        get_feed(&server, View::Published).await,
        before,
        "counting drops nothing"
    );
    assert_eq!(compact(&server, desk, false).await.revisions, 8);
    assert_eq!(
        compact(&server, desk, false).await.revisions,
        0,
        "a second time there is nothing left"
    );

    for request in [
        watch_from_cursor(View::Published, &start),
        watch_from_beginning(View::Published),
    ] {
        let refusal = watch_err(&server, request).await;
        refusal.assert_is(Code::OutOfRange, "CURSOR_EXPIRED");
        assert_eq!(refusal.about["earliest_sequence"], wire.to_string());
    }
    open_watch(&server.client, watch_from_cursor(View::Published, &late)).await;
    let mut follower = Replica::default();
    let mut stream = open_watch(&server.client, watch_snapshot(View::Published)).await;
    while follower.checkpoint.is_none() {
        follower.apply(next_response(&mut stream).await);
    }
    let now = get_feed(&server, View::Published).await;
    assert_eq!(follower.digest(), now.digest.unwrap());
    assert_eq!(now.earliest_sequence, wire);
    let revision = |name: &str, revision| GetRecordRequest {
        revision: Some(revision),
        ..get_request(name, View::Desk)
    };
    let dropped = get_record(client, revision("actors/edited", 2))
        .await
        .unwrap_err();
    dropped.assert_is(Code::NotFound, "RECORD_NOT_FOUND");
    get_record(client, revision("articles/source", 1))
        .await
        .expect("evidence names it");
    // A server that starts on the compacted log answers the same.
    let other = start_server_with(config(&server.url)).await;
    watch_err(&other, watch_from_cursor(View::Published, &start))
        .await
        .assert_is(Code::OutOfRange, "CURSOR_EXPIRED");
}

#[tokio::test]
async fn f5_f6_a_snapshot_goes_on_over_a_compaction_that_keeps_its_sequence() {
    let server = start_server_with_base().await;
    let crowd = crowd(&server, 200).await;
    let (desk, wire) = feed_heads(&server.url).await;
    let mut follower = Replica::default();
    follower.apply(
        next_response(&mut open_watch(&server.client, watch_snapshot(View::Published)).await).await,
    );
    assert!(
        follower.records.len() < crowd.len(),
        "the snapshot takes more than one response"
    );
    let last = crowd.last().unwrap();
    let text = with_text(last, "said later");
    commit_one(&server.client, correct(&text, &[], "said better")).await;
    compact(&server, desk + 1, false).await;
    let mut stream = open_watch(
        &server.client,
        watch_from_cursor(View::Published, &follower.cursor),
    )
    .await;
    while follower.checkpoint.is_none() {
        follower.apply(next_response(&mut stream).await);
    }
    assert_eq!(follower.snapshot_sequence, wire);
    assert_eq!(follower.records.len(), crowd.len() + 3);
    let copied = &follower.records[name(last)];
    assert_eq!(
        (without_server_fields(copied), meta(copied).revision),
        (without_server_fields(last), 2)
    );
    // A snapshot from before the point cannot be completed, and fails.
    compact(&server, desk + 2, false).await;
    let begun =
        next_response(&mut open_watch(&server.client, watch_snapshot(View::Published)).await)
            .await
            .cursor;
    commit_one(
        &server.client,
        retract(
            &desk_record(&server.client, "actors/crowd-00100").await,
            "wrong",
            false,
        ),
    )
    .await;
    commit_one(
        &server.client,
        retract(
            &desk_record(&server.client, "actors/crowd-00101").await,
            "wrong",
            false,
        ),
    )
    .await;
    let (desk, _) = feed_heads(&server.url).await;
    compact(&server, desk, false).await;
    let refusal = watch_err(&server, watch_from_cursor(View::Published, &begun)).await;
    refusal.assert_is(Code::OutOfRange, "CURSOR_EXPIRED");
}

#[tokio::test]
async fn f6_an_open_stream_that_needs_dropped_history_ends_with_the_reason() {
    let servers = start_two_servers_with_base().await;
    publish_some(&servers[0].client, "some", 3).await;
    // The ring of this server does not hold the beginning, so the stream has to read the log.
    let start =
        next_response(&mut open_watch(&servers[1].client, watch_from_beginning(View::Desk)).await)
            .await
            .cursor;
    let (desk, _) = feed_heads(&servers[0].url).await;
    compact(&servers[0], desk, false).await;
    let fresh = start_server_with(config(&servers[0].url)).await;
    watch_err(&fresh, watch_from_cursor(View::Desk, &start))
        .await
        .assert_is(Code::OutOfRange, "CURSOR_EXPIRED");
}

#[tokio::test]
async fn f6_a_copied_database_begins_a_history_of_its_own() {
    let original = start_server_with_base().await;
    let url = original.url.clone();
    original.stop().await;
    let name = url
        .split('?')
        .next()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let admin = url.replace(&format!("/{name}"), "/postgres");
    let copy = format!("{name}_copy");
    execute_sql(&admin, &format!("CREATE DATABASE {copy} TEMPLATE {name}")).await;
    let original = start_server_with(config(&url)).await;
    let copied = start_server_with(config(
        &url.replace(&format!("/{name}"), &format!("/{copy}")),
    ))
    .await;
    let shared = cursor_at(&original, 3).await;
    publish_some(&original.client, "original", 2).await;
    publish_some(&copied.client, "copied", 2).await;

    let here = get_feed(&original, View::Published).await;
    let there = get_feed(&copied, View::Published).await;
    assert_eq!(
        (here.feed, here.head_sequence),
        (there.feed.clone(), there.head_sequence)
    );
    assert_ne!(here.epoch, there.epoch);
    // Cursors of shared history are valid at both; a cursor of one's own history is refused at the other.
    let follows = read_changes(&copied, watch_from_cursor(View::Published, &shared), 2).await;
    assert_eq!(follows[0].name, "actors/copied-0");
    for (from, to) in [(&original, &copied), (&copied, &original)] {
        let ahead = cursor_at(from, 4).await;
        open_watch(&from.client, watch_from_cursor(View::Published, &ahead)).await;
        watch_err(to, watch_from_cursor(View::Published, &ahead))
            .await
            .assert_is(Code::FailedPrecondition, "CURSOR_FOREIGN");
    }
}

/// Simulates a restored backup, or a promoted standby that lagged: the newest changes are gone, and the database may
/// live elsewhere.
async fn lose_after(url: &str, desk: i64, elsewhere: bool) {
    let home = if elsewhere { "'elsewhere'" } else { "home" };
    execute_sql(
        url,
        &format!(
            "BEGIN;
             SELECT 1 FROM feed FOR UPDATE;
             DELETE FROM records WHERE name IN (SELECT name FROM changes WHERE desk_sequence > {desk});
             DELETE FROM links WHERE source NOT IN (SELECT name FROM records);
             DELETE FROM changes WHERE desk_sequence > {desk};
             UPDATE feed SET
                 desk_head = {desk},
                 wire_head = (SELECT coalesce(max(wire_sequence), 0) FROM changes),
                 desk_tally = counted_tally('{{draft,in_review,embargoed,published}}'),
                 wire_tally = counted_tally('{{published}}'),
                 home = {home};
             COMMIT;"
        ),
    )
    .await;
}

#[tokio::test]
async fn f6_when_a_database_is_restored_under_open_streams_who_saw_what_is_lost_is_told() {
    for elsewhere in [true, false] {
        let servers = start_two_servers_with_base().await;
        let (desk, wire) = feed_heads(&servers[0].url).await;
        let safe = cursor_at(&servers[1], wire).await;
        publish_some(&servers[0].client, "first-lost", 1).await;
        let first_lost = cursor_at(&servers[1], wire + 1).await;
        publish_some(&servers[0].client, "lost", 2).await;
        let lost = cursor_at(&servers[1], wire + 3).await;
        let beyond = open_watch(
            &servers[1].client,
            watch_from_cursor(View::Published, &lost),
        )
        .await;
        let epoch = get_feed(&servers[1], View::Published).await.epoch;
        lose_after(&servers[0].url, desk, elsewhere).await;
        if elsewhere {
            // The first write begins the new history, by whichever server.
            publish_some(&servers[0].client, "found", 5).await;
        }
        let refusal = read_to_error(beyond).await;
        refusal.assert_is(Code::FailedPrecondition, "CURSOR_FOREIGN");
        for server in &servers {
            wait_until("the new history is known", async || {
                get_feed(server, View::Published).await.epoch != epoch
            })
            .await;
        }
        publish_some(&servers[1].client, "later", 1).await;
        for server in &servers {
            for cursor in [&lost, &first_lost] {
                watch_err(server, watch_from_cursor(View::Published, cursor))
                    .await
                    .assert_is(Code::FailedPrecondition, "CURSOR_FOREIGN");
            }
            let (_, head) = feed_heads(&server.url).await;
            let rest = usize::try_from(head - wire).unwrap();
            let seen = read_changes(server, watch_from_cursor(View::Published, &safe), rest).await;
            let first = if elsewhere {
                "actors/found-0"
            } else {
                "actors/later-0"
            };
            assert_eq!(seen[0].name, first);
            assert_eq!(seen.last().unwrap().name, "actors/later-0");
        }
    }
}

#[tokio::test]
async fn f6_a_loss_that_one_commit_makes_up_for_is_noticed_too() {
    let servers = start_two_servers_with_base().await;
    let (desk, wire) = feed_heads(&servers[0].url).await;
    publish_some(&servers[0].client, "lost", 1).await;
    let lost = cursor_at(&servers[1], wire + 1).await;
    let epoch = get_feed(&servers[0], View::Desk).await.epoch;
    let saw_it = open_watch(
        &servers[1].client,
        watch_from_cursor(View::Published, &lost),
    )
    .await;
    lose_after(&servers[0].url, desk, true).await;
    // One commit brings the head past its old position, so it never seems to go back.
    let found: Vec<_> = (0..6)
        .map(|number| actor(&format!("found-{number}")))
        .collect();
    let drafts = create_drafts(&servers[0].client, &found).await;
    publish_all(&servers[0].client, &drafts).await;
    read_to_error(saw_it)
        .await
        .assert_is(Code::FailedPrecondition, "CURSOR_FOREIGN");
    for server in &servers {
        // Until its tail compares the histories, a server goes on with the one that it has in memory.
        wait_until("the server knows its history", async || {
            get_feed(server, View::Desk).await.epoch != epoch
        })
        .await;
        watch_err(server, watch_from_cursor(View::Published, &lost))
            .await
            .assert_is(Code::FailedPrecondition, "CURSOR_FOREIGN");
    }
}

#[tokio::test]
async fn f6_a_database_that_lives_elsewhere_begins_a_history_before_its_first_commit() {
    let server = start_server_with_base().await;
    let (desk, _) = feed_heads(&server.url).await;
    let epoch = get_feed(&server, View::Desk).await.epoch;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let mut begun = async || -> Vec<i64> {
        let begun = sqlx::query_scalar("SELECT desk_head FROM epochs ORDER BY number");
        begun.fetch_all(&mut sql).await.unwrap()
    };
    let before = begun().await;
    // No change is lost, so the tail has nothing to notice.
    let moved = "UPDATE feed SET home = 'elsewhere', written_by = pg_current_xact_id()::xid";
    execute_sql(&server.url, moved).await;
    create_drafts(&server.client, &[actor("first")]).await;
    assert_eq!(begun().await, [before, vec![desk]].concat());
    wait_until("the server knows its history", async || {
        get_feed(&server, View::Desk).await.epoch != epoch
    })
    .await;
}

#[tokio::test]
async fn f6_a_stream_that_saw_nothing_of_what_is_lost_goes_on() {
    let servers = start_two_servers_with_base().await;
    let (desk, wire) = feed_heads(&servers[0].url).await;
    let mut behind_it = open_watch(
        &servers[1].client,
        watch_from_cursor(View::Published, &cursor_at(&servers[1], wire).await),
    )
    .await;
    next_response(&mut behind_it).await;
    lose_after(&servers[0].url, desk, true).await;
    publish_some(&servers[0].client, "found", 1).await;
    let mut follower = Replica::default();
    follow(&mut follower, &mut behind_it, wire + 1).await;
    assert!(follower.records.contains_key("actors/found-0"));
    // Its cursor belongs to the new history.
    open_watch(
        &servers[0].client,
        watch_from_cursor(View::Published, &follower.cursor),
    )
    .await;
}

#[tokio::test]
async fn f6_a_forked_feed_takes_no_cursor_of_the_original() {
    let servers = start_two_servers_with_base().await;
    let before = get_feed(&servers[0], View::Published).await;
    let cursor = cursor_at(&servers[0], 3).await;
    let open_streams = [
        open_watch(
            &servers[0].client,
            watch_from_cursor(View::Published, &cursor),
        )
        .await,
        open_watch(
            &servers[1].client,
            watch_from_cursor(View::Published, &cursor),
        )
        .await,
    ];
    let mut admin = AdminServiceClient::new(servers[0].client.channel());
    let wrong = ForkFeedRequest {
        feed: uuid::Uuid::now_v7().to_string(),
    };
    let refusal: RpcError = admin.fork_feed(wrong).await.unwrap_err().into();
    refusal.assert_is(Code::InvalidArgument, "INVALID_REQUEST");
    let request = ForkFeedRequest {
        feed: before.feed.clone(),
    };
    let forked = admin.fork_feed(request).await.unwrap().into_inner().feed;
    assert_ne!(forked, before.feed);
    for stream in open_streams {
        read_to_error(stream)
            .await
            .assert_is(Code::FailedPrecondition, "CURSOR_FOREIGN");
    }
    for server in &servers {
        assert_eq!(get_feed(server, View::Published).await.feed, forked);
        watch_err(server, watch_from_cursor(View::Published, &cursor))
            .await
            .assert_is(Code::FailedPrecondition, "CURSOR_FOREIGN");
        assert_eq!(
            read_changes(server, watch_from_beginning(View::Published), 3)
                .await
                .len(),
            3
        );
    }
}
