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

/// Names that one statement walks past, matching or not.
const WALKED_NAMES: i64 = 2000;
/// Bytes of content after which a page ends, unless its first record alone is larger.
const PAGE_BYTES: i64 = 1024 * 1024;

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
        let until: Option<String> = until(extract, after)
            .build_query_scalar()
            .fetch_optional(&mut *connection)
            .await?;
        let rows: Vec<Row> = page(extract, after, until.as_deref())
            .build_query_as()
            .fetch_all(&mut *connection)
            .await?;
        // After the page: what it cannot have seen any more was dropped before, and this tells.
        let kept = sqlx::query!("SELECT epoch, desk_earliest, wire_earliest FROM feed")
            .fetch_one(&mut *connection)
            .await?;
        let is_full = rows.last().is_some_and(|last| !last.fits);
        let mut page = SnapshotPage {
            entries: Vec::with_capacity(rows.len()),
            after: until,
            epoch: sequence(kept.epoch)?,
            earliest: of_view(
                (sequence(kept.desk_earliest)?, sequence(kept.wire_earliest)?),
                extract.view,
            ),
        };
        for row in rows.into_iter().filter(|row| row.fits) {
            if is_full {
                page.after = Some(row.columns.name.clone());
            }
            page.entries.extend(row.entry(extract.since.is_some())?);
        }
        Ok(page)
    }
}

/// The name that is so many names further; nothing if there are fewer. Of a part of many, the more names are walked past.
fn until(extract: &Extract, after: &str) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT name FROM records WHERE name > ");
    query.push_bind(after.to_owned());
    push_kinds(&mut query, &extract.filter);
    push_since(&mut query, extract);
    query.push(" ORDER BY name OFFSET ");
    query.push_bind(WALKED_NAMES * i64::from(extract.part.1) - 1);
    query.push(" LIMIT 1");
    query
}

/// One record more than fits the bytes of a page, so that it is known whether any was left out; its content is
/// not sent.
fn page(extract: &Extract, after: &str, until: Option<&str>) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "SELECT name, kind, state, type, merged_into, desk_sequence, wire_sequence, meta, fits, is_in,
                CASE WHEN fits THEN content ELSE ''::bytea END AS content
         FROM (
             SELECT *, lag(NOT fits, 1, false) OVER (ORDER BY name) AS is_behind
             FROM (
                 SELECT found.*,
                     sum(CASE WHEN is_in THEN octet_length(content) ELSE 0 END) OVER by_name <= ",
    );
    query.push_bind(PAGE_BYTES);
    query.push(
        " OR row_number() OVER by_name = 1 AS fits
                 FROM (
                     SELECT was.*, ",
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
    query.push_bind(after.to_owned());
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
             SELECT name, kind, state, type, merged_into, desk_sequence, wire_sequence, meta, content, facets, days
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
