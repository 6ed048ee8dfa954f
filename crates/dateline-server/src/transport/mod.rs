//! The transport: limits who may connect, how many and for how long, and closes connections that misuse it. Passes
//! calls on with a [`Peer`] in their extensions, and does not depend on the services.
//!
//! - Accepting never ends with an error: it is retried.
//! - Each connection has a slot in the `registry`, which checks all of them every few seconds and closes those that are
//!   idle or stuck.
//! - Floods that hyper does not stop are stopped where bytes pass (`monitored_io`, `frame_limiter`).
//! - A connection closes gracefully if possible: its streams send a last checkpoint (F12), then follows a GOAWAY.

mod client_certificates;
pub mod codec;
mod connection;
mod decode_limit;
mod frame_limiter;
pub(crate) mod limits;
pub(crate) mod listen;
mod log_throttle;
mod monitored_io;
mod peer;
mod registry;
mod rlimit;
pub(crate) mod shared_body;
mod tls;

use std::{io, net::SocketAddr, sync::Arc, task::Poll, time::Duration};

use hyper_util::{rt::TokioExecutor, server::conn::auto::Builder};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

pub use self::{
    connection::GrpcService,
    limits::ConnectionLimits,
    peer::Peer,
    rlimit::raise_descriptor_limit,
    tls::{Error as TlsError, TlsFiles},
};
use self::{
    monitored_io::{MonitoredIo, Socket},
    registry::{ConnectionPermit, Registry, TooManyConnections},
    tls::Tls,
};
use super::jobs::Jobs;

/// Refused clients that are sent a reason at the same time; further ones find the connection closed.
const MAX_CONCURRENT_REFUSALS: usize = 64;
/// Time that a refused client has for reading the reason.
const GOAWAY_LINGER: Duration = Duration::from_secs(1);
/// Pause after the system failed to accept a connection.
const ACCEPT_RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// Listeners, with the limits and TLS settings of their connections.
#[derive(Debug)]
pub struct Transport {
    listeners: Vec<TcpListener>,
    limits: ConnectionLimits,
    tls: Option<Arc<Tls>>,
    registry: Registry,
    refusal_permits: Arc<Semaphore>,
}

impl Transport {
    /// Prepares to serve.
    ///
    /// # Errors
    /// If TLS is configured and its files cannot be used.
    pub fn new(
        listeners: Vec<TcpListener>,
        limits: &ConnectionLimits,
        tls: Option<TlsFiles>,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            listeners,
            limits: limits.clone(),
            tls: tls.map(Tls::load).transpose()?.map(Arc::new),
            registry: Registry::new(limits.clone()),
            refusal_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_REFUSALS)),
        })
    }

    /// Spawns the jobs that check connections and reload the TLS files.
    pub fn spawn_jobs(&self, jobs: &Jobs) {
        let registry = self.registry.clone();
        jobs.spawn("connections", move || {
            let registry = registry.clone();
            async move { registry.run_checks().await }
        });
        if let Some(tls) = self.tls.clone() {
            jobs.spawn("certificates", move || {
                let tls = tls.clone();
                async move { tls.watch_files(CancellationToken::new()).await }
            });
        }
    }

    /// Serves until `stopping` is done, and then until the last connection has ended. `streams_stop` ends the streams
    /// of all connections; it is cancelled once `stopping` is done.
    pub async fn serve<S: GrpcService>(
        self,
        service: S,
        streams_stop: CancellationToken,
        stopping: impl Future<Output = ()>,
    ) {
        let http = Arc::new(connection::http_builder(&self.limits));
        let mut connections = JoinSet::new();
        let mut stopping = std::pin::pin!(stopping);
        loop {
            tokio::select! {
                () = &mut stopping => break,
                Some(_) = connections.join_next() => {}
                (stream, from) = accept(&self.listeners) => match self.registry.acquire(from.ip()) {
                    Ok(permit) => {
                        let accepted = Accepted {
                            stream,
                            from,
                            permit,
                            tls: self.tls.clone(),
                            drain: streams_stop.child_token(),
                        };
                        let (http, service) = (http.clone(), service.clone());
                        let limits = self.limits.clone();
                        connections.spawn(accepted.serve(http, service, limits));
                    }
                    Err(full) => self.refuse(stream, from, full, &mut connections),
                }
            }
        }
        // Closed first, so that new clients are refused at once instead of waiting.
        drop(self.listeners);
        streams_stop.cancel();
        while connections.join_next().await.is_some() {}
    }

    /// Refuses a connection, with a reason if it can be sent.
    fn refuse(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        full: TooManyConnections,
        connections: &mut JoinSet<()>,
    ) {
        log_throttle::log_refusal(full.limit(), from, &full);
        let Ok(permit) = self.refusal_permits.clone().try_acquire_owned() else {
            return;
        };
        if self.tls.is_none() {
            connections.spawn(async move {
                let _ = timeout(GOAWAY_LINGER, send_goaway(stream, &full.to_string())).await;
                drop(permit);
            });
        }
    }
}

