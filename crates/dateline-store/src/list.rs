//! Pages of records in the order of their names (keyset pagination). The filter means the same as everywhere: array
//! overlap per dimension, range overlap for days.

use dateline_record::filter::Filter;
use futures_util::TryStreamExt;
use sqlx::{Postgres, QueryBuilder};

use super::{
    Error, Store,
    stored::{FeedView, RecordColumns, StoredRecord},
    visible_rows::{push_facets, push_visible},
};

/// Bytes after which a page ends although more records would fit its size: a response stays below the default limit of
/// clients (4 MiB).
const MAX_PAGE_BYTES: usize = 3 * 1024 * 1024;

/// One page.
#[derive(Debug)]
pub struct RecordPage {
    /// Records in the order of their names.
    pub records: Vec<StoredRecord>,
    /// True if more records follow.
    pub has_more: bool,
}

impl Store {
    /// Returns at most `limit` matching records whose names come after `after`.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn list_records(
        &self,
        filter: &Filter,
        view: FeedView,
        after: &str,
        limit: usize,
    ) -> Result<RecordPage, Error> {
        let mut query = select(filter, view, after, limit);
        let mut connection = self.readers.acquire().await?;
        let query = query.build_query_as::<RecordColumns>();
        // The plan depends on the filter and on the position: a plan for any of them sorts all matches for one page.
        let mut rows = query.persistent(false).fetch(&mut connection);
        let mut page = RecordPage {
            records: Vec::new(),
            has_more: false,
        };
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await? {
            let record = StoredRecord::try_from(row)?;
            bytes += record.len();
            if page.records.len() == limit {
                // The last row of the statement. It is read to the end, which leaves the connection ready.
                page.has_more = true;
            } else if !page.records.is_empty() && bytes > MAX_PAGE_BYTES {
                page.has_more = true;
                break;
            } else {
                page.records.push(record);
            }
        }
        Ok(page)
    }
}

impl Store {
    /// Returns those of these names whose present records match a filter. Their state is not checked: the view decides
    /// on that.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn names_within(
        &self,
        names: &[String],
        filter: &Filter,
    ) -> Result<Vec<String>, Error> {
        let mut query =
            QueryBuilder::new("SELECT records.name FROM records WHERE records.name = ANY (");
        query.push_bind(names.to_vec()).push(")");
        push_facets(&mut query, filter);
        Ok(query
            .build_query_scalar()
            .persistent(false)
            .fetch_all(&mut self.readers.acquire().await?)
            .await?)
    }
}

/// Builds the query of a page. Each combination of dimensions has its own plan, so the statement is not static.
fn select(filter: &Filter, view: FeedView, after: &str, limit: usize) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence,
                CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                    SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                END AS content, changes.meta
         FROM records
         JOIN changes ON changes.desk_sequence = records.desk_sequence
         WHERE records.name > ",
    );
    query.push_bind(after.to_owned());
    push_visible(&mut query, filter, view);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    query.push(" ORDER BY records.name LIMIT ").push_bind(limit);
    query
}
