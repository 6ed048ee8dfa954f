//! Streams of callers, and all that they tell, as text.

use std::fmt::Debug;

use dateline_client::Client;
use dateline_proto::v1::{Origin, View, WatchRequest, WatchResponse, watch_request::Start};
use tonic::{Response, Status, Streaming};

use crate::rig::PATIENCE;

/// A view from where it is said.
pub fn watching(view: View, origin: Origin) -> WatchRequest {
    WatchRequest {
        view: view.into(),
        start: Some(Start::Origin(origin.into())),
        ..WatchRequest::default()
    }
}

/// A stream that begins.
pub async fn open(client: &Client, request: WatchRequest) -> Streaming<WatchResponse> {
    let answer = client.clone().feed.watch(request).await;
    answer.unwrap().into_inner()
}

/// Reads on up to the last message that is wanted; what all of them say.
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
    let read: Result<(), Status> = tokio::time::timeout(PATIENCE, reading).await.unwrap();
    read.map(|()| all)
}

/// The same of a call, if it is answered.
pub async fn drained<T: Debug>(
    answer: Result<Response<Streaming<T>>, Status>,
    is_last: impl Fn(&T) -> bool,
) -> Result<String, Status> {
    read_until(&mut answer?.into_inner(), is_last).await
}

/// A message that ends a snapshot.
pub fn caught_up(message: &WatchResponse) -> bool {
    let point = message.checkpoint.as_ref();
    point.is_some_and(|point| point.caught_up)
}

/// A message that says that all of a feed has come, of which there is something.
pub fn at_head(message: &WatchResponse) -> bool {
    let point = message.checkpoint.as_ref();
    point.is_some_and(|point| point.sequence > 0 && point.sequence == point.head_sequence)
}

/// All that a stream tells of what there is now.
pub async fn told(client: &Client, view: View, origin: Origin) -> Result<String, Status> {
    let answer = client.clone().feed.watch(watching(view, origin)).await;
    let is_last = if origin == Origin::Snapshot {
        caught_up
    } else {
        at_head
    };
    drained(answer, is_last).await
}
