//! One stream: a place in a feed, moved on by what the ring or the log holds. Memory is bounded by what is left of one
//! page, and one more that is read ahead (`ahead`); a slow stream reads the log at its own pace and slows nobody (F9).

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use dateline_record::filter::Filter;
use dateline_store::{Extract, FeedIdentity, LogPage, View};
use time::OffsetDateTime;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Feed, Start,
    ahead::ReadAhead,
    batch::Batch,
    cursor::{Cursor, check},
    message::{Content, Message, Packing, records},
    ring::Found,
    start::{Order, check_kept},
};

/// Bytes of batches that are taken from the ring at once.
const PAGE_BYTES: usize = 256 * 1024;

/// What a stream sends next.
#[derive(Debug)]
pub enum Item {
    /// Changes, as bytes of `WatchResponse` fields, and the cursor after them.
    Changes(Vec<Bytes>, String),
    /// Part of a snapshot, likewise, and the sequence as of which it is.
    Records(Vec<Bytes>, String, u64),
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
    /// It ends a snapshot.
    pub caught_up: bool,
    /// When the last change was accepted that is behind; `None` if none is known, or all are behind.
    pub passed_at: Option<OffsetDateTime>,
    /// What the feed shows here, an encoded `Digest`; if it was asked for, and this is the head.
    pub digest: Option<Bytes>,
    /// Longest silence of a stream.
    pub interval: Duration,
}

/// A stream's place and what it wants.
#[derive(Debug)]
pub struct Subscription {
    feed: Feed,
    view: View,
    filter: Filter,
    digest: bool,
    /// The history in which the place is one.
    identity: Arc<FeedIdentity>,
    /// Everything up to here is sent, ready to be sent, or does not match.
    place: Cursor,
    /// When the change at the place was accepted.
    passed_at: Option<OffsetDateTime>,
    /// Messages that are ready, oldest first.
    ready: VecDeque<Message>,
    /// The place before them: the last one that was sent.
    sent: Cursor,
    /// Erasures that were seen when they were read.
    erasures: u64,
    /// The page of the log that follows the place.
    ahead: ReadAhead<LogPage>,
    /// The newest head that was looked at, and word of newer ones.
    head: watch::Receiver<u64>,
    /// The client has been told where it begins.
    begun: bool,
    /// The place of the last checkpoint.
    told_at: Option<u64>,
    /// When the client next hears from us, come what may.
    checkpoint_at: Instant,
    /// When it next gets a proof, though there is much to deliver.
    proof_at: Instant,
    stop: CancellationToken,
    stopped: bool,
}

impl Subscription {
    pub(super) fn new(
        feed: Feed,
        order: Order,
        identity: Arc<FeedIdentity>,
        place: Cursor,
        stop: CancellationToken,
    ) -> Self {
        let head = feed.ring(order.view).watch();
        // Who goes on with a snapshot has a cursor.
        let begun = place.snapshot.is_some() && matches!(order.start, Start::Cursor(_));
        let erasures = feed.erasures();
        Self {
            feed,
            view: order.view,
            filter: order.filter,
            digest: order.digest,
            identity,
            passed_at: None,
            ready: VecDeque::new(),
            sent: place.clone(),
            erasures,
            place,
            ahead: ReadAhead::new(),
            head,
            begun,
            told_at: None,
            checkpoint_at: Instant::now(),
            proof_at: Instant::now(),
            stop,
            stopped: false,
        }
    }

