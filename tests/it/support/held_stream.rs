//! A connection that is made once and holds an open stream, and its behaviour when its credentials end: the three
//! columns of the matrix of `endings`.

use std::{sync::Arc, time::Duration};

use dateline_proto::v1::{
    GetFeedRequest, GetFeedResponse, WatchResponse, feed_service_client::FeedServiceClient,
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::support::{editing::RpcError, watch::watch_from_now};

/// Maximum time for which a stream continues after its credentials ended.
pub const MAX_STREAM_END_DELAY: Duration = Duration::from_secs(5);

/// Address, TLS and credentials for connecting to a server.
#[derive(Clone)]
pub struct ConnectOptions {
    pub address: String,
    pub tls: Option<Arc<ClientConfig>>,
    pub token: Option<String>,
}

/// One connection, which never reconnects, with an open stream.
pub struct HeldStream {
    pub way: ConnectOptions,
    pub feed: FeedServiceClient<Channel>,
    stream: Streaming<WatchResponse>,
}

impl ConnectOptions {
    pub fn plain(address: &str, token: &str) -> Self {
        Self {
            address: address.to_owned(),
            tls: None,
            token: Some(token.to_owned()),
        }
    }

    /// Connects once: calls fail after the connection is closed.
    pub async fn connect(&self) -> Result<FeedServiceClient<Channel>, tonic::transport::Error> {
        let way = self.clone();
        let once = Arc::new(std::sync::Mutex::new(Some(())));
        let connector = tower::service_fn(move |_| {
            let (way, once) = (way.clone(), once.clone());
            async move {
                let first = once.lock().unwrap().take();
                first.ok_or_else(|| std::io::Error::other("the connection was closed"))?;
                let stream = TcpStream::connect(&way.address).await?;
                let io: Box<dyn Io> = match way.tls {
                    None => Box::new(stream),
                    Some(tls) => {
                        let name = "localhost".try_into().unwrap();
                        Box::new(TlsConnector::from(tls).connect(name, stream).await?)
                    }
                };
                Ok::<_, std::io::Error>(TokioIo::new(io))
            }
        });
        let channel = Endpoint::from_static("http://localhost")
            .connect_with_connector(connector)
            .await?;
        Ok(FeedServiceClient::new(channel))
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        request
    }

    pub async fn call(&self, feed: &FeedServiceClient<Channel>) -> Result<GetFeedResponse, Status> {
        let request = self.request(GetFeedRequest::default());
        Ok(feed.clone().get_feed(request).await?.into_inner())
    }

    /// Opens a stream and waits until it has begun.
    pub async fn hold(self) -> HeldStream {
        self.try_hold().await.expect("a stream begins")
    }

    /// Opens a stream and waits until it has begun. Returns `None` if it is refused.
    async fn try_hold(self) -> Option<HeldStream> {
        let mut feed = self.connect().await.ok()?;
        let request = watch_from_now(dateline_proto::v1::View::Published);
        let mut stream = feed.watch(self.request(request)).await.ok()?.into_inner();
        stream.message().await.ok()??;
        Some(HeldStream {
            way: self,
            feed,
            stream,
        })
    }
}

/// Opens a stream with credentials that expire by themselves, and returns it with their end. They live twice as long
/// each time that they have expired before the stream began: the machine may be loaded.
pub async fn hold_until_expiry(
    issue: impl AsyncFn(OffsetDateTime) -> ConnectOptions,
) -> (HeldStream, OffsetDateTime) {
    for seconds in [2, 4, 8, 16, 32] {
        // A whole second: a JWT has no others.
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
        let end = now + Duration::from_secs(seconds);
        if let Some(held) = issue(end).await.try_hold().await {
            return (held, end);
        }
    }
    panic!("no stream begins with credentials that expire");
}

trait Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Io for T {}

impl HeldStream {
    /// Asserts that the stream ends with this reason within 5 s from now.
    pub async fn assert_stream_ends(&mut self, what: &str, reason: &str) {
        let reading = async {
            loop {
                match self.stream.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{what}: the stream ended as if all were well"),
                    Err(status) => return RpcError::from(status),
                }
            }
        };
        let refused = tokio::time::timeout(MAX_STREAM_END_DELAY, reading).await;
        let refused = refused.unwrap_or_else(|_| panic!("{what}: the stream goes on after 5 s"));
        assert_eq!(
            (refused.code, refused.reason.as_str()),
            (Code::Unauthenticated, reason),
            "{what}"
        );
    }

    /// Asserts the three columns of the matrix.
    pub async fn assert_ends(mut self, what: &str, reason: &str, later: &str) {
        self.assert_stream_ends(what, reason).await;
        let same = self.way.call(&self.feed).await.expect_err(what);
        is_refused(what, &same, later);
        match self.way.connect().await {
            Err(_) => assert!(self.way.tls.is_some(), "{what}: TLS refuses"),
            Ok(feed) => is_refused(what, &self.way.call(&feed).await.expect_err(what), later),
        }
    }

    /// Asserts the three columns for credentials that expire at this time.
    pub async fn assert_expires(self, what: &str, end: OffsetDateTime, later: &str) {
        let left = end - OffsetDateTime::now_utc();
        tokio::time::sleep(left.try_into().unwrap_or_default()).await;
        self.assert_ends(what, "TOKEN_EXPIRED", later).await;
    }

    /// Asserts that the stream ends and calls continue with the narrower scope, which has no digests.
    pub async fn assert_scope_narrows(mut self, what: &str) {
        self.assert_stream_ends(what, "ACCESS_CHANGED").await;
        let again = self.way.connect().await.unwrap();
        for feed in [&self.feed, &again] {
            let answer = self.way.call(feed).await.unwrap();
            assert_eq!(answer.digest, None, "{what}");
        }
    }
}

/// True if refused with this reason, or if the connection was closed because a certificate ended.
fn is_refused(what: &str, status: &Status, reason: &str) {
    let is_closed = std::error::Error::source(status).is_some();
    if is_closed && reason.is_empty() {
        return;
    }
    let refused = RpcError::from(status.clone());
    assert_eq!(refused.code, Code::Unauthenticated, "{what}");
    if !reason.is_empty() {
        assert_eq!(refused.reason, reason, "{what}");
    }
}
