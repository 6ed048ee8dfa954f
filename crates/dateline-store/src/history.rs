//! History of records: revisions by number, by sequence and as a list, and the targets of merged names.

use dateline_proto::v1::{RecordMeta, State, change, record::Kind as Body};
use dateline_record::sequence::Sequence;
use prost::Message;
use time::OffsetDateTime;

use super::{
    Error, Store,
    columns::{change_type, sequence, state},
    read_round::decode_body,
    stored::{FeedView, RecordColumns, StoredRecord},
};

/// Most bytes of an entry in a list of revisions besides its texts.
const REVISION_BYTES: i64 = 128;
/// Longest chain of merges that is followed.
const MAX_MERGES: i32 = 64;

/// One revision, without its content.
#[derive(Debug, Clone)]
pub struct RevisionEntry {
    /// Number of the revision.
    pub revision: i64,
    /// Type of the change that made it.
    pub change_type: change::Type,
    /// State after it.
    pub state: State,
    /// Time at which the service accepted it.
    pub accepted_at: OffsetDateTime,
    /// Author of the change.
    pub author: String,
    /// Public note.
    pub note: String,
    /// Top-level fields that changed.
    pub changed_fields: Vec<String>,
    /// Its sequence in the view's feed.
    pub sequence: Sequence,
    /// Its etag at that time; empty once it is erased.
    pub etag: String,
}

pub(super) fn etag(name: &str, meta: &[u8]) -> Result<String, Error> {
    RecordMeta::decode(meta)
        .map(|meta| meta.etag)
        .map_err(|error| Error::Corrupt(format!("meta of {name}: {error}")))
}

