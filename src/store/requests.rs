//! First answers, for 24 hours, so that a retry is not a second write (W4).

use std::collections::HashMap;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Error, Store,
    columns::sequence,
    committer::Committed,
    stored::{Columns, StoredRecord},
};
use crate::model::request::Request;

/// The answer that a request got before.
pub(super) struct Remembered {
    pub fingerprint: Vec<u8>,
    pub names: Vec<String>,
    pub revisions: Vec<i64>,
    desk_sequence: i64,
    wire_sequence: i64,
}

/// The answers that these requests have already got, by author and id. By the same clock as `append`.
pub(super) async fn find(
    connection: &mut PgConnection,
    requests: &[&Request],
    now: OffsetDateTime,
) -> Result<HashMap<(String, Uuid), Remembered>, Error> {
    let (authors, ids): (Vec<_>, Vec<_>) = requests
        .iter()
        .filter_map(|request| Some((request.author.clone(), request.id?)))
        .unzip();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"SELECT requests.author, requests.id, fingerprint, names, revisions, desk_sequence, wire_sequence
           FROM unnest($1::text[], $2::uuid[]) AS asked (author, id)
           JOIN requests ON requests.author = asked.author AND requests.id = asked.id
           WHERE accepted_at > $3::timestamptz - interval '24 hours'"#,
        &authors,
        &ids,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let remembered = Remembered {
                fingerprint: row.fingerprint,
                names: row.names,
                revisions: row.revisions,
                desk_sequence: row.desk_sequence,
                wire_sequence: row.wire_sequence,
            };
            ((row.author, row.id), remembered)
        })
        .collect())
}

impl Remembered {
    /// The answer again: the records as they were then.
    pub(super) async fn replay(&self, connection: &mut PgConnection) -> Result<Committed, Error> {
        Ok(Committed {
            records: revisions(connection, &self.names, &self.revisions).await?,
            desk_sequence: sequence(self.desk_sequence)?,
            wire_sequence: sequence(self.wire_sequence)?,
        })
    }
}

/// These revisions of these records, in this order.
pub(super) async fn revisions(
    connection: &mut PgConnection,
    names: &[String],
    revisions: &[i64],
) -> Result<Vec<StoredRecord>, Error> {
    let rows = sqlx::query_as!(
        Columns,
        r#"SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence,
                  changes.content, changes.meta
           FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS wanted (name, revision, place)
           JOIN changes ON changes.name = wanted.name AND changes.revision = wanted.revision
           ORDER BY wanted.place"#,
        names,
        revisions,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(StoredRecord::try_from).collect()
}

/// Top-level fields of a record that changed after a revision.
pub(super) async fn changed_since(
    connection: &mut PgConnection,
    name: &str,
    revision: i64,
) -> Result<Vec<String>, Error> {
    let fields = sqlx::query_scalar!(
        r#"SELECT DISTINCT field AS "field!"
           FROM changes, unnest(changed_fields) AS field
           WHERE name = $1 AND revision > $2
           ORDER BY 1"#,
        name,
        revision,
    )
    .fetch_all(connection)
    .await?;
    Ok(fields)
}

impl Store {
    /// Forgets answers that are older than 24 hours. Answers how many.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn forget_requests(&self) -> Result<u64, Error> {
        let done =
            sqlx::query!("DELETE FROM requests WHERE accepted_at < now() - interval '24 hours'")
                .execute(&self.feed)
                .await?;
        Ok(done.rows_affected())
    }
}
