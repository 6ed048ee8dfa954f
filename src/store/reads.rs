//! Reads of single records, by name. Nothing is decoded on the way out.

use super::{
    Error, Store,
    stored::{Columns, StoredRecord, View},
};

/// Most bytes of records that one call reads.
const MAX_BYTES: i64 = 16 * 1024 * 1024;
/// So many records are read without asking first what they weigh.
const FEW: usize = 3;

impl Store {
    /// Whether these records are together more than one call reads.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn are_too_much(&self, names: &[String], view: View) -> Result<bool, Error> {
        if names.len() <= FEW {
            return Ok(false);
        }
        let bytes = sqlx::query_scalar!(
            r#"SELECT coalesce(sum(octet_length(changes.content) + octet_length(changes.meta)), 0)::bigint AS "bytes!"
               FROM records
               JOIN changes ON changes.desk_sequence = records.desk_sequence
               WHERE records.name = ANY ($1)
                   AND ($2 OR records.state IN ('published', 'retracted', 'merged'))"#,
            names,
            view == View::Desk,
        )
        .fetch_one(&self.readers)
        .await?;
        Ok(bytes > MAX_BYTES)
    }

    /// The records of these names that the view shows, in no order.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn get_records(
        &self,
        names: &[String],
        view: View,
    ) -> Result<Vec<StoredRecord>, Error> {
        let rows = sqlx::query_as!(
            Columns,
            r#"SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence,
                      changes.content, changes.meta
               FROM records
               JOIN changes ON changes.desk_sequence = records.desk_sequence
               WHERE records.name = ANY ($1)
                   AND records.state <> 'deleted'
                   AND ($2 OR records.state IN ('published', 'retracted', 'merged'))"#,
            names,
            view == View::Desk,
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(StoredRecord::try_from).collect()
    }
}
