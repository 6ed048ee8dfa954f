//! A stream: a position in a feed that advances through the ring or the log. Its memory is bounded by the rest of one
//! page and one prefetched page (`prefetch`). A slow stream reads the log at its own pace and delays nobody (F9).

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use dateline_record::{filter::Filter, sequence::Sequence};
use dateline_store::{FeedIdentity, FeedView, SnapshotQuery};
use time::OffsetDateTime;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Feed, Start,
    batch::EncodedBatch,
    cursor::{Cursor, check},
    packing::{ChangePacker, MessageEnd, PackedMessage, pack_records},
    page_cache::{EncodedPage, LaggingStream, PageScope},
    prefetch::Prefetch,
    ring::RingRead,
    start::{WatchOptions, check_kept},
};

/// Bytes of batches that are taken from the ring at once.
const PAGE_BYTES: usize = 256 * 1024;

/// An item of a stream.
#[derive(Debug)]
pub enum WatchItem {
    /// Changes, as bytes of `WatchResponse` fields, and the cursor after them.
    Changes(Vec<Bytes>, String),
    /// Records of a snapshot, as bytes of `WatchResponse` fields, the cursor after them, and the sequence of the
    /// snapshot.
    Records(Vec<Bytes>, String, Sequence),
    /// Progress without further changes up to here.
    Checkpoint(FeedCheckpoint),
}

/// Progress of a stream (F8).
#[derive(Debug)]
pub struct FeedCheckpoint {
    /// Everything up to here was sent or filtered out.
    pub sequence: Sequence,
    /// Newest sequence that the server has read.
    pub head_sequence: Sequence,
    /// Cursor to resume from.
    pub cursor: String,
    /// True if this checkpoint ends a snapshot.
    pub caught_up: bool,
    /// Time at which the last passed change was accepted; `None` if it is not known, or the stream is at the head.
    pub passed_at: Option<OffsetDateTime>,
    /// Digest of the feed, as an encoded `Digest`; only if requested, and only at the head.
    pub digest: Option<Bytes>,
    /// Longest time without a message.
    pub interval: Duration,
}

/// A stream's position and options.
#[derive(Debug)]
pub struct Subscription {
    feed: Feed,
    view: FeedView,
    filter: Filter,
    digest: bool,
    /// Identity to which the position belongs.
    identity: Arc<FeedIdentity>,
    /// Everything up to here is sent, encoded in `ready`, or does not match.
    position: Cursor,
    /// Time at which the change at the position was accepted.
    passed_at: Option<OffsetDateTime>,
    /// Encoded messages, oldest first.
    ready: VecDeque<PackedMessage>,
    /// Position after the last message that was sent.
    sent: Cursor,
    /// Count of erasures when the messages were read.
    erasures: u64,
    /// Prefetch of the page of the log after the position.
    prefetch: Prefetch<Arc<EncodedPage>>,
    /// Set while the stream reads the log.
    lagging: Option<LaggingStream>,
    /// Receiver of the ring's head.
    head: watch::Receiver<Sequence>,
    /// True once the client has the cursor of its start.
    begun: bool,
    /// Sequence of the last checkpoint.
    last_checkpoint: Option<Sequence>,
    /// Time of the next checkpoint at the latest.
    checkpoint_at: Instant,
    /// Time of the next checkpoint with a digest on a feed that is never idle.
    digest_due_at: Instant,
    stop: CancellationToken,
    stopped: bool,
}

impl Subscription {
    pub(super) fn new(
        feed: Feed,
        options: WatchOptions,
        identity: Arc<FeedIdentity>,
        position: Cursor,
        stop: CancellationToken,
    ) -> Self {
        let head = feed.ring(options.view).watch_head();
        // A client that resumes a snapshot has a cursor.
        let begun = position.snapshot.is_some() && matches!(options.start, Start::Cursor(_));
        let erasures = feed.erasures();
        Self {
            feed,
            view: options.view,
            filter: options.filter,
            digest: options.digest,
            identity,
            passed_at: None,
            ready: VecDeque::new(),
            sent: position.clone(),
            erasures,
            position,
            prefetch: Prefetch::new(),
            lagging: None,
            head,
            begun,
            last_checkpoint: None,
            checkpoint_at: Instant::now(),
            digest_due_at: Instant::now(),
            stop,
            stopped: false,
        }
    }

