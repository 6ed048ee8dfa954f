//! Requests for streams, streams that are open, and what they bring: as changes, or as text.

use std::fmt::Debug;

use dateline_client::Client;
use dateline_proto::v1::{Change, Origin, View, WatchRequest, WatchResponse, watch_request::Start};
use tonic::{Response, Status, Streaming};

use crate::support::server::{TIMEOUT, TestServer};

/// A request for a view from a start.
pub fn watch_request(view: View, start: Start) -> WatchRequest {
    WatchRequest {
        view: view.into(),
        start: Some(start),
        ..WatchRequest::default()
    }
}

pub fn watch_from_beginning(view: View) -> WatchRequest {
    watch_from_origin(view, Origin::Beginning)
}

pub fn watch_from_now(view: View) -> WatchRequest {
    watch_from_origin(view, Origin::Now)
}

pub fn watch_snapshot(view: View) -> WatchRequest {
    watch_from_origin(view, Origin::Snapshot)
}

pub fn watch_from_origin(view: View, origin: Origin) -> WatchRequest {
    watch_request(view, Start::Origin(origin.into()))
}

pub fn watch_from_cursor(view: View, cursor: &str) -> WatchRequest {
    watch_request(view, Start::Cursor(cursor.to_owned()))
}

/// Opens a stream.
pub async fn open_watch(client: &Client, request: WatchRequest) -> Streaming<WatchResponse> {
    let answer = client.clone().feed.watch(request).await;
    answer.unwrap().into_inner()
}

/// Reads a stream until it has brought `count` changes.
pub async fn read_changes(server: &TestServer, request: WatchRequest, count: usize) -> Vec<Change> {
    let mut stream = open_watch(&server.client, request).await;
    let mut changes = Vec::new();
    tokio::time::timeout(TIMEOUT, async {
        while changes.len() < count {
            changes.extend(stream.message().await.unwrap().unwrap().changes);
        }
    })
    .await
    .expect("the changes arrive");
    changes
}

/// Reads up to the last wanted message; returns all of them as text.
pub async fn read_until<T: Debug>(
    stream: &mut Streaming<T>,
    is_last: impl Fn(&T) -> bool,
) -> Result<String, Status> {
    let mut all = String::new();
    let reading = async {
        while let Some(message) = stream.message().await? {
            all.push_str(&format!("{message:?}\n"));
            if is_last(&message) {
                return Ok(());
            }
        }
        panic!("the stream ended before what was wanted of it: {all}");
    };
    let read: Result<(), Status> = tokio::time::timeout(TIMEOUT, reading).await.unwrap();
    read.map(|()| all)
}

/// Reads the messages of a call that is not refused, as text.
pub async fn read_call_until<T: Debug>(
    answer: Result<Response<Streaming<T>>, Status>,
    is_last: impl Fn(&T) -> bool,
) -> Result<String, Status> {
    read_until(&mut answer?.into_inner(), is_last).await
}

/// True for the message that ends a snapshot.
pub fn caught_up(message: &WatchResponse) -> bool {
    let point = message.checkpoint.as_ref();
    point.is_some_and(|point| point.caught_up)
}

/// True for a message at the head of a feed that has changes.
pub fn at_head(message: &WatchResponse) -> bool {
    let point = message.checkpoint.as_ref();
    point.is_some_and(|point| point.sequence > 0 && point.sequence == point.head_sequence)
}

/// All that a stream returns up to the present, as text.
pub async fn read_to_head(client: &Client, view: View, origin: Origin) -> Result<String, Status> {
    let answer = client
        .clone()
        .feed
        .watch(watch_from_origin(view, origin))
        .await;
    let is_last = if origin == Origin::Snapshot {
        caught_up
    } else {
        at_head
    };
    read_call_until(answer, is_last).await
}
