//! The state of a feed as of one sequence, in pages by name, whatever is written meanwhile (F5, E1); or what of it is
//! new since another (E5). A record's place in the log says what it was then; no transaction stays open between pages.

use sqlx::{Postgres, QueryBuilder};

use super::{
    Error, Store,
    columns::{change_type, name, range, sequence, state},
    identity::of_view,
    list::push_kinds,
    stored::{Columns, StoredRecord, View},
};
use crate::{
    model::{filter::Filter, name::Name},
    proto::v1::{State, change},
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
        }
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
        if !is_delta {
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
        Ok(SnapshotPage {
            entries: walk.entries,
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
            self.entries.extend(row.entry(is_delta)?);
        }
        if !self.is_full {
            self.is_over = until.is_none();
            self.behind = until.unwrap_or_else(|| std::mem::take(&mut self.behind));
        }
        Ok(())
    }
}

/// The name that is so many names further; nothing if there are fewer. Of a part of many, the more names are walked past.
fn until(extract: &Extract, after: &str, names: usize) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT name FROM records WHERE name > ");
    query.push_bind(after.to_owned());
    push_kinds(&mut query, &extract.filter);
    push_since(&mut query, extract);
    query.push(" ORDER BY name OFFSET ");
    query.push_bind(whole(names) * i64::from(extract.part.1) - 1);
    query.push(" LIMIT 1");
    query
}

/// One record more than there is room for, so that it is known whether any was left out; its content is not sent.
fn rows(extract: &Extract, walk: &Walk, until: Option<&str>) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "SELECT name, kind, state, type, merged_into, desk_sequence, wire_sequence, meta, fits, is_in,
                CASE WHEN fits AND is_in THEN content ELSE ''::bytea END AS content
         FROM (
             SELECT *, lag(NOT fits, 1, false) OVER (ORDER BY name) AS is_behind
             FROM (
                 SELECT found.*,
                     sum(CASE WHEN is_in THEN octet_length(content) ELSE 0 END) OVER by_name <= ",
    );
    query.push_bind(whole(PAGE_BYTES.saturating_sub(walk.bytes)));
    query.push(" OR ").push_bind(walk.entries.is_empty());
    query.push(
        " AND row_number() OVER by_name = 1 AS fits
                 FROM (
                     SELECT records.name, was.*, ",
    );
    push_is_in(&mut query, extract, "was");
    query.push(" AS is_in");
    if extract.since.is_some() {
        // Erased from the log, it cannot be asked whether it matched.
        query.push(", coalesce(was.meta = '' OR before.meta = '', false) OR ");
        push_is_in(&mut query, extract, "before");
        query.push(" AS was_in");
    }
    query.push(" FROM records");
    push_as_of(&mut query, extract, extract.at, "was");
    if let Some(since) = extract.since {
        query.push(" LEFT");
        push_as_of(&mut query, extract, since, "before");
    }
    query.push(" WHERE records.name > ");
    query.push_bind(walk.behind.clone());
    if let Some(until) = until {
        query.push(" AND records.name <= ");
        query.push_bind(until.to_owned());
    }
    push_kinds(&mut query, &extract.filter);
    push_since(&mut query, extract);
    push_part(&mut query, extract.part);
    push_unmoved(&mut query, extract);
    query.push(") AS found WHERE is_in");
    if extract.since.is_some() {
        query.push(" OR was_in");
    }
    query.push(
        " WINDOW by_name AS (ORDER BY name)
             ) AS weighed
         ) AS page
         WHERE NOT is_behind
         ORDER BY name",
    );
    query
}

/// Joins what a record was at a sequence.
fn push_as_of(query: &mut QueryBuilder<Postgres>, extract: &Extract, at: u64, alias: &str) {
    query.push(
        " JOIN LATERAL (
             SELECT kind, state, type, merged_into, desk_sequence, wire_sequence, meta, content, facets, days
             FROM changes
             WHERE changes.name = records.name AND changes.",
    );
    query.push(extract.number()).push(" <= ");
    query.push_bind(bound(at));
    query.push(" ORDER BY changes.revision DESC LIMIT 1) AS ");
    query.push(alias).push(" ON true");
}

/// Whether a record belongs to it, by what it was.
fn push_is_in(query: &mut QueryBuilder<Postgres>, extract: &Extract, was: &str) {
    let shown = match extract.view {
        View::Desk => {
            "(was.type <> 'deleted' AND (was.type <> 'purged' OR was.state IN ('retracted', 'merged'))"
        }
        View::Published => "(was.state IN ('published', 'retracted', 'merged')",
    };
    query
        .push("coalesce(")
        .push(shown.replace("was.", &format!("{was}.")));
    if !extract.filter.by_state && !extract.tombstones {
        query.push(" AND ").push(was);
        query.push(".state NOT IN ('retracted', 'merged')");
    }
    push_filter(query, &extract.filter, was);
    query.push("), false)");
}

/// What has not moved since need not be looked up in the log to know that it is as it was.
fn push_since(query: &mut QueryBuilder<Postgres>, extract: &Extract) {
    if let Some(since) = extract.since {
        query
            .push(" AND records.")
            .push(extract.number())
            .push(" > ");
        query.push_bind(bound(since));
    }
}

/// An id's last byte is drawn by lot, and is a record's for ever: so parts are about alike, and the same every time.
fn push_part(query: &mut QueryBuilder<Postgres>, (part, of): (u16, u16)) {
    if of > 1 {
        query.push(" AND get_byte(uuid_send(records.uid), 15) % ");
        query.push_bind(i32::from(of)).push(" = ");
        query.push_bind(i32::from(part));
    }
}

/// Nor to know that it does not match; of what is new, what matched before has to be looked up too.
fn push_unmoved(query: &mut QueryBuilder<Postgres>, extract: &Extract) {
    if extract.filter.is_empty() || extract.since.is_some() {
        return;
    }
    query
        .push(" AND (records.")
        .push(extract.number())
        .push(" > ");
    query.push_bind(bound(extract.at));
    query.push(" OR true");
    push_filter(query, &extract.filter, "records");
    query.push(")");
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn bound(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &Filter, of: &str) {
    for dimension in &filter.dimensions {
        query.push(" AND ").push(of).push(".facets && ");
        query.push_bind(dimension.clone());
    }
    if let Some(days) = filter.days {
        query.push(" AND ").push(of).push(".days && ");
        query.push_bind(range(days));
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