    /// Returns the next item; `None` after the last checkpoint when the server stops (F12).
    ///
    /// # Errors
    /// If the log cannot be read: the stream can be resumed from its last cursor. When history that it needs was
    /// dropped: it cannot be resumed (F6).
    pub async fn next(&mut self) -> Result<Option<WatchItem>, Error> {
        loop {
            if self.stopped {
                return Ok(None);
            }
            self.check_history()?;
            self.check_erasures();
            if !self.begun {
                self.begun = true;
                return Ok(Some(self.beginning()));
            }
            if let Some(message) = self.ready.pop_front() {
                self.checkpoint_at = self.feed.next_checkpoint();
                self.sent.advance(&message.end, &self.identity);
                return Ok(Some(self.item(message)));
            }
            if self.stop.is_cancelled() {
                self.stopped = true;
                // There is no checkpoint within a snapshot; the last response carried the cursor.
                let is_due = self.position.snapshot.is_none() && !self.is_checkpoint_redundant();
                return Ok(is_due.then(|| self.checkpoint(false)));
            }
            if self.position.snapshot.is_some() {
                // Boxed, like the read of the log below, so that a waiting stream does not reserve memory for it.
                if Box::pin(self.advance_snapshot()).await? {
                    return Ok(Some(self.checkpoint(true)));
                }
                continue;
            }
            let is_due = Instant::now() >= self.checkpoint_at && !self.is_checkpoint_redundant();
            if is_due || self.is_digest_due() {
                return Ok(Some(self.checkpoint(false)));
            }
            self.head.mark_unchanged();
            if !self.advance().await? {
                self.wait().await;
            }
        }
    }

    /// Checks that the position is still part of this database's history.
    fn check_history(&mut self) -> Result<(), Error> {
        if !Arc::ptr_eq(&self.feed.identity(), &self.identity) {
            let position = self.position.sequence;
            self.identity = self.feed.history_of(&self.identity, self.view, position)?;
        }
        Ok(())
    }

    /// Reads unsent messages again if something was erased since: they may hold it (W11).
    fn check_erasures(&mut self) {
        let erasures = self.feed.erasures();
        if erasures == self.erasures {
            return;
        }
        self.erasures = erasures;
        self.prefetch.discard();
        if !self.ready.is_empty() {
            self.ready.clear();
            self.position = self.sent.clone();
            // The position may be inside a batch, where no checkpoint belongs (F3).
            self.last_checkpoint = Some(self.position.sequence);
        }
    }

    /// Reads the batches that follow; returns false at the head.
    async fn advance(&mut self) -> Result<bool, Error> {
        let after = self.position.sequence;
        let found = self.feed.ring(self.view).read_after(after, PAGE_BYTES);
        let batches = match found {
            RingRead::Batches(batches) => {
                self.prefetch.discard();
                self.lagging = None;
                batches
            }
            RingRead::Lagged => Box::pin(self.read_log(after)).await?,
        };
        // Rings and log are cut back before they grow along another history, so these batches belong to the identity
        // that is known now.
        self.check_history()?;
        let Some(newest) = batches.last() else {
            return Ok(false);
        };
        self.sent = self.position.clone();
        let mark = newest.mark();
        self.position.sequence = mark.sequence;
        self.position.check = Some(check(&self.identity, self.view, mark));
        self.passed_at = Some(newest.accepted_at);
        self.pack(after, &batches);
        Ok(true)
    }

    /// Returns a page of the log, without facets for an unfiltered stream: facets are a large part of the cost of a
    /// small change.
    fn page_after(
        &self,
        after: Sequence,
    ) -> impl Future<Output = Result<Arc<EncodedPage>, dateline_store::Error>> + Send + use<> {
        let scope = PageScope {
            view: self.view,
            facets: !self.filter.is_empty(),
            epoch: self.identity.epoch,
            erasures: self.erasures,
        };
        let feed = self.feed.clone();
        async move { feed.log_page(scope, after).await }
    }

    async fn read_log(&mut self, after: Sequence) -> Result<Vec<Arc<EncodedBatch>>, Error> {
        if self.lagging.is_none() {
            self.lagging = Some(self.feed.shared.pages.enter());
        }
        let page = match self.prefetched_page().await {
            Some(page) => page,
            None => self.page_after(after).await?,
        };
        if let Some(read) = page.read {
            self.check_read(read).await?;
        }
        if let Some(last) = page.last() {
            self.prefetch.start(self.page_after(last));
        }
        Ok(page.batches_after(after))
    }

    /// Returns the prefetched page, if it belongs to the present epoch.
    async fn prefetched_page(&mut self) -> Option<Arc<EncodedPage>> {
        let page = self.prefetch.next_page().await?;
        let (epoch, _) = page.read?;
        (epoch == self.identity.epoch).then_some(page)
    }

