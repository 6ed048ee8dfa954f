//! Rows about clients that disconnect in the middle of a write, a read or a snapshot. Data stays complete, and nobody
//! else is blocked.

use std::time::Duration;

use dateline_proto::v1::{CommitRequest, ListRecordsRequest, View};
use prost::Message;
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use super::{actor, assert_serves, gold_server, record};
use crate::support::{
    builders::create_request,
    editing,
    raw_grpc::{COMMIT, GrpcConnection, LIST, frame, grpc_request},
    replica,
    server::{TIMEOUT, TestServer, config, create_database, start_server, start_server_with},
    watch::{open_watch, watch_from_beginning, watch_snapshot},
};
use serde_json::json;

/// A commit of a few actors, under a request id.
fn commit(round: usize) -> CommitRequest {
    let names = (0..5).map(|index| json!({"name": format!("actors/cut-{round}-{index}")}));
    let records: Vec<_> = names.map(|name| record(&actor(name))).collect();
    CommitRequest {
        request_id: Uuid::now_v7().to_string(),
        ..create_request(&records)
    }
}

/// The number of actors of this round that exist.
async fn written(server: &TestServer, round: usize) -> usize {
    let mut count = 0;
    for index in 0..5 {
        let name = format!("actors/cut-{round}-{index}");
        count += usize::from(
            editing::find_record(&server.client, &name, View::Desk)
                .await
                .is_some(),
        );
    }
    count
}

#[tokio::test]
async fn r13_a_commit_whose_client_goes_away_happened_or_did_not_and_a_retry_tells() {
    let server = start_server().await;
    let mut happened = 0;
    for round in 0..40 {
        let sent = commit(round);
        let wire = GrpcConnection::connect(&server).await;
        let mut sender = wire.sender.clone().ready().await.unwrap();
        let (reply, mut stream) = sender
            .send_request(grpc_request(&server, COMMIT, &[]), false)
            .unwrap();
        let body = frame(&sent.encode_to_vec());
        if round % 4 == 0 {
            // The request is sent only in part.
            stream
                .send_data(body.slice(..body.len() / 2), false)
                .unwrap();
        } else {
            stream.send_data(body, true).unwrap();
        }
        let timeout = Duration::from_micros(round as u64 * 250);
        let answered = tokio::time::timeout(timeout, reply).await;
        if answered.is_err() {
            stream.send_reset(h2::Reason::CANCEL);
        }
        drop(wire);
        // Sent again under its id: returns the first answer, or writes now.
        let answer = editing::try_commit(&server.client, sent.clone())
            .await
            .unwrap();
        assert_eq!(answer.records.len(), 5, "round {round}");
        assert_eq!(written(&server, round).await, 5, "round {round}");
        let again = editing::try_commit(&server.client, sent).await.unwrap();
        assert_eq!(again, answer, "round {round}");
        happened += 1;
    }
    // Each was written once: five desk sequences for each round.
    assert_eq!(editing::feed_heads(&server.url).await, (happened * 5, 0));
    server.stop().await;
}

/// The number of queries of the server that run or wait in the database.
async fn running(sql: &mut PgConnection) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'dateline' AND state = 'active'
            AND query LIKE '%records.name > %'";
    sqlx::query_scalar(count).fetch_one(sql).await.unwrap()
}

