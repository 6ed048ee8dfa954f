//! The call of `append`, which takes decided requests and returns sequences. Only `append` writes records and log.

use std::collections::HashMap;

use sqlx::postgres::types::PgRange;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{
    Error,
    columns::sequence,
    group::{Document, Group},
    pool::Lease,
};

/// The sequences that a request got on the two feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbered {
    /// Last desk sequence of its batch.
    pub desk_sequence: u64,
    /// Last wire sequence of its batch; 0 if readers see nothing of it.
    pub wire_sequence: u64,
}

impl Group {
    /// Writes the group in one statement, and so in one transaction. Returns the sequences by number of the request. A
    /// missing number means that the request was left out because its read set has changed.
    #[allow(clippy::too_many_lines, reason = "one statement, and what it takes")]
    pub(super) async fn append(
        &self,
        connection: &mut Lease,
        at: OffsetDateTime,
    ) -> Result<HashMap<i32, Numbered>, Error> {
        let Group {
            requests,
            looked,
            cited,
            writes,
            links,
            answers,
            added,
            blanked,
        } = self;
        let rows = sqlx::query!(
            r#"WITH done AS MATERIALIZED (
                   SELECT request, desk_sequence, wire_sequence
                   FROM append(
                       $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
                       $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39,
                       $40, $41, $42, $43, $44, $45, $46, $47, $48)
               ), changed AS (
                   SELECT request, array_agg(name ORDER BY place) AS names, array_agg(type ORDER BY place) AS types,
                       array_agg(revision ORDER BY place) AS revisions
                   FROM unnest($12::int[], $13::text[], $16::text[], $17::bigint[])
                       WITH ORDINALITY AS written (request, name, type, revision, place)
                   GROUP BY request
               ), noted AS (
                   INSERT INTO audit (
                       at, author, credential, peer, method, request_id, outcome, names, types, revisions,
                       desk_sequence, details)
                   SELECT
                       $48, author, credential, peer, method, asked.id, 'done', changed.names, changed.types,
                       changed.revisions, done.desk_sequence, ''
                   FROM done
                   JOIN changed USING (request)
                   JOIN unnest($1::int[], $2::text[], $3::uuid[], $49::text[], $50::text[], $51::text[])
                       AS asked (request, author, id, credential, peer, method) USING (request)
               ), blanked AS (
                   UPDATE changes SET note = '', meta = copy.meta
                   FROM done
                   JOIN unnest($52::int[], $53::text[], $54::bigint[], $55::bytea[])
                       AS copy (request, name, revision, meta) USING (request)
                   WHERE changes.name = copy.name AND changes.revision = copy.revision
               )
               SELECT request AS "request!", desk_sequence AS "desk_sequence!", wire_sequence AS "wire_sequence!"
               FROM done"#,
            &requests.number,
            &requests.author,
            &requests.id as &[Option<Uuid>],
            &requests.fingerprint,
            &requests.warnings,
            &looked.request,
            &looked.name,
            &looked.revision,
            &cited.request,
            &cited.name,
            &cited.revision,
            &writes.request,
            &writes.name,
            &writes.uid,
            &writes.kind,
            &writes.change_type,
            &writes.revision,
            &writes.state,
            &writes.head_state,
            &writes.state_before as &[Option<String>],
            &writes.on_wire,
            &writes.content,
            &writes.meta,
            &writes.facets,
            &writes.facets_before,
            &writes.days as &[Option<PgRange<Date>>],
            &writes.days_before as &[Option<PgRange<Date>>],
            &writes.search,
            &writes.document as &[Document],
            &writes.changed_fields,
            &writes.note,
            &writes.relinks,
            &writes.keys,
            &writes.original_sha256 as &[Option<String>],
            &writes.merged_into as &[Option<String>],
            &writes.embargo_at as &[Option<OffsetDateTime>],
            &links.request,
            &links.source,
            &links.target,
            &links.field,
            &answers.request,
            &answers.name,
            &answers.revision,
            &added.request,
            &added.on_wire,
            &added.place,
            &added.amount,
            at,
            &requests.credential,
            &requests.peer,
            &requests.method,
            &blanked.request,
            &blanked.name,
            &blanked.revision,
            &blanked.meta,
        )
        .fetch_all(connection)
        .await?;
        rows.into_iter()
            .map(|row| {
                let numbered = Numbered {
                    desk_sequence: sequence(row.desk_sequence)?,
                    wire_sequence: sequence(row.wire_sequence)?,
                };
                Ok((row.request, numbered))
            })
            .collect()
    }
}
