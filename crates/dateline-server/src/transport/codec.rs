//! The codec of all server methods: responses are sent as pre-encoded bytes, and undecodable requests are rejected with
//! the contract's errors (tonic's codec returns INTERNAL and names fields of the schema).
//!
//! A response is built once, from bytes that the store or the ring already holds; nothing is decoded or encoded again
//! on the way out.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use prost_reflect::ReflectMessage;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

use super::decode_limit;
use crate::status;

/// Bytes of encoded messages that tonic gathers before it passes them to HTTP/2.
const YIELD_BYTES: usize = 64 * 1024;
/// Buffer of each open call for its next message: enough for a checkpoint. It grows for larger messages.
const BUFFER_BYTES: usize = 512;

/// The encoded bytes of a message of type `T`, in consecutive pieces.
#[derive(Debug, Clone)]
pub struct PreEncoded<T> {
    pieces: Vec<Bytes>,
    message: PhantomData<fn() -> T>,
}

impl<T> PreEncoded<T> {
    /// Wraps pieces that together are an encoded `T`.
    #[must_use]
    pub fn from_pieces(pieces: Vec<Bytes>) -> Self {
        Self {
            pieces,
            message: PhantomData,
        }
    }

    /// Returns the pieces.
    #[must_use]
    pub fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }
}

impl<T: Message> From<&T> for PreEncoded<T> {
    fn from(message: &T) -> Self {
        Self::from_pieces(vec![message.encode_to_vec().into()])
    }
}

/// Encodes [`PreEncoded`] responses and decodes requests. `Reply` is the encoded side, `Request` the decoded one.
#[derive(Debug)]
pub struct PreEncodedCodec<Reply, Request>(PhantomData<fn() -> (Reply, Request)>);

impl<Reply, Request> Default for PreEncodedCodec<Reply, Request> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, Request> Codec for PreEncodedCodec<PreEncoded<T>, Request>
where
    T: 'static,
    Request: Message + Default + ReflectMessage + 'static,
{
    type Encode = PreEncoded<T>;
    type Decode = Request;
    type Encoder = PreEncodedEncoder<T>;
    type Decoder = RequestDecoder<Request>;

    fn encoder(&mut self) -> Self::Encoder {
        PreEncodedEncoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        RequestDecoder(PhantomData)
    }
}

/// Copies pre-encoded pieces into the transport's buffer.
#[derive(Debug)]
pub struct PreEncodedEncoder<T>(PhantomData<fn() -> T>);

impl<T> Encoder for PreEncodedEncoder<T> {
    type Item = PreEncoded<T>;
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

/// Decodes a request, or rejects it with `INVALID_ARGUMENT`.
#[derive(Debug)]
pub struct RequestDecoder<Request>(PhantomData<fn() -> Request>);

impl<Request: Message + Default + ReflectMessage> Decoder for RequestDecoder<Request> {
    type Item = Request;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Request>, Status> {
        // The whole buffer is consumed: the rest of a rejected message must not be read as the next one.
        decode(&buffer.copy_to_bytes(buffer.remaining())).map(Some)
    }
}

/// Decodes a request, unless its decoded size would be out of proportion.
///
/// # Errors
/// `INVALID_ARGUMENT`, with a text that does not depend on the bytes.
pub fn decode<Request>(bytes: &[u8]) -> Result<Request, Status>
where
    Request: Message + Default + ReflectMessage,
{
    if decode_limit::exceeds_decoded_size(&Request::default().descriptor(), bytes) {
        return Err(status::decoded_size_exceeded());
    }
    Request::decode(bytes).map_err(|error| status::undecodable(&error))
}