impl Store {
    /// Returns one revision of a record, if it was ever visible in the view.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn find_revision(
        &self,
        name: &str,
        revision: i64,
        view: FeedView,
    ) -> Result<Option<StoredRecord>, Error> {
        let row = sqlx::query_as!(
            RecordColumns,
            r#"SELECT name, kind, state, desk_sequence, wire_sequence, meta, CASE WHEN content_at IS NULL THEN content ELSE (
                      SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                  END AS "content!"
               FROM changes
               WHERE name = $1 AND revision = $2 AND ($3 OR wire_sequence IS NOT NULL)"#,
            name,
            revision,
            view == FeedView::Desk,
        )
        .fetch_optional(&mut self.readers.acquire().await?)
        .await?;
        row.map(StoredRecord::try_from).transpose()
    }

    /// Returns the record as of a sequence of the view's feed, if it existed then.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn find_record_as_of(
        &self,
        name: &str,
        at: Sequence,
        view: FeedView,
    ) -> Result<Option<StoredRecord>, Error> {
        let row = sqlx::query!(
            r#"SELECT name, kind, state, desk_sequence, wire_sequence, meta, type, CASE WHEN content_at IS NULL THEN content ELSE (
                      SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                  END AS "content!"
               FROM changes
               WHERE name = $1
                   AND CASE WHEN $3 THEN desk_sequence <= $2 ELSE wire_sequence <= $2 END
               ORDER BY revision DESC
               LIMIT 1"#,
            name,
            at.to_i64(),
            view == FeedView::Desk,
        )
        .fetch_optional(&mut self.readers.acquire().await?)
        .await?;
        // Nothing is left of an erased draft; an erased record that readers knew left a tombstone.
        let is_there = |change: &str, state: &str| match change {
            "deleted" => false,
            "purged" => matches!(state, "retracted" | "merged"),
            _ => true,
        };
        let there = row
            .filter(|row| is_there(&row.r#type, &row.state))
            .map(|row| RecordColumns {
                name: row.name,
                kind: row.kind,
                state: row.state,
                desk_sequence: row.desk_sequence,
                wire_sequence: row.wire_sequence,
                content: row.content,
                meta: row.meta,
            });
        there.map(StoredRecord::try_from).transpose()
    }

    /// Returns at most `limit` revisions below `before` that fit into this many bytes, newest first, and true if there
    /// are more. The first one is always returned.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn list_revisions(
        &self,
        name: &str,
        view: FeedView,
        before: i64,
        limit: i64,
        bytes: usize,
    ) -> Result<(Vec<RevisionEntry>, bool), Error> {
        let rows = sqlx::query!(
            r#"SELECT revision, type, state, accepted_at, author, note, changed_fields, desk_sequence, wire_sequence,
                      meta, has_more AS "has_more!"
               FROM (
                   SELECT *, sum(bytes) OVER newest AS upto, lead(revision) OVER newest IS NOT NULL AS has_more
                   FROM (
                       SELECT revision, type, state, accepted_at, author, note, changed_fields, desk_sequence,
                              wire_sequence, meta,
                              octet_length(note) + octet_length(meta) + octet_length(author)
                                  + octet_length(array_to_string(changed_fields, '  ')) + $6::bigint AS bytes
                       FROM changes
                       WHERE name = $1 AND revision < $2 AND ($3 OR wire_sequence IS NOT NULL)
                   ) AS weighed
                   WINDOW newest AS (ORDER BY revision DESC)
                   ORDER BY revision DESC
                   LIMIT $4
               ) AS found
               WHERE upto <= $5::bigint OR upto = bytes
               ORDER BY revision DESC"#,
            name,
            before,
            view == FeedView::Desk,
            limit,
            i64::try_from(bytes).unwrap_or(i64::MAX),
            REVISION_BYTES,
        )
        .fetch_all(&mut self.readers.acquire().await?)
        .await?;
        let has_more = rows.last().is_some_and(|row| row.has_more);
        let rows = rows.into_iter().map(|row| {
            let number = match view {
                FeedView::Desk => row.desk_sequence,
                FeedView::Wire => row.wire_sequence.unwrap_or_default(),
            };
            Ok(RevisionEntry {
                revision: row.revision,
                change_type: change_type(&row.r#type)?,
                state: state(&row.state)?,
                accepted_at: row.accepted_at,
                author: row.author,
                note: row.note,
                changed_fields: row.changed_fields,
                sequence: sequence(number)?,
                etag: etag(name, &row.meta)?,
            })
        });
        Ok((rows.collect::<Result<_, Error>>()?, has_more))
    }

    /// Returns the record into which a record was merged, following further merges.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn find_winner(&self, name: &str) -> Result<Option<String>, Error> {
        let winner = sqlx::query_scalar!(
            r#"WITH RECURSIVE way (name, merged_into, depth) AS (
                   SELECT name, merged_into, 0 FROM records WHERE name = $1
                   UNION ALL
                   SELECT records.name, records.merged_into, depth + 1
                   FROM way
                   JOIN records ON records.name = way.merged_into
                   WHERE depth < $2
               )
               SELECT name AS "name!" FROM way WHERE merged_into IS NULL AND depth > 0"#,
            name,
            MAX_MERGES,
        )
        .fetch_optional(&mut self.readers.acquire().await?)
        .await?;
        Ok(winner)
    }

    /// Returns these names and those of records that were merged into them.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn with_merged(&self, names: &[String]) -> Result<Vec<String>, Error> {
        let all = sqlx::query_scalar!(
            r#"WITH RECURSIVE way (name, depth) AS (
                   SELECT name COLLATE "C", 0 FROM unnest($1::text[]) AS asked (name)
                   UNION
                   SELECT records.name, depth + 1
                   FROM way
                   JOIN records ON records.merged_into = way.name
                   WHERE depth < $2
               )
               SELECT DISTINCT name AS "name!" FROM way ORDER BY 1"#,
            names,
            MAX_MERGES,
        )
        .fetch_all(&mut self.readers.acquire().await?)
        .await?;
        Ok(all)
    }

    /// Returns the decoded contents of two revisions; `None` unless both were ever visible in the view.
    ///
    /// # Errors
    /// If the database cannot answer, or a content is damaged.
    pub async fn find_contents(
        &self,
        name: &str,
        revisions: [i64; 2],
        view: FeedView,
    ) -> Result<Option<(Body, Body)>, Error> {
        let rows = sqlx::query!(
            r#"SELECT changes.kind, CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                      SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                  END AS "content!"
               FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted (revision, place)
               JOIN changes ON changes.name = $1 AND changes.revision = wanted.revision
               WHERE ($3 OR changes.wire_sequence IS NOT NULL)
                   AND ($3 OR changes.state NOT IN ('retracted', 'merged'))
               ORDER BY wanted.place"#,
            name,
            &revisions[..],
            view == FeedView::Desk,
        )
        .fetch_all(&mut self.readers.acquire().await?)
        .await?;
        match rows.as_slice() {
            [one, other] => Ok(Some((
                decode_body(name, &one.kind, &one.content)?,
                decode_body(name, &other.kind, &other.content)?,
            ))),
            _ => Ok(None),
        }
    }
}
