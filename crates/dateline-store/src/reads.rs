//! Reads of single records by name. Stored bytes are returned without decoding.

use super::{
    Error, Store,
    stored::{FeedView, RecordColumns, StoredRecord},
};

/// Most bytes of a record in a response besides its content and meta.
const BESIDE_BYTES: i64 = 48;

impl Store {
    /// Returns the records of these names that are visible in the view, in the order of the names, as far as they fit
    /// into this many bytes, and the names of the rest. The first record is always returned.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn get_fitting(
        &self,
        names: &[String],
        view: FeedView,
        bytes: usize,
    ) -> Result<(Vec<StoredRecord>, Vec<String>), Error> {
        // Readers get no content of a tombstone, so it is neither counted nor read.
        let rows = sqlx::query!(
            r#"SELECT name AS "name!", kind AS "kind!", state AS "state!", desk_sequence AS "desk_sequence!",
                      wire_sequence, CASE WHEN upto <= $3::bigint OR upto = bytes THEN content END AS content,
                      CASE WHEN upto <= $3::bigint OR upto = bytes THEN meta END AS meta
               FROM (
                   SELECT *, sum(bytes) OVER (ORDER BY place) AS upto
                   FROM (
                       SELECT wanted.place, changes.name, changes.kind, changes.state, changes.desk_sequence,
                              changes.wire_sequence, shown.content, changes.meta,
                              octet_length(shown.content) + octet_length(changes.meta) + $4::bigint AS bytes
                       FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place)
                       JOIN records ON records.name = wanted.name
                       JOIN changes ON changes.desk_sequence = records.desk_sequence
                       CROSS JOIN LATERAL (
                           SELECT CASE WHEN $2 OR changes.state = 'published' THEN changes.content ELSE '' END AS content
                       ) AS shown
                       WHERE records.state <> 'deleted'
                           AND ($2 OR records.state IN ('published', 'retracted', 'merged'))
                   ) AS weighed
               ) AS found
               ORDER BY place"#,
            names,
            view == FeedView::Desk,
            i64::try_from(bytes).unwrap_or(i64::MAX),
            BESIDE_BYTES,
        )
        .fetch_all(&mut self.readers.acquire().await?)
        .await?;
        let (mut found, mut omitted) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let (Some(content), Some(meta)) = (row.content, row.meta) else {
                omitted.push(row.name);
                continue;
            };
            let columns = RecordColumns {
                name: row.name,
                kind: row.kind,
                state: row.state,
                desk_sequence: row.desk_sequence,
                wire_sequence: row.wire_sequence,
                content,
                meta,
            };
            found.push(StoredRecord::try_from(columns)?);
        }
        Ok((found, omitted))
    }

    /// Returns the record of this name, if it is visible in the view. One name has a statement of its own: for a list of
    /// names Postgres makes a plan at each call.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn get_record(
        &self,
        name: &str,
        view: FeedView,
    ) -> Result<Option<StoredRecord>, Error> {
        let row = sqlx::query_as!(
            RecordColumns,
            r#"SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence,
                      changes.content, changes.meta
               FROM records
               JOIN changes ON changes.desk_sequence = records.desk_sequence
               WHERE records.name = $1
                   AND records.state <> 'deleted'
                   AND ($2 OR records.state IN ('published', 'retracted', 'merged'))"#,
            name,
            view == FeedView::Desk,
        )
        .fetch_optional(&mut self.readers.acquire().await?)
        .await?;
        row.map(StoredRecord::try_from).transpose()
    }
}
