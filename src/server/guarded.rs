//! Streams that end when their caller may not have them any more.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::Status;

use super::{door::Admitted, status};
use crate::access::Caller;

/// What a stream sends, for as long as its caller may have it. Looked at before each message, so none is sent after
/// the credentials ceased to hold (F10).
#[must_use = "a stream does nothing unless it is polled"]
pub struct Guarded<S> {
    /// `None` once it is over.
    messages: Option<Pin<Box<S>>>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    caller: Caller,
    _places: Arc<Vec<OwnedSemaphorePermit>>,
}

impl<S> Guarded<S> {
    /// Guards a stream.
    pub fn new(admitted: &Admitted, messages: S) -> Self {
        let caller = admitted.caller().clone();
        Self {
            messages: Some(Box::pin(messages)),
            ended: Box::pin(caller.ended()),
            caller,
            _places: admitted.places(),
        }
    }
}

impl<S, T> Stream for Guarded<S>
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
        // After it, so that what was made while the word came is held back too.
        if self.ended.as_mut().poll(context).is_ready() {
            self.messages = None;
            return Poll::Ready(Some(Err(status::denied(&self.caller.why_ended()))));
        }
        next
    }
}
