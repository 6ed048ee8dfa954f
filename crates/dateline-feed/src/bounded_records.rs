//! Encoded records by view and name, bounded in bytes. Knows nothing of their being current.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use dateline_proto::v1::State;
use dateline_store::FeedView;

/// Bytes of memory that an entry takes besides its name and its record.
const ENTRY_BYTES: usize = 256;
/// Part of the bound that one entry may take, so that a large record does not replace all others.
const LARGEST_PART: usize = 8;

/// A record, encoded for a view.
#[derive(Debug, Clone)]
pub struct EncodedRecord {
    /// Its state.
    pub state: State,
    /// The encoded `Record`.
    pub bytes: Bytes,
}

/// Records up to a number of bytes. The one that is dropped first is old and was not read lately (second chance).
#[derive(Debug)]
pub struct BoundedRecords {
    max_bytes: usize,
    bytes: usize,
    desk: HashMap<Arc<str>, Entry>,
    wire: HashMap<Arc<str>, Entry>,
    /// Every entry once, the oldest first; entries that were removed stay until they are met or outnumber the others.
    order: VecDeque<(FeedView, Arc<str>, u64)>,
    next_number: u64,
}

#[derive(Debug)]
struct Entry {
    record: EncodedRecord,
    /// Tells it from an earlier entry of the name.
    number: u64,
    was_read: AtomicBool,
}

fn cost(name: &str, record: &EncodedRecord) -> usize {
    ENTRY_BYTES + name.len() + record.bytes.len()
}

impl BoundedRecords {
    /// Returns an empty set of records, which may take this many bytes.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            desk: HashMap::new(),
            wire: HashMap::new(),
            order: VecDeque::new(),
            next_number: 0,
        }
    }

    /// Returns the bytes of memory that all records take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the record of this name in a view.
    #[must_use]
    pub fn get(&self, name: &str, view: FeedView) -> Option<&EncodedRecord> {
        let entries = match view {
            FeedView::Desk => &self.desk,
            FeedView::Wire => &self.wire,
        };
        let entry = entries.get(name)?;
        entry.was_read.store(true, Ordering::Relaxed);
        Some(&entry.record)
    }

    /// Adds a record, unless it is large, in place of the one of this name; drops others until all fit.
    pub fn insert(&mut self, name: &str, view: FeedView, record: EncodedRecord) {
        self.remove_from(name, view);
        let cost = cost(name, &record);
        if cost > self.max_bytes / LARGEST_PART {
            return;
        }
        while self.bytes + cost > self.max_bytes {
            self.drop_one();
        }
        self.bytes += cost;
        let (name, number) = (Arc::<str>::from(name), self.next_number);
        self.next_number += 1;
        self.order.push_back((view, name.clone(), number));
        let entry = Entry {
            record,
            number,
            was_read: AtomicBool::new(false),
        };
        self.entries(view).insert(name, entry);
    }

    /// Removes the record of this name from all views.
    pub fn remove(&mut self, name: &str) {
        self.remove_from(name, FeedView::Desk);
        self.remove_from(name, FeedView::Wire);
    }

    /// Removes all records.
    pub fn clear(&mut self) {
        *self = Self {
            next_number: self.next_number,
            ..Self::new(self.max_bytes)
        };
    }

    fn entries(&mut self, view: FeedView) -> &mut HashMap<Arc<str>, Entry> {
        match view {
            FeedView::Desk => &mut self.desk,
            FeedView::Wire => &mut self.wire,
        }
    }

    fn remove_from(&mut self, name: &str, view: FeedView) {
        if let Some(entry) = self.entries(view).remove(name) {
            self.bytes -= cost(name, &entry.record);
        }
        if self.order.len() > 2 * (self.desk.len() + self.wire.len()) + 64 {
            let (desk, wire) = (&self.desk, &self.wire);
            self.order.retain(|(view, name, number)| {
                let entries = match view {
                    FeedView::Desk => desk,
                    FeedView::Wire => wire,
                };
                entries
                    .get(name)
                    .is_some_and(|entry| entry.number == *number)
            });
        }
    }

    /// Drops the oldest entry, or gives it a second chance if it was read since it was added or last met here.
    fn drop_one(&mut self) {
        let Some((view, name, number)) = self.order.pop_front() else {
            self.bytes = 0;
            return;
        };
        let entries = self.entries(view);
        let Some(entry) = entries.get(&name).filter(|entry| entry.number == number) else {
            return;
        };
        if entry.was_read.swap(false, Ordering::Relaxed) {
            self.order.push_back((view, name, number));
        } else {
            let freed = cost(&name, &entry.record);
            entries.remove(&name);
            self.bytes -= freed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: usize) -> EncodedRecord {
        EncodedRecord {
            state: State::Published,
            bytes: vec![0; bytes].into(),
        }
    }

    fn name(number: usize) -> String {
        format!("actors/a{number}")
    }

    #[test]
    fn the_bound_of_bytes_is_kept_and_what_is_read_stays() {
        let bound = 100 * (ENTRY_BYTES + 1000);
        let mut kept = BoundedRecords::new(bound);
        for number in 0..1000 {
            kept.insert(&name(number), FeedView::Wire, record(900));
            assert!(kept.bytes() <= bound, "{}", kept.bytes());
            assert!(kept.get(&name(0), FeedView::Wire).is_some(), "{number}");
        }
        assert!(kept.bytes() > bound / 2);
        assert!(kept.get(&name(1), FeedView::Wire).is_none());
        let counted = |entries: &HashMap<Arc<str>, Entry>| {
            let costs = entries
                .iter()
                .map(|(name, entry)| cost(name, &entry.record));
            costs.sum::<usize>()
        };
        assert_eq!(kept.bytes(), counted(&kept.wire));
        kept.insert(&name(1000), FeedView::Wire, record(bound / LARGEST_PART));
        assert!(kept.get(&name(1000), FeedView::Wire).is_none());
        kept.clear();
        assert_eq!((kept.bytes(), kept.order.len()), (0, 0));
    }

    #[test]
    fn what_is_added_and_removed_again_and_again_takes_no_memory() {
        let mut kept = BoundedRecords::new(1024 * 1024);
        for _ in 0..10_000 {
            kept.insert("actors/a", FeedView::Desk, record(10));
            kept.insert("actors/a", FeedView::Wire, record(10));
            kept.remove("actors/a");
        }
        assert_eq!(kept.bytes(), 0);
        assert!(kept.order.len() < 100, "{}", kept.order.len());
    }

    #[test]
    fn f10_a_record_of_one_view_is_not_found_in_the_other() {
        let mut kept = BoundedRecords::new(1024 * 1024);
        kept.insert("actors/a", FeedView::Desk, record(10));
        assert!(kept.get("actors/a", FeedView::Wire).is_none());
    }
}
