//! The state of a feed as of one sequence, in pages by name, whatever is written meanwhile (F5). A record's place
//! in the log says what it was then; no transaction stays open between pages.

use sqlx::{Postgres, QueryBuilder};

use super::{
    Error, Store,
    columns::{range, sequence},
    identity::of_view,
    list::push_kinds,
    stored::{Columns, StoredRecord, View},
};
use crate::model::filter::Filter;

/// Names that one statement walks past, matching or not.
const WALKED_NAMES: i64 = 2000;
/// Bytes of content after which a page ends, unless its first record alone is larger.
const PAGE_BYTES: i64 = 1024 * 1024;

/// Part of a snapshot.
#[derive(Debug)]
pub struct SnapshotPage {
    /// In order of names.
    pub records: Vec<StoredRecord>,
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
}

impl Store {
    /// The records that matched as of a sequence, after a name.
    ///
    /// # Errors
    /// When the database cannot answer, or the log is damaged.
    pub async fn snapshot_page(
        &self,
        filter: &Filter,
        view: View,
        at: u64,
        after: &str,
    ) -> Result<SnapshotPage, Error> {
        let mut connection = self.feed.acquire().await?;
        let until: Option<String> = until(filter, after)
            .build_query_scalar()
            .fetch_optional(&mut *connection)
            .await?;
        let rows: Vec<Row> = page(filter, view, at, after, until.as_deref())
            .build_query_as()
            .fetch_all(&mut *connection)
            .await?;
        // After the page: what it cannot have seen any more was dropped before, and this tells.
        let kept = sqlx::query!("SELECT epoch, desk_earliest, wire_earliest FROM feed")
            .fetch_one(&mut *connection)
            .await?;
        let is_full = rows.last().is_some_and(|last| !last.fits);
        let mut page = SnapshotPage {
            records: Vec::with_capacity(rows.len()),
            after: until,
            epoch: sequence(kept.epoch)?,
            earliest: of_view(
                (sequence(kept.desk_earliest)?, sequence(kept.wire_earliest)?),
                view,
            ),
        };
        for row in rows.into_iter().filter(|row| row.fits) {
            if is_full {
                page.after = Some(row.columns.name.clone());
            }
            // What has been erased since has no meta; that it was erased is told after the snapshot.
            if !row.columns.meta.is_empty() {
                page.records.push(row.columns.try_into()?);
            }
        }
        Ok(page)
    }
}

/// The name that is so many names further; nothing if there are fewer.
fn until(filter: &Filter, after: &str) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT name FROM records WHERE name > ");
    query.push_bind(after.to_owned());
    push_kinds(&mut query, filter);
    query.push(" ORDER BY name OFFSET ");
    query.push_bind(WALKED_NAMES - 1);
    query.push(" LIMIT 1");
    query
}

/// One record more than fits the bytes of a page, so that it is known whether any was left out; its content is
/// not sent.
fn page(
    filter: &Filter,
    view: View,
    at: u64,
    after: &str,
    until: Option<&str>,
) -> QueryBuilder<Postgres> {
    let number = match view {
        View::Desk => "desk_sequence",
        View::Published => "wire_sequence",
    };
    let mut query = QueryBuilder::new(
        "SELECT name, kind, state, desk_sequence, wire_sequence, meta, fits,
                CASE WHEN fits THEN content ELSE ''::bytea END AS content
         FROM (
             SELECT *, lag(NOT fits, 1, false) OVER (ORDER BY name) AS is_behind
             FROM (
                 SELECT was.*,
                     sum(octet_length(was.content)) OVER by_name <= ",
    );
    query.push_bind(PAGE_BYTES);
    query.push(
        " OR row_number() OVER by_name = 1 AS fits
                 FROM records
                 JOIN LATERAL (
                     SELECT name, kind, state, type, desk_sequence, wire_sequence, meta, content, facets, days
                     FROM changes
                     WHERE changes.name = records.name AND changes.",
    );
    query.push(number).push(" <= ");
    query.push_bind(i64::try_from(at).unwrap_or(i64::MAX));
    query.push(
        " ORDER BY changes.revision DESC
                     LIMIT 1
                 ) AS was ON true
                 WHERE records.name > ",
    );
    query.push_bind(after.to_owned());
    if let Some(until) = until {
        query.push(" AND records.name <= ");
        query.push_bind(until.to_owned());
    }
    push_kinds(&mut query, filter);
    // What has not moved since need not be looked up in the log to know that it does not match.
    if !filter.is_empty() {
        query.push(" AND (records.").push(number).push(" > ");
        query.push_bind(i64::try_from(at).unwrap_or(i64::MAX));
        query.push(" OR true");
        push_filter(&mut query, filter, "records");
        query.push(")");
    }
    query.push(match view {
        View::Desk => " AND was.type <> 'deleted' AND (was.type <> 'purged' OR was.state IN ('retracted', 'merged'))",
        View::Published => " AND was.state IN ('published', 'retracted', 'merged')",
    });
    if !filter.by_state {
        query.push(" AND was.state NOT IN ('retracted', 'merged')");
    }
    push_filter(&mut query, filter, "was");
    query.push(
        " WINDOW by_name AS (ORDER BY records.name)
             ) AS weighed
         ) AS page
         WHERE NOT is_behind
         ORDER BY name",
    );
    query
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
