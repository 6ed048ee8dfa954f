//! The codec of every server method: answers go out as ready bytes, and what cannot be decoded is refused
//! in the contract's words (the stock codec answers INTERNAL and names our fields).
//!
//! A response is built once, from bytes that the store or the ring already holds; nothing is decoded or
//! encoded again on the way out.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use prost_reflect::ReflectMessage;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::{status, weigh};

/// How many bytes of ready messages tonic gathers before it hands them to HTTP/2.
const YIELD_BYTES: usize = 64 * 1024;
/// What each open call keeps for its next message: room for a checkpoint. A larger message makes room for itself.
const BUFFER_BYTES: usize = 512;

/// The encoded bytes of a message of type `T`, in pieces that follow each other.
#[derive(Debug, Clone)]
pub struct Ready<T> {
    pieces: Vec<Bytes>,
    message: PhantomData<fn() -> T>,
}

impl<T> Ready<T> {
    /// Takes pieces that, one after the other, are an encoded `T`.
    #[must_use]
    pub fn from_pieces(pieces: Vec<Bytes>) -> Self {
        Self {
            pieces,
            message: PhantomData,
        }
    }

    /// The pieces.
    #[must_use]
    pub fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }
}

impl<T: Message> From<&T> for Ready<T> {
    fn from(message: &T) -> Self {
        Self::from_pieces(vec![message.encode_to_vec().into()])
    }
}

/// Encodes [`Ready`] answers and decodes requests. `Answer` is the encoded side, `Request` the decoded one.
#[derive(Debug)]
pub struct ReadyCodec<Answer, Request>(PhantomData<fn() -> (Answer, Request)>);

impl<Answer, Request> Default for ReadyCodec<Answer, Request> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, Request> Codec for ReadyCodec<Ready<T>, Request>
where
    T: 'static,
    Request: Message + Default + ReflectMessage + 'static,
{
    type Encode = Ready<T>;
    type Decode = Request;
    type Encoder = ReadyEncoder<T>;
    type Decoder = RequestDecoder<Request>;

    fn encoder(&mut self) -> Self::Encoder {
        ReadyEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        RequestDecoder(PhantomData)
    }
}

/// Copies ready pieces into the transport's buffer.
#[derive(Debug)]
pub struct ReadyEncoder<T>(PhantomData<fn() -> T>);

impl<T> Encoder for ReadyEncoder<T> {
    type Item = Ready<T>;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(item.pieces.iter().map(Bytes::len).sum());
        for piece in item.pieces {
            buffer.put(piece);
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}

/// Decodes a request, or refuses it as `INVALID_ARGUMENT`.
#[derive(Debug)]
pub struct RequestDecoder<Request>(PhantomData<fn() -> Request>);

impl<Request: Message + Default + ReflectMessage> Decoder for RequestDecoder<Request> {
    type Item = Request;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Request>, Status> {
        // Nothing is left of a message that is refused, to be read as the next one.
        decode(&buffer.copy_to_bytes(buffer.remaining())).map(Some)
    }
}

/// A request from its bytes, unless it is bloated.
///
/// # Errors
/// `INVALID_ARGUMENT`, in words that do not depend on the bytes.
pub fn decode<Request>(bytes: &[u8]) -> Result<Request, Status>
where
    Request: Message + Default + ReflectMessage,
{
    if weigh::is_bloated(&Request::default().descriptor(), bytes) {
        return Err(status::bloated());
    }
    Request::decode(bytes).map_err(|error| status::undecodable(&error))
}