/// Accepts the next connection. Errors concern one connection, or are retried after a pause.
async fn accept(listeners: &[TcpListener]) -> (TcpStream, SocketAddr) {
    loop {
        let accepted = std::future::poll_fn(|context| {
            let mut all = listeners.iter().map(|it| it.poll_accept(context));
            all.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        match accepted.await {
            Ok(accepted) => return accepted,
            Err(error) if is_connection_error(&error) => {}
            Err(error) => {
                limits::limit_hit("file_descriptors");
                log_throttle::log_throttled("accept", |left_out| {
                    tracing::error!(left_out, %error, "no connection can be taken; trying again");
                });
                tokio::time::sleep(ACCEPT_RETRY_BACKOFF).await;
            }
        }
    }
}

/// True if the error concerns only one connection, which broke before it was accepted.
fn is_connection_error(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Sends the least of HTTP/2 that can carry a reason, and reads until the peer has closed.
async fn send_goaway(mut stream: TcpStream, reason: &str) -> io::Result<()> {
    let mut frames_out = frame_limiter::SETTINGS.to_vec();
    frames_out.extend(frame_limiter::goaway_frame(0, reason));
    stream.write_all(&frames_out).await?;
    stream.shutdown().await?;
    let mut scratch = [0; 1024];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}

/// An accepted connection that has a slot and has sent nothing yet.
struct Accepted {
    stream: TcpStream,
    from: SocketAddr,
    permit: ConnectionPermit,
    tls: Option<Arc<Tls>>,
    drain: CancellationToken,
}

impl Accepted {
    async fn serve<S: GrpcService>(
        self,
        http: Arc<Builder<TokioExecutor>>,
        service: S,
        limits: ConnectionLimits,
    ) {
        if let Err(error) = set_socket_options(&self.stream) {
            tracing::debug!(from = %self.from, %error, "a socket takes no options");
        }
        let (socket, certificate) = match self.tls {
            None => (Socket::Plain(self.stream), None),
            Some(tls) => {
                let shaking = timeout(limits.tls_handshake_timeout, tls.accept(self.stream));
                match self.drain.run_until_cancelled(shaking).await {
                    None => return,
                    Some(Ok(Ok(stream))) => {
                        let certificate = tls.certificate(&stream);
                        (Socket::Tls(Box::new(stream)), certificate)
                    }
                    Some(Ok(Err(error))) => return tls::log_handshake_failure(self.from, &error),
                    Some(Err(_)) => {
                        let limit = humantime::format_duration(limits.tls_handshake_timeout);
                        let what =
                            format!("no TLS handshake within {limit} (--tls-handshake-timeout)");
                        return log_throttle::log_refusal(
                            "tls_handshake_timeout",
                            self.from,
                            &what,
                        );
                    }
                }
            }
        };
        let peer = Peer::new(self.from, certificate, self.drain);
        self.permit.track(peer.clone());
        let per_second = limits.control_frames_per_second;
        let io = MonitoredIo::new(socket, peer.clone(), per_second, limits.stuck_reason());
        connection::serve(io, &http, service, peer, &limits).await;
    }
}

/// Sends small responses at once, and detects peers that have vanished.
fn set_socket_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
