//! `FeedService`: streams of pre-encoded bytes.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use dateline_access::{Denied, Visibility};
use dateline_feed::{Feed, Start, Subscription, WatchItem, WatchOptions};
use dateline_proto::v1::{
    Checkpoint, Consumer, GetFeedRequest, GetFeedResponse, Origin, WatchRequest, WatchResponse,
    watch_request,
};
use dateline_record::{record::delimiter, timestamp::timestamp};
use dateline_store::Store;
use futures_util::{Stream, stream};
use prost::Message;
use time::OffsetDateTime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService},
};
use tower::{Service, service_fn};

use crate::servers::feed_service_server::{FeedService, FeedServiceServer};
use crate::{
    drain::Drain,
    middleware::admitted::{extract_admitted, extract_caller},
    middleware::revocation::RevocableStream,
    services::request::{parse_time, validate_request, visibility, visible_filter},
    services::response::ResponseBuilder,
    status::{self, Reason},
    transport::codec::{PreEncoded, PreEncodedCodec},
    transport::shared_body::SharedBytesBody,
};

/// The streaming method.
const WATCH: &str = "/dateline.v1.FeedService/Watch";
/// Default maximum age of the changes that a notifier receives after a pause.
const DEFAULT_MAX_AGE: Duration = Duration::from_mins(5);

/// The service of the feeds.
#[derive(Debug, Clone)]
pub struct FeedHandler {
    /// The feeds to stream.
    pub feed: Feed,
    /// Resolves merged actors in filters.
    pub store: Store,
    /// Ends every stream.
    pub stop: CancellationToken,
}

type WatchResponses = Pin<Box<dyn Stream<Item = Result<PreEncoded<WatchResponse>, Status>> + Send>>;

/// `FeedService`, whose streams send shared bytes without copying them: see [`SharedBytesBody`].
#[derive(Debug, Clone)]
pub struct FeedServer {
    feeds: FeedHandler,
    max_request_bytes: usize,
    generated: FeedServiceServer<FeedHandler>,
}

impl FeedServer {
    /// Creates the service, which accepts requests of up to `message_bytes`.
    #[must_use]
    pub fn new(feeds: FeedHandler, max_request_bytes: usize) -> Self {
        let generated = FeedServiceServer::new(feeds.clone());
        Self {
            feeds,
            max_request_bytes,
            generated: generated.max_decoding_message_size(max_request_bytes),
        }
    }

    /// tonic reads the request and begins the response with an empty stream, which is then replaced by the real one.
    async fn watch(self, request: http::Request<Body>) -> http::Response<Body> {
        let (begin, mut begun) = oneshot::channel();
        let mut begin = Some(begin);
        let service = service_fn(|request| {
            let (feeds, begin) = (self.feeds.clone(), begin.take());
            async move {
                let (metadata, responses, extensions) = feeds.watch(request).await?.into_parts();
                // The receiver lives in this function until the response has begun.
                let _ = begin.map(|begin| begin.send(responses));
                let none = stream::empty::<Result<PreEncoded<WatchResponse>, Status>>();
                Ok::<_, Status>(Response::from_parts(metadata, none, extensions))
            }
        });
        let codec = PreEncodedCodec::<PreEncoded<WatchResponse>, WatchRequest>::default();
        let mut grpc = Grpc::new(codec).max_decoding_message_size(self.max_request_bytes);
        let answer = grpc.server_streaming(service, request).await;
        match begun.try_recv() {
            Ok(responses) => answer.map(|_| Body::new(SharedBytesBody::new(responses))),
            Err(_) => answer,
        }
    }
}

impl NamedService for FeedServer {
    const NAME: &'static str = <FeedServiceServer<FeedHandler> as NamedService>::NAME;
}

impl Service<http::Request<Body>> for FeedServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() == WATCH {
            let server = self.clone();
            Box::pin(async move { Ok(server.watch(request).await) })
        } else {
            self.generated.call(request)
        }
    }
}

