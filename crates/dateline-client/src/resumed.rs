//! Streams that go on: when the server goes away it is asked again from the last cursor, so the caller sees every
//! change and every record once, in order, for as long as one process lives.

use std::time::Duration;

use dateline_proto::v1::{ExportRequest, WatchRequest, WatchResponse, watch_request::Start};
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use super::{Client, Connection, ExportPart, Failure};

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// First pause.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A stream that says nothing for so long is dead, although its connection does not know: a server speaks every 5 s
/// unless it says otherwise.
const SILENCE: Duration = Duration::from_secs(30);
/// The same, in intervals of which a server says that it is silent no longer than one.
const INTERVALS: u32 = 3;

/// What asks for a stream that can be gone on with.
pub trait Ask: Clone + Send + Sync {
    /// What comes.
    type Response: Send;

    /// Asks.
    fn ask(
        &self,
        client: Client,
    ) -> impl Future<Output = Result<Streaming<Self::Response>, Status>> + Send;

    /// Goes on after a response the next time.
    fn go_on(&mut self, after: &Self::Response);

    /// How long the server may be silent, if it says so.
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

/// A feed that survives its server.
pub type Watch = Resumed<WatchRequest>;
/// An export that does. After the response that says `complete` nothing is to be asked for.
pub type Exporting = Resumed<ExportRequest>;

/// A stream of responses that survives its server.
#[derive(Debug)]
pub struct Resumed<A: Ask> {
    server: Connection,
    request: A,
    stream: Option<Streaming<A::Response>>,
    pause: Duration,
    /// After so long a stream is dead.
    silence: Duration,
}

impl<A: Ask> Resumed<A> {
    /// Opens the stream.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the request.
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

    /// The next response, waiting for a server as long as it takes. `told` hears why it waits.
    ///
    /// # Errors
    /// When the server refuses to go on from the cursor (F6).
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

/// How long a server that says how often it speaks may be silent.
fn silence(response: &WatchResponse) -> Option<Duration> {
    let interval = response.checkpoint.as_ref()?.interval?;
    let interval = Duration::try_from(interval).ok()?;
    Some(interval.saturating_mul(INTERVALS).max(SILENCE))
}

/// Half of the pause at least: clients that lost one server together do not come back together.
fn jittered(pause: Duration) -> Duration {
    // The low bits of such an id are drawn by lot.
    let lot = Uuid::now_v7().as_bytes()[15];
    pause / 2 + pause.mul_f64(f64::from(lot) / 512.0)
}
