//! Pages of the log that streams share when they are behind the ring: read once, and never after an erasure.

use std::{sync::Arc, time::Duration};

use dateline_feed::{Feed, Start, Subscription, WatchItem, WatchOptions};
use dateline_record::filter::Filter;
use dateline_store::{FeedView, Settings, Store};
use sqlx::{Connection, Executor, PgConnection};
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::support::{editing::*, server::TestServer};

/// Text of the record that is erased.
const ERASED: &str = "zanzibarquince";

/// A server's feed, as another process follows it. An erasure has emptied the ring, so streams from the beginning read
/// the log.
async fn feed_behind_the_ring(server: &TestServer) -> (Feed, JoinHandle<()>) {
    let store = Store::connect(&server.url, &Settings::default()).await;
    let feed = Feed::open(store.unwrap(), Duration::from_secs(5), 0);
    let feed = feed.await.unwrap();
    let following = tokio::spawn(feed.clone().follow(Arc::new(Notify::new())));
    erase(server, &feed, "one").await;
    (feed, following)
}

/// Erases an actor, and waits until the feed has seen it.
async fn erase(server: &TestServer, feed: &Feed, id: &str) {
    let record = desk_record(&server.client, &format!("actors/{id}")).await;
    commit_one(&server.client, purge(&record, false)).await;
    let (head, _) = feed_heads(&server.url).await;
    wait_until("the feed has seen the erasure", async || {
        i64::try_from(feed.local_head(FeedView::Desk).get()) == Ok(head)
    })
    .await;
}

async fn subscribe(feed: &Feed) -> Subscription {
    let options = WatchOptions {
        view: FeedView::Desk,
        filter: Filter::default(),
        filter_bytes: Vec::new(),
        start: Start::Beginning,
        skip_before: None,
        digest: false,
    };
    let stream = feed.subscribe(options, CancellationToken::new());
    stream.await.unwrap()
}

/// Reads a stream to its first changes, and returns their bytes.
async fn first_changes(stream: &mut Subscription) -> Vec<u8> {
    loop {
        match stream.next().await.unwrap() {
            Some(WatchItem::Changes(pieces, _)) => return pieces.concat(),
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn f9_a_stream_that_lags_near_others_takes_their_page() {
    let server = start_server_with_base().await;
    let (feed, following) = feed_behind_the_ring(&server).await;
    let mut streams = [subscribe(&feed).await, subscribe(&feed).await];
    let mut later = subscribe(&feed).await;
    let mut read = Vec::new();
    for stream in &mut streams {
        read.push(first_changes(stream).await);
    }
    // The log cannot be read any more.
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    sql.execute("BEGIN; LOCK TABLE changes IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let taken = timeout(Duration::from_secs(2), first_changes(&mut later)).await;
    sql.execute("ROLLBACK").await.unwrap();
    read.push(taken.expect("the page of the others"));
    assert!(
        read.iter()
            .all(|bytes| *bytes == read[0] && !bytes.is_empty())
    );
    following.abort();
    server.stop().await;
}

#[tokio::test]
async fn w11_erased_content_is_in_no_page_that_streams_share() {
    let server = start_server_with_base().await;
    let record = with_text(&actor("erased"), ERASED);
    commit_one(&server.client, create(&record)).await;
    let (feed, following) = feed_behind_the_ring(&server).await;
    let mut streams = [subscribe(&feed).await, subscribe(&feed).await];
    for stream in &mut streams {
        assert!(contains(&first_changes(stream).await, ERASED));
    }
    erase(&server, &feed, "erased").await;
    let mut later = subscribe(&feed).await;
    assert!(!contains(&first_changes(&mut later).await, ERASED));
    drop(streams);
    following.abort();
    server.stop().await;
}
