//! The body of a stream's response. tonic copies each message into a buffer of the call, so that one change of 1 MB
//! would take 1 MB per stream; here large pieces go to the socket as bytes that all streams share.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http_body::{Body, Frame};
use tonic::{Code, Status};

use super::codec::PreEncoded;

/// Pieces of at least this size are shared. Smaller ones are gathered, since each piece becomes an HTTP/2 frame.
const SHARED_BYTES: usize = 16 * 1024;
/// Bytes before each gRPC message: the compression flag and the length.
const PREFIX_BYTES: usize = 5;

/// Pre-encoded messages as an HTTP body, with the status in its trailers.
#[derive(Debug)]
pub struct SharedBytesBody<Messages> {
    messages: Messages,
    /// Frames of the current message that are not sent yet.
    frames: VecDeque<Bytes>,
    is_over: bool,
}

impl<Messages> SharedBytesBody<Messages> {
    /// Creates a body that sends what the stream yields, up to its first error.
    #[must_use]
    pub fn new(messages: Messages) -> Self {
        Self {
            messages,
            frames: VecDeque::new(),
            is_over: false,
        }
    }
}

impl<Messages, T> Body for SharedBytesBody<Messages>
where
    Messages: Stream<Item = Result<PreEncoded<T>, Status>> + Unpin,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(frame))));
            }
            if self.is_over {
                return Poll::Ready(None);
            }
            let next = ready!(self.messages.poll_next_unpin(context));
            match next.map(|message| message.and_then(|message| framed(message.into_pieces()))) {
                Some(Ok(frames)) => self.frames = frames,
                ended => {
                    self.is_over = true;
                    let status = ended.and_then(Result::err);
                    let status = status.unwrap_or_else(|| Status::new(Code::Ok, ""));
                    let mut trailers = HeaderMap::new();
                    let added = status.add_header(&mut trailers);
                    return Poll::Ready(Some(added.map(|()| Frame::trailers(trailers))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over && self.frames.is_empty()
    }
}

/// Splits a message with its prefix into frames; large pieces are not copied.
fn framed(pieces: Vec<Bytes>) -> Result<VecDeque<Bytes>, Status> {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let length = u32::try_from(length)
        .map_err(|_| Status::new(Code::Internal, "a message of more than 4 GiB"))?;
    let is_shared = |piece: &Bytes| piece.len() >= SHARED_BYTES;
    let small = pieces.iter().filter(|piece| !is_shared(piece));
    let room = PREFIX_BYTES + small.map(Bytes::len).sum::<usize>();
    let mut gathered = BytesMut::with_capacity(room);
    gathered.put_u8(0);
    gathered.put_u32(length);
    let mut frames = VecDeque::new();
    for piece in pieces {
        if is_shared(&piece) {
            if !gathered.is_empty() {
                frames.push_back(gathered.split().freeze());
            }
            frames.push_back(piece);
        } else {
            gathered.put(piece);
        }
    }
    if !gathered.is_empty() {
        frames.push_back(gathered.freeze());
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f9_what_is_large_is_not_copied_and_what_is_small_is_one_frame() {
        let large = Bytes::from(vec![7; SHARED_BYTES]);
        let small = |text: &'static str| Bytes::from_static(text.as_bytes());
        let pieces = vec![small("a"), small("bc"), large.clone(), small("d")];
        let frames = framed(pieces).unwrap();
        assert_eq!(frames.len(), 3);
        assert_eq!(frames[0], b"\0\0\0\x40\x04abc"[..]);
        assert_eq!(frames[1].as_ptr(), large.as_ptr());
        assert_eq!(frames[2], "d");
        assert_eq!(framed(Vec::new()).unwrap(), [small("\0\0\0\0\0")]);
    }
}
