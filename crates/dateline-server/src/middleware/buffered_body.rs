//! Bodies of messages that are wholly in memory: requests that were read, and responses that hold a reservation.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tonic::{Status, body::Body};

use crate::middleware::budget::Reservation;

/// Reads the next frame of a body.
pub(super) async fn next_frame(body: &mut Body) -> Option<Result<Frame<Bytes>, Status>> {
    std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Returns the body of a request whose message was read.
pub(super) fn full_body(message: Bytes) -> Body {
    chained_body(message, Body::empty())
}

/// Returns the body of a request that was partly read.
pub(super) fn chained_body(first: Bytes, rest: Body) -> Body {
    Body::new(ChainedBody {
        first: Some(first),
        rest,
    })
}

/// Bytes that were read, followed by the rest of the body.
struct ChainedBody {
    first: Option<Bytes>,
    rest: Body,
}

impl http_body::Body for ChainedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.first.take().filter(|first| !first.is_empty()) {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }
}

/// Bytes with their reservation.
struct ReservedBytes {
    bytes: Bytes,
    _reserved: Reservation,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns bytes that keep a reservation until the last reference to them is gone.
pub(super) fn with_reservation(bytes: Bytes, reserved: Reservation) -> Bytes {
    Bytes::from_owner(ReservedBytes {
        bytes,
        _reserved: reserved,
    })
}

/// Returns the body of a response from its bytes and its trailers.
pub(super) fn buffered_body(bytes: Bytes, end: Option<Result<HeaderMap, Status>>) -> Body {
    Body::new(BufferedBody {
        data: Some(bytes).filter(|bytes| !bytes.is_empty()),
        end,
    })
}

/// The body of a response that is wholly in memory.
struct BufferedBody {
    data: Option<Bytes>,
    end: Option<Result<HeaderMap, Status>>,
}

impl http_body::Body for BufferedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let data = self.data.take().map(|data| Ok(Frame::data(data)));
        let next = data.or_else(|| Some(self.end.take()?.map(Frame::trailers)));
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.end.is_none()
    }
}
