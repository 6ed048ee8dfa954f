//! F11: the digest that the feed reports equals the one that a consumer computes, after every way in which a record can
//! change.

use dateline_proto::v1::{View, WatchRequest};
use sqlx::{Connection, PgConnection};

use crate::support::{
    editing::*,
    gold::publish_gold,
    replica::{Replica, are_tallies_correct, follow, get_feed, next_response},
    server::{TestServer, config, create_database, start_server_with},
    watch::{open_watch, watch_from_beginning, watch_snapshot},
};

/// Compares, for both views, the fold of a stream from the beginning with the feed's digest, and that with the digest
/// that the database computes from its heads.
async fn compare(server: &TestServer, what: &str) {
    let (desk, wire) = feed_heads(&server.url).await;
    for (view, head) in [(View::Desk, desk), (View::Published, wire)] {
        let mut follower = Replica::default();
        let mut stream = open_watch(&server.client, watch_from_beginning(view)).await;
        follow(&mut follower, &mut stream, head).await;
        let feed = get_feed(server, view).await;
        assert_eq!(feed.head_sequence, head, "{what}");
        assert_eq!(
            feed.digest.unwrap(),
            follower.digest(),
            "{view:?} after {what}"
        );
    }
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    assert!(are_tallies_correct(&mut sql).await, "after {what}");
}

#[tokio::test]
async fn f11_the_digest_is_that_of_what_is_shown_after_every_kind_of_change() {
    let server = start_server_with_base().await;
    let client = &server.client;
    compare(&server, "publishing").await;
    let draft = create_drafts(client, &[actor("moved")])
        .await
        .swap_remove(0);
    let draft = commit_one(client, update(&with_text(&draft, "edited"), &[])).await;
    compare(&server, "an edit").await;
    let review = commit_one(client, submit(&draft)).await;
    let back = commit_one(client, send_back(&review, "not yet")).await;
    let embargoed = commit_one(client, publish_at(&back, Some(timestamp_in_ms(3_600_000)))).await;
    compare(&server, "an embargo").await;
    let public = commit_one(client, publish(&embargoed)).await;
    let public = commit_one(
        client,
        correct(&with_text(&public, "better"), &[], "said better"),
    )
    .await;
    compare(&server, "a correction").await;
    let public = commit_one(client, restore(&public, 1, "right after all")).await;
    compare(&server, "a restoration").await;
    commit_one(client, retract(&public, "wrong", false)).await;
    compare(&server, "a retraction").await;
    let twins = create_drafts(client, &[actor("twin"), actor("other-twin")]).await;
    let twins = publish_all(client, &twins).await;
    let merged = commit_ok(client, vec![merge(&twins[0], &twins[1])])
        .await
        .records;
    compare(&server, "a merge").await;
    let loser = merged.iter().find(|it| name(it) == "actors/twin").unwrap();
    commit_one(client, unmerge(loser)).await;
    compare(&server, "the undoing of a merge").await;
    let draft = create_drafts(client, &[actor("deleted")])
        .await
        .swap_remove(0);
    let deleted = commit_one(client, delete(&draft)).await;
    compare(&server, "a deletion").await;
    let erased = commit_one(client, purge(&deleted, false)).await;
    compare(&server, "the erasure of what was deleted").await;
    commit_one(client, purge(&erased, false)).await;
    compare(&server, "one more erasure of it").await;
    let twin = desk_record(client, "actors/other-twin").await;
    commit_ok(client, vec![purge(&twin, false)]).await;
    compare(&server, "an erasure").await;
}

#[tokio::test]
async fn f11_checkpoints_at_the_head_carry_the_digest_on_request() {
    let mut config = config(&create_database().await);
    config.checkpoint_interval = std::time::Duration::from_millis(50);
    let server = start_server_with(config).await;
    publish_gold(&server).await;
    let asked = WatchRequest {
        digest: true,
        ..watch_snapshot(View::Published)
    };
    let mut follower = Replica::default();
    let mut stream = open_watch(&server.client, asked).await;
    while follower
        .checkpoint
        .as_ref()
        .is_none_or(|it| it.digest.is_none())
    {
        follower.apply(next_response(&mut stream).await);
    }
    let checkpoint = follower.checkpoint.clone().unwrap();
    assert_eq!(checkpoint.sequence, 47);
    assert_eq!(checkpoint.digest.unwrap(), follower.digest());
    assert_eq!(follower.digest().records, 47);
    let mut silent = open_watch(&server.client, watch_snapshot(View::Published)).await;
    let mut follower = Replica::default();
    while follower.checkpoint.is_none() {
        follower.apply(next_response(&mut silent).await);
    }
    assert_eq!(
        follower.checkpoint.unwrap().digest,
        None,
        "it was not asked for"
    );
}

#[tokio::test]
async fn f11_a_busy_feed_tells_its_digest_too() {
    let server = start_server_with_base().await;
    let request = WatchRequest {
        digest: true,
        ..watch_snapshot(View::Published)
    };
    let mut stream = open_watch(&server.client, request).await;
    let mut follower = Replica::default();
    let mut proved = 0;
    // Writes follow each other without a pause, so that the stream is never idle long enough for a timed checkpoint.
    let stop = publish_continuously(&server);
    while proved < 3 {
        let response = next_response(&mut stream).await;
        let digest = response
            .checkpoint
            .as_ref()
            .and_then(|it| it.digest.clone());
        follower.apply(response);
        if let Some(said) = digest {
            assert_eq!(said, follower.digest());
            proved += 1;
        }
    }
    assert!(stop().await > 0, "somebody wrote");
}