    /// The next message; `None` after the last checkpoint of a server that stops (F12).
    ///
    /// # Errors
    /// When the log cannot be read: the stream can be resumed from its last cursor. When history was lost that it
    /// needs: it cannot (F6).
    pub async fn next(&mut self) -> Result<Option<Item>, Error> {
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
                self.sent.pass(&message.content, &self.identity);
                return Ok(Some(self.item(message)));
            }
            if self.stop.is_cancelled() {
                self.stopped = true;
                // Inside of a snapshot there is no checkpoint; the cursor came with the last response.
                let is_due = self.place.snapshot.is_none() && !self.is_behind_what_was_told();
                return Ok(is_due.then(|| self.checkpoint(false)));
            }
            if self.place.snapshot.is_some() {
                // Boxed, as is the log below: a stream that waits need not have room for it.
                if Box::pin(self.advance_snapshot()).await? {
                    return Ok(Some(self.checkpoint(true)));
                }
                continue;
            }
            let is_due = Instant::now() >= self.checkpoint_at && !self.is_behind_what_was_told();
            if is_due || self.is_proof_due() {
                return Ok(Some(self.checkpoint(false)));
            }
            self.head.mark_unchanged();
            if !self.advance().await? {
                self.wait().await;
            }
        }
    }

    /// Whether the place is still one in this database's history.
    fn check_history(&mut self) -> Result<(), Error> {
        if !Arc::ptr_eq(&self.feed.identity(), &self.identity) {
            let place = self.place.sequence;
            self.identity = self.feed.history_of(&self.identity, self.view, place)?;
        }
        Ok(())
    }

    /// Reads again what is ready and was not sent, if something was erased since: it may be in there (W11).
    fn check_erasures(&mut self) {
        let erasures = self.feed.erasures();
        if erasures == self.erasures {
            return;
        }
        self.erasures = erasures;
        self.ahead.forget();
        if !self.ready.is_empty() {
            self.ready.clear();
            self.place = self.sent.clone();
            // It may lie inside of a batch, where no checkpoint belongs (F3).
            self.told_at = Some(self.place.sequence);
        }
    }

    /// Takes what follows; false at the head.
    async fn advance(&mut self) -> Result<bool, Error> {
        let after = self.place.sequence;
        let found = self.feed.ring(self.view).after(after, PAGE_BYTES);
        let batches = match found {
            Found::Batches(batches) => {
                self.ahead.forget();
                batches
            }
            Found::Behind => Box::pin(self.read_log(after)).await?,
        };
        // Rings and log are cut back before they grow in another way, so what was taken belongs to the history
        // that is known now.
        self.check_history()?;
        let Some(newest) = batches.last() else {
            return Ok(false);
        };
        self.sent = self.place.clone();
        let mark = newest.mark();
        self.place.sequence = mark.sequence;
        self.place.check = Some(check(&self.identity, self.view, mark));
        self.passed_at = Some(newest.accepted_at);
        self.fill(after, &batches);
        Ok(true)
    }

    /// Who wants everything has no use for facets.
    fn page_after(
        &self,
        after: u64,
    ) -> impl Future<Output = Result<LogPage, dateline_store::Error>> + Send + use<> {
        let (feed, view, facets) = (self.feed.clone(), self.view, !self.filter.is_empty());
        async move { feed.read_log(view, after, facets).await }
    }

    async fn read_log(&mut self, after: u64) -> Result<Vec<Arc<Batch>>, Error> {
        metrics::counter!("dateline_watch_backfill_pages_total").increment(1);
        let page = match self.take_ahead().await {
            Some(page) => page,
            None => self.page_after(after).await?,
        };
        if let Some(read) = page.read {
            self.check_read(read).await?;
        }
        let last = page.entries.last().and_then(|last| last.place(self.view));
        if let Some((last, _)) = last {
            self.ahead.follow(self.page_after(last));
        }
        let batches = Batch::cut(&page.entries, self.view).into_iter();
        Ok(batches.map(Arc::new).collect())
    }

    /// What was read ahead, if it is of the history that is known now.
    async fn take_ahead(&mut self) -> Option<LogPage> {
        let page = self.ahead.take().await?;
        let (epoch, _) = page.read?;
        (epoch == self.identity.epoch).then_some(page)
    }

    /// Whether what was read, in this history and with history kept from there, is what follows the place.
    async fn check_read(&mut self, (epoch, earliest): (u64, u64)) -> Result<(), Error> {
        if epoch != self.identity.epoch {
            self.feed.refresh().await?;
            self.check_history()?;
        }
        check_kept(
            earliest.max(self.identity.earliest(self.view)),
            self.place.sequence,
        )
    }

    /// Takes the next records of a snapshot; true at its end.
    async fn advance_snapshot(&mut self) -> Result<bool, Error> {
        let Some(place) = self.place.snapshot.clone() else {
            return Ok(true);
        };
        let at = self.place.sequence;
        let extract = Extract::shown(self.filter.clone(), self.view, at);
        let page = self.feed.snapshot_page(&extract, &place.after).await?;
        self.check_read((page.epoch, page.earliest)).await?;
        self.sent = self.place.clone();
        self.ready.extend(records(&page.entries, self.view));
        match page.after {
            Some(after) => {
                if let Some(place) = &mut self.place.snapshot {
                    place.after = after;
                }
                Ok(false)
            }
            None if self.ready.is_empty() => {
                self.place.snapshot = None;
                Ok(true)
            }
            // Once more from the last one that is on its way: there the end is found.
            None => {
                let last = page.entries.last().map(|entry| entry.name().to_string());
                if let (Some(place), Some(last)) = (&mut self.place.snapshot, last) {
                    place.after = last;
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
    fn fill(&mut self, after: u64, batches: &[Arc<Batch>]) {
        let mut packing = Packing::default();
        for batch in batches {
            for (name, into) in batch.merged() {
                self.filter.follow_merge(name, into);
            }
            packing.batch(batch, after, &self.filter);
        }
        self.ready.extend(packing.finish());
    }

    fn item(&self, message: Message) -> Item {
        match message.content {
            Content::Changes { last } => {
                let cursor = Cursor {
                    view: self.view,
                    sequence: last.sequence,
                    check: Some(check(&self.identity, self.view, last)),
                    snapshot: None,
                };
                Item::Changes(message.pieces, cursor.to_text(&self.identity))
            }
            Content::Records { last } => {
                let cursor = self.cursor(Some(last));
                Item::Records(message.pieces, cursor, self.place.sequence)
            }
        }
    }

    /// Every stream has a cursor from the start, inside of a snapshot too (F4).
    fn beginning(&mut self) -> Item {
        match &self.place.snapshot {
            None => self.checkpoint(false),
            Some(place) => {
                let cursor = self.cursor(Some(place.after.clone()));
                Item::Records(Vec::new(), cursor, self.place.sequence)
            }
        }
    }

    /// Whether there is more to read behind a place that a checkpoint has told already. Another one there would bring
    /// nothing new; and only the first of a stream may fall inside of a batch (F3), where it was cut.
    fn is_behind_what_was_told(&self) -> bool {
        let place = self.place.sequence;
        self.told_at == Some(place) && place < self.feed.ring(self.view).head()
    }

    /// A busy feed leaves no pause for checkpoints; whoever asks for digests gets one all the same (F11).
    fn is_proof_due(&self) -> bool {
        self.digest
            && Instant::now() >= self.proof_at
            && self
                .feed
                .ring(self.view)
                .digest(self.place.sequence)
                .is_some()
    }

    fn checkpoint(&mut self, caught_up: bool) -> Item {
        self.checkpoint_at = self.feed.next_checkpoint();
        self.proof_at = self.checkpoint_at;
        let sequence = self.place.sequence;
        self.told_at = Some(sequence);
        let ring = self.feed.ring(self.view);
        let head_sequence = ring.head().max(sequence);
        Item::Checkpoint(Checkpoint {
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

    /// The cursor of the place, in a snapshot after a name.
    fn cursor(&self, last_name: Option<String>) -> String {
        let snapshot = self.place.snapshot.clone();
        let snapshot = snapshot.zip(last_name).map(|(mut place, last)| {
            place.after = last;
            place
        });
        Cursor {
            view: self.view,
            sequence: self.place.sequence,
            check: self.place.check,
            snapshot,
        }
        .to_text(&self.identity)
    }
}
