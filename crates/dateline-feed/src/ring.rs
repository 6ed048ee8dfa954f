//! The newest batches of one view, in memory, shared by all streams. Its size is bounded: the oldest batches are
//! dropped first, and streams that still need them read the log. The ring pushes nothing; streams pull (F9).

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use dateline_record::sequence::Sequence;
use dateline_store::Mark;
use tokio::sync::watch;

use super::batch::EncodedBatch;

/// Most bytes of batches that a ring keeps.
const MAX_RING_BYTES: usize = 32 * 1024 * 1024;

/// The newest batches, and the head of the feed as this process has read it.
#[derive(Debug)]
pub struct Ring {
    kept: RwLock<RingState>,
    head: watch::Sender<Sequence>,
}

#[derive(Debug)]
struct RingState {
    /// Every batch after this sequence is in `batches`.
    floor: Sequence,
    batches: VecDeque<Arc<EncodedBatch>>,
    bytes: usize,
    /// The newest change ever added; it stays when batches are dropped.
    newest: Option<Mark>,
    /// Digest of the feed at a sequence, as an encoded `Digest`.
    digest: Option<(Sequence, Bytes)>,
}

/// Result of reading a ring.
#[derive(Debug)]
pub enum RingRead {
    /// The batches that follow; none if the stream is at the head.
    Batches(Vec<Arc<EncodedBatch>>),
    /// The ring begins later: read the log.
    Lagged,
}

impl Ring {
    /// Returns an empty ring that begins after the head.
    #[must_use]
    pub fn new(head: Sequence) -> Self {
        let kept = RingState {
            floor: head,
            batches: VecDeque::new(),
            bytes: 0,
            newest: None,
            digest: None,
        };
        Self {
            kept: RwLock::new(kept),
            head: watch::Sender::new(head),
        }
    }

    /// Appends the batches that follow the head, and wakes the streams that wait for them.
    pub fn push(&self, batches: Vec<EncodedBatch>) {
        let Some(newest) = batches.last().map(EncodedBatch::mark) else {
            return;
        };
        // The lock is only held for plain assignments, so a poisoned lock still guards consistent data.
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for batch in batches {
            kept.bytes += batch.bytes();
            kept.batches.push_back(Arc::new(batch));
        }
        while kept.bytes > MAX_RING_BYTES && kept.batches.len() > 1 {
            if let Some(oldest) = kept.batches.pop_front() {
                kept.bytes -= oldest.bytes();
                kept.floor = oldest.last;
            }
        }
        kept.newest = Some(newest);
        drop(kept);
        self.head.send_replace(newest.sequence);
    }

    /// Drops every batch: content erased from the log must not be served from the ring either (W11).
    pub fn clear(&self) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = kept.batches.back().map(|batch| batch.last) {
            kept.floor = newest;
        }
        kept.batches.clear();
        kept.bytes = 0;
    }

    /// Drops every batch after a sequence: it belongs to a history that this database did not take (F6).
    pub fn rewind(&self, to: Sequence) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        while let Some(newest) = kept.batches.pop_back_if(|batch| batch.last > to) {
            kept.bytes -= newest.bytes();
        }
        kept.floor = kept.floor.min(to);
        kept.newest = match kept.batches.back() {
            Some(batch) => Some(batch.mark()),
            None => kept.newest.filter(|newest| newest.sequence <= to),
        };
        kept.digest = None;
        let head = self.head().min(to);
        drop(kept);
        self.head.send_replace(head);
    }

    /// Drops every batch and begins again after a sequence; streams behind it read the log.
    pub fn restart(&self, at: Sequence) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.floor = at;
        kept.batches.clear();
        kept.bytes = 0;
        kept.newest = None;
        kept.digest = None;
        drop(kept);
        self.head.send_replace(at);
    }

    /// Wakes all streams that wait.
    pub fn notify(&self) {
        self.head.send_modify(|_| {});
    }

    /// Sets the digest of the feed at a sequence.
    pub fn set_digest(&self, at: Sequence, digest: Bytes) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.digest = Some((at, digest));
    }

    /// Returns the encoded digest of the feed at a sequence, if it is known.
    #[must_use]
    pub fn digest(&self, at: Sequence) -> Option<Bytes> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let (known, digest) = kept.digest.as_ref()?;
        (*known == at).then(|| digest.clone())
    }

    /// Returns the batches after a sequence, up to about `budget` bytes.
    #[must_use]
    pub fn read_after(&self, sequence: Sequence, budget: usize) -> RingRead {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if sequence < kept.floor {
            return RingRead::Lagged;
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
        RingRead::Batches(batches)
    }

    /// Returns the newest change ever added; `None` if there is none, or it was dropped with another history.
    #[must_use]
    pub fn newest(&self) -> Option<Mark> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.newest
    }

    /// Returns the last change of each batch in the ring, and the newest one.
    #[must_use]
    pub fn marks(&self) -> Vec<Mark> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let batches = kept.batches.iter().map(|batch| batch.mark());
        batches.chain(kept.newest).collect()
    }

    /// Returns the fingerprint of the change at a sequence, if it is in the ring.
    #[must_use]
    pub fn fingerprint_at(&self, sequence: Sequence) -> Option<u64> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let index = kept.batches.partition_point(|batch| batch.last < sequence);
        kept.batches.get(index)?.fingerprint_at(sequence)
    }

    /// Returns the newest sequence that this process has read.
    #[must_use]
    pub fn head(&self) -> Sequence {
        *self.head.borrow()
    }

    /// Returns a receiver of the head.
    #[must_use]
    pub fn watch_head(&self) -> watch::Receiver<Sequence> {
        self.head.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_who_is_behind_a_ring_is_sent_to_the_log() {
        let ring = Ring::new(Sequence::new(5));
        assert!(matches!(
            ring.read_after(Sequence::new(4), 1),
            RingRead::Lagged
        ));
        assert!(
            matches!(ring.read_after(Sequence::new(5), 1), RingRead::Batches(none) if none.is_empty())
        );
    }

    #[test]
    fn f6_a_ring_forgets_what_belongs_to_another_history() {
        let ring = Ring::new(Sequence::new(5));
        ring.set_digest(Sequence::new(5), Bytes::from_static(b"five"));
        assert_eq!(ring.digest(Sequence::new(5)).unwrap(), "five");
        assert_eq!(ring.digest(Sequence::new(4)), None);
        ring.rewind(Sequence::new(3));
        assert_eq!(
            (ring.head(), ring.digest(Sequence::new(5))),
            (Sequence::new(3), None)
        );
        assert!(
            matches!(ring.read_after(Sequence::new(3), 1), RingRead::Batches(none) if none.is_empty())
        );
        ring.restart(Sequence::new(9));
        assert!(matches!(
            ring.read_after(Sequence::new(3), 1),
            RingRead::Lagged
        ));
    }
}
