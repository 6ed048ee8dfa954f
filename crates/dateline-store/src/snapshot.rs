//! The state of a feed as of one sequence, in pages by name, unaffected by concurrent writes (F5, E1); or only the
//! changes since another sequence (E5). The log gives each record's revision at the sequence; no transaction stays open
//! between pages.

pub(super) mod query;

use std::collections::HashSet;

use dateline_proto::v1::{State, change};
use dateline_record::{filter::Filter, name::Name, sequence::Sequence};

use self::query::{rows, until};
use super::{
    Error, Store,
    columns::{change_type, epoch, name, positions, state},
    references::{References, ResolvedReferences},
    stored::{FeedView, RecordColumns, StoredRecord},
};

/// Most names that one page scans, matching or not.
const MAX_SCANNED_NAMES: usize = 2000;
/// Names of a page's first stride. The size of their records determines the next stride, so that few records are read
/// in vain.
const FIRST_NAMES: usize = 128;
/// Bytes of content after which a page ends, unless its first record alone is larger.
const PAGE_BYTES: usize = 1024 * 1024;

/// Description of the records to read.
#[derive(Debug, Clone)]
pub struct SnapshotQuery {
    /// Filter of the records.
    pub filter: Filter,
    /// View that decides what is visible.
    pub view: FeedView,
    /// Sequence as of which records are read.
    pub at: Sequence,
    /// For a delta: only records that changed after this sequence.
    pub since: Option<Sequence>,
    /// Includes tombstones of retracted and merged records although the filter names no states.
    pub tombstones: bool,
    /// Part and number of parts; parts are counted from 0.
    pub part: (u16, u16),
    /// Resolves references of the records; `None` to leave them out.
    pub references: Option<References>,
}

impl SnapshotQuery {
    /// Returns the query for all records that a list returns.
    #[must_use]
    pub fn new(filter: Filter, view: FeedView, at: Sequence) -> Self {
        Self {
            filter,
            view,
            at,
            since: None,
            tombstones: false,
            part: (0, 1),
            references: None,
        }
    }

    fn has_dependants(&self) -> bool {
        self.references.as_ref().is_some_and(|it| it.dependants)
    }

    fn number(&self) -> &'static str {
        match self.view {
            FeedView::Desk => "desk_sequence",
            FeedView::Wire => "wire_sequence",
        }
    }
}

/// A record that belonged to the snapshot and no longer does.
#[derive(Debug, Clone)]
pub struct Removed {
    /// Name of the record.
    pub name: Name,
    /// The reason: RETRACTED, MERGED, DELETED, PURGED, or LEFT for a record that no longer matches.
    pub why: change::Type,
    /// The record into which it was merged.
    pub merged_into: Option<String>,
}

/// One name of a page.
#[derive(Debug)]
pub enum SnapshotEntry {
    /// A record of the snapshot.
    Record(StoredRecord),
    /// A record that no longer belongs to it.
    Removed(Removed),
}

impl SnapshotEntry {
    /// Name of the record.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Record(record) => &record.name,
            Self::Removed(gone) => &gone.name,
        }
    }
}

/// A page of a snapshot.
#[derive(Debug)]
pub struct SnapshotPage {
    /// Entries in the order of names.
    pub entries: Vec<SnapshotEntry>,
    /// Resolved references of the entries, if requested.
    pub resolved: ResolvedReferences,
    /// The last name that was scanned; `None` at the end.
    pub after: Option<String>,
    /// The epoch that was read.
    pub epoch: u64,
    /// The oldest sequence kept at that time.
    pub earliest: Sequence,
}

#[derive(sqlx::FromRow)]
struct SnapshotRow {
    #[sqlx(flatten)]
    columns: RecordColumns,
    /// True if it fits the page.
    fits: bool,
    /// True if the record belongs to the snapshot.
    is_in: bool,
    /// True if the record itself changed; false for a delta's record whose references may have changed.
    is_changed: bool,
    #[sqlx(rename = "type")]
    change_type: String,
    merged_into: Option<String>,
}

impl SnapshotRow {
    /// Returns the entry of a row. A whole snapshot omits records erased since: the stream sends their erasure
    /// afterwards.
    fn entry(self, is_delta: bool) -> Result<Option<SnapshotEntry>, Error> {
        let is_erased = self.columns.meta.is_empty();
        if self.is_in && !is_erased {
            return Ok(Some(SnapshotEntry::Record(self.columns.try_into()?)));
        }
        if !is_delta || !self.is_changed {
            return Ok(None);
        }
        let why = match (change_type(&self.change_type)?, state(&self.columns.state)) {
            (change::Type::Purged, _) => change::Type::Purged,
            _ if is_erased => change::Type::Purged,
            (change::Type::Deleted, _) => change::Type::Deleted,
            (_, Ok(State::Retracted)) => change::Type::Retracted,
            (_, Ok(State::Merged)) => change::Type::Merged,
            _ => change::Type::Left,
        };
        Ok(Some(SnapshotEntry::Removed(Removed {
            name: name(&self.columns.name)?,
            why,
            merged_into: self.merged_into,
        })))
    }
}

