//! Serves one connection with hyper: every call has the peer in its extensions, until the connection ends or has to
//! close.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep_until},
};
use tonic::{Status, body::Body};
use tower::Service;

use super::{
    limits::{ConnectionLimits, limit_hit},
    log_throttle::log_throttled,
    peer::{CloseReason, OpenCall, Peer},
};

/// Time that a peer has for closing after a GOAWAY.
const GOAWAY_LINGER: Duration = Duration::from_secs(2);

/// Returns the HTTP settings of every listener.
pub(super) fn http_builder(limits: &ConnectionLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_concurrent_streams)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_header_list_size(16 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(1024);
    // HTTP/1 is accepted only for one explanatory response, which `middleware::grpc_only` gives.
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .header_read_timeout(limits.first_request_timeout);
    builder
}

/// A service that answers gRPC calls.
pub trait GrpcService:
    Service<
        Request<Body>,
        Response = Response<Body>,
        Error = std::convert::Infallible,
        Future: Send + Unpin + 'static,
    > + Clone
    + Send
    + 'static
{
}

impl<S> GrpcService for S where
    S: Service<
            Request<Body>,
            Response = Response<Body>,
            Error = std::convert::Infallible,
            Future: Send + Unpin + 'static,
        > + Clone
        + Send
        + 'static
{
}

/// Serves a connection to its end.
pub(super) async fn serve<S: GrpcService>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http: &Builder<TokioExecutor>,
    service: S,
    peer: Peer,
    limits: &ConnectionLimits,
) {
    let calls = ConnectionService {
        service,
        peer: peer.clone(),
    };
    let mut serving = pin!(http.serve_connection(TokioIo::new(io), calls));
    let mut closing = CloseState::default();
    loop {
        tokio::select! {
            served = &mut serving => {
                if let Err(error) = served {
                    count_protocol_error(&peer, error.as_ref());
                }
                return;
            }
            () = peer.drain_token().cancelled(), if !closing.is_draining => {
                serving.as_mut().graceful_shutdown();
                closing.is_draining = true;
                closing.begin(&peer, limits.max_connection_age_grace);
            }
            close_reason = peer.close_requested() => match close_reason {
                CloseReason::Aged => peer.drain_token().cancel(),
                CloseReason::Idle | CloseReason::Unused | CloseReason::Uncertified => {
                    serving.as_mut().graceful_shutdown();
                    closing.begin(&peer, limits.max_connection_age_grace);
                }
                // The byte stream sends the GOAWAY on its next read.
                CloseReason::Stuck | CloseReason::Flood => closing.abort(),
                CloseReason::Blocked => return,
            },
            () = sleep_until_some(closing.check_at) => if closing.should_drop(&peer) {
                return;
            }
        }
    }
}

/// The state of a connection that is closing.
#[derive(Debug, Default)]
struct CloseState {
    /// Its streams were asked to end.
    is_draining: bool,
    /// Nothing is waited for any more.
    is_aborted: bool,
    /// Next time to check whether its calls are done.
    check_at: Option<Instant>,
    /// Time at which its calls are cut off. A server that stops has a grace period of its own.
    cut_off_at: Option<Instant>,
    moved: u64,
}

impl CloseState {
    fn begin(&mut self, peer: &Peer, grace: Duration) {
        let now = Instant::now();
        self.check_at.get_or_insert(now + GOAWAY_LINGER);
        if peer.close_reason().is_some() {
            self.cut_off_at.get_or_insert(now + grace);
        }
        self.moved = peer.moved();
    }

    fn abort(&mut self) {
        self.is_aborted = true;
        self.check_at = Some(Instant::now() + GOAWAY_LINGER);
    }

    /// True if the connection must be dropped: its calls are done and the peer does not close, or the grace period is
    /// over.
    fn should_drop(&mut self, peer: &Peer) -> bool {
        let (now, moved) = (Instant::now(), peer.moved());
        let is_done = peer.calls() == 0 && moved == self.moved;
        if self.is_aborted || is_done {
            return true;
        }
        if self.cut_off_at.is_some_and(|last| now >= last) {
            limit_hit("max_connection_age_grace");
            return true;
        }
        // A call that began after the last check must end like the others.
        peer.drain_token().cancel();
        self.moved = moved;
        let next = now + GOAWAY_LINGER;
        self.check_at = Some(self.cut_off_at.map_or(next, |last| last.min(next)));
        false
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Counts connections that hyper closed for a timeout or a flood.
fn count_protocol_error(peer: &Peer, error: &(dyn std::error::Error + 'static)) {
    let from = peer.address();
    let mut cause = Some(error);
    while let Some(it) = cause {
        if let Some(error) = it.downcast_ref::<hyper::Error>()
            && error.is_timeout()
        {
            limit_hit("keepalive");
        }
        if let Some(error) = it.downcast_ref::<h2::Error>()
            && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
            && !error.is_remote()
        {
            limit_hit("http2_flood");
            log_throttled("http2_flood", |left_out| {
                tracing::warn!(%from, left_out, %error, "a flood of HTTP/2 frames; the connection is closed");
            });
        }
        cause = it.source();
    }
    tracing::debug!(%from, error, "a connection failed");
}

/// The calls of one connection.
struct ConnectionService<S> {
    service: S,
    peer: Peer,
}

impl<S: GrpcService> hyper::service::Service<Request<Incoming>> for ConnectionService<S> {
    type Response = Response<TrackedBody>;
    type Error = std::convert::Infallible;
    type Future = ResponseFuture<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer.clone());
        ResponseFuture {
            // The service is always ready.
            future: self.service.clone().call(request),
            call: Some(self.peer.begin()),
        }
    }
}

/// A call that is not answered yet.
struct ResponseFuture<F> {
    future: F,
    call: Option<OpenCall>,
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = Result<Response<TrackedBody>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.future).poll(context))?;
        let call = self.call.take();
        Poll::Ready(Ok(response.map(|body| TrackedBody { body, call })))
    }
}

/// The body of a response, which records whether the call waits for the peer.
struct TrackedBody {
    body: Body,
    call: Option<OpenCall>,
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        // hyper polls again only when it can send more: until then the call waits for the peer.
        if let Some(call) = &mut self.call {
            call.set_waiting(frame.is_ready());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
