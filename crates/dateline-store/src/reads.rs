//! Reads of single records by name. Stored bytes are returned without decoding.

use super::{
    Error, Store,
    stored::{FeedView, FittingRecords, RecordColumns, StoredRecord},
    version::FeedVersion,
};

/// Most bytes of a record in a response besides its content and meta.
const BESIDE_BYTES: i64 = 48;

impl Store {
    /// Returns the records of these names that are visible in the view, in the order of the names, as far as they fit
    /// into this many bytes. The first record is always returned.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn get_fitting(
        &self,
        names: &[String],
        view: FeedView,
        bytes: usize,
    ) -> Result<FittingRecords, Error> {
        // Readers get no content of a tombstone, so it is neither counted nor read.
        let rows = sqlx::query!(
            r#"SELECT name AS "name!", kind AS "kind!", state AS "state!", desk_sequence AS "desk_sequence!",
                      wire_sequence AS "wire_sequence?", CASE WHEN upto <= $3::bigint OR upto = bytes THEN content END AS content,
                      CASE WHEN upto <= $3::bigint OR upto = bytes THEN meta END AS meta, feed.epoch, feed.desk_head,
                      feed.xmin::text::bigint AS "written_by!"
               FROM feed
               CROSS JOIN (
                   SELECT *, sum(bytes) OVER (ORDER BY place) AS upto
                   FROM (
                       SELECT wanted.place, changes.name, changes.kind, changes.state, changes.desk_sequence,
                              changes.wire_sequence, shown.content, changes.meta,
                              octet_length(shown.content) + octet_length(changes.meta) + $4::bigint AS bytes
                       FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place)
                       JOIN records ON records.name = wanted.name
                       JOIN changes ON changes.desk_sequence = records.desk_sequence
                       CROSS JOIN LATERAL (
                           SELECT CASE
                               WHEN NOT $2 AND changes.state <> 'published' THEN ''
                               WHEN changes.content_at IS NULL THEN changes.content
                               ELSE (SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                           END AS content
                           OFFSET 0
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
        let version = rows
            .first()
            .map(|row| FeedVersion::new(row.epoch, row.desk_head, row.written_by));
        let (mut records, mut omitted) = (Vec::with_capacity(rows.len()), Vec::new());
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
            records.push(StoredRecord::try_from(columns)?);
        }
        Ok(FittingRecords {
            records,
            omitted,
            version,
        })
    }

    /// Returns the record of this name, if it is visible in the view, and the version at which it was read. One name has
    /// a statement of its own: for a list of names Postgres makes a plan at each call.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn get_record(
        &self,
        name: &str,
        view: FeedView,
    ) -> Result<(Option<StoredRecord>, FeedVersion), Error> {
        let row = sqlx::query!(
            r#"SELECT feed.epoch, feed.desk_head, feed.xmin::text::bigint AS "written_by!", changes.name AS "name?",
                      changes.kind AS "kind?", changes.state AS "state?", changes.desk_sequence AS "desk_sequence?",
                      changes.wire_sequence, changes.meta AS "meta?",
                      CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                          SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                      END AS "content?"
               FROM feed
               LEFT JOIN (records JOIN changes ON changes.desk_sequence = records.desk_sequence)
                   ON records.name = $1
                   AND records.state <> 'deleted'
                   AND ($2 OR records.state IN ('published', 'retracted', 'merged'))"#,
            name,
            view == FeedView::Desk,
        )
        .fetch_one(&mut self.readers.acquire().await?)
        .await?;
        let version = FeedVersion::new(row.epoch, row.desk_head, row.written_by);
        let (Some(name), Some(kind), Some(state), Some(desk_sequence), Some(content), Some(meta)) = (
            row.name,
            row.kind,
            row.state,
            row.desk_sequence,
            row.content,
            row.meta,
        ) else {
            return Ok((None, version));
        };
        let columns = RecordColumns {
            name,
            kind,
            state,
            desk_sequence,
            wire_sequence: row.wire_sequence,
            content,
            meta,
        };
        Ok((Some(StoredRecord::try_from(columns)?), version))
    }
}