impl Store {
    /// Returns the page after a name.
    ///
    /// # Errors
    /// If the database cannot answer, or the log is damaged.
    pub async fn snapshot_page(
        &self,
        snapshot: &SnapshotQuery,
        after: &str,
    ) -> Result<SnapshotPage, Error> {
        let mut connection = self.feed.acquire().await?;
        let mut scan = PageScan::from(after);
        while let Some(names) = scan.next() {
            let until: Option<String> = until(snapshot, &scan.last_name, names)
                .build_query_scalar()
                .fetch_optional(&mut connection)
                .await?;
            let rows: Vec<SnapshotRow> = rows(snapshot, &scan, until.as_deref())
                .build_query_as()
                .fetch_all(&mut connection)
                .await?;
            scan.add_rows(names, rows, until, snapshot.since.is_some())?;
        }
        // Read after the rows: history that they could have missed was dropped before, and this shows it.
        let kept = sqlx::query!("SELECT epoch, desk_earliest, wire_earliest FROM feed")
            .fetch_one(&mut connection)
            .await?;
        let resolved = match &snapshot.references {
            None => ResolvedReferences::default(),
            Some(references) => {
                let entries = &mut scan.entries;
                references
                    .resolve(&mut connection, snapshot, entries, &scan.unchanged)
                    .await?
            }
        };
        Ok(SnapshotPage {
            entries: scan.entries,
            resolved,
            after: (!scan.is_over).then_some(scan.last_name),
            epoch: epoch(kept.epoch)?,
            earliest: positions(kept.desk_earliest, kept.wire_earliest)?.in_view(snapshot.view),
        })
    }
}

/// A page in progress, read in strides of names.
struct PageScan {
    entries: Vec<SnapshotEntry>,
    /// The last name that was scanned.
    last_name: String,
    /// Names of this page that were scanned.
    scanned: usize,
    /// Bytes of content so far.
    bytes: usize,
    /// The next record does not fit.
    is_full: bool,
    /// There are no more names.
    is_over: bool,
    /// Records of a delta that did not change themselves; their references may have.
    unchanged: HashSet<String>,
}

impl PageScan {
    fn from(after: &str) -> Self {
        Self {
            entries: Vec::new(),
            last_name: after.to_owned(),
            scanned: 0,
            bytes: 0,
            is_full: false,
            is_over: false,
            unchanged: HashSet::new(),
        }
    }

    /// Returns the number of names for the next stride, estimated from the sizes of the records so far. `None` at the
    /// end of the page: a small remainder is left to the next page.
    fn next(&self) -> Option<usize> {
        let room = PAGE_BYTES.saturating_sub(self.bytes);
        if self.is_full
            || self.is_over
            || self.scanned >= MAX_SCANNED_NAMES
            || (self.scanned > 0 && room < PAGE_BYTES / 8)
        {
            return None;
        }
        let names = match (self.scanned, self.bytes) {
            (0, _) => FIRST_NAMES,
            (scanned, 0) => scanned * 4,
            (scanned, bytes) => (room * scanned / bytes).max(1),
        };
        Some(names.min(MAX_SCANNED_NAMES - self.scanned))
    }

    /// Adds the rows of a stride; rows that do not fit are left for the next page.
    fn add_rows(
        &mut self,
        names: usize,
        rows: Vec<SnapshotRow>,
        until: Option<String>,
        is_delta: bool,
    ) -> Result<(), Error> {
        self.is_full = rows.last().is_some_and(|last| !last.fits);
        self.scanned += names;
        self.entries.reserve(rows.len());
        for row in rows.into_iter().filter(|row| row.fits) {
            self.bytes += row.columns.content.len();
            if self.is_full {
                self.last_name.clone_from(&row.columns.name);
            }
            if !row.is_changed {
                self.unchanged.insert(row.columns.name.clone());
            }
            self.entries.extend(row.entry(is_delta)?);
        }
        if !self.is_full {
            self.is_over = until.is_none();
            self.last_name = until.unwrap_or_else(|| std::mem::take(&mut self.last_name));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a page of records of this size; returns the names per stride and the number of records that fitted.
    fn page(bytes: usize) -> (Vec<usize>, usize) {
        let mut scan = PageScan::from("");
        let (mut strides, mut taken) = (Vec::new(), 0);
        while let Some(names) = scan.next() {
            strides.push(names);
            let room = PAGE_BYTES.saturating_sub(scan.bytes);
            let fit = names.min(room.checked_div(bytes).unwrap_or(names));
            let fit = if taken == 0 { fit.max(1) } else { fit };
            taken += fit;
            scan.bytes += fit * bytes;
            scan.scanned += names;
            scan.is_full = fit < names;
        }
        (strides, taken)
    }

    #[test]
    fn f5_a_page_looks_at_hardly_more_names_than_it_has_room_for() {
        for bytes in [300, 1_000, 7_000, 50_000] {
            let (strides, taken) = page(bytes);
            let looked: usize = strides.iter().sum();
            assert!(
                taken * bytes >= PAGE_BYTES / 2 || looked == MAX_SCANNED_NAMES,
                "{bytes}: {taken}"
            );
            assert!(
                looked - taken < FIRST_NAMES,
                "{bytes}: {strides:?} for {taken}"
            );
        }
    }

    #[test]
    fn f5_a_page_is_bounded_in_names_and_in_bytes() {
        // If nothing matches, strides grow until the page's limit of names is reached.
        assert_eq!(page(0).0.iter().sum::<usize>(), MAX_SCANNED_NAMES);
        // A record larger than a page is a page of its own.
        assert_eq!(page(PAGE_BYTES + 1), (vec![FIRST_NAMES], 1));
    }
}
