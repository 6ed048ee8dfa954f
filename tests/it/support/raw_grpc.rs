//! HTTP/2 without a gRPC client, for requests that no client would send: raw headers, raw frames, raw bytes.

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;
use tonic::Status;

use crate::support::server::{TIMEOUT, TestServer};

pub const GET: &str = "/dateline.v1.RecordService/GetRecord";
pub const LIST: &str = "/dateline.v1.RecordService/ListRecords";
pub const CREATE: &str = "/dateline.v1.RecordService/CreateRecord";
pub const COMMIT: &str = "/dateline.v1.EditorialService/Commit";

/// One connection.
pub struct GrpcConnection {
    pub sender: SendRequest<Bytes>,
}

/// A complete answer.
#[derive(Debug)]
pub struct Reply {
    pub http: StatusCode,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// The gRPC status, from the headers or from the trailers.
    pub fn status(&self) -> Status {
        let told = [&self.headers, &self.trailers]
            .into_iter()
            .find_map(Status::from_header_map);
        told.unwrap_or_else(|| panic!("no status: {self:?}"))
    }
}

/// A message in an uncompressed gRPC frame.
pub fn frame(message: &[u8]) -> Bytes {
    frame_with(0, u32::try_from(message.len()).unwrap(), message)
}

/// A frame with any flag and length.
pub fn frame_with(flag: u8, length: u32, message: &[u8]) -> Bytes {
    let mut frame = vec![flag];
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    frame.into()
}

/// A gRPC request.
pub fn grpc_request(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::post(format!("http://{}{path}", server.address));
    let usual = [("content-type", "application/grpc"), ("te", "trailers")];
    for (name, value) in usual.iter().chain(headers) {
        let all = builder.headers_mut().unwrap();
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        all.insert(name, value.parse().unwrap());
    }
    builder.body(()).unwrap()
}

impl GrpcConnection {
    pub async fn connect(server: &TestServer) -> Self {
        let stream = TcpStream::connect(&server.address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends a request with a body, and waits for the answer.
    pub async fn call(&self, request: Request<()>, body: Bytes) -> Result<Reply, h2::Error> {
        let calling = async {
            let mut sender = self.sender.clone().ready().await?;
            let (answer, mut stream) = sender.send_request(request, false)?;
            // The answer may arrive, and the stream end, before everything is sent.
            let _ = stream.send_data(body, true);
            read_reply(answer).await
        };
        tokio::time::timeout(TIMEOUT, calling)
            .await
            .expect("an answer")
    }
}

/// Reads an answer to its end.
pub async fn read_reply(answer: ResponseFuture) -> Result<Reply, h2::Error> {
    let (head, mut stream) = answer.await?.into_parts();
    let mut body = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        let _ = stream.flow_control().release_capacity(data.len());
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await?.unwrap_or_default();
    Ok(Reply {
        http: head.status,
        headers: head.headers,
        trailers,
        body: body.freeze(),
    })
}
