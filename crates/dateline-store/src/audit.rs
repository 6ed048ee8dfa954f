//! The audit: who did what, and from where. `append` records changes in its own statement, acts of operators are
//! recorded in their transactions, and refusals separately. Entries are never changed or removed.

use dateline_engine::request::Attribution;
use dateline_proto::v1::change;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Error, Store, columns::change_type, pool::Lease};

/// Most bytes of a record in an entry.
const RECORD_BYTES: i64 = 96;
/// Most bytes of an entry besides its records, its author and its details.
const ENTRY_BYTES: i64 = 768;

/// A change in an audit entry.
#[derive(Debug, Clone)]
pub struct AuditedChange {
    /// The record.
    pub name: String,
    /// Type of the change.
    pub change_type: change::Type,
    /// The revision that it got.
    pub revision: i64,
}

/// An entry of the audit.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Number of the entry; ascending, with gaps.
    pub number: i64,
    /// Time of the entry.
    pub at: OffsetDateTime,
    /// Author of the call.
    pub author: String,
    /// Credential by which the caller was identified.
    pub credential: String,
    /// Address of the caller.
    pub peer: String,
    /// Method that was called.
    pub method: String,
    /// Request id of a write, if it had one.
    pub request_id: Option<Uuid>,
    /// `done`, or the reason of a refusal.
    pub outcome: String,
    /// Records that were changed.
    pub records: Vec<AuditedChange>,
    /// Desk sequence of the last change.
    pub desk_sequence: Option<i64>,
    /// Arguments of an operator's act.
    pub details: String,
}

/// Selects audit entries; fields that are `None` do not restrict.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only entries of this author.
    pub author: Option<String>,
    /// Only entries that changed this record.
    pub record: Option<String>,
    /// Only entries of this method.
    pub method: Option<String>,
    /// Only entries at this time or later.
    pub since: Option<OffsetDateTime>,
    /// Only entries before this time.
    pub until: Option<OffsetDateTime>,
    /// Only entries after this number.
    pub after: i64,
    /// Only entries before this number.
    pub before: i64,
}

impl Store {
    /// Records a refusal, or an act that is not a write.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn record_audit(
        &self,
        by: &Attribution,
        outcome: &str,
        details: &str,
    ) -> Result<(), Error> {
        let mut connection = self.control.acquire().await?;
        insert_audit_entry(&mut connection, by, outcome, details).await
    }

    /// Returns at most `limit` entries that fit into this many bytes, newest first, and true if there are more. The
    /// first entry is always returned.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn list_audit(
        &self,
        query: &AuditQuery,
        limit: i64,
        bytes: usize,
    ) -> Result<(Vec<AuditEntry>, bool), Error> {
        let record: Option<Vec<String>> = query.record.clone().map(|name| vec![name]);
        let rows = sqlx::query!(
            r#"SELECT number, at, author, credential, peer, method, request_id, outcome, names, types, revisions,
                      desk_sequence, details, has_more AS "has_more!"
               FROM (
                   SELECT *, sum(bytes) OVER newest AS upto, lead(number) OVER newest IS NOT NULL AS has_more
                   FROM (
                       SELECT *, octet_length(details) + octet_length(author) + cardinality(names) * $10::bigint
                                  + $11::bigint AS bytes
                       FROM audit
                       WHERE number > $1 AND number < $2
                           AND ($3::text IS NULL OR author = $3)
                           AND ($4::text[] IS NULL OR names @> $4)
                           AND ($5::text IS NULL OR method = $5)
                           AND ($6::timestamptz IS NULL OR at >= $6)
                           AND ($7::timestamptz IS NULL OR at < $7)
                   ) AS weighed
                   WINDOW newest AS (ORDER BY number DESC)
                   ORDER BY number DESC
                   LIMIT $8
               ) AS found
               WHERE upto <= $9::bigint OR upto = bytes
               ORDER BY number DESC"#,
            query.after,
            query.before,
            query.author.as_deref(),
            record.as_deref(),
            query.method.as_deref(),
            query.since,
            query.until,
            limit,
            i64::try_from(bytes).unwrap_or(i64::MAX),
            RECORD_BYTES,
            ENTRY_BYTES,
        )
        .fetch_all(&mut self.readers.acquire().await?)
        .await?;
        let has_more = rows.last().is_some_and(|row| row.has_more);
        let entries = rows.into_iter().map(|row| {
            Ok(AuditEntry {
                number: row.number,
                at: row.at,
                author: row.author,
                credential: row.credential,
                peer: row.peer,
                method: row.method,
                request_id: row.request_id,
                outcome: row.outcome,
                records: audited(row.names, &row.types, &row.revisions)?,
                desk_sequence: row.desk_sequence,
                details: row.details,
            })
        });
        Ok((entries.collect::<Result<_, Error>>()?, has_more))
    }
}

fn audited(
    names: Vec<String>,
    types: &[String],
    revisions: &[i64],
) -> Result<Vec<AuditedChange>, Error> {
    let changes = names.into_iter().zip(types).zip(revisions);
    let records = changes.map(|((name, word), revision)| {
        Ok(AuditedChange {
            name,
            change_type: change_type(word)?,
            revision: *revision,
        })
    });
    records.collect()
}

/// Records an entry within the caller's transaction.
pub(super) async fn insert_audit_entry(
    connection: &mut Lease,
    by: &Attribution,
    outcome: &str,
    details: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO audit (at, author, credential, peer, method, outcome, names, types, revisions, details)
         VALUES (clock_timestamp(), $1, $2, $3, $4, $5, '{}', '{}', '{}', $6)",
        by.author,
        by.credential,
        by.peer,
        by.method,
        outcome,
        details,
    )
    .execute(connection)
    .await?;
    Ok(())
}
