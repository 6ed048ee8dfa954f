//! A client that does as little as a client can: it sends bytes that are ready, and counts bytes that it does
//! not decode. Ours and the limit are called by the same one, so that it is not the client that is compared.

use std::marker::PhantomData;

use anyhow::Result;
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tokio::task::JoinSet;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// A connection of its own.
#[derive(Clone)]
pub struct Raw {
    grpc: Grpc<Channel>,
}

impl Raw {
    /// Connects as our client does.
    pub async fn connect(address: &str) -> Result<Self> {
        let client = dateline::client::Client::connect(address).await?;
        Ok(Self {
            grpc: Grpc::new(client.channel()),
        })
    }

    /// As many connections as there are callers.
    pub async fn connect_all(address: &str, callers: usize) -> Result<Vec<Self>> {
        let mut connected = Vec::with_capacity(callers);
        for _ in 0..callers {
            connected.push(Self::connect(address).await?);
        }
        Ok(connected)
    }

    /// Calls once. Answers the bytes of the answer.
    pub async fn call(&mut self, method: &'static str, request: Bytes) -> Result<usize> {
        self.grpc.ready().await?;
        let path = PathAndQuery::from_static(method);
        let answer = self
            .grpc
            .unary(Request::new(request), path, RawCodec::default());
        Ok(answer.await?.into_inner())
    }

    /// Opens a stream of the bytes of each message.
    pub async fn stream(
        &mut self,
        method: &'static str,
        request: Bytes,
    ) -> Result<Streaming<usize>> {
        self.grpc.ready().await?;
        let path = PathAndQuery::from_static(method);
        let answer = self
            .grpc
            .server_streaming(Request::new(request), path, RawCodec::default());
        Ok(answer.await?.into_inner())
    }
}

/// Calls with every client at once, each with its own requests, one after the other.
pub async fn call_all(
    clients: &[Raw],
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

/// Waits for all, and fails with the first that fails.
pub async fn all(mut callers: JoinSet<Result<()>>) -> Result<()> {
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

/// Ready bytes out, counted bytes in.
#[derive(Default)]
pub struct RawCodec(PhantomData<()>);

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = usize;
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
    type Item = usize;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<usize>, Status> {
        let bytes = buffer.remaining();
        buffer.advance(bytes);
        Ok(Some(bytes))
    }
}
