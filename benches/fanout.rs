//! Sending changes of 1 kB to 50 streams, against bytes that are ready, sent to as many streams through the
//! same server stack: in messages as large as ours, and in messages of one change.

mod support;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use dateline::proto::v1::{Origin, WatchRequest, watch_request::Start};
use prost::Message;
use tokio::task::JoinSet;

use support::{
    compare::{Comparison, Form, rate},
    constant::{Constant, STREAM},
    raw::{Raw, all},
    records::Records,
    site::{Site, gold, publish},
};

const WATCH: &str = "/dateline.v1.FeedService/Watch";
const STREAMS: usize = 50;
/// Changes that every stream gets: as many as the ring keeps in memory, and no more.
const CHANGES: usize = 10_000;
/// Records that are published together.
const BATCH: usize = 10;

#[tokio::main]
async fn main() -> Result<()> {
    let form = Form::chosen();
    let site = Site::start().await?;
    let changes = form.pick(1000, CHANGES);
    let records = Records::new(&gold()?, 600)?;
    for first in (0..changes).step_by(BATCH) {
        let batch = (first..first + BATCH).map(|number| records.nth(number));
        publish(&site.client, batch.collect()).await?;
    }
    let feed = Feed::read(&site).await?;
    feed.compare(form, &site.address).await?;
    site.stop().await
}

/// What a stream gets from the beginning to the head.
struct Feed {
    changes: usize,
    messages: usize,
    bytes: usize,
}

impl Feed {
    async fn read(site: &Site) -> Result<Self> {
        let mut client = site.client.feed.clone();
        let mut stream = client.watch(request()).await?.into_inner();
        let first = stream.message().await?.context("a first checkpoint")?;
        let head = first
            .checkpoint
            .context("a first checkpoint")?
            .head_sequence;
        let mut feed = Self {
            changes: 0,
            messages: 0,
            bytes: 0,
        };
        while feed.changes < usize::try_from(head)? {
            let message = stream.message().await?.context("changes up to the head")?;
            feed.changes += message.changes.len();
            feed.messages += 1;
            feed.bytes += message.encoded_len();
        }
        Ok(feed)
    }

    async fn compare(&self, form: Form, address: &str) -> Result<()> {
        let size = self.bytes / self.changes;
        let title = format!(
            "fan-out to {STREAMS} streams: {} changes of {size} bytes to each, in messages of {} bytes",
            self.changes,
            self.bytes / self.messages
        );
        let ours = Raw::connect_all(address, STREAMS).await?;
        let large = self.constant(self.bytes / self.messages).await?;
        let small = self.constant(size).await?;
        let sides = [
            "Watch",
            "constant messages, as large",
            "constant messages, one change",
        ];
        let comparison = Comparison::new(title, "changes/s", &sides);
        let all_changes = self.changes * STREAMS;
        let measure = async |side, _| {
            let sent = match side {
                0 => send(&ours, WATCH, self.bytes, 1),
                1 => send(&large, STREAM, self.bytes, 0),
                _ => send(&small, STREAM, self.bytes, 0),
            };
            rate(all_changes, sent).await
        };
        measure(0, 0).await?;
        comparison.run(form.pick(3, 9), measure).await
    }

    async fn constant(&self, bytes: usize) -> Result<Vec<Raw>> {
        let constant = Constant {
            answer: vec![0; bytes].into(),
            messages: self.bytes.div_ceil(bytes),
        };
        Raw::connect_all(&constant.serve().await?, STREAMS).await
    }
}

fn request() -> WatchRequest {
    WatchRequest {
        start: Some(Start::Origin(Origin::Beginning.into())),
        ..WatchRequest::default()
    }
}

/// Opens a stream on every connection, and reads until each has had its bytes. What is skipped does not count.
async fn send(clients: &[Raw], method: &'static str, bytes: usize, skipped: usize) -> Result<()> {
    let request = Bytes::from(request().encode_to_vec());
    let mut readers = JoinSet::new();
    for mut client in clients.iter().cloned() {
        let request = request.clone();
        readers.spawn(async move {
            let mut stream = client.stream(method, request).await?;
            for _ in 0..skipped {
                stream.message().await?;
            }
            let mut missing = bytes;
            while missing > 0 {
                let message = stream.message().await?.context("the stream ended early")?;
                ensure!(message > 0, "an empty message");
                missing = missing.saturating_sub(message);
            }
            Ok(())
        });
    }
    all(readers).await
}
