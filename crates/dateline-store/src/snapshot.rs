//! The state of a feed as of one sequence, in pages by name, unaffected by concurrent writes (F5, E1); or only the
//! changes since another sequence (E5). The log gives each record's revision at the sequence; no transaction stays open
//! between pages.

pub(super) mod query;

use std::collections::HashSet;

use dateline_proto::v1::{State, change};
use dateline_record::{filter::Filter, name::Name};

use self::query::{rows, until};
use super::{
    Error, Store,
    columns::{change_type, name, sequence, state},
    identity::of_view,
    references::{References, Resolved},
    stored::{Columns, StoredRecord, View},
};

/// Most names that one page scans, matching or not.
const WALKED_NAMES: usize = 2000;
/// Names of a page's first stride. The size of their records determines the next stride, so that few records are read
/// in vain.
const FIRST_NAMES: usize = 128;
/// Bytes of content after which a page ends, unless its first record alone is larger.
const PAGE_BYTES: usize = 1024 * 1024;

/// Description of the records to read.
#[derive(Debug, Clone)]
pub struct Extract {
    /// Filter of the records.
    pub filter: Filter,
    /// View that decides what is visible.
    pub view: View,
    /// Sequence as of which records are read.
    pub at: u64,
    /// For a delta: only records that changed after this sequence.
    pub since: Option<u64>,
    /// Includes tombstones of retracted and merged records although the filter names no states.
    pub tombstones: bool,
    /// Part and number of parts; parts are counted from 0.
    pub part: (u16, u16),
    /// Resolves references of the records; `None` to leave them out.
    pub references: Option<References>,
}

impl Extract {
    /// Returns the extract of all records that a list returns.
    #[must_use]
    pub fn shown(filter: Filter, view: View, at: u64) -> Self {
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
            View::Desk => "desk_sequence",
            View::Published => "wire_sequence",
        }
    }
}

/// A record that belonged to the extract and no longer does.
#[derive(Debug, Clone)]
pub struct Gone {
    /// Name of the record.
    pub name: Name,
    /// The reason: RETRACTED, MERGED, DELETED, PURGED, or LEFT for a record that no longer matches.
    pub why: change::Type,
    /// The record into which it was merged.
    pub merged_into: Option<String>,
}

/// One name of a page.
#[derive(Debug)]
pub enum Entry {
    /// A record of the extract.
    Record(StoredRecord),
    /// A record that no longer belongs to it.
    Gone(Gone),
}

impl Entry {
    /// Name of the record.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Record(record) => &record.name,
            Self::Gone(gone) => &gone.name,
        }
    }
}

/// A page of a snapshot.
#[derive(Debug)]
pub struct SnapshotPage {
    /// Entries in the order of names.
    pub entries: Vec<Entry>,
    /// Resolved references of the entries, if requested.
    pub resolved: Resolved,
    /// The last name that was scanned; `None` at the end.
    pub after: Option<String>,
    /// The epoch that was read.
    pub epoch: u64,
    /// The oldest sequence kept at that time.
    pub earliest: u64,
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    columns: Columns,
    /// True if it fits the page.
    fits: bool,
    /// True if the record belongs to the extract.
    is_in: bool,
    /// True if the record itself changed; false for a delta's record whose references may have changed.
    is_changed: bool,
    #[sqlx(rename = "type")]
    change_type: String,
    merged_into: Option<String>,
}

