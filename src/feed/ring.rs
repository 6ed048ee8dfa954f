//! The newest batches of one view, in memory, shared by all streams. Bounded: the oldest go first, and who
//! still needs them reads the log. Nothing is pushed; streams come and take (F9).

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::watch;

use super::batch::Batch;

/// Bytes of batches that a ring keeps.
const KEPT_BYTES: usize = 32 * 1024 * 1024;

/// The newest batches, and the head of the feed as this process knows it.
#[derive(Debug)]
pub struct Ring {
    kept: RwLock<Kept>,
    head: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    /// Everything after this is in `batches`.
    floor: u64,
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
}

/// What a ring has for a stream.
#[derive(Debug)]
pub enum Found {
    /// These follow; none if the stream is at the head.
    Batches(Vec<Arc<Batch>>),
    /// The ring begins later: read the log.
    Behind,
}

impl Ring {
    /// A ring that begins after the head.
    #[must_use]
    pub fn new(head: u64) -> Self {
        let kept = Kept {
            floor: head,
            batches: VecDeque::new(),
            bytes: 0,
        };
        Self {
            kept: RwLock::new(kept),
            head: watch::Sender::new(head),
        }
    }

    /// Adds the batches that follow the head, and wakes who waits for them.
    pub fn push(&self, batches: Vec<Batch>) {
        let Some(last) = batches.last().map(|batch| batch.last) else {
            return;
        };
        // A panic while the lock was held would have been a panic between two plain assignments.
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for batch in batches {
            kept.bytes += batch.bytes();
            kept.batches.push_back(Arc::new(batch));
        }
        while kept.bytes > KEPT_BYTES && kept.batches.len() > 1 {
            if let Some(oldest) = kept.batches.pop_front() {
                kept.bytes -= oldest.bytes();
                kept.floor = oldest.last;
            }
        }
        drop(kept);
        self.head.send_replace(last);
    }

    /// Forgets everything up to the head: what the log no longer says must not come from here either (W11).
    pub fn forget(&self) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = kept.batches.back().map(|batch| batch.last) {
            kept.floor = newest;
        }
        kept.batches.clear();
        kept.bytes = 0;
    }

    /// The batches after a sequence, up to about `budget` bytes.
    #[must_use]
    pub fn after(&self, sequence: u64, budget: usize) -> Found {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if sequence < kept.floor {
            return Found::Behind;
        }
        let start = kept.batches.partition_point(|batch| batch.last <= sequence);
        let mut bytes = 0;
        let batches = kept
            .batches
            .range(start..)
            .take_while(|batch| {
                let fits = bytes < budget;
                bytes += batch.bytes();
                fits
            })
            .cloned()
            .collect();
        Found::Batches(batches)
    }

    /// The newest sequence that this process has seen.
    #[must_use]
    pub fn head(&self) -> u64 {
        *self.head.borrow()
    }

    /// Follows the head.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_who_is_behind_a_ring_is_sent_to_the_log() {
        let ring = Ring::new(5);
        assert!(matches!(ring.after(4, 1), Found::Behind));
        assert!(matches!(ring.after(5, 1), Found::Batches(none) if none.is_empty()));
    }
}
