//! Present records in memory, as they are sent.
//!
//! Guarantee: a read returns the record as of a moment after the read began, as if it had asked the database. So it
//! includes every change that any server acknowledged before, and nothing that was erased before (W7, W11).
//!
//! All records here are exact at one version of the feed (`dateline_store::FeedVersion`). A read that finds its record
//! reads the version from the database, together with all reads that wait for it: if it is the same, then nothing was
//! committed up to that moment, at whatever server. Otherwise the record is read from the database. The tail removes the
//! records that a page of the log changes and, at the head, sets the new version. A record is added if it was read at
//! the version of the others. Between those two steps of the tail there is no version, and nothing is found or added.
//!
//! Names without a visible record are not kept: a record that a reader may not see takes as long as none (F10).

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use dateline_store::{Error, FeedVersion, FeedView, Store, StoredRecord, VersionReader};

use super::{
    bounded_records::{BoundedRecords, EncodedRecord},
    shared_read::SharedRead,
};

/// Most bytes of an encoded record besides its content and meta.
const BESIDE_BYTES: usize = 48;

/// Reads of present records; cheap to clone.
#[derive(Debug, Clone)]
pub struct RecordCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    version: SharedRead<VersionReader, FeedVersion>,
    kept: RwLock<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// The version at which all records are exact; `None` while that is not known.
    version: Option<FeedVersion>,
    records: BoundedRecords,
}

impl Kept {
    fn report_bytes(&self) {
        metrics::gauge!("dateline_record_cache_bytes").set(self.records.bytes() as f64);
    }
}

/// Records of several names.
#[derive(Debug)]
pub struct FittingRecords {
    /// Those that fit into the response, by their names.
    pub found: HashMap<String, EncodedRecord>,
    /// Names of those that do not fit.
    pub omitted: Vec<String>,
}

impl RecordCache {
    /// Returns an empty cache, which may take this many bytes.
    #[must_use]
    pub fn new(store: Store, max_bytes: usize) -> Self {
        let kept = Kept {
            version: None,
            records: BoundedRecords::new(max_bytes),
        };
        Self {
            shared: Arc::new(Shared {
                version: SharedRead::new(store.version_reader()),
                kept: RwLock::new(kept),
                store,
            }),
        }
    }

    /// Returns the bytes of memory that the records take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.read().records.bytes()
    }

    /// Returns the present record of this name, if it is visible in the view.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn get_record(
        &self,
        name: &str,
        view: FeedView,
    ) -> Result<Option<EncodedRecord>, Error> {
        if let Some((found, version)) = self.find(name, view)
            && self.is_current(version).await
        {
            count("hit", 1);
            return Ok(Some(found));
        }
        count("miss", 1);
        let (record, version) = self.shared.store.get_record(name, view).await?;
        let Some(record) = record.and_then(|record| encode(&record, view)) else {
            return Ok(None);
        };
        self.insert(version, view, [(name, &record)]);
        Ok(Some(record))
    }

    /// Returns the present records of these names that are visible in the view, as far as they fit into this many
    /// bytes, in the order of the names. The first one is always returned.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn get_fitting(
        &self,
        names: &[String],
        view: FeedView,
        bytes: usize,
    ) -> Result<FittingRecords, Error> {
        if let Some((found, version)) = self.find_all(names, view, bytes)
            && self.is_current(version).await
        {
            count("hit", names.len());
            return Ok(FittingRecords {
                found,
                omitted: Vec::new(),
            });
        }
        count("miss", names.len());
        let read = self.shared.store.get_fitting(names, view, bytes).await?;
        let found: HashMap<_, _> = read
            .records
            .iter()
            .filter_map(|record| Some((record.name.to_string(), encode(record, view)?)))
            .collect();
        if let Some(version) = read.version {
            let all = found.iter().map(|(name, record)| (name.as_str(), record));
            self.insert(version, view, all);
        }
        Ok(FittingRecords {
            found,
            omitted: read.omitted,
        })
    }

    /// Removes records that have changed. There is no version until [`RecordCache::set_version`].
    pub(super) fn remove<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut kept = self.write();
        kept.version = None;
        for name in names {
            kept.records.remove(name);
        }
    }

    /// Removes all records: some may have been erased, or belong to another history.
    pub(super) fn clear(&self) {
        let mut kept = self.write();
        kept.version = None;
        kept.records.clear();
    }

    /// Says that the version is not known: changes may be missing.
    pub(super) fn forget_version(&self) {
        self.write().version = None;
    }

    /// Sets the version, after every record that has changed since the last one was removed. Removes all records if it
    /// was not proved that the history is the one that they were read from.
    pub(super) fn set_version(&self, version: FeedVersion, is_same_history: bool) {
        if self.read().version == Some(version) {
            return;
        }
        let mut kept = self.write();
        if !is_same_history {
            kept.records.clear();
        }
        kept.version = Some(version);
        kept.report_bytes();
    }

    fn find(&self, name: &str, view: FeedView) -> Option<(EncodedRecord, FeedVersion)> {
        let kept = self.read();
        let version = kept.version?;
        Some((kept.records.get(name, view)?.clone(), version))
    }

    /// Returns all of these records, or `None` if one is not here or they may not fit.
    fn find_all(
        &self,
        names: &[String],
        view: FeedView,
        bytes: usize,
    ) -> Option<(HashMap<String, EncodedRecord>, FeedVersion)> {
        let kept = self.read();
        let version = kept.version?;
        let mut room = bytes;
        let found = names.iter().map(|name| {
            let record = kept.records.get(name, view)?;
            room = room.checked_sub(record.bytes.len() + BESIDE_BYTES)?;
            Some((name.clone(), record.clone()))
        });
        let found: Option<HashMap<_, _>> = found.collect();
        Some((found.filter(|found| !found.is_empty())?, version))
    }

    /// True if nothing was committed after a version, up to a moment after this call.
    async fn is_current(&self, version: FeedVersion) -> bool {
        let version_read = self.shared.version.read(|reader| {
            // The error is the next read's, of the record.
            Box::pin(async { reader.read().await.ok() })
        });
        let now = version_read.await;
        let is_current = now == Some(version);
        if !is_current {
            // Further reads need not ask before the tail has caught up. If the connection was lost, the tail compares
            // the histories first.
            let mut kept = self.write();
            kept.version = kept.version.filter(|known| *known != version);
        }
        is_current
    }

    /// Adds records that were read at a version.
    fn insert<'a>(
        &self,
        version: FeedVersion,
        view: FeedView,
        records: impl IntoIterator<Item = (&'a str, &'a EncodedRecord)>,
    ) {
        let mut kept = self.write();
        if kept.version != Some(version) {
            return;
        }
        for (name, record) in records {
            kept.records.insert(name, view, record.clone());
        }
        kept.report_bytes();
    }

    // The lock is only held for assignments, so a poisoned lock still guards consistent data.
    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.shared
            .kept
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.shared
            .kept
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn encode(record: &StoredRecord, view: FeedView) -> Option<EncodedRecord> {
    Some(EncodedRecord {
        state: record.state,
        bytes: record.encoded(view)?,
    })
}

fn count(result: &'static str, names: usize) {
    metrics::counter!("dateline_record_cache_reads_total", "result" => result)
        .increment(names as u64);
}
