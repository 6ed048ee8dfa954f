//! Streams of callers, and all that they return, as text.

use std::fmt::Debug;

use dateline_client::Client;
use dateline_proto::v1::{Origin, View, WatchRequest, WatchResponse, watch_request::Start};
use tonic::{Response, Status, Streaming};

use crate::support::server::TIMEOUT;

/// A request for a view from an origin.
pub fn watch_request(view: View, origin: Origin) -> WatchRequest {
    WatchRequest {
        view: view.into(),
        start: Some(Start::Origin(origin.into())),
        ..WatchRequest::default()
    }
}

/// Opens a stream.
pub async fn open_watch(client: &Client, request: WatchRequest) -> Streaming<WatchResponse> {
    let answer = client.clone().feed.watch(request).await;
    answer.unwrap().into_inner()
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
    let answer = client.clone().feed.watch(watch_request(view, origin)).await;
    let is_last = if origin == Origin::Snapshot {
        caught_up
    } else {
        at_head
    };
    read_call_until(answer, is_last).await
}
