//! The log, read in order. Pages hold whole batches and are bounded in bytes. The order of changes is the same on every
//! replica and at any time (F1).

use dateline_proto::v1::change;
use dateline_record::{edtf::Bounds, sequence::Sequence, state::is_visible};
use time::OffsetDateTime;

use super::{
    Error, Store,
    columns::{change_type, days, epoch, positions, sequence, state},
    pool::Pool,
    positions::Positions,
    stored::{FeedView, RecordColumns, StoredRecord},
};

/// Most rows of a page, unless its first batch alone has more: a merge changes two records, a cascade many.
const PAGE_ROWS: i64 = 1000;
/// Content bytes after which a page ends, unless its first batch alone is larger. A stream whose client does not read
/// holds one page.
const PAGE_BYTES: i64 = 1024 * 1024;

/// A page of the log.
#[derive(Debug)]
pub struct LogPage {
    /// Whole batches, ascending; empty at the head.
    pub entries: Vec<LogEntry>,
    /// The epoch that was read, and the oldest sequence kept at that time; `None` at the head.
    pub read: Option<(u64, Sequence)>,
}

/// One change, as logged.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// The revision that the change made.
    pub record: StoredRecord,
    /// Type of the change.
    pub change_type: change::Type,
    /// Number of the revision.
    pub revision: i64,
    /// Last desk sequence of its batch.
    pub desk_batch: Sequence,
    /// Last wire sequence of its batch.
    pub wire_batch: Option<Sequence>,
    /// True if readers saw the record before this change.
    pub was_visible: bool,
    /// Sorted facets; empty if they were not requested.
    pub facets: Vec<String>,
    /// Sorted facets of the revision before; empty for a first revision, or if they were not requested.
    pub facets_before: Vec<String>,
    /// Days that the record covers.
    pub days: Option<Bounds>,
    /// Days that the revision before covered.
    pub days_before: Option<Bounds>,
    /// Top-level fields that changed.
    pub changed_fields: Vec<String>,
    /// Public note.
    pub note: String,
    /// The record into which this change merged it.
    pub merged_into: Option<String>,
    /// Time at which the service accepted it.
    pub accepted_at: OffsetDateTime,
}

impl LogEntry {
    /// Returns the change's sequence in the view's feed and the last one of its batch; `None` if the change is not in
    /// that feed.
    #[must_use]
    pub fn position(&self, view: FeedView) -> Option<(Sequence, Sequence)> {
        match view {
            FeedView::Desk => Some((self.record.desk_sequence, self.desk_batch)),
            FeedView::Wire => self.record.wire_sequence.zip(self.wire_batch),
        }
    }
}

struct LogRow {
    desk_sequence: i64,
    desk_batch: i64,
    wire_sequence: Option<i64>,
    wire_batch: Option<i64>,
    r#type: String,
    name: String,
    kind: String,
    revision: i64,
    state: String,
    state_before: Option<String>,
    content: Vec<u8>,
    meta: Vec<u8>,
    facets: Option<Vec<String>>,
    facets_before: Option<Vec<String>>,
    days: Option<sqlx::postgres::types::PgRange<time::Date>>,
    days_before: Option<sqlx::postgres::types::PgRange<time::Date>>,
    changed_fields: Vec<String>,
    note: String,
    merged_into: Option<String>,
    accepted_at: OffsetDateTime,
    epoch: i64,
    earliest: i64,
}

impl TryFrom<LogRow> for LogEntry {
    type Error = Error;

