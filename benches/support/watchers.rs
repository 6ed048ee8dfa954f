//! Watchers of a feed that note when each change arrived, and their requests.

use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use dateline_proto::v1::{Origin, View, WatchRequest, watch_request::Start};
use prost::Message;
use tokio::{sync::watch, task::JoinSet};

use super::raw_client::{MessageCounts, RawClient};

/// Path of the method.
pub const WATCH: &str = "/dateline.v1.FeedService/Watch";

/// Encodes a request for a stream.
pub fn request(view: View, start: Start) -> Bytes {
    let request = WatchRequest {
        view: view.into(),
        start: Some(start),
        ..WatchRequest::default()
    };
    request.encode_to_vec().into()
}

/// Encodes a request for a stream from an origin.
pub fn from(view: View, origin: Origin) -> Bytes {
    request(view, Start::Origin(origin.into()))
}

/// Streams that follow the desk feed from now on.
pub struct Watchers {
    readers: JoinSet<Result<Vec<Instant>>>,
    seen: Vec<watch::Receiver<usize>>,
}

impl Watchers {
    /// Opens `count` streams, spread over the connections, and waits until each is at the head.
    pub async fn open(connections: &[RawClient], count: usize) -> Result<Self> {
        let mut readers = JoinSet::new();
        let mut seen = Vec::with_capacity(count);
        for mut client in connections.iter().cycle().take(count).cloned() {
            let mut stream = client.stream(WATCH, from(View::Desk, Origin::Now)).await?;
            stream.message().await?.context("a first checkpoint")?;
            let (told, so_far) = watch::channel(0);
            seen.push(so_far);
            readers.spawn(async move {
                let mut came = Vec::new();
                loop {
                    let message = tokio::select! {
                        message = stream.message() => message?,
                        () = told.closed() => None,
                    };
                    let Some(MessageCounts { changes, .. }) = message else {
                        return Ok(came);
                    };
                    came.extend(std::iter::repeat_n(Instant::now(), changes));
                    told.send_replace(came.len());
                }
            });
        }
        Ok(Self { readers, seen })
    }

    /// Waits until every stream has received `changes` changes since it was opened.
    pub async fn wait(&mut self, changes: usize) -> Result<()> {
        for seen in &mut self.seen {
            seen.wait_for(|seen| *seen >= changes).await?;
        }
        Ok(())
    }

    /// Ends the streams. Returns the arrival time of each change, by stream.
    pub async fn finish(self) -> Result<Vec<Vec<Instant>>> {
        drop(self.seen);
        let mut readers = self.readers;
        let mut all = Vec::new();
        while let Some(done) = readers.join_next().await {
            all.push(done??);
        }
        Ok(all)
    }
}
