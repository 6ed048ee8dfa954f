//! F6: a client that resumes from history that was dropped, or that this database never had, gets an error; no stream
//! continues silently.

use dateline_client::Client;
use dateline_proto::v1::{
    CompactFeedRequest, CompactFeedResponse, ForkFeedRequest, GetRecordRequest, View,
    admin_service_client::AdminServiceClient, compact_feed_request::Before,
};
use tonic::Code;

use super::follower::{Follower, end, feed_of, follow, next, open, refused, resume, snapshot};
use crate::{
    gold::{changes, from_beginning},
    life::hands::*,
    rig::{Site, bare, config, meta, site_on},
};

/// Publishes `count` small actors one by one.
pub async fn publish_some(client: &Client, of: &str, count: usize) {
    for number in 0..count {
        shown(client, &actor(&format!("{of}-{number}"))).await;
    }
}

/// The cursor of a stream at a sequence of the wire feed.
pub async fn cursor_at(site: &Site, sequence: i64) -> String {
    let mut stream = open(site, from_beginning(View::Published)).await;
    let mut follower = Follower::default();
    follow(&mut follower, &mut stream, sequence).await;
    follower.cursor
}

pub async fn compact(site: &Site, before: i64, only_count: bool) -> CompactFeedResponse {
    let request = CompactFeedRequest {
        before: Some(Before::DeskSequence(before)),
        validate_only: only_count,
    };
    let mut admin = AdminServiceClient::new(site.client.channel());
    admin.compact_feed(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn f6_after_a_compaction_older_cursors_are_refused_and_copies_can_begin_anew() {
    let site = base().await;
    let client = &site.client;
    let start = next(&mut open(&site, from_beginning(View::Published)).await)
        .await
        .cursor;
    let mut edited = shown(client, &actor("edited")).await;
    for number in 0..5 {
        let text = saying(&edited, &format!("text {number}"));
        edited = one(client, correct(&text, &[], "said better")).await;
    }
    let source = on_desk(client, "articles/source").await;
    one(
        client,
        correct(&saying(&source, "another summary"), &[], "misspelt"),
    )
    .await;
    let (desk, wire) = heads(&site.url).await;
    let late = cursor_at(&site, wire).await;
    let before = feed_of(&site, View::Published).await;

    let counted = compact(&site, desk, true).await;
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
        feed_of(&site, View::Published).await,
        before,
        "counting drops nothing"
    );
    assert_eq!(compact(&site, desk, false).await.revisions, 8);
    assert_eq!(
        compact(&site, desk, false).await.revisions,
        0,
        "a second time there is nothing left"
    );

    for request in [
        resume(View::Published, &start),
        from_beginning(View::Published),
    ] {
        let refusal = refused(&site, request).await;
        refusal.is(Code::OutOfRange, "CURSOR_EXPIRED");
        assert_eq!(refusal.about["earliest_sequence"], wire.to_string());
    }
    open(&site, resume(View::Published, &late)).await;
    let mut follower = Follower::default();
    let mut stream = open(&site, snapshot(View::Published)).await;
    while follower.checkpoint.is_none() {
        follower.take(next(&mut stream).await);
    }
    let now = feed_of(&site, View::Published).await;
    assert_eq!(follower.digest(), now.digest.unwrap());
    assert_eq!(now.earliest_sequence, wire);
    let revision = |name: &str, revision| GetRecordRequest {
        revision: Some(revision),
        ..get_request(name, View::Desk)
    };
    let dropped = get(client, revision("actors/edited", 2)).await.unwrap_err();
    dropped.is(Code::NotFound, "RECORD_NOT_FOUND");
    get(client, revision("articles/source", 1))
        .await
        .expect("evidence names it");
    // A server that starts on the compacted log answers the same.
    let other = site_on(config(&site.url)).await;
    refused(&other, resume(View::Published, &start))
        .await
        .is(Code::OutOfRange, "CURSOR_EXPIRED");
}

#[tokio::test]
async fn f5_f6_a_snapshot_goes_on_over_a_compaction_that_keeps_its_sequence() {
    let site = base().await;
    let crowd = super::snapshots::crowd(&site, 200).await;
    let (desk, wire) = heads(&site.url).await;
    let mut follower = Follower::default();
    follower.take(next(&mut open(&site, snapshot(View::Published)).await).await);
    assert!(
        follower.records.len() < crowd.len(),
        "the snapshot takes more than one response"
    );
    let last = crowd.last().unwrap();
    let text = saying(last, "said later");
    one(&site.client, correct(&text, &[], "said better")).await;
    compact(&site, desk + 1, false).await;
    let mut stream = open(&site, resume(View::Published, &follower.cursor)).await;
    while follower.checkpoint.is_none() {
        follower.take(next(&mut stream).await);
    }
    assert_eq!(follower.snapshot_sequence, wire);
    assert_eq!(follower.records.len(), crowd.len() + 3);
    let copied = &follower.records[crate::rig::name(last)];
    assert_eq!((bare(copied), meta(copied).revision), (bare(last), 2));
    // A snapshot from before the point cannot be completed, and fails.
    compact(&site, desk + 2, false).await;
    let begun = next(&mut open(&site, snapshot(View::Published)).await)
        .await
        .cursor;
    one(
        &site.client,
        retract(
            &on_desk(&site.client, "actors/crowd-00100").await,
            "wrong",
            false,
        ),
    )
    .await;
    one(
        &site.client,
        retract(
            &on_desk(&site.client, "actors/crowd-00101").await,
            "wrong",
            false,
        ),
    )
    .await;
    let (desk, _) = heads(&site.url).await;
    compact(&site, desk, false).await;
    let refusal = refused(&site, resume(View::Published, &begun)).await;
    refusal.is(Code::OutOfRange, "CURSOR_EXPIRED");
}

#[tokio::test]
async fn f6_an_open_stream_that_needs_dropped_history_ends_with_the_reason() {
    let sites = two_bases().await;
    publish_some(&sites[0].client, "some", 3).await;
    // The ring of this server does not hold the beginning, so the stream has to read the log.
    let start = next(&mut open(&sites[1], from_beginning(View::Desk)).await)
        .await
        .cursor;
    let (desk, _) = heads(&sites[0].url).await;
    compact(&sites[0], desk, false).await;
    let fresh = site_on(config(&sites[0].url)).await;
    refused(&fresh, resume(View::Desk, &start))
        .await
        .is(Code::OutOfRange, "CURSOR_EXPIRED");
}

#[tokio::test]
async fn f6_a_copied_database_begins_a_history_of_its_own() {
    let original = base().await;
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
    behind(&admin, &format!("CREATE DATABASE {copy} TEMPLATE {name}")).await;
    let original = site_on(config(&url)).await;
    let copied = site_on(config(
        &url.replace(&format!("/{name}"), &format!("/{copy}")),
    ))
    .await;
    let shared = cursor_at(&original, 3).await;
    publish_some(&original.client, "original", 2).await;
    publish_some(&copied.client, "copied", 2).await;

    let here = feed_of(&original, View::Published).await;
    let there = feed_of(&copied, View::Published).await;
    assert_eq!(
        (here.feed, here.head_sequence),
        (there.feed.clone(), there.head_sequence)
    );
    assert_ne!(here.epoch, there.epoch);
    // Cursors of shared history are valid at both; a cursor of one's own history is refused at the other.
    let follows = changes(&copied, resume(View::Published, &shared), 2).await;
    assert_eq!(follows[0].name, "actors/copied-0");
    for (from, to) in [(&original, &copied), (&copied, &original)] {
        let ahead = cursor_at(from, 4).await;
        open(from, resume(View::Published, &ahead)).await;
        refused(to, resume(View::Published, &ahead))
            .await
            .is(Code::FailedPrecondition, "CURSOR_FOREIGN");
    }
}

/// Simulates a restored backup, or a promoted standby that lagged: the newest changes are gone, and the database may
/// live elsewhere.
async fn lose_after(url: &str, desk: i64, elsewhere: bool) {
    let home = if elsewhere { "'elsewhere'" } else { "home" };
    behind(
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
        let sites = two_bases().await;
        let (desk, wire) = heads(&sites[0].url).await;
        let safe = cursor_at(&sites[1], wire).await;
        publish_some(&sites[0].client, "first-lost", 1).await;
        let first_lost = cursor_at(&sites[1], wire + 1).await;
        publish_some(&sites[0].client, "lost", 2).await;
        let lost = cursor_at(&sites[1], wire + 3).await;
        let beyond = open(&sites[1], resume(View::Published, &lost)).await;
        let epoch = feed_of(&sites[1], View::Published).await.epoch;
        lose_after(&sites[0].url, desk, elsewhere).await;
        if elsewhere {
            // The first write begins the new history, by whichever server.
            publish_some(&sites[0].client, "found", 5).await;
        }
        let refusal = end(beyond).await;
        refusal.is(Code::FailedPrecondition, "CURSOR_FOREIGN");
        for site in &sites {
            until("the new history is known", async || {
                feed_of(site, View::Published).await.epoch != epoch
            })
            .await;
        }
        publish_some(&sites[1].client, "later", 1).await;
        for site in &sites {
            for cursor in [&lost, &first_lost] {
                refused(site, resume(View::Published, cursor))
                    .await
                    .is(Code::FailedPrecondition, "CURSOR_FOREIGN");
            }
            let (_, head) = heads(&site.url).await;
            let rest = usize::try_from(head - wire).unwrap();
            let seen = changes(site, resume(View::Published, &safe), rest).await;
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
    let sites = two_bases().await;
    let (desk, wire) = heads(&sites[0].url).await;
    publish_some(&sites[0].client, "lost", 1).await;
    let lost = cursor_at(&sites[1], wire + 1).await;
    let saw_it = open(&sites[1], resume(View::Published, &lost)).await;
    lose_after(&sites[0].url, desk, true).await;
    // One commit brings the head past its old position, so it never seems to go back.
    let found: Vec<_> = (0..6)
        .map(|number| actor(&format!("found-{number}")))
        .collect();
    let drafts = make(&sites[0].client, &found).await;
    show(&sites[0].client, &drafts).await;
    end(saw_it)
        .await
        .is(Code::FailedPrecondition, "CURSOR_FOREIGN");
    for site in &sites {
        refused(site, resume(View::Published, &lost))
            .await
            .is(Code::FailedPrecondition, "CURSOR_FOREIGN");
    }
}

#[tokio::test]
async fn f6_a_stream_that_saw_nothing_of_what_is_lost_goes_on() {
    let sites = two_bases().await;
    let (desk, wire) = heads(&sites[0].url).await;
    let mut behind_it = open(
        &sites[1],
        resume(View::Published, &cursor_at(&sites[1], wire).await),
    )
    .await;
    next(&mut behind_it).await;
    lose_after(&sites[0].url, desk, true).await;
    publish_some(&sites[0].client, "found", 1).await;
    let mut follower = Follower::default();
    follow(&mut follower, &mut behind_it, wire + 1).await;
    assert!(follower.records.contains_key("actors/found-0"));
    // Its cursor belongs to the new history.
    open(&sites[0], resume(View::Published, &follower.cursor)).await;
}

#[tokio::test]
async fn f6_a_forked_feed_takes_no_cursor_of_the_original() {
    let sites = two_bases().await;
    let before = feed_of(&sites[0], View::Published).await;
    let cursor = cursor_at(&sites[0], 3).await;
    let open_streams = [
        open(&sites[0], resume(View::Published, &cursor)).await,
        open(&sites[1], resume(View::Published, &cursor)).await,
    ];
    let mut admin = AdminServiceClient::new(sites[0].client.channel());
    let wrong = ForkFeedRequest {
        feed: uuid::Uuid::now_v7().to_string(),
    };
    let refusal: Refused = admin.fork_feed(wrong).await.unwrap_err().into();
    refusal.is(Code::InvalidArgument, "INVALID_REQUEST");
    let request = ForkFeedRequest {
        feed: before.feed.clone(),
    };
    let forked = admin.fork_feed(request).await.unwrap().into_inner().feed;
    assert_ne!(forked, before.feed);
    for stream in open_streams {
        end(stream)
            .await
            .is(Code::FailedPrecondition, "CURSOR_FOREIGN");
    }
    for site in &sites {
        assert_eq!(feed_of(site, View::Published).await.feed, forked);
        refused(site, resume(View::Published, &cursor))
            .await
            .is(Code::FailedPrecondition, "CURSOR_FOREIGN");
        assert_eq!(
            changes(site, from_beginning(View::Published), 3)
                .await
                .len(),
            3
        );
    }
}
