//! From the log to many readers.
//!
//! What a stream gets, whatever fails on the way (F1 to F4): every matching change after its cursor, once, in
//! order, whole batches, and a cursor that resumes. A producer never waits for a consumer; lag means reading
//! the log at one's own cursor. Knows neither gRPC nor SQL.

mod ahead;
mod batch;
mod cursor;
mod export;
mod message;
mod ring;
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

use dateline_store::{
    Extract, FeedIdentity, LOG_READERS, LogPage, SnapshotPage, Standing, Store, View, of_view,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::ring::Ring;
pub use self::{
    cursor::Cursor,
    export::{Export, ExportItem, ExportOrder},
    start::{Order, Start},
    subscription::{Checkpoint, Item, Subscription},
};

/// Changes that a server reads at its start, so that those who come back find them in memory.
const SEED: u64 = 2000;
/// Longest that the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Moments in an interval at which checkpoints fall due. Streams that were opened at about the same time share theirs,
/// so that one wake-up and one packet serve all of them that share a connection.
const CHECKPOINT_MOMENTS: u32 = 5;
/// How far ahead of the head a read may wait for a sequence: what is further is a mistake.
const MAX_AHEAD: u64 = 1_000_000;

/// Why a stream cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a cursor.
    #[error(
        "this is not a cursor that came with a response; store cursors as they are, and give them back whole"
    )]
    InvalidCursor,
    /// A cursor of another feed, or of a history that this database did not take.
    #[error(
        "this cursor belongs to another feed, to the other view, or to a history that this database did not take"
    )]
    ForeignCursor,
    /// A cursor ahead of the head.
    #[error("this cursor stands at {cursor}, but the feed's head is {head}")]
    CursorInFuture {
        /// Where it stands.
        cursor: u64,
        /// The newest sequence.
        head: u64,
    },
    /// A place before the history that is kept.
    #[error("history begins at {earliest} here, and this needs what follows {after}")]
    CursorExpired {
        /// Everything up to here was behind it.
        after: u64,
        /// The oldest sequence that a stream can begin with.
        earliest: u64,
    },
    /// A place in a snapshot, with another filter than the snapshot began with.
    #[error("this cursor lies in a snapshot that was begun with another filter")]
    FilterChanged,
    /// A time that has not come.
    #[error("this time has not come yet")]
    TimeInFuture,
    /// A sequence to wait for that no feed will reach soon.
    #[error("sequence {asked} is too far ahead: the feed's head is {head}")]
    SequenceTooFar {
        /// As asked.
        asked: u64,
        /// The newest sequence.
        head: u64,
    },
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] dateline_store::Error),
}

/// The feeds of one database, as one process serves them; cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    /// Held for reading while the rings grow, and for writing while they are cut back: what a ring holds belongs to
    /// this history.
    identity: RwLock<Arc<FeedIdentity>>,
    desk: Ring,
    wire: Ring,
    checkpoint_interval: Duration,
    /// Moments of checkpoints are counted from here.
    opened_at: Instant,
    /// One for each connection that reads the log.
    turns: Semaphore,
    /// Erasures that this process has seen (W11).
    erasures: AtomicU64,
}

