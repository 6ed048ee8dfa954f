//! One read of the feed's version for all that wait for one, as in Raft's ReadIndex.

use std::sync::atomic::{AtomicU64, Ordering};

use dateline_store::{FeedVersion, VersionReader};
use tokio::sync::{Mutex, watch};

/// Reads the version for any number of callers, by one statement at a time.
#[derive(Debug)]
pub struct SharedVersion {
    reader: Mutex<VersionReader>,
    /// Number of the newest read that has begun.
    begun: AtomicU64,
    /// The newest read that has ended, and its answer.
    ended: watch::Sender<(u64, Option<FeedVersion>)>,
}

impl SharedVersion {
    /// Returns a shared reader.
    #[must_use]
    pub fn new(reader: VersionReader) -> Self {
        Self {
            reader: Mutex::new(reader),
            begun: AtomicU64::new(0),
            ended: watch::Sender::new((0, None)),
        }
    }

    /// Returns the version at a moment after the call; `None` if the database did not answer. The read of one caller
    /// answers all that called before it began, and nobody else. A caller that goes away leaves its turn to the next.
    pub async fn read(&self) -> Option<FeedVersion> {
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let mut ended = self.ended.subscribe();
        tokio::select! {
            biased;
            // The sender lives as long as `self`, so the wait does not fail.
            version = async { ended.wait_for(|(number, _)| *number >= wanted).await.ok()?.1 } => version,
            mut reader = self.reader.lock() => {
                let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
                let version = reader.read().await.ok();
                self.ended.send_replace((number, version));
                version
            }
        }
    }
}
