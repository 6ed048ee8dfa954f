//! A client of minimal cost: it sends ready bytes, and counts received bytes without decoding them; it steps over the
//! fields of a `WatchResponse`. It calls both our server and the limit, so that the client does not affect the
//! comparison.

use std::marker::PhantomData;

use anyhow::Result;
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use tokio::task::JoinSet;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

/// A client with a connection of its own.
#[derive(Clone)]
pub struct RawClient {
    grpc: Grpc<Channel>,
}

impl RawClient {
    /// Connects with the settings of our client.
    pub async fn connect(address: &str) -> Result<Self> {
        let client = dateline_client::Client::connect(address).await?;
        Ok(Self {
            grpc: Grpc::new(client.channel()).max_decoding_message_size(16 * 1024 * 1024),
        })
    }

    /// Connects with HTTP/2's initial windows: a client that stops reading is sent 64 KiB at most.
    pub async fn connect_narrow(address: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let endpoint = endpoint
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(65_535);
        Ok(Self {
            grpc: Grpc::new(endpoint.connect().await?).max_decoding_message_size(16 * 1024 * 1024),
        })
    }

    /// Opens a connection for each caller.
    pub async fn connect_all(address: &str, callers: usize) -> Result<Vec<Self>> {
        let mut connected = Vec::with_capacity(callers);
        for _ in 0..callers {
            connected.push(Self::connect(address).await?);
        }
        Ok(connected)
    }

    /// Calls once. Returns the bytes of the answer.
    pub async fn call(&mut self, method: &'static str, request: Bytes) -> Result<usize> {
        self.grpc.ready().await?;
        let path = PathAndQuery::from_static(method);
        let answer = self
            .grpc
            .unary(Request::new(request), path, RawCodec::default());
        Ok(answer.await?.into_inner().bytes)
    }

    /// Opens a stream of the counts of each message.
    pub async fn stream(
        &mut self,
        method: &'static str,
        request: Bytes,
    ) -> Result<Streaming<MessageCounts>> {
        self.grpc.ready().await?;
        let path = PathAndQuery::from_static(method);
        let answer = self
            .grpc
            .server_streaming(Request::new(request), path, RawCodec::default());
        Ok(answer.await?.into_inner())
    }
}

/// Calls with every client at once; each sends its own requests one after the other.
pub async fn call_all(
    clients: &[RawClient],
    method: &'static str,
    requests: impl Iterator<Item = Vec<Bytes>>,
) -> Result<()> {
    let mut callers = JoinSet::new();
    for (mut client, requests) in clients.iter().cloned().zip(requests) {
        callers.spawn(async move {
            for request in requests {
                client.call(method, request).await?;
            }
            Ok(())
        });
    }
    all(callers).await
}

/// Waits for all, and returns the first error.
pub async fn all(mut callers: JoinSet<Result<()>>) -> Result<()> {
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

/// Counts of a message that is not decoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageCounts {
    /// Bytes of the message.
    pub bytes: usize,
    /// Changes of a `WatchResponse`.
    pub changes: usize,
    /// Records of a `WatchResponse`.
    pub records: usize,
    /// True if a `WatchResponse` is a checkpoint.
    pub checkpoint: bool,
}

impl MessageCounts {
    /// Steps over the fields of a message; stops at anything malformed.
    fn walk(mut message: &[u8]) -> Self {
        let mut seen = Self {
            bytes: message.len(),
            ..Self::default()
        };
        while let Ok((field, wire)) = decode_key(&mut message) {
            match field {
                1 => seen.changes += 1,
                3 => seen.checkpoint = true,
                4 => seen.records += 1,
                _ => {}
            }
            if skip_field(wire, field, &mut message, DecodeContext::default()).is_err() {
                break;
            }
        }
        seen
    }
}

/// A codec that sends ready bytes and counts received ones.
#[derive(Default)]
pub struct RawCodec(PhantomData<()>);

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = MessageCounts;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = MessageCounts;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<MessageCounts>, Status> {
        let seen = MessageCounts::walk(buffer.chunk());
        buffer.advance(buffer.remaining());
        Ok(Some(seen))
    }
}
