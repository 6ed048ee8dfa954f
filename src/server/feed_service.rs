//! `FeedService`: streams from ready bytes.

use std::{pin::Pin, time::SystemTime};

use futures_util::{Stream, stream};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    codec::Ready,
    read::{Pieces, check, filter, view},
    status::{self, Reason},
};
use crate::{
    feed::{self, Feed, Item, Start, Subscription},
    proto::{
        servers::feed_service_server::FeedService,
        v1::{
            Checkpoint, GetFeedRequest, GetFeedResponse, Origin, WatchRequest, WatchResponse,
            watch_request,
        },
    },
    store::Store,
};

/// Streams of the feeds.
#[derive(Debug, Clone)]
pub struct Feeds {
    /// What is streamed.
    pub feed: Feed,
    /// Who was merged into whom.
    pub store: Store,
    /// Ends every stream.
    pub stop: CancellationToken,
}

type Responses = Pin<Box<dyn Stream<Item = Result<Ready<WatchResponse>, Status>> + Send>>;

#[tonic::async_trait]
impl FeedService for Feeds {
    type WatchStream = Responses;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Responses>, Status> {
        let mut request = request.into_inner();
        let wanted = filter(&self.store, request.filter.as_ref()).await?;
        check(&mut request, Reason::InvalidRequest)?;
        let view = view(request.view());
        let start = match request.start {
            Some(watch_request::Start::Cursor(cursor)) => Start::Cursor(cursor),
            Some(watch_request::Start::Origin(origin)) if origin == Origin::Beginning as i32 => {
                Start::Beginning
            }
            Some(watch_request::Start::Origin(_) | watch_request::Start::Time(_)) | None => {
                Start::Now
            }
        };
        let subscription = self
            .feed
            .subscribe(view, wanted, start, self.stop.child_token())
            .await;
        Ok(Response::new(Box::pin(responses(
            subscription.map_err(|error| status::feed(&error))?,
        ))))
    }

    async fn get_feed(
        &self,
        _request: Request<GetFeedRequest>,
    ) -> Result<Response<Ready<GetFeedResponse>>, Status> {
        Err(Status::unimplemented("soon"))
    }
}

fn responses(
    subscription: Subscription,
) -> impl Stream<Item = Result<Ready<WatchResponse>, Status>> + Send {
    let open = OpenStream::new(subscription);
    stream::unfold(Some(open), |open| async move {
        let mut open = open?;
        match open.subscription.next().await {
            Ok(Some(item)) => Some((Ok(response(item)), Some(open))),
            Ok(None) => {
                let message =
                    "the server is shutting down; resume from the last cursor, here or elsewhere";
                Some((
                    Err(status::unavailable(Reason::ShuttingDown, message)),
                    None,
                ))
            }
            Err(error) => Some((Err(ended(&error)), None)),
        }
    })
}

/// A stream that loses its store is one that can be resumed.
fn ended(error: &feed::Error) -> Status {
    status::feed(error)
}

/// `changes = 1` are ready; `cursor = 2` and `checkpoint = 3` are added.
fn response(item: Item) -> Ready<WatchResponse> {
    let mut pieces = Pieces::default();
    match item {
        Item::Changes(changes, cursor) => {
            metrics::counter!("dateline_watch_messages").increment(1);
            for change in changes {
                pieces.fields(change);
            }
            pieces.string(2, &cursor);
        }
        Item::Checkpoint(checkpoint) => {
            let message = Checkpoint {
                sequence: checkpoint.sequence.cast_signed(),
                head_sequence: checkpoint.head_sequence.cast_signed(),
                time: Some(SystemTime::now().into()),
                ..Checkpoint::default()
            };
            pieces.string(2, &checkpoint.cursor);
            pieces.message(3, message.encode_to_vec().into());
        }
    }
    pieces.finish()
}

/// Counts open streams for as long as it lives.
struct OpenStream {
    subscription: Subscription,
}

impl OpenStream {
    fn new(subscription: Subscription) -> Self {
        metrics::gauge!("dateline_watch_streams").increment(1.0);
        Self { subscription }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!("dateline_watch_streams").decrement(1.0);
    }
}
