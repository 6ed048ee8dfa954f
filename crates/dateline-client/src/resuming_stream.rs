//! Streams that resume: when the server fails, the stream is requested again from the last cursor. So the caller gets
//! every change and every record once, in order, within one process.

use std::time::Duration;

use dateline_proto::v1::{ExportRequest, WatchRequest, WatchResponse, watch_request::Start};
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use super::{Client, Connection, EncodedExportResponse, Failure};

/// Longest backoff between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Pause before the second try; doubles with each try.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
/// Silence after which a stream counts as dead, even if its connection is open. A server sends every 5 s unless it
/// announces another interval.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The same limit, in intervals that the server announces.
const IDLE_INTERVALS: u32 = 3;

/// A request for a stream that can be resumed.
pub trait Resumable: Clone + Send + Sync {
    /// One response of the stream.
    type Response: Send;

    /// Opens the stream.
    fn open_stream(
        &self,
        client: Client,
    ) -> impl Future<Output = Result<Streaming<Self::Response>, Status>> + Send;

    /// Sets the request to resume after a response.
    fn resume_after(&mut self, after: &Self::Response);

    /// Longest silence of the server, if the response announces one.
    fn idle_timeout(_: &Self::Response) -> Option<Duration> {
        None
    }
}

impl Resumable for WatchRequest {
    type Response = WatchResponse;

    async fn open_stream(&self, mut client: Client) -> Result<Streaming<WatchResponse>, Status> {
        Ok(client.feed.watch(self.clone()).await?.into_inner())
    }

    fn resume_after(&mut self, after: &WatchResponse) {
        if !after.cursor.is_empty() {
            self.start = Some(Start::Cursor(after.cursor.clone()));
        }
    }

    fn idle_timeout(response: &WatchResponse) -> Option<Duration> {
        idle_timeout(response)
    }
}

impl Resumable for ExportRequest {
    type Response = EncodedExportResponse;

    async fn open_stream(
        &self,
        client: Client,
    ) -> Result<Streaming<EncodedExportResponse>, Status> {
        client.export_encoded(self.clone()).await
    }

    fn resume_after(&mut self, after: &EncodedExportResponse) {
        if !after.cursor.is_empty() {
            self.cursor.clone_from(&after.cursor);
        }
    }
}

/// A watch of a feed that resumes when the server fails.
pub type WatchStream = ResumingStream<WatchRequest>;
/// An export that resumes when the server fails. The response with `complete` is the last one; do not call `next`
/// again.
pub type ExportStream = ResumingStream<ExportRequest>;

/// A stream of responses that resumes when the server fails.
#[derive(Debug)]
pub struct ResumingStream<A: Resumable> {
    server: Connection,
    request: A,
    stream: Option<Streaming<A::Response>>,
    backoff: Duration,
    /// Silence after which the stream counts as dead.
    idle_timeout: Duration,
}

impl<A: Resumable> ResumingStream<A> {
    /// Opens the stream.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses the request.
    pub async fn open(server: impl Into<Connection>, request: A) -> Result<Self, Failure> {
        let mut resumed = Self {
            server: server.into(),
            request,
            stream: None,
            backoff: INITIAL_BACKOFF,
            idle_timeout: IDLE_TIMEOUT,
        };
        resumed.stream = Some(resumed.connect().await?);
        Ok(resumed)
    }

    async fn connect(&self) -> Result<Streaming<A::Response>, Failure> {
        // A connection of its own: a stream that is read slowly must not hold up other calls.
        let client = Client::connect_with(&self.server).await?;
        Ok(self.request.open_stream(client).await?)
    }

    /// Returns the next response; waits for a server as long as it takes. `on_retry` is called with the reason for each
    /// wait.
    ///
    /// # Errors
    /// If the server refuses to resume from the cursor (F6).
    pub async fn next(
        &mut self,
        on_retry: &mut (dyn FnMut(&str) + Send),
    ) -> Result<A::Response, Failure> {
        loop {
            let failure = match self.advance().await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            if failure.code != Code::Unavailable {
                return Err(failure);
            }
            on_retry(&failure.to_string());
            self.stream = None;
            tokio::time::sleep(jittered(self.backoff)).await;
            self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        }
    }

    async fn advance(&mut self) -> Result<A::Response, Failure> {
        if self.stream.is_none() {
            self.stream = Some(self.connect().await?);
        }
        let next = match self.stream.as_mut() {
            Some(stream) => match tokio::time::timeout(self.idle_timeout, stream.message()).await {
                Ok(next) => next,
                Err(_) => Err(Status::unavailable("the server has fallen silent")),
            },
            None => Ok(None),
        };
        match next {
            Ok(Some(response)) => {
                self.request.resume_after(&response);
                self.backoff = INITIAL_BACKOFF;
                self.idle_timeout = A::idle_timeout(&response).unwrap_or(self.idle_timeout);
                Ok(response)
            }
            Ok(None) => Err(Status::unavailable("the stream ended").into()),
            Err(status) => Err(status.into()),
        }
    }
}

/// Longest silence of a server that announces its interval of checkpoints.
fn idle_timeout(response: &WatchResponse) -> Option<Duration> {
    let interval = response.checkpoint.as_ref()?.interval?;
    let interval = Duration::try_from(interval).ok()?;
    Some(interval.saturating_mul(IDLE_INTERVALS).max(IDLE_TIMEOUT))
}

/// A random backoff of at least half of `backoff`, so that clients that lost one server do not reconnect all at once.
fn jittered(backoff: Duration) -> Duration {
    // The low bits of such an id are random.
    let jitter = Uuid::now_v7().as_bytes()[15];
    backoff / 2 + backoff.mul_f64(f64::from(jitter) / 512.0)
}
