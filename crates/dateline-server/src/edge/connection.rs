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
    Limits,
    peer::{Call, Peer, Verdict},
    told::rarely,
};
use crate::{config, metrics::limit_hit};

/// Time that a peer has for closing after a GOAWAY.
const FAREWELL: Duration = Duration::from_secs(2);

/// Returns the HTTP settings of every listener.
pub(super) fn http(limits: &config::Limits) -> Builder<TokioExecutor> {
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
    // HTTP/1 is accepted only for one explanatory response, which `dress` gives.
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .header_read_timeout(limits.edge.first_request_timeout);
    builder
}

/// A service that answers gRPC calls.
pub trait Answers:
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

impl<S> Answers for S where
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
pub(super) async fn serve<S: Answers>(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http: &Builder<TokioExecutor>,
    service: S,
    peer: Peer,
    limits: &Limits,
) {
    let calls = Calls {
        service,
        peer: peer.clone(),
    };
    let mut serving = pin!(http.serve_connection(TokioIo::new(io), calls));
    let mut end = End::default();
    loop {
        tokio::select! {
            served = &mut serving => {
                if let Err(error) = served {
                    tell(&peer, error.as_ref());
                }
                return;
            }
            () = peer.going().cancelled(), if !end.is_going => {
                serving.as_mut().graceful_shutdown();
                end.is_going = true;
                end.begin(&peer, limits.max_connection_age_grace);
            }
            verdict = peer.judged() => match verdict {
                Verdict::Aged => peer.going().cancel(),
                Verdict::Idle | Verdict::Unused | Verdict::Uncertified => {
                    serving.as_mut().graceful_shutdown();
                    end.begin(&peer, limits.max_connection_age_grace);
                }
                // The byte stream sends the GOAWAY on its next read.
                Verdict::Stuck | Verdict::Flood => end.cut(),
                Verdict::Blocked => return,
            },
            () = until(end.look_at) => if end.look(&peer) {
                return;
            }
        }
    }
}

/// The state of a connection that is closing.
#[derive(Debug, Default)]
struct End {
    /// Its streams were asked to end.
    is_going: bool,
    /// Nothing is waited for any more.
    is_cut: bool,
    /// Next time to check whether its calls are done.
    look_at: Option<Instant>,
    /// Time at which its calls are cut off. A server that stops has a grace period of its own.
    last: Option<Instant>,
    moved: u64,
}

impl End {
    fn begin(&mut self, peer: &Peer, grace: Duration) {
        let now = Instant::now();
        self.look_at.get_or_insert(now + FAREWELL);
        if peer.verdict().is_some() {
            self.last.get_or_insert(now + grace);
        }
        self.moved = peer.moved();
    }

    fn cut(&mut self) {
        self.is_cut = true;
        self.look_at = Some(Instant::now() + FAREWELL);
    }

    /// True if the connection must be dropped: its calls are done and the peer does not close, or the grace period is
    /// over.
    fn look(&mut self, peer: &Peer) -> bool {
        let (now, moved) = (Instant::now(), peer.moved());
        let is_done = peer.calls() == 0 && moved == self.moved;
        if self.is_cut || is_done {
            return true;
        }
        if self.last.is_some_and(|last| now >= last) {
            limit_hit("max_connection_age_grace");
            return true;
        }
        // A call that began after the last check must end like the others.
        peer.going().cancel();
        self.moved = moved;
        let next = now + FAREWELL;
        self.look_at = Some(self.last.map_or(next, |last| last.min(next)));
        false
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Counts connections that hyper closed for a timeout or a flood.
fn tell(peer: &Peer, error: &(dyn std::error::Error + 'static)) {
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
            rarely("http2_flood", |left_out| {
                tracing::warn!(%from, left_out, %error, "a flood of HTTP/2 frames; the connection is closed");
            });
        }
        cause = it.source();
    }
    tracing::debug!(%from, error, "a connection failed");
}

/// The calls of one connection.
struct Calls<S> {
    service: S,
    peer: Peer,
}

impl<S: Answers> hyper::service::Service<Request<Incoming>> for Calls<S> {
    type Response = Response<Counted>;
    type Error = std::convert::Infallible;
    type Future = Answering<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.peer.clone());
        Answering {
            // The service is always ready.
            future: self.service.clone().call(request),
            call: Some(self.peer.begin()),
        }
    }
}

/// A call that is not answered yet.
struct Answering<F> {
    future: F,
    call: Option<Call>,
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = Result<Response<Counted>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.future).poll(context))?;
        let call = self.call.take();
        Poll::Ready(Ok(response.map(|body| Counted { body, call })))
    }
}

/// The body of a response, which records whether the call waits for the peer.
struct Counted {
    body: Body,
    call: Option<Call>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        // hyper polls again only when it can send more: until then the call waits for the peer.
        if let Some(call) = &mut self.call {
            call.wait(frame.is_ready());
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