impl Feed {
    /// Opens the feeds. [`Feed::follow`] has to be run for them.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn open(
        store: Store,
        checkpoint_interval: Duration,
    ) -> Result<Self, dateline_store::Error> {
        if store.settle(0).await? {
            tracing::warn!("the database lives elsewhere than it did: a new epoch begins");
        }
        let identity = store.identity().await?;
        let heads = store.heads().await?;
        let place = store.place_before(heads, SEED).await?;
        let (desk, wire) = place
            .filter(|place| place.0 + 1 >= identity.earliest.0)
            .unwrap_or(heads);
        let shared = Shared {
            store,
            identity: RwLock::new(Arc::new(identity)),
            desk: Ring::new(desk),
            wire: Ring::new(wire),
            checkpoint_interval,
            opened_at: Instant::now(),
            turns: Semaphore::new(LOG_READERS as usize),
            erasures: AtomicU64::new(0),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Follows the log, for all streams. `committed` tells of local commits. Does not end; whoever stops it may begin
    /// again.
    pub async fn follow(self, committed: Arc<Notify>) {
        let store = self.shared.store.clone();
        tail::run(self, store, committed).await;
    }

    /// Returns the newest sequence that streams can see.
    #[must_use]
    pub fn seen(&self, view: View) -> u64 {
        self.ring(view).head()
    }

    /// Begins a stream. It ends, with a last checkpoint, when `stop` is cancelled.
    ///
    /// # Errors
    /// When the stream cannot begin there (F6).
    pub async fn subscribe(
        &self,
        order: Order,
        stop: CancellationToken,
    ) -> Result<Subscription, Error> {
        let (identity, cursor) = self.resolve(&order).await?;
        Ok(Subscription::new(
            self.clone(),
            order,
            identity,
            cursor,
            stop,
        ))
    }

    /// Waits until a sequence can be read (W7).
    ///
    /// # Errors
    /// [`Error::SequenceTooFar`] for a sequence that cannot come from an answer of ours.
    pub async fn wait_for(&self, view: View, sequence: u64) -> Result<(), Error> {
        if self.ring(view).head() >= sequence {
            return Ok(());
        }
        let head = self.newest(view).await?;
        if sequence > head + MAX_AHEAD {
            return Err(Error::SequenceTooFar {
                asked: sequence,
                head,
            });
        }
        if head < sequence {
            // The ring lives as long as this feed, so there is always somebody to tell of a new head.
            let _ = self
                .ring(view)
                .watch()
                .wait_for(|head| *head >= sequence)
                .await;
        }
        Ok(())
    }

    /// The newest sequence in the database, which the tail may not have reached.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn newest(&self, view: View) -> Result<u64, dateline_store::Error> {
        Ok(of_view(self.shared.store.heads().await?, view))
    }

    /// Where the feeds stand in the database.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn standing(&self) -> Result<Standing, dateline_store::Error> {
        self.shared.store.standing().await
    }

    /// Which feed this is, as far as this process knows.
    #[must_use]
    pub fn identity(&self) -> Arc<FeedIdentity> {
        self.shared
            .identity
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Which history a place that was taken in another one belongs to now.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] if this database did not take that history up to there.
    fn history_of(
        &self,
        known: &FeedIdentity,
        view: View,
        sequence: u64,
    ) -> Result<Arc<FeedIdentity>, Error> {
        let now = self.identity();
        let shared = now.shared_up_to(known.epoch, view);
        if now.id != known.id || shared.is_none_or(|last| sequence > last) {
            return Err(Error::ForeignCursor);
        }
        Ok(now)
    }

    /// Reads anew which feed this is, and forgets what belongs to a history that it did not take.
    ///
    /// # Errors
    /// When the database cannot answer.
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
        if now.epoch != known.epoch || now.id != known.id {
            tracing::warn!(feed = %now.id, epoch = now.epoch, "another history begins");
            for view in [View::Desk, View::Published] {
                match now.shared_up_to(known.epoch, view) {
                    Some(last) => self.ring(view).rewind(last),
                    None => self.ring(view).restart(of_view(heads, view)),
                }
            }
        }
        *known = now.clone();
        drop(known);
        self.shared.desk.wake();
        self.shared.wire.wake();
        Ok(now)
    }

    /// Adds a page of the desk's log to the rings; answers whether it belongs there.
    fn extend(&self, after: u64, page: &LogPage) -> bool {
        let known = self
            .shared
            .identity
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let read_here = page.read.is_some_and(|(epoch, _)| epoch == known.epoch);
        let follows = self.ring(View::Desk).head() == after;
        if read_here && follows {
            tail::push(self, &page.entries);
        }
        read_here && follows
    }

    /// A page of the log in the order of a view. Facets are left out for who does not filter.
    async fn read_log(
        &self,
        view: View,
        after: u64,
        facets: bool,
    ) -> Result<LogPage, dateline_store::Error> {
        // Streams that lag take turns, however many there are: waiting is no failure.
        let _turn = self.shared.turns.acquire().await;
        in_time(self.shared.store.log_after(view, after, facets)).await
    }

    async fn snapshot_page(
        &self,
        extract: &Extract,
        after: &str,
    ) -> Result<SnapshotPage, dateline_store::Error> {
        let _turn = self.shared.turns.acquire().await;
        in_time(self.shared.store.snapshot_page(extract, after)).await
    }

    /// Forgets what was read before an erasure (W11): the rings do so here, streams when they see that the count has
    /// moved.
    fn forget(&self) {
        self.shared.erasures.fetch_add(1, Ordering::SeqCst);
        for view in [View::Published, View::Desk] {
            self.ring(view).forget();
        }
    }

    /// How many erasures this process has seen.
    fn erasures(&self) -> u64 {
        self.shared.erasures.load(Ordering::SeqCst)
    }

    fn ring(&self, view: View) -> &Ring {
        match view {
            View::Desk => &self.shared.desk,
            View::Published => &self.shared.wire,
        }
    }

    fn checkpoint_interval(&self) -> Duration {
        self.shared.checkpoint_interval
    }

    /// When who hears from us now is to hear from us again: after the interval at the latest, at one of few moments.
    fn next_checkpoint(&self) -> Instant {
        let latest = Instant::now() + self.shared.checkpoint_interval;
        let step = self.shared.checkpoint_interval / CHECKPOINT_MOMENTS;
        let since = latest - self.shared.opened_at;
        let past = since.as_nanos().checked_rem(step.as_nanos()).unwrap_or(0);
        // Less than a step, which is less than a `Duration` holds.
        latest - Duration::from_nanos(u64::try_from(past).unwrap_or(0))
    }
}

/// Gives up a database that does not answer at all: a connection can die without a word, and a statement is given up by
/// the database itself long before this.
async fn in_time<T>(
    answer: impl Future<Output = Result<T, dateline_store::Error>>,
) -> Result<T, dateline_store::Error> {
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Err(dateline_store::Error::silent()))
}
