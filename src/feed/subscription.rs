//! One stream: a place in a feed, moved on by what the ring or the log holds. Memory is bounded by one page;
//! a slow stream reads the log at its own pace and slows nobody (F9).

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Feed,
    batch::{Batch, Framed},
    cursor::Cursor,
    ring::Found,
};
use crate::{model::filter::Filter, store::View};

/// Bytes of changes after which a message is sent.
const MESSAGE_BYTES: usize = 256 * 1024;
/// Bytes of batches that are taken from the ring at once.
const PAGE_BYTES: usize = 1024 * 1024;

/// What a stream sends next.
#[derive(Debug)]
pub enum Item {
    /// Changes, as bytes of `WatchResponse` fields, and the cursor after them.
    Changes(Vec<Bytes>, String),
    /// Nothing to deliver up to here.
    Checkpoint(Checkpoint),
}

/// How far a stream has come (F8).
#[derive(Debug)]
pub struct Checkpoint {
    /// Everything up to here is delivered or filtered out.
    pub sequence: u64,
    /// Newest sequence that the server knows of.
    pub head_sequence: u64,
    /// To go on from.
    pub cursor: String,
}

/// A stream's place and what it wants.
#[derive(Debug)]
pub struct Subscription {
    feed: Feed,
    view: View,
    filter: Filter,
    /// Everything up to here is sent, ready to be sent, or does not match.
    position: u64,
    /// Messages that are ready, oldest first.
    ready: VecDeque<Message>,
    /// The newest head that was looked at, and word of newer ones.
    head: watch::Receiver<u64>,
    /// When the client next hears from us, come what may.
    checkpoint_at: Instant,
    interval: Duration,
    stop: CancellationToken,
    stopped: bool,
}

#[derive(Debug, Default)]
struct Message {
    pieces: Vec<Bytes>,
    bytes: usize,
    last: u64,
}

impl Subscription {
    pub(super) fn new(
        feed: Feed,
        view: View,
        filter: Filter,
        position: u64,
        stop: CancellationToken,
    ) -> Self {
        let head = feed.ring(view).watch();
        let interval = feed.checkpoint_interval();
        Self {
            feed,
            view,
            filter,
            position,
            ready: VecDeque::new(),
            head,
            // The first response is a checkpoint, so that every stream has a cursor from the start.
            checkpoint_at: Instant::now(),
            interval,
            stop,
            stopped: false,
        }
    }

    /// The next message; `None` after the last checkpoint of a server that stops (F12).
    ///
    /// # Errors
    /// When the log cannot be read; the stream can be resumed from its last cursor.
    pub async fn next(&mut self) -> Result<Option<Item>, Error> {
        loop {
            if self.stopped {
                return Ok(None);
            }
            if let Some(message) = self.ready.pop_front() {
                self.checkpoint_at = Instant::now() + self.interval;
                return Ok(Some(Item::Changes(
                    message.pieces,
                    self.cursor(message.last),
                )));
            }
            if self.stop.is_cancelled() {
                self.stopped = true;
                return Ok(Some(self.checkpoint()));
            }
            if Instant::now() >= self.checkpoint_at {
                return Ok(Some(self.checkpoint()));
            }
            self.head.mark_unchanged();
            if !self.advance().await? {
                self.wait().await;
            }
        }
    }

    /// Takes what follows; false at the head.
    async fn advance(&mut self) -> Result<bool, Error> {
        let batches = match self.feed.ring(self.view).after(self.position, PAGE_BYTES) {
            Found::Batches(batches) => batches,
            Found::Behind => {
                metrics::counter!("dateline_watch_log_pages").increment(1);
                let entries = self.feed.log_after(self.view, self.position).await?;
                Batch::cut(&entries, self.view)
                    .into_iter()
                    .map(Arc::new)
                    .collect()
            }
        };
        let Some(last) = batches.last().map(|batch| batch.last) else {
            return Ok(false);
        };
        self.fill(&batches);
        self.position = last;
        Ok(true)
    }

    async fn wait(&mut self) {
        tokio::select! {
            // The ring outlives every subscription, so this cannot fail.
            _ = self.head.changed() => {}
            () = tokio::time::sleep_until(self.checkpoint_at) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Packs batches into messages: whole batches together, or parts of one batch alone (F3).
    fn fill(&mut self, batches: &[Arc<Batch>]) {
        let mut message = Message::default();
        for batch in batches {
            if let Some(whole) = batch
                .whole(self.position, &self.filter)
                .filter(|whole| whole.len() <= MESSAGE_BYTES)
            {
                self.add(&mut message, vec![whole], batch.last);
                continue;
            }
            let changes = batch.select(self.position, &self.filter);
            let bytes: usize = changes.iter().map(|change| change.bytes.len()).sum();
            if bytes > MESSAGE_BYTES {
                self.send(&mut message);
                self.split(changes, batch.last);
            } else if !changes.is_empty() {
                self.add(
                    &mut message,
                    changes.into_iter().map(|change| change.bytes).collect(),
                    batch.last,
                );
            }
        }
        self.send(&mut message);
    }

    fn add(&mut self, message: &mut Message, pieces: Vec<Bytes>, last: u64) {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        if message.bytes + bytes > MESSAGE_BYTES {
            self.send(message);
        }
        message.pieces.extend(pieces);
        message.bytes += bytes;
        message.last = last;
    }

    fn send(&mut self, message: &mut Message) {
        if !message.pieces.is_empty() {
            self.ready.push_back(std::mem::take(message));
        }
    }

    /// A batch that is larger than a message.
    fn split(&mut self, changes: Vec<Framed>, batch: u64) {
        let mut message = Message::default();
        for change in changes {
            self.add(&mut message, vec![change.bytes], change.sequence);
        }
        // After the last part there is nothing left of the batch, matching or not.
        message.last = batch;
        self.send(&mut message);
    }

    fn checkpoint(&mut self) -> Item {
        self.checkpoint_at = Instant::now() + self.interval;
        let head_sequence = self.feed.ring(self.view).head().max(self.position);
        let cursor = self.cursor(self.position);
        Item::Checkpoint(Checkpoint {
            sequence: self.position,
            head_sequence,
            cursor,
        })
    }

    fn cursor(&self, sequence: u64) -> String {
        Cursor {
            view: self.view,
            sequence,
        }
        .to_text(self.feed.identity())
    }
}
