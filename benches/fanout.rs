//! Sending changes of 1 kB and of 64 kB to 1, 50 and 500 streams, compared with ready bytes sent to as many streams
//! through the same server stack: in messages as large as ours, and in messages of one change.

mod support;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use dateline_proto::v1::{Origin, View, WatchRequest, watch_request::Start};
use prost::Message;
use tokio::task::JoinSet;

use support::{
    compare::{BenchMode, Comparison, rate},
    constant::{Constant, STREAM},
    raw_client::{RawClient, all},
    records::Records,
    server::{BenchServer, gold, publish},
    watchers::{WATCH, request},
};

/// Records that are published together.
const BATCH: usize = 10;
/// Maximum number of streams that share a connection.
const CONNECTIONS: usize = 50;

/// Changes of one size. All of them fit into the ring.
struct Size {
    /// Approximate bytes per record; the change adds to it.
    record_bytes: usize,
    changes: usize,
    /// Number of streams, how often each is opened, and the changes each gets: the total of bytes is about the same.
    loads: [Load; 3],
}

struct Load {
    streams: usize,
    times: usize,
    changes: usize,
}

const fn load(streams: usize, times: usize, changes: usize) -> Load {
    Load {
        streams,
        times,
        changes,
    }
}

const SIZES: [Size; 2] = [
    Size {
        record_bytes: 600,
        changes: 10_000,
        loads: [load(1, 20, 10_000), load(50, 1, 10_000), load(500, 1, 1000)],
    },
    Size {
        record_bytes: 63_500,
        changes: 200,
        loads: [load(1, 20, 200), load(50, 1, 150), load(500, 1, 20)],
    },
];

#[tokio::main]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    let server = BenchServer::start().await?;
    let mut written = 0;
    for size in SIZES {
        let records = Records::new(&gold()?, size.record_bytes)?;
        let changes = form.pick(size.changes / 10, size.changes);
        for first in (written..written + changes).step_by(BATCH) {
            let batch = (first..first + BATCH).map(|number| records.nth(number));
            publish(&server.client, batch.collect()).await?;
        }
        written += changes;
        for load in size.loads {
            let wanted = form.pick(load.changes / 10, load.changes);
            let feed = Feed::newest(&server, wanted).await?;
            feed.compare(form, &server.address, load.streams, load.times)
                .await?;
        }
    }
    server.stop().await
}

/// The messages of a stream up to the head.
struct Feed {
    cursor: String,
    changes: usize,
    messages: usize,
    bytes: usize,
}

impl Feed {
    /// Reads about `wanted` of the newest changes.
    async fn newest(server: &BenchServer, wanted: usize) -> Result<Self> {
        let beginning = Start::Origin(Origin::Beginning.into());
        let whole = Self::read(server, beginning, wanted).await?;
        Self::read(server, Start::Cursor(whole.cursor), 0).await
    }

    /// Reads to the head. Returns the last cursor that has at least `wanted` changes after it.
    async fn read(server: &BenchServer, start: Start, wanted: usize) -> Result<Self> {
        let mut client = server.client.feed.clone();
        let request = WatchRequest {
            start: Some(start),
            ..WatchRequest::default()
        };
        let mut stream = client.watch(request).await?.into_inner();
        let first = stream.message().await?.context("a first checkpoint")?;
        let checkpoint = first.checkpoint.context("a first checkpoint")?;
        let missing = usize::try_from(checkpoint.head_sequence - checkpoint.sequence)?;
        let mut feed = Self {
            cursor: first.cursor,
            changes: 0,
            messages: 0,
            bytes: 0,
        };
        while feed.changes < missing {
            let message = stream.message().await?.context("changes up to the head")?;
            feed.changes += message.changes.len();
            feed.messages += 1;
            feed.bytes += message.encoded_len();
            if missing - feed.changes >= wanted && wanted > 0 {
                feed.cursor = message.cursor;
            }
        }
        Ok(feed)
    }

    async fn compare(
        &self,
        form: BenchMode,
        address: &str,
        streams: usize,
        times: usize,
    ) -> Result<()> {
        let size = self.bytes / self.changes;
        let message = self.bytes / self.messages;
        let connections = streams.min(CONNECTIONS);
        let title = format!(
            "fan-out to {streams} streams on {connections} connections: {} changes of {size} bytes to each, \
             {times} times, in messages of {message} bytes",
            self.changes,
        );
        let ours = RawClient::connect_all(address, connections).await?;
        let large = self.constant(message, connections).await?;
        let small = self.constant(size, connections).await?;
        let sides = [
            "Watch",
            "constant messages, as large",
            "constant messages, one change",
        ];
        // If a change fills a message, both limits are the same.
        let sides = &sides[..if message < 2 * size { 2 } else { 3 }];
        let comparison = Comparison::new(title, "changes/s", sides);
        let asked = request(View::Published, Start::Cursor(self.cursor.clone()));
        let measure = async |side, _| {
            let (clients, method, skipped) = match side {
                0 => (&ours, WATCH, 1),
                1 => (&large, STREAM, 0),
                _ => (&small, STREAM, 0),
            };
            let sent = async {
                for _ in 0..times {
                    let clients = clients.iter().cycle().take(streams).cloned();
                    send(clients, method, &asked, self.bytes, skipped).await?;
                }
                Ok(())
            };
            rate(self.changes * streams * times, sent).await
        };
        measure(0, 0).await?;
        comparison.run(form.pick(3, 7), measure).await
    }

    async fn constant(&self, bytes: usize, connections: usize) -> Result<Vec<RawClient>> {
        let constant = Constant {
            answer: vec![0; bytes].into(),
            messages: self.bytes.div_ceil(bytes),
            every: None,
        };
        RawClient::connect_all(&constant.serve().await?, connections).await
    }
}

/// Opens a stream for every client, and reads until each has its bytes. Skipped messages do not count.
async fn send(
    clients: impl Iterator<Item = RawClient>,
    method: &'static str,
    request: &Bytes,
    bytes: usize,
    skipped: usize,
) -> Result<()> {
    let mut readers = JoinSet::new();
    for mut client in clients {
        let request = request.clone();
        readers.spawn(async move {
            let mut stream = client.stream(method, request).await?;
            for _ in 0..skipped {
                stream.message().await?;
            }
            let mut missing = bytes;
            while missing > 0 {
                let message = stream.message().await?.context("the stream ended early")?;
                ensure!(message.bytes > 0, "an empty message");
                missing = missing.saturating_sub(message.bytes);
            }
            Ok(())
        });
    }
    all(readers).await
}
