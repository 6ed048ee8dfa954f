//! The feed under concurrency: two servers on one database, writers that are refused or disconnect, watchers that
//! disconnect and resume anywhere. Every run prints its seed.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dateline_client::Client;
use dateline_proto::v1::{
    Record, View, Write, change::Type, record::Kind as Body, watch_request::Start,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::Row;
use tonic::Code;

use crate::support::{
    builders::{commit_request, create, create_request, publish, retract, update},
    gold::gold_records,
    invariants::{
        AckedChange, ReceivedChanges, assert_acknowledged, assert_dense, assert_nothing_dangling,
        assert_revisions_follow, assert_same, assert_whole_batches,
    },
    records::{gold_actor, gold_evidence, membership, meta, name as name_of, with_text},
    server::{TIMEOUT, TestServer, config, create_database, start_server_with},
    watch::{open_watch, read_changes, watch_from_beginning, watch_from_cursor},
};

const WRITERS: usize = 16;
const ROUNDS: usize = 25;
const SHARED: usize = 4;

/// The answers to all writers.
#[derive(Default)]
struct WriterAnswers {
    acknowledged: Mutex<Vec<AckedChange>>,
    /// Names of records in requests that were abandoned before the answer.
    unknown: Mutex<HashSet<String>>,
}

impl WriterAnswers {
    /// Commits, remembers the answer, and returns the records if the commit was accepted.
    async fn commit(&self, client: &Client, writes: Vec<Write>) -> Option<Vec<Record>> {
        match client
            .clone()
            .editorial
            .commit(commit_request(writes))
            .await
        {
            Ok(answer) => {
                let answer = answer.into_inner();
                let mut acknowledged = self.acknowledged.lock().unwrap();
                acknowledged.extend(answer.records.iter().map(|record| AckedChange {
                    name: name_of(record).to_owned(),
                    revision: meta(record).revision,
                    desk_sequence: meta(record).sequence,
                    batch: answer.sequence,
                }));
                Some(answer.records)
            }
            Err(status) => {
                let expected = [
                    Code::Aborted,
                    Code::AlreadyExists,
                    Code::InvalidArgument,
                    Code::FailedPrecondition,
                ];
                assert!(expected.contains(&status.code()), "{status:?}");
                None
            }
        }
    }

    /// Sends a request and disconnects before the answer, like a client whose network fails.
    async fn commit_and_go(&self, client: &Client, record: Record, after: Duration) {
        self.unknown
            .lock()
            .unwrap()
            .insert(name_of(&record).to_owned());
        let mut client = client.clone();
        let _ = tokio::time::timeout(
            after,
            client
                .editorial
                .commit(commit_request(vec![create(&record)])),
        )
        .await;
    }
}

/// One writer: creates, edits, publishes and withdraws its own records, competes for shared ones, sends invalid
/// requests, and abandons some.
async fn write(
    number: usize,
    client: Client,
    shared: Vec<Record>,
    told: Arc<WriterAnswers>,
    seed: u64,
) {
    let mut random = StdRng::seed_from_u64(seed ^ number as u64);
    let mut known = shared.clone();
    for round in 0..ROUNDS {
        let id = format!("w{number}-r{round}");
        tokio::time::sleep(Duration::from_micros(random.random_range(0..3000))).await;
        match random.random_range(0..7) {
            0 => drop(told.commit(&client, vec![create(&gold_actor(&id))]).await),
            1 => {
                let batch = (0..random.random_range(2..9))
                    .map(|part| create(&gold_actor(&format!("{id}-{part}"))))
                    .collect();
                told.commit(&client, batch).await;
            }
            2 => {
                let Some(drafts) = told.commit(&client, vec![create(&gold_actor(&id))]).await
                else {
                    continue;
                };
                let Some(shown) = told.commit(&client, vec![publish(&drafts[0])]).await else {
                    continue;
                };
                if random.random_bool(0.5) {
                    told.commit(&client, vec![retract(&shown[0], "withdrawn", false)])
                        .await;
                }
            }
            3 | 4 => {
                let pick = random.random_range(0..SHARED);
                let edit = update(&with_text(&known[pick], &id), &[]);
                match told
                    .commit(&client, vec![edit, create(&gold_actor(&id))])
                    .await
                {
                    Some(records) => known[pick] = records[0].clone(),
                    None => known[pick] = read(&client, name_of(&known[pick])).await,
                }
            }
            5 => {
                let nonsense = gold_actor("NOT-a-name");
                assert!(
                    told.commit(&client, vec![create(&gold_actor(&id)), create(&nonsense)])
                        .await
                        .is_none()
                );
            }
            _ => {
                let after = Duration::from_micros(random.random_range(0..4000));
                told.commit_and_go(&client, gold_actor(&format!("{id}-gone")), after)
                    .await;
            }
        }
    }
}

async fn read(client: &Client, name: &str) -> Record {
    use dateline_proto::v1::GetRecordRequest;
    let request = GetRecordRequest {
        name: name.to_owned(),
        view: View::Desk.into(),
        min_sequence: 0,
        ..GetRecordRequest::default()
    };
    client
        .clone()
        .records
        .get_record(request)
        .await
        .unwrap()
        .into_inner()
        .record
        .unwrap()
}

/// Follows a feed over both servers, disconnecting at random, until it has everything.
async fn watch(
    clients: [Client; 2],
    view: View,
    finished: Arc<AtomicBool>,
    head: impl AsyncFn() -> i64,
    seed: u64,
) -> ReceivedChanges {
    let mut random = StdRng::seed_from_u64(seed);
    let mut request = watch_from_beginning(view);
    let mut watched = ReceivedChanges::default();
    loop {
        let mut client = clients[random.random_range(0..2)].clone();
        let mut stream = client
            .feed
            .watch(request.clone())
            .await
            .unwrap()
            .into_inner();
        for _ in 0..random.random_range(1..20) {
            let wait = Duration::from_millis(200);
            let Ok(response) = tokio::time::timeout(wait, stream.message()).await else {
                break;
            };
            let response = response
                .unwrap()
                .expect("a stream ends only with its server");
            watched.changes.extend(response.changes);
            request.start = Some(Start::Cursor(response.cursor));
        }
        let reached = watched.changes.last().map_or(0, |change| change.sequence);
        if finished.load(Ordering::Acquire) && reached >= head().await {
            return watched;
        }
    }
}

async fn head(url: &str, view: View) -> i64 {
    use sqlx::Connection;
    let mut sql = sqlx::PgConnection::connect(url).await.unwrap();
    let row = sqlx::query("SELECT desk_head, wire_head FROM feed")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    row.get(usize::from(view != View::Desk))
}

async fn two_sites() -> [TestServer; 2] {
    let url = create_database().await;
    [
        start_server_with(config(&url)).await,
        start_server_with(config(&url)).await,
    ]
}

/// Publishes the seed article with the records that it names, for others to cite; returns the shared drafts.
async fn prepare(server: &TestServer, told: &WriterAnswers) -> Vec<Record> {
    let created = server
        .client
        .commit(create_request(&gold_records()))
        .await
        .unwrap();
    let publishing = created.records.iter().map(publish).collect();
    for record in &created.records {
        told.acknowledged.lock().unwrap().push(AckedChange {
            name: name_of(record).to_owned(),
            revision: 1,
            desk_sequence: meta(record).sequence,
            batch: created.sequence,
        });
    }
    told.commit(&server.client, publishing).await.unwrap();
    let shared = (0..SHARED)
        .map(|number| create(&gold_actor(&format!("shared-{number}"))))
        .collect();
    told.commit(&server.client, shared).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f1_f2_f3_every_committed_change_is_seen_once_per_stream_in_order_without_a_gap() {
    let seed = rand::random();
    println!("seed {seed}");
    let servers = two_sites().await;
    let clients = || [servers[0].client.clone(), servers[1].client.clone()];
    let told = Arc::new(WriterAnswers::default());
    let shared = prepare(&servers[0], &told).await;
    let finished = Arc::new(AtomicBool::new(false));
    let watchers: Vec<_> = [View::Desk, View::Desk, View::Published, View::Published]
        .into_iter()
        .enumerate()
        .map(|(number, view)| {
            let (finished, url) = (finished.clone(), servers[0].url.clone());
            let head = async move || head(&url, view).await;
            tokio::spawn(watch(clients(), view, finished, head, seed + number as u64))
        })
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let client = servers[number % 2].client.clone();
            tokio::spawn(write(number, client, shared.clone(), told.clone(), seed))
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    // Abandoned requests may still be in flight; a commit at each server is ordered after them.
    for (number, server) in servers.iter().enumerate() {
        told.commit(
            &server.client,
            vec![create(&gold_actor(&format!("last-{number}")))],
        )
        .await
        .unwrap();
    }
    finished.store(true, Ordering::Release);
    let mut seen = Vec::new();
    for watcher in watchers {
        seen.push(
            tokio::time::timeout(TIMEOUT, watcher)
                .await
                .expect("every watcher gets everything")
                .unwrap(),
        );
    }
    let (desk, wire) = (&seen[0], &seen[2]);
    for watched in &seen {
        assert_whole_batches(watched);
    }
    assert_dense(desk, head(&servers[0].url, View::Desk).await);
    assert_dense(wire, head(&servers[0].url, View::Published).await);
    assert_same(desk, &seen[1]);
    assert_same(wire, &seen[3]);
    assert_revisions_follow(desk);
    assert_acknowledged(
        desk,
        &told.acknowledged.lock().unwrap(),
        &told.unknown.lock().unwrap(),
    );
    assert!(
        wire.changes
            .iter()
            .all(|change| matches!(change.r#type(), Type::Published | Type::Retracted))
    );
    for server in servers {
        server.stop().await;
    }
}

/// One server withdraws a record to which the other is about to refer.
async fn race(servers: &[TestServer; 2], told: &WriterAnswers, number: usize) {
    let (target, other) = (format!("target-{number}"), format!("other-{number}"));
    let tie = membership(
        &format!("tie-{number}"),
        &format!("actors/{target}"),
        &format!("actors/{other}"),
        gold_evidence(),
    );
    let drafts = vec![
        create(&gold_actor(&target)),
        create(&gold_actor(&other)),
        create(&tie),
    ];
    let drafts = told.commit(&servers[0].client, drafts).await.unwrap();
    let shown = told
        .commit(
            &servers[0].client,
            vec![publish(&drafts[0]), publish(&drafts[1])],
        )
        .await
        .unwrap();
    tokio::join!(
        told.commit(
            &servers[number % 2].client,
            vec![retract(&shown[0], "withdrawn", false)]
        ),
        told.commit(&servers[(number + 1) % 2].client, vec![publish(&drafts[2])]),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn w9_a_reference_that_is_withdrawn_at_the_same_moment_is_never_published() {
    const ROUNDS: usize = 10;
    const AT_ONCE: usize = 8;
    let servers = two_sites().await;
    let told = WriterAnswers::default();
    prepare(&servers[0], &told).await;
    for round in 0..ROUNDS {
        let pairs = (0..AT_ONCE).map(|pair| race(&servers, &told, round * AT_ONCE + pair));
        futures_util::future::join_all(pairs).await;
    }
    let count = head(&servers[0].url, View::Desk).await;
    let desk = ReceivedChanges {
        changes: read_changes(
            &servers[0],
            watch_from_beginning(View::Desk),
            usize::try_from(count).unwrap(),
        )
        .await,
    };
    assert_dense(&desk, count);
    assert_nothing_dangling(&desk, |change| {
        match &change.record.as_ref().unwrap().kind {
            Some(Body::Relation(relation)) => {
                vec![relation.subject.clone(), relation.object.clone()]
            }
            _ => Vec::new(),
        }
    });
}

#[tokio::test]
async fn f4_f6_a_cursor_resumes_at_another_server_and_a_foreign_one_is_refused() {
    let servers = two_sites().await;
    crate::support::gold::publish_gold(&servers[0]).await;
    let mut stream = open_watch(&servers[0].client, watch_from_beginning(View::Published)).await;
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(
        first.checkpoint.unwrap().sequence,
        0,
        "the first response is a checkpoint"
    );
    assert_eq!(
        read_changes(
            &servers[1],
            watch_from_cursor(View::Published, &first.cursor),
            47
        )
        .await
        .len(),
        47
    );
    let stranger = start_server_with(config(&create_database().await)).await;
    for (server, request) in [
        (&stranger, watch_from_cursor(View::Published, &first.cursor)),
        (&servers[1], watch_from_cursor(View::Desk, &first.cursor)),
    ] {
        let status = server.client.clone().feed.watch(request).await.unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(
            dateline_client::Failure::from(status).reason,
            "CURSOR_FOREIGN"
        );
    }
}
