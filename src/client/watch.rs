//! A stream that goes on: when the server goes away it is asked again from the last cursor, so the caller
//! sees every change once, in order, for as long as one process lives.

use std::time::Duration;

use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use super::{Client, Failure};
use crate::proto::v1::{WatchRequest, WatchResponse, watch_request::Start};

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// First pause.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A stream that says nothing for so long is dead, although its connection does not know: a server speaks every 5 s
/// unless it says otherwise.
const SILENCE: Duration = Duration::from_secs(30);
/// The same, in intervals of which a server says that it is silent no longer than one.
const INTERVALS: u32 = 3;

/// A stream of responses that survives its server.
#[derive(Debug)]
pub struct Watch {
    server: String,
    request: WatchRequest,
    stream: Option<Streaming<WatchResponse>>,
    pause: Duration,
    /// After so long a stream is dead.
    silence: Duration,
}

impl Watch {
    /// Opens the stream.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the request.
    pub async fn open(server: &str, request: WatchRequest) -> Result<Self, Failure> {
        let mut watch = Self {
            server: server.to_owned(),
            request,
            stream: None,
            pause: FIRST_PAUSE,
            silence: SILENCE,
        };
        watch.stream = Some(watch.connect().await?);
        Ok(watch)
    }

    async fn connect(&self) -> Result<Streaming<WatchResponse>, Failure> {
        // A connection of its own: a stream that is read slowly must not hold up other calls.
        let mut client = Client::connect(&self.server).await?;
        Ok(client.feed.watch(self.request.clone()).await?.into_inner())
    }

    /// The next response, waiting for a server as long as it takes. `told` hears why it waits.
    ///
    /// # Errors
    /// When the server refuses to go on from the cursor (F6).
    pub async fn next(&mut self, told: &mut dyn FnMut(&str)) -> Result<WatchResponse, Failure> {
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

    async fn advance(&mut self) -> Result<WatchResponse, Failure> {
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
                if !response.cursor.is_empty() {
                    self.request.start = Some(Start::Cursor(response.cursor.clone()));
                }
                self.pause = FIRST_PAUSE;
                self.silence = silence(&response).unwrap_or(self.silence);
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
