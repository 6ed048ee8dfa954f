//! Reads of single records, by name. Nothing is decoded on the way out.

use super::{
    Error, Store,
    stored::{Columns, StoredRecord, View},
};

impl Store {
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