    fn try_from(row: LogRow) -> Result<Self, Error> {
        Ok(Self {
            change_type: change_type(&row.r#type)?,
            revision: row.revision,
            desk_batch: sequence(row.desk_batch)?,
            wire_batch: row.wire_batch.map(sequence).transpose()?,
            was_visible: row
                .state_before
                .as_deref()
                .map(state)
                .transpose()?
                .is_some_and(is_visible),
            facets: row.facets.unwrap_or_default(),
            facets_before: row.facets_before.unwrap_or_default(),
            days: row.days.map(days),
            days_before: row.days_before.map(days),
            changed_fields: row.changed_fields,
            note: row.note,
            merged_into: row.merged_into,
            accepted_at: row.accepted_at,
            record: RecordColumns {
                name: row.name,
                kind: row.kind,
                state: row.state,
                desk_sequence: row.desk_sequence,
                wire_sequence: row.wire_sequence,
                content: row.content,
                meta: row.meta,
            }
            .try_into()?,
        })
    }
}

/// Reads a page by desk or wire sequence: the two statements differ only in column names.
macro_rules! page_after {
    ($pool:expr, $after:expr, $until:expr, $facets:expr, $sequence:literal, $batch:literal, $earliest:literal) => {
        sqlx::query_as!(
            LogRow,
            r#"SELECT desk_sequence, desk_batch, wire_sequence, wire_batch, type, name, kind, revision, state,
                      state_before, full_content AS "content!", meta, days, days_before, changed_fields, note,
                      CASE WHEN $5 THEN facets END AS facets,
                      CASE WHEN $5 THEN facets_before END AS facets_before, merged_into, accepted_at, (SELECT epoch FROM feed) AS "epoch!",
                      (SELECT "# + $earliest + r#" FROM feed) AS "earliest!"
               FROM (
                   SELECT *, sum(octet_length(full_content)) OVER (ORDER BY "# + $sequence + r#") AS bytes
                   FROM (
                       SELECT *, CASE WHEN content_at IS NULL THEN content ELSE (
                               SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                           END AS full_content
                       FROM changes
                       WHERE "# + $sequence + r#" > $1 AND "# + $sequence + r#" <= $4
                       ORDER BY "# + $sequence + r#"
                       -- Not merged into the query around it, where the content would be looked up twice.
                       OFFSET 0
                   ) AS logged
                   ORDER BY "# + $sequence + r#"
                   LIMIT greatest($2, (
                       SELECT "# + $batch + r#" - $1 FROM changes WHERE "# + $sequence + r#" > $1 ORDER BY "# + $sequence + r#" LIMIT 1))
               ) AS page
               WHERE bytes <= $3 OR "# + $batch + r#" = (
                   SELECT "# + $batch + r#" FROM changes WHERE "# + $sequence + r#" > $1 ORDER BY "# + $sequence + r#" LIMIT 1)
               ORDER BY "# + $sequence,
            $after,
            PAGE_ROWS,
            PAGE_BYTES,
            $until,
            $facets,
        )
        .fetch_all(&mut $pool.acquire().await?)
        .await?
    };
}

impl Store {
    /// Returns the changes after a sequence of the view's feed. Facets are read only on request, for filtered streams:
    /// they are a large part of the cost of a small change.
    ///
    /// # Errors
    /// If the database cannot answer, or the log is damaged.
    pub async fn log_after(
        &self,
        view: FeedView,
        after: Sequence,
        facets: bool,
    ) -> Result<LogPage, Error> {
        page(&self.feed, view, after, i64::MAX, facets).await
    }

    /// Returns the changes of the desk feed after a sequence up to a known head, for the tail: not on the connections
    /// of streams that lag, so it does not wait for them.
    ///
    /// # Errors
    /// If the database cannot answer, or the log is damaged.
    pub async fn tail_after(&self, after: Sequence, head: Sequence) -> Result<LogPage, Error> {
        page(&self.control, FeedView::Desk, after, head.to_i64(), true).await
    }

    /// Returns a position about this many changes before the heads, between two batches; `None` if
    /// nothing is before it.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn position_before(
        &self,
        heads: Positions,
        changes: u64,
    ) -> Result<Option<Positions>, Error> {
        let row = sqlx::query!(
            r#"SELECT batch.desk_batch, (
                   SELECT wire_sequence - 1 FROM changes
                   WHERE desk_sequence > batch.desk_batch AND wire_sequence IS NOT NULL
                   ORDER BY desk_sequence
                   LIMIT 1
               ) AS wire
               FROM changes AS batch
               WHERE desk_sequence = $1"#,
            heads.desk.saturating_sub(changes).to_i64(),
        )
        .fetch_optional(&mut self.control.acquire().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Positions {
            desk: sequence(row.desk_batch)?,
            wire: row.wire.map_or(Ok(heads.wire), sequence)?,
        }))
    }

    /// Returns the newest sequences.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn heads(&self) -> Result<Positions, Error> {
        let row = sqlx::query!("SELECT desk_head, wire_head FROM feed")
            .fetch_one(&mut self.control.acquire().await?)
            .await?;
        positions(row.desk_head, row.wire_head)
    }
}

async fn page(
    pool: &Pool,
    view: FeedView,
    after: Sequence,
    until: i64,
    facets: bool,
) -> Result<LogPage, Error> {
    let after = after.to_i64();
    let rows = match view {
        FeedView::Desk => {
            page_after!(
                pool,
                after,
                until,
                facets,
                "desk_sequence",
                "desk_batch",
                "desk_earliest"
            )
        }
        FeedView::Wire => {
            page_after!(
                pool,
                after,
                until,
                facets,
                "wire_sequence",
                "wire_batch",
                "wire_earliest"
            )
        }
    };
    let read = match rows.first() {
        Some(row) => Some((epoch(row.epoch)?, sequence(row.earliest)?)),
        None => None,
    };
    let mut entries = rows
        .into_iter()
        .map(LogEntry::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let whole = entries
        .iter()
        .rposition(|entry| {
            entry
                .position(view)
                .is_some_and(|(sequence, batch)| sequence == batch)
        })
        .map_or(0, |last| last + 1);
    entries.truncate(whole);
    Ok(LogPage { entries, read })
}