#[tokio::test]
async fn c16_a_read_that_is_cancelled_leaves_no_query_behind_for_longer_than_any_may_take() {
    let mut config = config(&create_database().await);
    config.store.statement_timeout = Duration::from_secs(2);
    let server = start_server_with(config).await;
    crate::support::gold::publish_gold(&server).await;
    let mut blocker = PgConnection::connect(&server.url).await.unwrap();
    let mut watcher = PgConnection::connect(&server.url).await.unwrap();
    // An exclusive lock on the table makes every query on it slow.
    blocker
        .execute("BEGIN; LOCK TABLE records IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let wire = GrpcConnection::connect(&server).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut sender = wire.sender.clone().ready().await.unwrap();
        let asked = ListRecordsRequest::default().encode_to_vec();
        let (reply, mut stream) = sender
            .send_request(grpc_request(&server, LIST, &[]), false)
            .unwrap();
        stream.send_data(frame(&asked), true).unwrap();
        open.push((reply, stream));
    }
    editing::wait_until("the queries wait", async || {
        running(&mut watcher).await >= 3
    })
    .await;
    for (_, stream) in &mut open {
        stream.send_reset(h2::Reason::CANCEL);
    }
    drop(open);
    let ended = async {
        while running(&mut watcher).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::time::timeout(TIMEOUT, ended).await;
    ended.expect("they end with the time of a statement, though the table is still locked");
    blocker.execute("ROLLBACK").await.unwrap();
    assert_serves(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn c124_a_snapshot_that_nobody_reads_on_holds_no_transaction() {
    let server = gold_server().await;
    // More streams at once than there are connections to the database (#123), each stopped after its first message.
    let mut open = Vec::new();
    for _ in 0..50 {
        let mut stream = open_watch(&server.client, watch_snapshot(View::Published)).await;
        replica::next_response(&mut stream).await;
        open.push(stream);
    }
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let held = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'dateline'
            AND (state LIKE 'idle in transaction%' OR backend_xmin IS NOT NULL)";
    editing::wait_until("no transaction is open", async || {
        let held: i64 = sqlx::query_scalar(held).fetch_one(&mut sql).await.unwrap();
        held == 0
    })
    .await;
    assert_serves(&server).await;
    // All of them continue and return all records.
    for mut stream in open {
        let mut copy = replica::Replica::default();
        let reading = async {
            while copy.checkpoint.as_ref().is_none_or(|it| !it.caught_up) {
                copy.apply(replica::next_response(&mut stream).await);
            }
        };
        tokio::time::timeout(TIMEOUT, reading)
            .await
            .expect("it ends");
        assert_eq!(copy.records.len(), 47);
    }
    server.stop().await;
}

#[tokio::test]
async fn c104_a_client_that_never_reads_slows_nobody_and_loses_nothing() {
    let server = gold_server().await;
    let mut deaf = Vec::new();
    for _ in 0..20 {
        // A connection for each, so that an unread stream does not block another by flow control.
        let client = dateline_client::Client::connect(&server.address)
            .await
            .unwrap();
        let stream = client
            .feed
            .clone()
            .watch(watch_from_beginning(View::Desk))
            .await;
        deaf.push(stream.unwrap().into_inner());
    }
    let before = super::framing::resident_bytes();
    let mut following = open_watch(&server.client, watch_from_beginning(View::Desk)).await;
    let mut listener = replica::Replica::default();
    // Far more than any window between client and server holds.
    let long = "word ".repeat(30_000);
    for index in 0..30 {
        let article = json!({
            "name": format!("articles/long-{index}"), "headline": format!("Long {index}"), "body": long,
            "languageCode": "en",
        });
        let mut made = create_request(&[record(&json!({"article": article}))]);
        made.writes.iter_mut().for_each(without_original);
        server.client.commit(made).await.unwrap();
        replica::follow(&mut listener, &mut following, 95 + index).await;
    }
    let grown = super::framing::resident_bytes().saturating_sub(before);
    assert!(grown < 500 * 1024 * 1024, "grew by {grown} bytes");
    assert_serves(&server).await;
    for mut stream in deaf {
        let mut late = replica::Replica::default();
        replica::follow(&mut late, &mut stream, 124).await;
        assert_eq!(late.sequences, (1..=124).collect::<Vec<_>>());
    }
    server.stop().await;
}

/// Removes the original that the test server adds to articles: it is the gold article's, which is accepted once only.
fn without_original(write: &mut dateline_proto::v1::Write) {
    if let Some(dateline_proto::v1::write::Action::Create(create)) = &mut write.action {
        create.original.clear();
    }
}
