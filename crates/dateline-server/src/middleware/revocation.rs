//! Streams that end when their caller's credentials expire or are revoked.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use dateline_access::Caller;
use futures_util::Stream;
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, body::Body};

use super::admitted::Admitted;
use crate::status;

/// Wraps a response stream and ends it as soon as the caller's credentials expire or are revoked. They are checked for
/// each message, so none is sent after that (F10).
#[must_use = "a stream does nothing unless it is polled"]
pub struct RevocableStream<S> {
    /// `None` once the stream has ended.
    messages: Option<Pin<Box<S>>>,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    caller: Caller,
    _permits: Arc<Vec<OwnedSemaphorePermit>>,
}

impl<S> RevocableStream<S> {
    /// Wraps a stream, which keeps its permits until it is dropped.
    pub fn new(admitted: &Admitted, messages: S) -> Self {
        let caller = admitted.caller().clone();
        Self {
            messages: Some(Box::pin(messages)),
            ended: Box::pin(caller.ended()),
            caller,
            _permits: admitted.permits(),
        }
    }
}

impl<S, T> Stream for RevocableStream<S>
where
    S: Stream<Item = Result<T, Status>>,
{
    type Item = Result<T, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<T, Status>>> {
        let Some(messages) = &mut self.messages else {
            return Poll::Ready(None);
        };
        let next = messages.as_mut().poll_next(context);
        // Checked after polling, so that a message made while the credentials ended is held back too.
        if self.ended.as_mut().poll(context).is_ready() {
            self.messages = None;
            return Poll::Ready(Some(Err(status::denied(&self.caller.end_reason()))));
        }
        next
    }
}

/// The response body of another service, such as reflection, which ends like a guarded stream.
pub struct RevocableBody {
    /// `None` once the body has ended.
    body: Option<Body>,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
    caller: Caller,
}

impl RevocableBody {
    /// Wraps a response body.
    pub fn new(caller: Caller, body: Body) -> Self {
        Self {
            body: Some(body),
            ended: Box::pin(caller.ended()),
            caller,
        }
    }
}

impl http_body::Body for RevocableBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(body).poll_frame(context);
        let has_ended = self.ended.as_mut().poll(context).is_ready();
        if has_ended {
            self.body = None;
            let status = status::denied(&self.caller.end_reason());
            let mut trailers = http::HeaderMap::new();
            return Poll::Ready(Some(
                status
                    .add_header(&mut trailers)
                    .map(|()| Frame::trailers(trailers)),
            ));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body
            .as_ref()
            .is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
