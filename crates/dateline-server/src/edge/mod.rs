//! The transport: limits who may connect, how many and for how long, and closes connections that misuse it. Passes
//! calls on with a [`Peer`] in their extensions, and does not depend on the services.
//!
//! - Accepting never ends with an error: it is retried.
//! - Each connection has a slot in the `registry`, which checks all of them every few seconds and closes those that are
//!   idle or stuck.
//! - Floods that hyper does not stop are stopped where bytes pass (`stream`, `frames`).
//! - A connection closes gracefully if possible: its streams send a last checkpoint (F12), then follows a GOAWAY.

mod client_certificates;
mod connection;
mod descriptors;
mod frames;
mod limits;
mod peer;
mod registry;
mod stream;
mod tls;
mod told;

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
    connection::Answers,
    descriptors::raise_descriptor_limit,
    limits::Limits,
    peer::Peer,
    tls::{Error as TlsError, TlsFiles},
};
use self::{
    registry::{Full, Place, Registry},
    stream::{Transport, Watched},
    tls::Tls,
};
use super::{config, jobs::Jobs};

/// Refused clients that are sent a reason at the same time; further ones find the connection closed.
const TOLD_AT_ONCE: usize = 64;
/// Time that a refused client has for reading the reason.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pause after the system failed to accept a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// Listeners, with the limits and TLS settings of their connections.
#[derive(Debug)]
pub struct Edge {
    listeners: Vec<TcpListener>,
    limits: config::Limits,
    tls: Option<Arc<Tls>>,
    registry: Registry,
    telling: Arc<Semaphore>,
}

impl Edge {
    /// Prepares to serve.
    ///
    /// # Errors
    /// If TLS is configured and its files cannot be used.
    pub fn new(
        listeners: Vec<TcpListener>,
        limits: &config::Limits,
        tls: Option<TlsFiles>,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            listeners,
            limits: limits.clone(),
            tls: tls.map(Tls::load).transpose()?.map(Arc::new),
            registry: Registry::new(limits.edge.clone()),
            telling: Arc::new(Semaphore::new(TOLD_AT_ONCE)),
        })
    }

    /// Spawns the jobs that check connections and reload the TLS files.
    pub fn watch(&self, jobs: &Jobs) {
        let registry = self.registry.clone();
        jobs.spawn("connections", move || {
            let registry = registry.clone();
            async move { registry.watch().await }
        });
        if let Some(tls) = self.tls.clone() {
            jobs.spawn("certificates", move || {
                let tls = tls.clone();
                async move { tls.follow(CancellationToken::new()).await }
            });
        }
    }

    /// Serves until `stopping` is done, and then until the last connection has ended. `streams_stop` ends the streams
    /// of all connections; it is cancelled once `stopping` is done.
    pub async fn serve<S: Answers>(
        self,
        service: S,
        streams_stop: CancellationToken,
        stopping: impl Future<Output = ()>,
    ) {
        let http = Arc::new(connection::http(&self.limits));
        let mut connections = JoinSet::new();
        let mut stopping = std::pin::pin!(stopping);
        loop {
            tokio::select! {
                () = &mut stopping => break,
                Some(_) = connections.join_next() => {}
                (stream, from) = accept(&self.listeners) => match self.registry.enter(from.ip()) {
                    Ok(place) => {
                        let newcomer = Newcomer {
                            stream,
                            from,
                            place,
                            tls: self.tls.clone(),
                            going: streams_stop.child_token(),
                        };
                        let (http, service) = (http.clone(), service.clone());
                        let limits = self.limits.edge.clone();
                        connections.spawn(newcomer.serve(http, service, limits));
                    }
                    Err(full) => self.turn_away(stream, from, full, &mut connections),
                }
            }
        }
        // Closed first, so that new clients are refused at once instead of waiting.
        drop(self.listeners);
        streams_stop.cancel();
        while connections.join_next().await.is_some() {}
    }

    /// Refuses a connection, with a reason if it can be sent.
    fn turn_away(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        full: Full,
        connections: &mut JoinSet<()>,
    ) {
        told::refused(full.limit(), from, &full);
        let Ok(permit) = self.telling.clone().try_acquire_owned() else {
            return;
        };
        if self.tls.is_none() {
            connections.spawn(async move {
                let _ = timeout(FAREWELL, tell(stream, &full.to_string())).await;
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
            Err(error) if is_of_one(&error) => {}
            Err(error) => {
                super::metrics::limit_hit("file_descriptors");
                told::rarely("accept", |left_out| {
                    tracing::error!(left_out, %error, "no connection can be taken; trying again");
                });
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// True if the error concerns only one connection, which broke before it was accepted.
fn is_of_one(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Sends the least of HTTP/2 that can carry a reason, and reads until the peer has closed.
async fn tell(mut stream: TcpStream, words: &str) -> io::Result<()> {
    let mut said = frames::SETTINGS.to_vec();
    said.extend(frames::goaway(0, words));
    stream.write_all(&said).await?;
    stream.shutdown().await?;
    let mut scratch = [0; 1024];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}

/// An accepted connection that has a slot and has sent nothing yet.
struct Newcomer {
    stream: TcpStream,
    from: SocketAddr,
    place: Place,
    tls: Option<Arc<Tls>>,
    going: CancellationToken,
}

impl Newcomer {
    async fn serve<S: Answers>(
        self,
        http: Arc<Builder<TokioExecutor>>,
        service: S,
        limits: Limits,
    ) {
        if let Err(error) = prepare(&self.stream) {
            tracing::debug!(from = %self.from, %error, "a socket takes no options");
        }
        let (transport, certificate) = match self.tls {
            None => (Transport::Plain(self.stream), None),
            Some(tls) => {
                let shaking = timeout(limits.tls_handshake_timeout, tls.accept(self.stream));
                match self.going.run_until_cancelled(shaking).await {
                    None => return,
                    Some(Ok(Ok(stream))) => {
                        let certificate = tls.certificate(&stream);
                        (Transport::Tls(Box::new(stream)), certificate)
                    }
                    Some(Ok(Err(error))) => return tls::tell(self.from, &error),
                    Some(Err(_)) => {
                        let limit = humantime::format_duration(limits.tls_handshake_timeout);
                        let what =
                            format!("no TLS handshake within {limit} (--tls-handshake-timeout)");
                        return told::refused("tls_handshake_timeout", self.from, &what);
                    }
                }
            }
        };
        let peer = Peer::new(self.from, certificate, self.going);
        self.place.watch(peer.clone());
        let per_second = limits.control_frames_per_second;
        let io = Watched::new(transport, peer.clone(), per_second, limits.stuck_words());
        connection::serve(io, &http, service, peer, &limits).await;
    }
}

/// Sends small responses at once, and detects peers that have vanished.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
