//! A database machine that vanishes silently: existing connections stop, with no RST and no FIN, and new ones work, as
//! after a failover behind one address. Every wait ends, the outcome is reported correctly, and a retry succeeds.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use dateline_proto::v1::{CommitRequest, View};
use dateline_record::sequence::Sequence;
use dateline_store::{Error, Settings, Store};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Notify;
use tonic::Code;

use crate::support::{
    cli::dateline,
    editing::*,
    freezable_proxy::FreezableProxy,
    server::{TIMEOUT, TestServer, config, create_database, start_server_with},
    watch::{read_changes, watch_from_beginning},
};

/// Maximum duration of a write, whatever happens to the database.
const BOUND: Duration = Duration::from_secs(15);

/// A server behind the proxy, with the base, and connections of every pool in use.
async fn warm() -> (FreezableProxy, TestServer) {
    let ice = FreezableProxy::before(&create_database().await).await;
    let server = start_server_with(config(&ice.url)).await;
    create_base(&server.client).await;
    for round in 0..4 {
        create_published(&server.client, &actor(&format!("warm-{round}"))).await;
        read_changes(&server, watch_from_beginning(View::Desk), 3).await;
        find_record(&server.client, SOURCE, View::Published).await;
    }
    (ice, server)
}

fn creation(id: &str) -> CommitRequest {
    CommitRequest {
        request_id: uuid::Uuid::now_v7().to_string(),
        ..commit_request(vec![create(&actor(id))])
    }
}

