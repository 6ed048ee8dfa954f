//! The feeds: from the log to many streams.
//!
//! Guarantees to a stream, whatever fails (F1 to F4): every matching change after its cursor, once, in order, in whole
//! batches, and a cursor that resumes. A producer never waits for a consumer: a stream that lags reads the log at its
//! own cursor. This crate knows neither gRPC nor SQL.

mod batch;
mod bounded_records;
mod cursor;
mod export;
mod packing;
mod page_cache;
mod prefetch;
mod record_cache;
mod ring;
mod shared_read;
mod start;
mod subscription;
mod tail;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dateline_record::sequence::Sequence;
use dateline_store::{
    FeedIdentity, FeedStatus, FeedView, LOG_READERS, LogPage, SnapshotPage, SnapshotQuery, Store,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::{
    bounded_records::EncodedRecord,
    cursor::Cursor,
    export::{Export, ExportItem, ExportOptions},
    record_cache::{FittingRecords, RecordCache},
    start::{Start, WatchOptions},
    subscription::{FeedCheckpoint, Subscription, WatchItem},
};
use self::{
    page_cache::{EncodedPage, PageCache, PageScope},
    ring::Ring,
};

/// Changes that a server reads at its start, so that streams that resume find them in the ring.
const RING_SEED_CHANGES: u64 = 2000;
/// Longest wait for the database.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(15);
/// Times per interval at which checkpoints fall due. Streams that were opened at about the same time share theirs, so
/// that one wake-up, and one packet per connection, serves all of them.
const CHECKPOINTS_PER_INTERVAL: u32 = 5;
/// Largest distance to the head at which a read waits for a sequence; beyond that the sequence is taken for a mistake.
const MAX_WAIT_DISTANCE: u64 = 1_000_000;

/// The reason why a stream cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not a cursor.
    #[error(
        "this is not a cursor that came with a response; store cursors as they are, and give them back whole"
    )]
    InvalidCursor,
    /// The cursor belongs to another feed, or to a history that this database did not take.
    #[error(
        "this cursor belongs to another feed, to the other view, or to a history that this database did not take"
    )]
    ForeignCursor,
    /// The cursor is ahead of the head.
    #[error("this cursor stands at {cursor}, but the feed's head is {head}")]
    CursorInFuture {
        /// Sequence of the cursor.
        cursor: Sequence,
        /// The newest sequence.
        head: Sequence,
    },
    /// The position is before the oldest history that is kept.
    #[error("history begins at {earliest} here, and this needs what follows {after}")]
    CursorExpired {
        /// Sequence of the position.
        after: Sequence,
        /// The oldest sequence at which a stream can begin.
        earliest: Sequence,
    },
    /// The position is in a snapshot that began with another filter.
    #[error("this cursor lies in a snapshot that was begun with another filter")]
    FilterChanged,
    /// The time is in the future.
    #[error("this time has not come yet")]
    TimeInFuture,
    /// The sequence to wait for is too far ahead of the head.
    #[error("sequence {asked} is too far ahead: the feed's head is {head}")]
    SequenceTooFar {
        /// The requested sequence.
        asked: Sequence,
        /// The newest sequence.
        head: Sequence,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] dateline_store::Error),
}

/// The feeds of one database in one process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    /// Read-locked while the rings grow, and write-locked while they are cut back: the rings hold changes of this
    /// history only.
    identity: RwLock<Arc<FeedIdentity>>,
    desk: Ring,
    wire: Ring,
    /// Kept exact by the tail.
    records: RecordCache,
    /// Pages of the log that streams share.
    pages: Arc<PageCache>,
    checkpoint_interval: Duration,
    /// Start of the checkpoint intervals.
    opened_at: Instant,
    /// Permits for reads of the log, one per connection.
    read_permits: Semaphore,
    /// Number of erasures that this process has seen (W11).
    erasures: AtomicU64,
}

