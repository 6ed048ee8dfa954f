//! Reads by name that are answered from memory: the same answers as from the database, at every server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use dateline_client::Client;
use dateline_feed::{Feed, RecordCache};
use dateline_proto::v1::{BatchGetRecordsRequest, Record, View};
use dateline_store::{FeedView, Settings, Store};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::{Connection, Executor, PgConnection};
use tokio::{sync::Notify, task::JoinSet, time::timeout};

use crate::support::{
    editing::*,
    server::{TestServer, config, create_database, start_server_with},
};

/// Time within which a server answers from memory; from a locked table it never does.
const FROM_MEMORY: Duration = Duration::from_millis(400);

/// True if a server returns a record while the log is locked, so that nobody can read a record from the database.
async fn is_in_memory(server: &TestServer, name: &str, view: View) -> bool {
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    sql.execute("BEGIN; LOCK TABLE changes IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let answer = get_record(&server.client, get_request(name, view));
    let answer = timeout(FROM_MEMORY, answer).await;
    sql.execute("ROLLBACK").await.unwrap();
    answer.is_ok_and(|answer| answer.is_ok())
}

/// Reads a record until the server has it in memory.
async fn read_into_memory(server: &TestServer, name: &str, view: View) {
    wait_until("the record is in memory", async || {
        get_record(&server.client, get_request(name, view))
            .await
            .unwrap();
        is_in_memory(server, name, view).await
    })
    .await;
}

async fn batch_get(client: &Client, names: &[&str], view: View) -> Vec<Record> {
    let request = BatchGetRecordsRequest {
        names: names.iter().map(ToString::to_string).collect(),
        view: view.into(),
        ..BatchGetRecordsRequest::default()
    };
    let answer = client.clone().records.batch_get_records(request).await;
    answer.unwrap().into_inner().records
}

async fn stop(servers: [TestServer; 2]) {
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_record_that_was_read_is_answered_from_memory_and_a_hidden_one_is_like_none() {
    let servers = start_two_servers_with_base().await;
    let [server, other] = &servers;
    let draft = create_drafts(&server.client, &[actor("draft")]).await;
    for (name, view) in [
        ("actors/one", View::Published),
        (name(&draft[0]), View::Desk),
    ] {
        read_into_memory(server, name, view).await;
    }
    // Each server and each view has records of its own in memory.
    assert!(!is_in_memory(other, "actors/one", View::Published).await);
    assert!(!is_in_memory(server, "actors/one", View::Desk).await);
    // F10: for readers a draft and a name without a record are both looked up, however often they are asked for.
    for hidden in ["actors/draft", "actors/nobody"] {
        for _ in 0..3 {
            assert!(
                find_record(&server.client, hidden, View::Published)
                    .await
                    .is_none()
            );
        }
        let mut sql = PgConnection::connect(&server.url).await.unwrap();
        let lock = "BEGIN; LOCK TABLE changes IN ACCESS EXCLUSIVE MODE";
        sql.execute(lock).await.unwrap();
        let answer = find_record(&server.client, hidden, View::Published);
        assert!(timeout(FROM_MEMORY, answer).await.is_err(), "{hidden}");
        sql.execute("ROLLBACK").await.unwrap();
    }
    stop(servers).await;
}

#[tokio::test]
async fn w7_a_read_sees_each_acknowledged_write_at_the_server_of_the_write_and_at_another() {
    let servers = start_two_servers_with_base().await;
    let drafts = create_drafts(&servers[0].client, &[actor("edited"), actor("beside")]).await;
    let mut record = drafts[0].clone();
    for server in &servers {
        read_into_memory(server, "actors/edited", View::Desk).await;
    }
    for round in 0..60 {
        let edited = with_text(&record, &format!("Edited {round} times"));
        record = commit_one(&servers[round % 2].client, update(&edited, &[])).await;
        for server in &servers {
            let read = if round % 3 == 0 {
                let both = ["actors/edited", "actors/beside"];
                batch_get(&server.client, &both, View::Desk)
                    .await
                    .swap_remove(0)
            } else {
                desk_record(&server.client, "actors/edited").await
            };
            assert_eq!(read, record, "round {round}");
        }
        // Now the tails catch up, and both have it in memory again.
        for pause in [10, 0] {
            for server in &servers {
                assert_eq!(desk_record(&server.client, "actors/edited").await, record);
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
    stop(servers).await;
}

#[tokio::test]
async fn w11_an_erased_record_is_answered_nowhere_from_the_purge_on() {
    const ERASED: &str = "zanzibarquince";
    let servers = start_two_servers_with_base().await;
    for round in 0..6 {
        let id = format!("erased-{round}");
        let record = with_text(&actor(&id), ERASED);
        let record = create_published(&servers[0].client, &record).await;
        for server in &servers {
            for view in [View::Published, View::Desk] {
                read_into_memory(server, name(&record), view).await;
            }
        }
        commit_one(&servers[round % 2].client, purge(&record, false)).await;
        for server in servers.iter().rev() {
            for view in [View::Published, View::Desk] {
                let read = find_record(&server.client, name(&record), view).await;
                assert!(!format!("{read:?}").contains(ERASED), "{read:?}");
            }
        }
    }
    stop(servers).await;
}

#[tokio::test]
async fn f10_a_record_under_embargo_is_absent_for_readers_until_it_is_released() {
    let servers = start_two_servers_with_base().await;
    let draft = create_drafts(&servers[0].client, &[actor("timed")]).await;
    let later = publish_at(&draft[0], Some(timestamp_in_ms(3_600_000)));
    let held = commit_one(&servers[0].client, later).await;
    for server in &servers {
        read_into_memory(server, "actors/timed", View::Desk).await;
        let read = find_record(&server.client, "actors/timed", View::Published).await;
        assert_eq!(read, None);
    }
    let released = commit_one(&servers[0].client, publish(&held)).await;
    for server in servers.iter().rev() {
        let read = find_record(&server.client, "actors/timed", View::Published).await;
        assert_eq!(text(&read.unwrap()), text(&released));
        assert_eq!(desk_record(&server.client, "actors/timed").await, released);
    }
    stop(servers).await;
}

#[tokio::test]
async fn a_name_in_memory_leads_to_the_record_that_it_was_merged_into() {
    let servers = start_two_servers_with_base().await;
    let [server, other] = &servers;
    for server in &servers {
        read_into_memory(server, "actors/one", View::Published).await;
        read_into_memory(server, "actors/two", View::Published).await;
    }
    let one = desk_record(&server.client, "actors/one").await;
    let two = desk_record(&server.client, "actors/two").await;
    let both = commit_ok(&server.client, vec![merge(&one, &two)])
        .await
        .records;
    let two = both
        .into_iter()
        .find(|it| name(it) == "actors/two")
        .unwrap();
    let led = async |server: &TestServer| {
        let request = get_request("actors/one", View::Published);
        let answer = get_record(&server.client, request).await.unwrap();
        assert_eq!(answer.redirected_from, "actors/one");
        answer.record.unwrap()
    };
    assert_eq!(name(&led(other).await), "actors/two");
    read_into_memory(other, "actors/two", View::Published).await;
    let corrected = with_text(&two, "Actor two, corrected");
    commit_one(&server.client, correct(&corrected, &[], "a slip")).await;
    assert_eq!(text(&led(other).await), "Actor two, corrected");
    stop(servers).await;
}

#[tokio::test]
async fn f6_records_of_another_history_are_not_answered_from_memory() {
    let server = start_server_with(config(&create_database().await)).await;
    create_base(&server.client).await;
    let draft = create_drafts(&server.client, &[actor("restored"), actor("beside")]).await;
    let edited = with_text(&draft[0], "Lost");
    commit_one(&server.client, update(&edited, &[])).await;
    read_into_memory(&server, "actors/restored", View::Desk).await;
    // A backup from before the last change takes the place of the database.
    execute_sql(
        &server.url,
        "BEGIN;
         UPDATE records SET revision = 1, desk_sequence = (
             SELECT desk_sequence FROM changes WHERE name = 'actors/restored' AND revision = 1)
         WHERE name = 'actors/restored';
         DELETE FROM changes WHERE name = 'actors/restored' AND revision = 2;
         UPDATE feed SET
             desk_head = (SELECT max(desk_sequence) FROM changes),
             desk_tally = counted_tally('{draft,in_review,embargoed,published}');
         COMMIT",
    )
    .await;
    assert_eq!(
        desk_record(&server.client, "actors/restored").await,
        draft[0]
    );
    // The same once the new history is in memory.
    read_into_memory(&server, "actors/beside", View::Desk).await;
    assert_eq!(
        desk_record(&server.client, "actors/restored").await,
        draft[0]
    );
    server.stop().await;
}

/// The feed of another process on a server's database.
async fn follow(url: &str, cache_bytes: usize) -> (Feed, tokio::task::JoinHandle<()>) {
    let store = Store::connect(url, &Settings::default()).await.unwrap();
    let feed = Feed::open(store, Duration::from_secs(5), cache_bytes);
    let feed = feed.await.unwrap();
    let following = tokio::spawn(feed.clone().follow(Arc::new(Notify::new())));
    (feed, following)
}

/// Reads a record until it takes memory.
async fn fill(records: &RecordCache, name: &str) {
    let before = records.bytes();
    wait_until("the record is in memory", async || {
        let read = records.get_record(name, FeedView::Wire).await.unwrap();
        read.is_none() || records.bytes() > before
    })
    .await;
}

#[tokio::test]
async fn w11_an_erasure_leaves_no_record_in_memory() {
    let server = start_server_with_base().await;
    let (feed, following) = follow(&server.url, 1024 * 1024).await;
    // From the first change on, the tail compares the history.
    create_drafts(&server.client, &[actor("draft")]).await;
    wait_until("the tail has read a change", async || {
        feed.local_head(FeedView::Desk).get() == 7
    })
    .await;
    for name in ["actors/one", "actors/two"] {
        fill(feed.records(), name).await;
    }
    let one = desk_record(&server.client, "actors/one").await;
    commit_one(&server.client, purge(&one, false)).await;
    // The purge may have changed the meta of other records in place.
    wait_until("nothing is in memory", async || feed.records().bytes() == 0).await;
    following.abort();
    server.stop().await;
}

#[tokio::test]
async fn the_bound_of_bytes_holds_for_all_records_and_nothing_is_kept_without_room() {
    const BOUND: usize = 16 * 1024;
    let server = start_server_with_base().await;
    let actors: Vec<_> = (0..60).map(|n| actor(&format!("many-{n}"))).collect();
    let drafts = create_drafts(&server.client, &actors).await;
    publish_all(&server.client, &drafts).await;
    let (bounded, following) = follow(&server.url, BOUND).await;
    let (none, following_too) = follow(&server.url, 0).await;
    fill(bounded.records(), "actors/one").await;
    let mut largest = 0;
    for record in &drafts {
        for feed in [&bounded, &none] {
            let read = feed
                .records()
                .get_record(name(record), FeedView::Wire)
                .await;
            assert!(read.unwrap().is_some());
        }
        largest = largest.max(bounded.records().bytes());
        assert_eq!(none.records().bytes(), 0);
    }
    assert!(largest <= BOUND && largest > BOUND / 2, "{largest}");
    following.abort();
    following_too.abort();
    server.stop().await;
}

/// A record that a writer changes, and the newest revision that was acknowledged.
struct Edited {
    name: String,
    acknowledged: AtomicI64,
}

/// Writes revisions of one record at both servers in turn, with pauses in which the tails catch up.
async fn write(clients: [Client; 2], mut record: Record, edited: Arc<Edited>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..60 {
        let next = with_text(&record, &format!("Round {round}"));
        let client = &clients[random.random_range(0..2)];
        record = commit_one(client, update(&next, &[])).await;
        let revision = meta(&record).revision;
        edited.acknowledged.fetch_max(revision, Ordering::SeqCst);
        let pause = random.random_range(0..30);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Reads until the writers have ended; returns the number of records read.
async fn read(
    clients: [Client; 2],
    all: Arc<Vec<Arc<Edited>>>,
    is_over: Arc<AtomicBool>,
    seed: u64,
) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let mut count = 0;
    while !is_over.load(Ordering::SeqCst) {
        let client = &clients[random.random_range(0..2)];
        let wanted = if random.random_bool(0.8) { 1 } else { 2 };
        let first = random.random_range(0..all.len() - 1);
        let asked: Vec<_> = all[first..first + wanted]
            .iter()
            .map(|edited| {
                (
                    edited.name.as_str(),
                    edited.acknowledged.load(Ordering::SeqCst),
                )
            })
            .collect();
        let records = if let [(name, _)] = asked[..] {
            vec![desk_record(client, name).await]
        } else {
            let names: Vec<_> = asked.iter().map(|(name, _)| *name).collect();
            batch_get(client, &names, View::Desk).await
        };
        for ((name, acknowledged), record) in asked.iter().zip(&records) {
            let revision = meta(record).revision;
            assert!(
                revision >= *acknowledged,
                "{name}: revision {revision} was read after {acknowledged} was acknowledged"
            );
        }
        count += records.len();
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w7_no_read_returns_a_revision_older_than_one_acknowledged_before_it_began() {
    let servers = start_two_servers_with_base().await;
    let clients = [servers[0].client.clone(), servers[1].client.clone()];
    let actors: Vec<_> = (0..6).map(|n| actor(&format!("raced-{n}"))).collect();
    let drafts = create_drafts(&clients[0], &actors).await;
    let all: Vec<_> = drafts
        .iter()
        .map(|draft| {
            Arc::new(Edited {
                name: name(draft).to_owned(),
                acknowledged: AtomicI64::new(1),
            })
        })
        .collect();
    let all = Arc::new(all);
    let (is_over, reads) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut readers = JoinSet::new();
    for seed in 0..8 {
        let (reading, reads) = (
            read(clients.clone(), all.clone(), is_over.clone(), seed),
            reads.clone(),
        );
        readers.spawn(async move { reads.fetch_add(reading.await, Ordering::SeqCst) });
    }
    let mut writers = JoinSet::new();
    for (seed, draft) in drafts.into_iter().enumerate() {
        writers.spawn(write(
            clients.clone(),
            draft,
            all[seed].clone(),
            100 + seed as u64,
        ));
    }
    writers.join_all().await;
    is_over.store(true, Ordering::SeqCst);
    readers.join_all().await;
    assert!(reads.load(Ordering::SeqCst) > 300, "{reads:?}");
    stop(servers).await;
}