    /// Checks that a page, read in this epoch and with history kept from this sequence on, follows the position.
    async fn check_read(&mut self, (epoch, earliest): (u64, Sequence)) -> Result<(), Error> {
        if epoch != self.identity.epoch {
            self.feed.refresh().await?;
            self.check_history()?;
        }
        check_kept(
            earliest.max(self.identity.earliest(self.view)),
            self.position.sequence,
        )
    }

    /// Reads the next records of a snapshot; returns true at its end.
    async fn advance_snapshot(&mut self) -> Result<bool, Error> {
        let Some(position) = self.position.snapshot.clone() else {
            return Ok(true);
        };
        let at = self.position.sequence;
        let extract = SnapshotQuery::new(self.filter.clone(), self.view, at);
        let page = self.feed.snapshot_page(&extract, &position.after).await?;
        self.check_read((page.epoch, page.earliest)).await?;
        self.sent = self.position.clone();
        self.ready.extend(pack_records(&page.entries, self.view));
        match page.after {
            Some(after) => {
                if let Some(position) = &mut self.position.snapshot {
                    position.after = after;
                }
                Ok(false)
            }
            None if self.ready.is_empty() => {
                self.position.snapshot = None;
                Ok(true)
            }
            // Reads again from the last record that was sent: that read finds the end.
            None => {
                let last = page.entries.last().map(|entry| entry.name().to_string());
                if let (Some(position), Some(last)) = (&mut self.position.snapshot, last) {
                    position.after = last;
                }
                Ok(false)
            }
        }
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
    fn pack(&mut self, after: Sequence, batches: &[Arc<EncodedBatch>]) {
        let mut packer = ChangePacker::default();
        for batch in batches {
            for (name, into) in batch.merged() {
                self.filter.follow_merge(name, into);
            }
            packer.add_batch(batch, after, &self.filter);
        }
        self.ready.extend(packer.finish());
    }

    fn item(&self, message: PackedMessage) -> WatchItem {
        match message.end {
            MessageEnd::Changes { last } => {
                let cursor = Cursor {
                    view: self.view,
                    sequence: last.sequence,
                    check: Some(check(&self.identity, self.view, last)),
                    snapshot: None,
                };
                WatchItem::Changes(message.pieces, cursor.to_text(&self.identity))
            }
            MessageEnd::Records { last } => {
                let cursor = self.cursor(Some(last));
                WatchItem::Records(message.pieces, cursor, self.position.sequence)
            }
        }
    }

    /// Returns the first item: every stream gets a cursor at its start, within a snapshot too (F4).
    fn beginning(&mut self) -> WatchItem {
        match &self.position.snapshot {
            None => self.checkpoint(false),
            Some(position) => {
                let cursor = self.cursor(Some(position.after.clone()));
                WatchItem::Records(Vec::new(), cursor, self.position.sequence)
            }
        }
    }

    /// True if a checkpoint was already sent at this position and the log has more: a second one would be redundant.
    /// Also, only the first checkpoint of a stream may fall inside a batch (F3), where its cursor was cut.
    fn is_checkpoint_redundant(&self) -> bool {
        let position = self.position.sequence;
        self.last_checkpoint == Some(position) && position < self.feed.ring(self.view).head()
    }

    /// True if a digest is due although changes keep coming: a busy feed leaves no pause for checkpoints, but a stream
    /// that requested digests still gets them (F11).
    fn is_digest_due(&self) -> bool {
        self.digest
            && Instant::now() >= self.digest_due_at
            && self
                .feed
                .ring(self.view)
                .digest(self.position.sequence)
                .is_some()
    }

    fn checkpoint(&mut self, caught_up: bool) -> WatchItem {
        self.checkpoint_at = self.feed.next_checkpoint();
        self.digest_due_at = self.checkpoint_at;
        let sequence = self.position.sequence;
        self.last_checkpoint = Some(sequence);
        let ring = self.feed.ring(self.view);
        let head_sequence = ring.head().max(sequence);
        WatchItem::Checkpoint(FeedCheckpoint {
            sequence,
            head_sequence,
            cursor: self.cursor(None),
            caught_up,
            passed_at: self.passed_at.filter(|_| sequence < head_sequence),
            digest: (self.digest && sequence == head_sequence)
                .then(|| ring.digest(sequence))
                .flatten(),
            interval: self.feed.checkpoint_interval(),
        })
    }

    /// Returns the cursor of the position, within a snapshot after a name.
    fn cursor(&self, last_name: Option<String>) -> String {
        let snapshot = self.position.snapshot.clone();
        let snapshot = snapshot.zip(last_name).map(|(mut position, last)| {
            position.after = last;
            position
        });
        Cursor {
            view: self.view,
            sequence: self.position.sequence,
            check: self.position.check,
            snapshot,
        }
        .to_text(&self.identity)
    }
}
