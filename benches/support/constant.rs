//! The limit of the transport: a service that returns bytes it already holds, through the codec, the HTTP/2 settings
//! and the outermost layers of our own server. Any time of ours beyond that is spent in our own code.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use dateline_proto::v1::{GetRecordRequest, GetRecordResponse, WatchRequest, WatchResponse};
use dateline_server::{
    Limits, middleware,
    transport::Transport,
    transport::codec::{PreEncoded, PreEncodedCodec},
};
use futures_util::{Stream, stream};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService},
    service::Routes,
};
use tower::service_fn;

/// Method that returns `answer` once.
pub const UNARY: &str = "/bench.Constant/Unary";
/// Method that streams `answer`, `messages` times.
pub const STREAM: &str = "/bench.Constant/Stream";

/// A service that ignores the request and returns the same bytes.
#[derive(Clone)]
pub struct Constant {
    /// The bytes of one message.
    pub answer: Bytes,
    /// Messages per stream.
    pub messages: usize,
    /// Pause before each message but the first; streams then do not end.
    pub every: Option<Duration>,
}

impl Constant {
    /// Serves until the process ends. Returns the address.
    pub async fn serve(self) -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(self.serve_on(listener));
        Ok(address)
    }

    /// Serves until the process ends.
    pub async fn serve_on(self, listener: TcpListener) -> Result<()> {
        let limits = Limits::default();
        let service = middleware::around(Routes::new(self).prepare(), limits.request_timeout);
        let transport = Transport::new(vec![listener], &limits.connections, None)?;
        transport
            .serve(service, CancellationToken::new(), std::future::pending())
            .await;
        Ok(())
    }

    fn ready<T>(&self) -> PreEncoded<T> {
        PreEncoded::from_pieces(vec![self.answer.clone()])
    }

    fn messages<T>(self) -> Messages<T>
    where
        T: 'static,
    {
        let Some(pause) = self.every else {
            let messages = (0..self.messages).map(move |_| Ok(self.ready()));
            return Box::pin(stream::iter(messages));
        };
        let mut ticks = tokio::time::interval(pause);
        Box::pin(stream::poll_fn(move |context| {
            ticks.poll_tick(context).map(|_| Some(Ok(self.ready())))
        }))
    }

    async fn unary(self, request: http::Request<Body>) -> http::Response<Body> {
        let codec = PreEncodedCodec::<PreEncoded<GetRecordResponse>, GetRecordRequest>::default();
        let answer = service_fn(|_: Request<GetRecordRequest>| {
            let answer = Response::new(self.ready());
            async move { Ok::<_, Status>(answer) }
        });
        Grpc::new(codec).unary(answer, request).await
    }

    async fn stream(self, request: http::Request<Body>) -> http::Response<Body> {
        let codec = PreEncodedCodec::<PreEncoded<WatchResponse>, WatchRequest>::default();
        let answer = service_fn(|_: Request<WatchRequest>| {
            let constant = self.clone();
            async move { Ok::<_, Status>(Response::new(constant.messages())) }
        });
        Grpc::new(codec).server_streaming(answer, request).await
    }
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<PreEncoded<T>, Status>> + Send>>;

impl NamedService for Constant {
    const NAME: &'static str = "bench.Constant";
}

impl tower::Service<http::Request<Body>> for Constant {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let constant = self.clone();
        Box::pin(async move {
            Ok(if request.uri().path() == UNARY {
                constant.unary(request).await
            } else {
                constant.stream(request).await
            })
        })
    }
}
