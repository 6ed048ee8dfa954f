//! The state of a feed as of one sequence, in pages by name, whatever is written meanwhile (F5, E1); or what of it is
//! new since another (E5). A record's place in the log says what it was then; no transaction stays open between pages.

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

/// Names that one page walks past, matching or not.
const WALKED_NAMES: usize = 2000;
/// Of these, how many are looked at first; what they weigh tells how many may follow, so that few are looked up in vain.
const FIRST_NAMES: usize = 128;
/// Bytes of content after which a page ends, unless its first record alone is larger.
const PAGE_BYTES: usize = 1024 * 1024;

/// What is to be read.
#[derive(Debug, Clone)]
pub struct Extract {
    /// Which records.
    pub filter: Filter,
    /// As who sees it.
    pub view: View,
    /// As of which sequence.
    pub at: u64,
    /// Only what is not as it was at this sequence.
    pub since: Option<u64>,
    /// What is left of retracted and merged records belongs to it, though the filter names no states.
    pub tombstones: bool,
    /// This part of so many, counted from 0.
    pub part: (u16, u16),
    /// How references of its records are resolved; `None` if they are not.
    pub references: Option<References>,
}

impl Extract {
    /// Everything that a list would show.
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

/// A record that belonged to it, and does not any more.
#[derive(Debug, Clone)]
pub struct Gone {
    /// Its name.
    pub name: Name,
    /// Why: RETRACTED, MERGED, DELETED, PURGED, or LEFT for one that does not match any more.
    pub why: change::Type,
    /// The record that it was merged into.
    pub merged_into: Option<String>,
}

/// One name of a page.
#[derive(Debug)]
pub enum Entry {
    /// As it is.
    Record(StoredRecord),
    /// It belongs there no more.
    Gone(Gone),
}

impl Entry {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Record(record) => &record.name,
            Self::Gone(gone) => &gone.name,
        }
    }
}

/// Part of a snapshot.
#[derive(Debug)]
pub struct SnapshotPage {
    /// In order of names.
    pub entries: Vec<Entry>,
    /// The records that they refer to, if that was asked for.
    pub resolved: Resolved,
    /// The last name that is behind; `None` at the end.
    pub after: Option<String>,
    /// The history that was read.
    pub epoch: u64,
    /// The oldest sequence that was kept then.
    pub earliest: u64,
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    columns: Columns,
    /// Whether it still belongs to the page.
    fits: bool,
    /// Whether it is there, and not gone.
    is_in: bool,
    /// Whether a delta has it because it changed itself.
    is_changed: bool,
    #[sqlx(rename = "type")]
    change_type: String,
    merged_into: Option<String>,
}

impl Row {
    /// Of what has been erased since, a whole snapshot has nothing: that it was erased is told after it.
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
    /// What belongs to it after a name.
    ///
    /// # Errors
    /// When the database cannot answer, or the log is damaged.
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
        // After the rows: what they cannot have seen any more was dropped before, and this tells.
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

/// A page on its way, a stride of names at a time.
struct Walk {
    entries: Vec<Entry>,
    /// The last name that is behind.
    behind: String,
    /// Names that are behind, of this page.
    walked: usize,
    /// Bytes of content so far.
    bytes: usize,
    /// What is next has no room.
    is_full: bool,
    /// There are no more names.
    is_over: bool,
    /// Records that a delta may have because of what they refer to.
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

    /// How many names to look at next: about those that there is room for, by what the ones before weighed. `None` at the
    /// end of the page: what would be a small rest begins the next one.
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

    /// Takes the rows that so many names gave; those that do not fit are left for the next page.
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

    /// Takes strides over records of so many bytes; answers how many names each looked at, and how many records fitted.
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
        // Where nothing matches, strides grow until so many names were walked past.
        assert_eq!(page(0).0.iter().sum::<usize>(), WALKED_NAMES);
        // One that is larger than a page alone is a page of its own.
        assert_eq!(page(PAGE_BYTES + 1), (vec![FIRST_NAMES], 1));
    }
}