/// Sends a write, and again while it is UNAVAILABLE, at most three times; returns the number of attempts. Each answer
/// arrives within the bound.
async fn insist(server: &TestServer, request: CommitRequest) -> usize {
    let mut editorial = server.client.editorial.clone();
    for tries in 1..=3 {
        let begun = Instant::now();
        let answer = editorial.commit(request.clone()).await;
        let took = begun.elapsed();
        assert!(took < BOUND, "answered after {took:?}");
        match answer {
            Ok(_) => return tries,
            Err(status) => {
                let refused = RpcError::from(status);
                refused.assert_is(Code::Unavailable, "STORE_UNAVAILABLE");
            }
        }
    }
    panic!("not even the third time")
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_a_write_on_a_frozen_connection_ends_in_time_and_is_done_once() {
    let (ice, server) = warm().await;
    let secret = create_drafts(&server.client, &[actor("secret")])
        .await
        .swap_remove(0);
    commit_one(
        &server.client,
        publish_at(&secret, Some(timestamp_in_ms(1500))),
    )
    .await;
    let before = feed_heads(&server.url).await;
    ice.freeze();
    let request = creation("after");
    assert!(insist(&server, request.clone()).await <= 2);
    assert_eq!(insist(&server, request).await, 1, "the same answer again");
    assert_eq!(insist(&server, creation("next")).await, 1);
    // The tail, the sweeper, reads and health have all noticed independently.
    let begun = Instant::now();
    let wire = read_changes(&server, watch_from_beginning(View::Published), 3 + 4 + 1).await;
    assert_eq!(wire.last().unwrap().name, "actors/secret");
    let desk = read_changes(
        &server,
        watch_from_beginning(View::Desk),
        usize::try_from(before.0).unwrap() + 3,
    )
    .await;
    for name in ["actors/after", "actors/next", "actors/secret"] {
        assert_eq!(
            desk.iter()
                .filter(|it| it.name == name && it.revision != 2)
                .count(),
            if name == "actors/secret" { 2 } else { 1 },
            "{name}"
        );
    }
    assert!(begun.elapsed() < BOUND);
    wait_until("it serves", async || {
        dateline(&server.address, &["health"]).await.code == 0
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_an_answer_that_is_lost_is_unavailable_and_comes_again() {
    let (ice, server) = warm().await;
    // The statement waits for the feed's lock while its connection freezes.
    let mut blocker = PgConnection::connect(&ice.past).await.unwrap();
    blocker
        .execute("BEGIN; SELECT * FROM feed FOR UPDATE")
        .await
        .unwrap();
    // A transaction sees the activity of others as it was at its first look.
    let mut sql = PgConnection::connect(&ice.past).await.unwrap();
    let request = creation("lost");
    let mut editorial = server.client.editorial.clone();
    let writing = tokio::spawn({
        let request = request.clone();
        async move { editorial.commit(request).await }
    });
    wait_until("it waits for the lock", async || {
        let waiting: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .fetch_one(&mut sql)
        .await
        .unwrap();
        waiting > 0
    })
    .await;
    let begun = Instant::now();
    ice.freeze();
    blocker.execute("ROLLBACK").await.unwrap();
    let status = writing.await.unwrap().unwrap_err();
    RpcError::from(status).assert_is(Code::Unavailable, "STORE_UNAVAILABLE");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    // It was committed: the answer arrives, and nothing is written twice.
    let created: i64 =
        sqlx::query_scalar("SELECT count(*) FROM changes WHERE name = 'actors/lost'")
            .fetch_one(&mut blocker)
            .await
            .unwrap();
    assert_eq!(created, 1);
    assert_eq!(insist(&server, request).await, 1);
    let head = usize::try_from(feed_heads(&server.url).await.0).unwrap();
    let desk = read_changes(&server, watch_from_beginning(View::Desk), head).await;
    assert_eq!(desk.iter().filter(|it| it.name == "actors/lost").count(), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_dead_connections_whose_callers_have_left_take_no_places_of_a_pool() {
    let ice = FreezableProxy::before(&create_database().await).await;
    let settings = Settings {
        statement_timeout: TIMEOUT * 10,
        ..Settings::default()
    };
    let store = Store::connect(&ice.url, &settings).await.unwrap();
    // All connections of the pool, which then die.
    let together = (0..8).map(|_| store.ended_embargoes(&[], 1));
    for swept in futures_util::future::join_all(together).await {
        swept.unwrap();
    }
    ice.freeze();
    let mut left = (0..8)
        .map(|_| Box::pin(store.ended_embargoes(&[], 1)))
        .collect::<Vec<_>>();
    for sweep in &mut left {
        assert!(futures_util::poll!(sweep).is_pending());
    }
    drop(left);
    wait_until("it answers", async || store.ping().await.is_ok()).await;
    let swept = tokio::time::timeout(TIMEOUT, store.ended_embargoes(&[], 1)).await;
    swept.expect("there is a place").unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_waits_on_dead_connections_end_once_a_database_that_was_away_answers() {
    let ice = FreezableProxy::before(&create_database().await).await;
    // Longer than the test: only the answer to a probe can end the wait.
    let settings = Settings {
        statement_timeout: TIMEOUT * 10,
        ..Settings::default()
    };
    let store = Store::connect(&ice.url, &settings).await.unwrap();
    store.ended_embargoes(&[], 1).await.unwrap();
    ice.freeze();
    ice.set_away(true);
    let mut sweep = Box::pin({
        let store = store.clone();
        async move { store.ended_embargoes(&[], 1).await }
    });
    // It has taken the connection before a probe does.
    assert!(futures_util::poll!(&mut sweep).is_pending());
    let sweeping = tokio::spawn(sweep);
    wait_until("probes are not answered", async || {
        store.ping().await.is_err()
    })
    .await;
    assert!(!sweeping.is_finished());
    ice.set_away(false);
    wait_until("it answers again", async || store.ping().await.is_ok()).await;
    let swept = tokio::time::timeout(TIMEOUT, sweeping).await;
    let swept = swept.expect("the wait ends").unwrap();
    assert!(matches!(swept, Err(Error::Unavailable(_))), "{swept:?}");
    store.ended_embargoes(&[], 1).await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_frozen_listener_is_noticed_and_hears_of_other_servers_again() {
    let url = create_database().await;
    let ice = FreezableProxy::before(&url).await;
    let [here, there] = [
        start_server_with(config(&ice.url)).await,
        start_server_with(config(&url)).await,
    ];
    create_base(&there.client).await;
    read_changes(&here, watch_from_beginning(View::Desk), 3).await;
    ice.freeze();
    // Without a notification, the tail finds a change only by its poll every 2 s.
    let mut quick = 0;
    for round in 0.. {
        create_drafts(&there.client, &[actor(&format!("round-{round}"))]).await;
        let begun = Instant::now();
        let head = usize::try_from(feed_heads(&url).await.0).unwrap();
        read_changes(&here, watch_from_beginning(View::Desk), head).await;
        quick = if begun.elapsed() < Duration::from_millis(400) {
            quick + 1
        } else {
            0
        };
        if quick == 8 {
            break;
        }
        assert!(round < 60, "it does not listen");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    here.stop().await;
    there.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f13_a_frozen_listener_is_noticed_without_any_other_connection() {
    let ice = FreezableProxy::before(&create_database().await).await;
    let store = Store::connect(&ice.url, &Settings::default())
        .await
        .unwrap();
    let mut listener = store.listen().await.unwrap();
    let nobody = Notify::new();
    listener
        .wait(&nobody, Duration::from_millis(100))
        .await
        .expect("it listens");
    ice.freeze();
    let noticed = async { while listener.wait(&nobody, Duration::from_secs(1)).await.is_ok() {} };
    tokio::time::timeout(BOUND, noticed)
        .await
        .expect("it is noticed");
    store.close().await;
}

/// Asserts that work ends within the bound of a statement, and that a failure is reported as unavailable.
async fn ends<T: std::fmt::Debug>(
    what: &str,
    bound: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> bool {
    let begun = Instant::now();
    let ended = tokio::time::timeout(bound, work).await;
    let ended =
        ended.unwrap_or_else(|_| panic!("{what} has not ended after {:?}", begun.elapsed()));
    match ended {
        Ok(_) => true,
        Err(Error::Unavailable(_)) => false,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

/// Uses every pool; returns the number of successful operations.
async fn of_every_pool(store: &Store, bound: Duration) -> usize {
    let now = time::OffsetDateTime::now_utc();
    let by = dateline_engine::request::Attribution {
        author: "somebody".into(),
        credential: "none".into(),
        peer: String::new(),
        method: "Test".into(),
    };
    let all = [
        ends(
            "a read",
            bound,
            store.find_revision("actors/x", 1, dateline_store::FeedView::Desk),
        )
        .await,
        ends("heads", bound, store.heads()).await,
        ends("feed_status", bound, store.feed_status()).await,
        ends(
            "the log",
            bound,
            store.log_after(dateline_store::FeedView::Desk, Sequence::ZERO, true),
        )
        .await,
        ends(
            "the tail",
            bound,
            store.tail_after(Sequence::ZERO, Sequence::FIRST),
        )
        .await,
        ends(
            "a time",
            bound,
            store.first_since(dateline_store::FeedView::Desk, now),
        )
        .await,
        ends("a compaction", bound, store.compact(Sequence::FIRST, true)).await,
        ends("tokens", bound, store.list_tokens(true, None, 10, 10_000)).await,
        ends("the audit", bound, store.record_audit(&by, "done", "")).await,
        ends("expiry", bound, store.expire_requests()).await,
        ends("embargoes", bound, store.ended_embargoes(&[], 10)).await,
        ends("listening", bound, store.listen()).await,
        ends("a fork", bound, store.fork(uuid::Uuid::nil())).await,
        ends("a ping", bound, store.ping()).await,
        ends("a ping of the writer", bound, store.ping_writer()).await,
    ];
    all.iter().filter(|done| **done).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pool_throws_frozen_connections_away_and_loses_no_place() {
    let ice = FreezableProxy::before(&create_database().await).await;
    let settings = Settings {
        statement_timeout: Duration::from_secs(1),
        read_pool_size: 3,
        ..Settings::default()
    };
    let store = Store::connect(&ice.url, &settings).await.unwrap();
    let bound = Duration::from_secs(8);
    let all = of_every_pool(&store, bound).await;
    assert_eq!(all, 15);
    for round in 0..2 {
        // More at once than a pool has slots, so that all of them are in use or being returned.
        let busy = (0..12).map(|_| of_every_pool(&store, bound));
        futures_util::future::join_all(busy).await;
        ice.freeze();
        of_every_pool(&store, bound).await;
        let done = of_every_pool(&store, bound).await;
        assert_eq!(done, all, "round {round}");
    }
    store.close().await;
}