impl Feed {
    /// Opens the feeds, with a cache of records of at most this many bytes. The caller has to run [`Feed::follow`] for
    /// them.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn open(
        store: Store,
        checkpoint_interval: Duration,
        record_cache_bytes: usize,
    ) -> Result<Self, dateline_store::Error> {
        if store.ensure_epoch(Sequence::ZERO).await? {
            tracing::warn!("the database lives elsewhere than it did: a new epoch begins");
        }
        let identity = store.identity().await?;
        let heads = store.heads().await?;
        let position = store.position_before(heads, RING_SEED_CHANGES).await?;
        let start = position
            .filter(|position| position.desk.next() >= identity.earliest.desk)
            .unwrap_or(heads);
        let shared = Shared {
            records: RecordCache::new(store.clone(), record_cache_bytes),
            pages: Arc::default(),
            store,
            identity: RwLock::new(Arc::new(identity)),
            desk: Ring::new(start.desk),
            wire: Ring::new(start.wire),
            checkpoint_interval,
            opened_at: Instant::now(),
            read_permits: Semaphore::new(LOG_READERS as usize),
            erasures: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Follows the log, for all streams. `committed` notifies of local commits. Runs until it is dropped, and may be
    /// run again.
    pub async fn follow(self, committed: Arc<Notify>) {
        let store = self.shared.store.clone();
        tail::run(self, store, committed).await;
    }

    /// Returns the reads of present records.
    #[must_use]
    pub fn records(&self) -> &RecordCache {
        &self.shared.records
    }

    /// Returns the newest sequence that this process has read.
    #[must_use]
    pub fn local_head(&self, view: FeedView) -> Sequence {
        self.ring(view).head()
    }

    /// Begins a stream. When `stop` is cancelled, it sends a last checkpoint and ends.
    ///
    /// # Errors
    /// If the stream cannot begin at its start (F6).
    pub async fn subscribe(
        &self,
        options: WatchOptions,
        stop: CancellationToken,
    ) -> Result<Subscription, Error> {
        let (identity, cursor) = self.resolve(&options).await?;
        Ok(Subscription::new(
            self.clone(),
            options,
            identity,
            cursor,
            stop,
        ))
    }

    /// Waits until a sequence can be read (W7).
    ///
    /// # Errors
    /// [`Error::SequenceTooFar`] for a sequence that no response of this service can have carried.
    pub async fn wait_for_sequence(&self, view: FeedView, sequence: Sequence) -> Result<(), Error> {
        if self.ring(view).head() >= sequence {
            return Ok(());
        }
        let head = self.stored_head(view).await?;
        if sequence > head.saturating_add(MAX_WAIT_DISTANCE) {
            return Err(Error::SequenceTooFar {
                asked: sequence,
                head,
            });
        }
        if head < sequence {
            // The ring lives as long as this feed, so the sender is never dropped.
            let _ = self
                .ring(view)
                .watch_head()
                .wait_for(|head| *head >= sequence)
                .await;
        }
        Ok(())
    }

    /// Returns the newest sequence in the database, which the tail may not have reached.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn stored_head(&self, view: FeedView) -> Result<Sequence, dateline_store::Error> {
        Ok(self.shared.store.heads().await?.in_view(view))
    }

    /// Returns the status of the feeds in the database.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn status(&self) -> Result<FeedStatus, dateline_store::Error> {
        self.shared.store.feed_status().await
    }

    /// Returns the identity of the feed, as this process knows it.
    #[must_use]
    pub fn identity(&self) -> Arc<FeedIdentity> {
        self.shared
            .identity
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the present identity, if a position taken under `known` belongs to it.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] if this database did not take that history up to there.
    fn history_of(
        &self,
        known: &FeedIdentity,
        view: FeedView,
        sequence: Sequence,
    ) -> Result<Arc<FeedIdentity>, Error> {
        let now = self.identity();
        let shared = now.shared_up_to(known.epoch, view);
        if now.id != known.id || shared.is_none_or(|last| sequence > last) {
            return Err(Error::ForeignCursor);
        }
        Ok(now)
    }

    /// Reads the feed's identity again, and drops from the rings changes of a history that this database did not take.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn refresh(&self) -> Result<Arc<FeedIdentity>, dateline_store::Error> {
        let now = Arc::new(self.shared.store.identity().await?);
        let heads = self.shared.store.heads().await?;
        let mut known = self
            .shared
            .identity
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if *now == **known {
            return Ok(known.clone());
        }
        self.shared.pages.clear();
        if now.epoch != known.epoch || now.id != known.id {
            tracing::warn!(feed = %now.id, epoch = now.epoch, "another history begins");
            self.shared.records.clear();
            for view in [FeedView::Desk, FeedView::Wire] {
                match now.shared_up_to(known.epoch, view) {
                    Some(last) => self.ring(view).rewind(last),
                    None => self.ring(view).restart(heads.in_view(view)),
                }
            }
        }
        *known = now.clone();
        drop(known);
        self.shared.desk.notify();
        self.shared.wire.notify();
        Ok(now)
    }

    /// Adds a page of the desk log to the rings; returns false if it does not follow them.
    fn extend(&self, after: Sequence, page: &LogPage) -> bool {
        let known = self
            .shared
            .identity
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let read_here = page.read.is_some_and(|(epoch, _)| epoch == known.epoch);
        let follows = self.ring(FeedView::Desk).head() == after;
        if read_here && follows {
            tail::push_batches(self, &page.entries);
        }
        read_here && follows
    }

    /// Returns the page of the log with the changes after a sequence, read and encoded once for all streams that ask
    /// for it.
    async fn log_page(
        &self,
        scope: PageScope,
        after: Sequence,
    ) -> Result<Arc<EncodedPage>, dateline_store::Error> {
        // Boxed: it is large, and most callers do not read themselves.
        let read = Box::pin(async {
            // Streams that lag wait for a permit, however many there are: waiting is no error.
            let _permit = self.shared.read_permits.acquire().await;
            metrics::counter!("dateline_watch_backfill_pages_total").increment(1);
            let store = &self.shared.store;
            let page = with_timeout(store.log_after(scope.view, after, scope.facets)).await?;
            Ok(EncodedPage::from_log(&page, scope.view))
        });
        self.shared.pages.page(scope, after, read).await
    }

    async fn snapshot_page(
        &self,
        extract: &SnapshotQuery,
        after: &str,
    ) -> Result<SnapshotPage, dateline_store::Error> {
        let _permit = self.shared.read_permits.acquire().await;
        with_timeout(self.shared.store.snapshot_page(extract, after)).await
    }

    /// Drops changes and records that were read before an erasure (W11): from the rings and the caches here; streams
    /// drop theirs when the count has changed.
    fn drop_erased(&self) {
        // The rings first: a stream that took a batch from one then sees that the number is higher, and reads it again.
        for view in [FeedView::Wire, FeedView::Desk] {
            self.ring(view).clear();
        }
        self.shared.erasures.fetch_add(1, Ordering::SeqCst);
        self.records().clear();
        self.shared.pages.clear();
    }

    /// Returns the number of erasures that this process has seen.
    fn erasures(&self) -> u64 {
        self.shared.erasures.load(Ordering::SeqCst)
    }

    fn ring(&self, view: FeedView) -> &Ring {
        match view {
            FeedView::Desk => &self.shared.desk,
            FeedView::Wire => &self.shared.wire,
        }
    }

    fn checkpoint_interval(&self) -> Duration {
        self.shared.checkpoint_interval
    }

    /// Returns the time of the next checkpoint of a stream that is sent something now: within the interval, at one of
    /// its few shared times.
    fn next_checkpoint(&self) -> Instant {
        let latest = Instant::now() + self.shared.checkpoint_interval;
        let step = self.shared.checkpoint_interval / CHECKPOINTS_PER_INTERVAL;
        let since = latest - self.shared.opened_at;
        let past = since.as_nanos().checked_rem(step.as_nanos()).unwrap_or(0);
        // Less than a step, so it fits a `Duration`.
        latest - Duration::from_nanos(u64::try_from(past).unwrap_or(0))
    }
}

/// Bounds the wait for a database that does not answer at all, because its connection died silently. The statement
/// timeout of the database is much shorter.
async fn with_timeout<T>(
    answer: impl Future<Output = Result<T, dateline_store::Error>>,
) -> Result<T, dateline_store::Error> {
    tokio::time::timeout(DATABASE_TIMEOUT, answer)
        .await
        .unwrap_or_else(|_| Err(dateline_store::Error::silent()))
}