#[tonic::async_trait]
impl FeedService for FeedHandler {
    type WatchStream = WatchResponses;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<WatchResponses>, Status> {
        let drain = Drain::for_request(&self.stop, request.extensions());
        let (admitted, mut request) = extract_admitted(request)?;
        let visibility = visibility(admitted.caller(), request.view())?;
        let wanted = visible_filter(&self.store, &visibility, request.filter.as_ref()).await?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        if request.digest {
            require_whole_view(&visibility)?;
        }
        let mut filter_bytes = request
            .filter
            .as_ref()
            .map(Message::encode_to_vec)
            .unwrap_or_default();
        filter_bytes.extend(visibility.fingerprint());
        let options = WatchOptions {
            view: visibility.view(),
            filter: wanted,
            filter_bytes,
            start: start_position(&request)?,
            skip_before: skip_before(&request)?,
            digest: request.digest,
        };
        let subscription = self.feed.subscribe(options, drain.token()).await;
        let subscription = subscription.map_err(|error| status::feed(&error))?;
        let responses = responses(subscription, drain);
        Ok(Response::new(Box::pin(RevocableStream::new(
            &admitted, responses,
        ))))
    }

    async fn get_feed(
        &self,
        request: Request<GetFeedRequest>,
    ) -> Result<Response<PreEncoded<GetFeedResponse>>, Status> {
        let (caller, mut request) = extract_caller(request)?;
        let visibility = visibility(&caller, request.view())?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let view = visibility.view();
        let standing = self.feed.status().await;
        let standing = standing.map_err(|error| status::store(&error))?;
        let response = GetFeedResponse {
            feed: standing.feed.to_string(),
            epoch: standing.epoch,
            head_sequence: standing.heads.in_view(view).to_i64(),
            earliest_sequence: standing.earliest.in_view(view).to_i64(),
            // The digest covers the whole view, so it is not visible to callers who see a part of it.
            digest: visibility
                .scope()
                .is_none()
                .then(|| standing.tallies(view).to_digest()),
        };
        Ok(Response::new(PreEncoded::from(&response)))
    }
}

/// Fails unless the caller sees the whole view: the digest, and the count in it, would reveal what is outside of the
/// scope.
pub(super) fn require_whole_view(visibility: &Visibility) -> Result<(), Status> {
    match visibility.scope() {
        None => Ok(()),
        Some(_) => Err(status::denied(&Denied::Scope(
            "the digest is of the whole view, of which they show a part",
        ))),
    }
}

/// Returns the start of the stream; by default it depends on the kind of consumer.
fn start_position(request: &WatchRequest) -> Result<Start, Status> {
    let origin = match &request.start {
        Some(watch_request::Start::Cursor(cursor)) => return Ok(Start::Cursor(cursor.clone())),
        Some(watch_request::Start::Time(time)) => {
            return Ok(Start::Since(parse_time(*time)?));
        }
        Some(watch_request::Start::Origin(origin)) => Origin::try_from(*origin).unwrap_or_default(),
        None => Origin::Unspecified,
    };
    Ok(match (origin, request.consumer()) {
        (Origin::Beginning, _) => Start::Beginning,
        (Origin::Snapshot, _) | (Origin::Unspecified, Consumer::Replica) => Start::Snapshot,
        (Origin::Now, _) | (Origin::Unspecified, Consumer::Unspecified | Consumer::Notifier) => {
            Start::Now
        }
    })
}

/// Returns the time before which a notifier skips changes.
fn skip_before(request: &WatchRequest) -> Result<Option<OffsetDateTime>, Status> {
    let is_notifier = request.consumer() == Consumer::Notifier;
    let Some(max_age) = request.max_age else {
        return Ok(is_notifier.then(|| OffsetDateTime::now_utc() - DEFAULT_MAX_AGE));
    };
    if !is_notifier {
        let what = "is for notifiers: set consumer to CONSUMER_NOTIFIER, or leave it out";
        return Err(status::invalid_field(
            Reason::InvalidRequest,
            "max_age",
            what,
        ));
    }
    // The schema's rules bound the age, but times before the year 1 cannot be represented. Nothing was accepted that
    // early, so such an age skips nothing.
    let max_age = time::Duration::new(max_age.seconds, max_age.nanos);
    let since = OffsetDateTime::now_utc().checked_sub(max_age);
    Ok(since.filter(|since| since.year() >= 1))
}

