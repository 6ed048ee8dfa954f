//! From the log to many readers.
//!
//! What a stream gets, whatever fails on the way (F1 to F4): every matching change after its cursor, once, in
//! order, whole batches, and a cursor that resumes. A producer never waits for a consumer; lag means reading
//! the log at one's own cursor. Knows neither gRPC nor SQL.

mod batch;
mod cursor;
mod ring;
mod subscription;
mod tail;

use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use self::ring::Ring;
pub use self::{
    cursor::Cursor,
    subscription::{Checkpoint, Item, Subscription},
};
use crate::{
    model::filter::Filter,
    store::{self, FeedIdentity, LOG_READERS, LogEntry, Store, View},
};

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
    Store(#[from] store::Error),
}

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After everything that is committed.
    Now,
    /// With the first change.
    Beginning,
    /// After a cursor.
    Cursor(String),
}

/// The feeds of one database, as one process serves them; cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    identity: FeedIdentity,
    desk: Ring,
    wire: Ring,
    checkpoint_interval: Duration,
    /// One for each connection that reads the log.
    turns: Semaphore,
}

impl Feed {
    /// Opens the feeds at their heads, and makes the task of the tail. `committed` tells of local commits.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn open(
        store: Store,
        committed: Arc<Notify>,
        checkpoint_interval: Duration,
        stop: CancellationToken,
    ) -> Result<(Self, impl Future<Output = ()> + Send), store::Error> {
        let identity = store.identity().await?;
        let (desk, wire) = store.heads().await?;
        let shared = Shared {
            store: store.clone(),
            identity,
            desk: Ring::new(desk),
            wire: Ring::new(wire),
            checkpoint_interval,
            turns: Semaphore::new(LOG_READERS as usize),
        };
        let feed = Self {
            shared: Arc::new(shared),
        };
        Ok((feed.clone(), tail::run(feed, store, committed, stop)))
    }

    /// Begins a stream. It ends, with a last checkpoint, when `stop` is cancelled.
    ///
    /// # Errors
    /// When the cursor cannot be served (F6).
    pub async fn subscribe(
        &self,
        view: View,
        filter: Filter,
        start: Start,
        stop: CancellationToken,
    ) -> Result<Subscription, Error> {
        let position = match start {
            Start::Now => self.newest(view).await?,
            Start::Beginning => 0,
            Start::Cursor(text) => self.resume(&text, view).await?,
        };
        Ok(Subscription::new(
            self.clone(),
            view,
            filter,
            position,
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

    async fn resume(&self, text: &str, view: View) -> Result<u64, Error> {
        let Cursor { sequence, .. } = Cursor::from_text(text, self.identity(), view)?;
        if sequence > self.ring(view).head() {
            // The cursor may come from another server, whose commit has not been heard of here yet.
            let head = self.newest(view).await?;
            if sequence > head {
                return Err(Error::CursorInFuture {
                    cursor: sequence,
                    head,
                });
            }
        }
        Ok(sequence)
    }

    /// The newest sequence in the database, which the tail may not have reached.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn newest(&self, view: View) -> Result<u64, store::Error> {
        let (desk, wire) = self.shared.store.heads().await?;
        Ok(match view {
            View::Desk => desk,
            View::Published => wire,
        })
    }

    async fn log_after(&self, view: View, sequence: u64) -> Result<Vec<LogEntry>, store::Error> {
        // Streams that lag take turns, however many there are: waiting is no failure.
        let _turn = self.shared.turns.acquire().await;
        self.shared.store.log_after(view, sequence).await
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

    /// Which feed this is.
    #[must_use]
    pub fn identity(&self) -> &FeedIdentity {
        &self.shared.identity
    }
}
