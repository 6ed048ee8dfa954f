//! Streams that resume: when the server fails, the stream is requested again from the last cursor. So the caller gets
//! every change and every record once, in order, within one process.

use std::time::Duration;

use dateline_proto::v1::{ExportRequest, WatchRequest, WatchResponse, watch_request::Start};
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use super::{Client, Connection, ExportPart, Failure};

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Pause before the second try; doubles with each try.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Silence after which a stream counts as dead, even if its connection is open. A server sends every 5 s unless it
/// announces another interval.
const SILENCE: Duration = Duration::from_secs(30);
/// The same limit, in intervals that the server announces.
const INTERVALS: u32 = 3;

/// A request for a stream that can be resumed.
pub trait Ask: Clone + Send + Sync {
    /// One response of the stream.
    type Response: Send;

    /// Opens the stream.
    fn ask(
        &self,
        client: Client,
    ) -> impl Future<Output = Result<Streaming<Self::Response>, Status>> + Send;

    /// Sets the request to resume after a response.
    fn go_on(&mut self, after: &Self::Response);

    /// Longest silence of the server, if the response announces one.
    fn silence(_: &Self::Response) -> Option<Duration> {
        None
    }
}

impl Ask for WatchRequest {
    type Response = WatchResponse;

    async fn ask(&self, mut client: Client) -> Result<Streaming<WatchResponse>, Status> {
        Ok(client.feed.watch(self.clone()).await?.into_inner())
    }

    fn go_on(&mut self, after: &WatchResponse) {
        if !after.cursor.is_empty() {
            self.start = Some(Start::Cursor(after.cursor.clone()));
        }
    }

    fn silence(response: &WatchResponse) -> Option<Duration> {
        silence(response)
    }
}

impl Ask for ExportRequest {
    type Response = ExportPart;

    async fn ask(&self, client: Client) -> Result<Streaming<ExportPart>, Status> {
        client.export_encoded(self.clone()).await
    }

    fn go_on(&mut self, after: &ExportPart) {
        if !after.cursor.is_empty() {
            self.cursor.clone_from(&after.cursor);
        }
    }
}

/// A watch of a feed that resumes when the server fails.
pub type Watch = Resumed<WatchRequest>;
/// An export that resumes when the server fails. The response with `complete` is the last one; do not call `next`
/// again.
pub type Exporting = Resumed<ExportRequest>;

/// A stream of responses that resumes when the server fails.
#[derive(Debug)]
pub struct Resumed<A: Ask> {
    server: Connection,
    request: A,
    stream: Option<Streaming<A::Response>>,
    pause: Duration,
    /// Silence after which the stream counts as dead.
    silence: Duration,
}

impl<A: Ask> Resumed<A> {
    /// Opens the stream.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses the request.
    pub async fn open(server: impl Into<Connection>, request: A) -> Result<Self, Failure> {
        let mut resumed = Self {
            server: server.into(),
            request,
            stream: None,
            pause: FIRST_PAUSE,
            silence: SILENCE,
        };
        resumed.stream = Some(resumed.connect().await?);
        Ok(resumed)
    }

    async fn connect(&self) -> Result<Streaming<A::Response>, Failure> {
        // A connection of its own: a stream that is read slowly must not hold up other calls.
        let client = Client::connect_with(&self.server).await?;
        Ok(self.request.ask(client).await?)
    }

    /// Returns the next response; waits for a server as long as it takes. `told` is called with the reason for each
    /// wait.
    ///
    /// # Errors
    /// If the server refuses to resume from the cursor (F6).
    pub async fn next(
        &mut self,
        told: &mut (dyn FnMut(&str) + Send),
    ) -> Result<A::Response, Failure> {
        loop {
            let failure = match self.advance().await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            if failure.code != Code::Unavailable {
                return Err(failure);
            }
            told(&failure.to_string());
            self.stream = None;
            tokio::time::sleep(jittered(self.pause)).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn advance(&mut self) -> Result<A::Response, Failure> {
        if self.stream.is_none() {
            self.stream = Some(self.connect().await?);
        }
        let next = match self.stream.as_mut() {
            Some(stream) => match tokio::time::timeout(self.silence, stream.message()).await {
                Ok(next) => next,
                Err(_) => Err(Status::unavailable("the server has fallen silent")),
            },
            None => Ok(None),
        };
        match next {
            Ok(Some(response)) => {
                self.request.go_on(&response);
                self.pause = FIRST_PAUSE;
                self.silence = A::silence(&response).unwrap_or(self.silence);
                Ok(response)
            }
            Ok(None) => Err(Status::unavailable("the stream ended").into()),
            Err(status) => Err(status.into()),
        }
    }
}

/// Longest silence of a server that announces its interval of checkpoints.
fn silence(response: &WatchResponse) -> Option<Duration> {
    let interval = response.checkpoint.as_ref()?.interval?;
    let interval = Duration::try_from(interval).ok()?;
    Some(interval.saturating_mul(INTERVALS).max(SILENCE))
}

/// A random pause of at least half of `pause`, so that clients that lost one server do not reconnect all at once.
fn jittered(pause: Duration) -> Duration {
    // The low bits of such an id are random.
    let lot = Uuid::now_v7().as_bytes()[15];
    pause / 2 + pause.mul_f64(f64::from(lot) / 512.0)
}