fn responses(
    subscription: Subscription,
    drain: Drain,
) -> impl Stream<Item = Result<PreEncoded<WatchResponse>, Status>> + Send {
    let open = OpenStream::new(subscription, drain);
    stream::unfold(Some(open), |open| async move {
        let mut open = open?;
        match open.subscription.next().await {
            Ok(Some(item)) => Some((Ok(encode_item(item)), Some(open))),
            Ok(None) => Some((Err(open.drain.status()), None)),
            Err(error) => Some((Err(stream_error(&error)), None)),
        }
    })
}

/// Returns the status of a stream that failed; the client can resume it.
fn stream_error(error: &dateline_feed::Error) -> Status {
    status::feed(error)
}

/// Builds a response: `changes = 1` and `records = 4` are pre-encoded; `cursor = 2`, `checkpoint = 3` and
/// `snapshot_sequence = 5` are added.
fn encode_item(item: WatchItem) -> PreEncoded<WatchResponse> {
    let mut pieces = ResponseBuilder::default();
    match item {
        WatchItem::Changes(changes, cursor) => {
            metrics::counter!("dateline_watch_messages_total").increment(1);
            for change in changes {
                pieces.fields(change);
            }
            pieces.string(2, &cursor);
        }
        WatchItem::Records(records, cursor, at) => {
            metrics::counter!("dateline_watch_messages_total").increment(1);
            for record in records {
                pieces.fields(record);
            }
            let rest = WatchResponse {
                cursor,
                snapshot_sequence: at.to_i64(),
                ..WatchResponse::default()
            };
            pieces.fields(rest.encode_to_vec());
        }
        WatchItem::Checkpoint(checkpoint) => {
            let digest = checkpoint.digest.clone();
            let (cursor, message) = checkpoint_to_proto(checkpoint);
            let mut message = message.encode_to_vec();
            if let Some(digest) = digest {
                // The digest is pre-encoded: `digest = 6`.
                delimiter(6, digest.len(), &mut message);
                message.extend_from_slice(&digest);
            }
            pieces.string(2, &cursor);
            pieces.message(3, message.into());
        }
    }
    pieces.finish()
}

fn checkpoint_to_proto(checkpoint: dateline_feed::FeedCheckpoint) -> (String, Checkpoint) {
    let now = OffsetDateTime::now_utc();
    let is_behind = checkpoint.sequence < checkpoint.head_sequence;
    let lag = match checkpoint.passed_at {
        Some(passed_at) => Some((now - passed_at).max(time::Duration::ZERO)),
        None if is_behind => None,
        None => Some(time::Duration::ZERO),
    };
    let message = Checkpoint {
        sequence: checkpoint.sequence.to_i64(),
        head_sequence: checkpoint.head_sequence.to_i64(),
        time: Some(timestamp(now)),
        caught_up: checkpoint.caught_up,
        lag: lag.map(|lag| prost_types::Duration {
            seconds: lag.whole_seconds(),
            nanos: lag.subsec_nanoseconds(),
        }),
        digest: None,
        interval: prost_types::Duration::try_from(checkpoint.interval).ok(),
    };
    (checkpoint.cursor, message)
}

/// An open stream, counted while it lives.
struct OpenStream {
    subscription: Subscription,
    drain: Drain,
}

impl OpenStream {
    fn new(subscription: Subscription, drain: Drain) -> Self {
        metrics::gauge!("dateline_watch_streams").increment(1.0);
        Self {
            subscription,
            drain,
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        metrics::gauge!("dateline_watch_streams").decrement(1.0);
    }
}
