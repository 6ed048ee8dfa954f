//! F11: the digest that the feed reports equals the one that a consumer computes, after every way in which a record can
//! change.

use dateline_proto::v1::{View, WatchRequest};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::{
    cli::dateline,
    editing::*,
    gold::publish_gold,
    replica::{Replica, are_tallies_correct, follow, get_feed, next_response},
    server::{TestServer, config, create_database, start_server_with, temp_dir},
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

/// Takes a record out of the stored tallies once more, as versions from before the first release could.
async fn spoil_tallies(url: &str) {
    let spoil = "UPDATE feed SET
             written_by = pg_current_xact_id()::xid,
             desk_tally = added_tally(desk_tally, '{10,11,12}', '{-1,-5,-4294967290}'),
             wire_tally = added_tally(wire_tally, '{1,9}', '{-2,-3}')";
    execute_sql(url, spoil).await;
}

async fn correct_tallies(sql: &mut PgConnection) -> bool {
    let correct = sqlx::query_scalar("SELECT correct_tallies()");
    correct.fetch_one(sql).await.unwrap()
}

/// The audit's entries of corrections.
async fn corrections(sql: &mut PgConnection) -> Vec<String> {
    let entries = sqlx::query_scalar("SELECT details FROM audit WHERE method = 'CorrectTallies'");
    entries.fetch_all(sql).await.unwrap()
}

/// Exit code and messages of an export of the desk feed.
async fn export_desk(server: &TestServer) -> (i32, String) {
    let (_keep, directory) = temp_dir();
    let out = directory.to_str().unwrap();
    let words = ["export", "--out", out, "--view", "desk"];
    let done = dateline(&server.address, &words).await;
    (done.code, done.stderr)
}

#[tokio::test]
async fn f11_a_digest_that_an_earlier_version_left_wrong_is_corrected_at_start() {
    let url = create_database().await;
    let first = start_server_with(config(&url)).await;
    publish_gold(&first).await;
    create_drafts(&first.client, &[actor("draft")]).await;
    let epoch = get_feed(&first, View::Desk).await.epoch;
    first.stop().await;
    spoil_tallies(&url).await;
    let second = start_server_with(config(&url)).await;
    let (code, told) = export_desk(&second).await;
    assert!(
        code == 1 && told.contains("48 records came, the feed has 47"),
        "{code} {told}"
    );
    second.stop().await;
    let earlier = "UPDATE applied_functions SET sha256 = '' WHERE file = 'tallies'";
    execute_sql(&url, earlier).await;
    let third = start_server_with(config(&url)).await;
    compare(&third, "a correction of the digest").await;
    let (code, told) = export_desk(&third).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(get_feed(&third, View::Desk).await.epoch, epoch);
    let mut sql = PgConnection::connect(&url).await.unwrap();
    let noted = corrections(&mut sql).await;
    assert_eq!(noted.len(), 1, "{noted:?}");
    let wrong = "by -1 in the desk feed and -2 in the wire feed";
    assert!(noted[0].ends_with(wrong), "{noted:?}");
    third.stop().await;
}

#[tokio::test]
async fn f11_a_digest_is_corrected_while_records_are_written() {
    let server = start_server_with_base().await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let stop = publish_continuously(&server);
    for _ in 0..5 {
        assert!(!correct_tallies(&mut sql).await, "it is right");
        spoil_tallies(&server.url).await;
        assert!(correct_tallies(&mut sql).await, "it was wrong");
    }
    assert!(stop().await > 0, "somebody wrote");
    assert!(are_tallies_correct(&mut sql).await);
    server.stop().await;
}

#[tokio::test]
async fn f11_of_two_corrections_of_a_digest_one_counts_and_running_servers_hear_of_it() {
    let server = start_server_with_base().await;
    spoil_tallies(&server.url).await;
    // With this commit the server reads the wrong digest.
    create_drafts(&server.client, &[actor("draft")]).await;
    let (desk, _) = feed_heads(&server.url).await;
    let mut follower = Replica::default();
    let mut stream = open_watch(&server.client, watch_from_beginning(View::Desk)).await;
    follow(&mut follower, &mut stream, desk).await;
    let is_right = async || {
        let request = WatchRequest {
            digest: true,
            ..watch_snapshot(View::Desk)
        };
        let mut stream = open_watch(&server.client, request).await;
        loop {
            let checkpoint = next_response(&mut stream).await.checkpoint;
            if let Some(digest) = checkpoint.and_then(|it| it.digest) {
                return digest == follower.digest();
            }
        }
    };
    assert!(!is_right().await);
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let mut blocker = PgConnection::connect(&server.url).await.unwrap();
    blocker
        .execute("BEGIN; SELECT FROM feed FOR UPDATE")
        .await
        .unwrap();
    let corrections_at_once = [(); 2].map(|()| {
        let url = server.url.clone();
        tokio::spawn(async move {
            let mut sql = PgConnection::connect(&url).await.unwrap();
            correct_tallies(&mut sql).await
        })
    });
    wait_until(
        "one waits for the feed, and the other one for it",
        async || {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%correct_tallies%'",
            )
            .fetch_one(&mut sql)
            .await
            .unwrap();
            waiting == 2
        },
    )
    .await;
    blocker.execute("ROLLBACK").await.unwrap();
    let mut done = Vec::new();
    for correction in corrections_at_once {
        done.push(correction.await.unwrap());
    }
    done.sort_unstable();
    assert_eq!(done, [false, true]);
    assert!(are_tallies_correct(&mut sql).await);
    wait_until("the server has the corrected digest", is_right).await;
    assert_eq!(corrections(&mut sql).await.len(), 1);
    server.stop().await;
}
