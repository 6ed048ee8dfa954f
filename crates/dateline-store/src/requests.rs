//! Stored answers of the last 24 hours, so that a retry is not a second write (W4).

use dateline_proto::v1;
use dateline_record::violation::Warning;
use prost::Message;

use super::{
    Error, Store,
    columns::sequence,
    committer::Committed,
    pool::Lease,
    read_round::StoredAnswer,
    stored::{RecordColumns, StoredRecord},
};

/// Answers deleted per statement.
const EXPIRY_BATCH: i64 = 2000;

impl StoredAnswer {
    /// Returns the stored answer: the records as they were then.
    pub(super) async fn replay(&self, connection: &mut Lease) -> Result<Committed, Error> {
        Ok(Committed {
            records: revisions(connection, &self.names, &self.revisions).await?,
            changed: 0,
            desk_sequence: sequence(self.desk_sequence)?,
            wire_sequence: sequence(self.wire_sequence)?,
            warnings: decode_warnings(&self.warnings)?,
        })
    }
}

/// Returns these revisions of these records, in the order given.
pub(super) async fn revisions(
    connection: &mut Lease,
    names: &[String],
    revisions: &[i64],
) -> Result<Vec<StoredRecord>, Error> {
    let rows = sqlx::query_as!(
        RecordColumns,
        r#"SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence,
                  CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                      SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                  END AS "content!", changes.meta
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

/// Converts warnings to their message.
pub(super) fn warning_messages(warnings: &[Warning]) -> Vec<v1::Warning> {
    let messages = warnings.iter().map(|warning| v1::Warning {
        field: warning.field.clone(),
        reason: warning.reason.to_owned(),
        description: warning.description.clone(),
        records: warning.records.clone(),
        candidates: warning.candidates.clone(),
    });
    messages.collect()
}

/// Encodes warnings for storage.
pub(super) fn encode_warnings(warnings: &[Warning]) -> Vec<u8> {
    let warnings = warning_messages(warnings);
    let answer = v1::CommitResponse {
        warnings,
        ..v1::CommitResponse::default()
    };
    answer.encode_to_vec()
}

fn decode_warnings(bytes: &[u8]) -> Result<Vec<v1::Warning>, Error> {
    v1::CommitResponse::decode(bytes)
        .map(|answer| answer.warnings)
        .map_err(|error| Error::Corrupt(format!("remembered warnings: {error}")))
}

impl Store {
    /// Deletes answers that are older than 24 hours, and returns their number. Works in small steps: one statement for
    /// a day with very many would hit the statement timeout every time.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn expire_requests(&self) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            let done = sqlx::query!(
                "DELETE FROM requests
                 WHERE (author, id) IN (
                     SELECT author, id
                     FROM requests
                     WHERE accepted_at < now() - interval '24 hours'
                     ORDER BY accepted_at
                     LIMIT $1)",
                EXPIRY_BATCH,
            )
            .execute(&mut self.control.acquire().await?)
            .await?;
            forgotten += done.rows_affected();
            if done.rows_affected() == 0 {
                return Ok(forgotten);
            }
        }
    }
}