impl Row {
    /// Returns the entry of a row. A whole snapshot omits records erased since: the stream sends their erasure
    /// afterwards.
    fn entry(self, is_delta: bool) -> Result<Option<Entry>, Error> {
        let is_erased = self.columns.meta.is_empty();
        if self.is_in && !is_erased {
            return Ok(Some(Entry::Record(self.columns.try_into()?)));
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
        Ok(Some(Entry::Gone(Gone {
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
        extract: &Extract,
        after: &str,
    ) -> Result<SnapshotPage, Error> {
        let mut connection = self.feed.acquire().await?;
        let mut walk = Walk::from(after);
        while let Some(names) = walk.next() {
            let until: Option<String> = until(extract, &walk.behind, names)
                .build_query_scalar()
                .fetch_optional(&mut connection)
                .await?;
            let rows: Vec<Row> = rows(extract, &walk, until.as_deref())
                .build_query_as()
                .fetch_all(&mut connection)
                .await?;
            walk.took(names, rows, until, extract.since.is_some())?;
        }
        // Read after the rows: history that they could have missed was dropped before, and this shows it.
        let kept = sqlx::query!("SELECT epoch, desk_earliest, wire_earliest FROM feed")
            .fetch_one(&mut connection)
            .await?;
        let resolved = match &extract.references {
            None => Resolved::default(),
            Some(references) => {
                let entries = &mut walk.entries;
                references
                    .resolve(&mut connection, extract, entries, &walk.unchanged)
                    .await?
            }
        };
        Ok(SnapshotPage {
            entries: walk.entries,
            resolved,
            after: (!walk.is_over).then_some(walk.behind),
            epoch: sequence(kept.epoch)?,
            earliest: of_view(
                (sequence(kept.desk_earliest)?, sequence(kept.wire_earliest)?),
                extract.view,
            ),
        })
    }
}

/// A page in progress, read in strides of names.
struct Walk {
    entries: Vec<Entry>,
    /// The last name that was scanned.
    behind: String,
    /// Names of this page that were scanned.
    walked: usize,
    /// Bytes of content so far.
    bytes: usize,
    /// The next record does not fit.
    is_full: bool,
    /// There are no more names.
    is_over: bool,
    /// Records of a delta that did not change themselves; their references may have.
    unchanged: HashSet<String>,
}

impl Walk {
    fn from(after: &str) -> Self {
        Self {
            entries: Vec::new(),
            behind: after.to_owned(),
            walked: 0,
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
            || self.walked >= WALKED_NAMES
            || (self.walked > 0 && room < PAGE_BYTES / 8)
        {
            return None;
        }
        let names = match (self.walked, self.bytes) {
            (0, _) => FIRST_NAMES,
            (walked, 0) => walked * 4,
            (walked, bytes) => (room * walked / bytes).max(1),
        };
        Some(names.min(WALKED_NAMES - self.walked))
    }

    /// Adds the rows of a stride; rows that do not fit are left for the next page.
    fn took(
        &mut self,
        names: usize,
        rows: Vec<Row>,
        until: Option<String>,
        is_delta: bool,
    ) -> Result<(), Error> {
        self.is_full = rows.last().is_some_and(|last| !last.fits);
        self.walked += names;
        self.entries.reserve(rows.len());
        for row in rows.into_iter().filter(|row| row.fits) {
            self.bytes += row.columns.content.len();
            if self.is_full {
                self.behind.clone_from(&row.columns.name);
            }
            if !row.is_changed {
                self.unchanged.insert(row.columns.name.clone());
            }
            self.entries.extend(row.entry(is_delta)?);
        }
        if !self.is_full {
            self.is_over = until.is_none();
            self.behind = until.unwrap_or_else(|| std::mem::take(&mut self.behind));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a page of records of this size; returns the names per stride and the number of records that fitted.
    fn page(bytes: usize) -> (Vec<usize>, usize) {
        let mut walk = Walk::from("");
        let (mut strides, mut taken) = (Vec::new(), 0);
        while let Some(names) = walk.next() {
            strides.push(names);
            let room = PAGE_BYTES.saturating_sub(walk.bytes);
            let fit = names.min(room.checked_div(bytes).unwrap_or(names));
            let fit = if taken == 0 { fit.max(1) } else { fit };
            taken += fit;
            walk.bytes += fit * bytes;
            walk.walked += names;
            walk.is_full = fit < names;
        }
        (strides, taken)
    }

    #[test]
    fn f5_a_page_looks_at_hardly_more_names_than_it_has_room_for() {
        for bytes in [300, 1_000, 7_000, 50_000] {
            let (strides, taken) = page(bytes);
            let looked: usize = strides.iter().sum();
            assert!(
                taken * bytes >= PAGE_BYTES / 2 || looked == WALKED_NAMES,
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
        assert_eq!(page(0).0.iter().sum::<usize>(), WALKED_NAMES);
        // A record larger than a page is a page of its own.
        assert_eq!(page(PAGE_BYTES + 1), (vec![FIRST_NAMES], 1));
    }
}
