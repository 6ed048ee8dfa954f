//! F11: the digest that the feed reports equals the one that a consumer computes, after every way in which a record can
//! change.

use dateline_proto::v1::{View, WatchRequest};
use sqlx::{Connection, PgConnection};

use super::follower::{Follower, feed_of, follow, next, open, snapshot, tallies_add_up};
use crate::{
    gold::{from_beginning, publish_gold},
    life::hands::*,
    rig::{Site, config, database, site_on},
};

/// Compares, for both views, the fold of a stream from the beginning with the feed's digest, and that with the digest
/// that the database computes from its heads.
async fn compare(site: &Site, what: &str) {
    let (desk, wire) = heads(&site.url).await;
    for (view, head) in [(View::Desk, desk), (View::Published, wire)] {
        let mut follower = Follower::default();
        let mut stream = open(site, from_beginning(view)).await;
        follow(&mut follower, &mut stream, head).await;
        let feed = feed_of(site, view).await;
        assert_eq!(feed.head_sequence, head, "{what}");
        assert_eq!(
            feed.digest.unwrap(),
            follower.digest(),
            "{view:?} after {what}"
        );
    }
    let mut sql = PgConnection::connect(&site.url).await.unwrap();
    assert!(tallies_add_up(&mut sql).await, "after {what}");
}

#[tokio::test]
async fn f11_the_digest_is_that_of_what_is_shown_after_every_kind_of_change() {
    let site = base().await;
    let client = &site.client;
    compare(&site, "publishing").await;
    let draft = make(client, &[actor("moved")]).await.swap_remove(0);
    let draft = one(client, update(&saying(&draft, "edited"), &[])).await;
    compare(&site, "an edit").await;
    let review = one(client, submit(&draft)).await;
    let back = one(client, send_back(&review, "not yet")).await;
    let embargoed = one(client, publish_at(&back, Some(in_ms(3_600_000)))).await;
    compare(&site, "an embargo").await;
    let public = one(client, publish(&embargoed)).await;
    let public = one(
        client,
        correct(&saying(&public, "better"), &[], "said better"),
    )
    .await;
    compare(&site, "a correction").await;
    let public = one(client, restore(&public, 1, "right after all")).await;
    compare(&site, "a restoration").await;
    one(client, retract(&public, "wrong", false)).await;
    compare(&site, "a retraction").await;
    let twins = make(client, &[actor("twin"), actor("other-twin")]).await;
    let twins = show(client, &twins).await;
    let merged = done(client, vec![merge(&twins[0], &twins[1])])
        .await
        .records;
    compare(&site, "a merge").await;
    let loser = merged
        .iter()
        .find(|it| crate::rig::name(it) == "actors/twin")
        .unwrap();
    one(client, unmerge(loser)).await;
    compare(&site, "the undoing of a merge").await;
    let draft = make(client, &[actor("deleted")]).await.swap_remove(0);
    let deleted = one(client, delete(&draft)).await;
    compare(&site, "a deletion").await;
    let erased = one(client, purge(&deleted, false)).await;
    compare(&site, "the erasure of what was deleted").await;
    one(client, purge(&erased, false)).await;
    compare(&site, "one more erasure of it").await;
    let twin = on_desk(client, "actors/other-twin").await;
    done(client, vec![purge(&twin, false)]).await;
    compare(&site, "an erasure").await;
}

#[tokio::test]
async fn f11_checkpoints_at_the_head_carry_the_digest_on_request() {
    let mut config = config(&database().await);
    config.checkpoint_interval = std::time::Duration::from_millis(50);
    let site = site_on(config).await;
    publish_gold(&site).await;
    let asked = WatchRequest {
        digest: true,
        ..snapshot(View::Published)
    };
    let mut follower = Follower::default();
    let mut stream = open(&site, asked).await;
    while follower
        .checkpoint
        .as_ref()
        .is_none_or(|it| it.digest.is_none())
    {
        follower.take(next(&mut stream).await);
    }
    let checkpoint = follower.checkpoint.clone().unwrap();
    assert_eq!(checkpoint.sequence, 47);
    assert_eq!(checkpoint.digest.unwrap(), follower.digest());
    assert_eq!(follower.digest().records, 47);
    let mut silent = open(&site, snapshot(View::Published)).await;
    let mut follower = Follower::default();
    while follower.checkpoint.is_none() {
        follower.take(next(&mut silent).await);
    }
    assert_eq!(
        follower.checkpoint.unwrap().digest,
        None,
        "it was not asked for"
    );
}

#[tokio::test]
async fn f11_a_busy_feed_tells_its_digest_too() {
    let site = base().await;
    let request = WatchRequest {
        digest: true,
        ..snapshot(View::Published)
    };
    let mut stream = open(&site, request).await;
    let mut follower = Follower::default();
    let mut proved = 0;
    // Writes follow each other without a pause, so that the stream is never idle long enough for a timed checkpoint.
    let stop = busy(&site);
    while proved < 3 {
        let response = next(&mut stream).await;
        let digest = response
            .checkpoint
            .as_ref()
            .and_then(|it| it.digest.clone());
        follower.take(response);
        if let Some(said) = digest {
            assert_eq!(said, follower.digest());
            proved += 1;
        }
    }
    assert!(stop().await > 0, "somebody wrote");
}
