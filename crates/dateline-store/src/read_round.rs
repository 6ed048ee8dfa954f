//! The statement that reads what nearly every decision needs: newest revisions, status of other records, pinned
//! revisions, names that look alike, original texts, and the stored answers of the requests themselves. One round trip,
//! and one state of the database for all of it.

use std::collections::HashMap;

use dateline_engine::{
    read_plan::{Pin, ReadPlan},
    read_view::{Head, ReadView, RecordStatus},
    request::Request,
};
use dateline_proto::v1::{RecordMeta, State, record::Kind as Body};
use dateline_record::{name::Name, revision::Revision};
use prost::Message;
use sqlx::postgres::types::PgRange;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{
    Error,
    columns::{DELETED, days, kind, name, state},
    pool::Lease,
};

/// Stored answers, by author and id of the request.
pub(super) type Answers = HashMap<(String, Uuid), StoredAnswer>;

/// The stored answer of a request.
pub(super) struct StoredAnswer {
    pub fingerprint: Vec<u8>,
    pub names: Vec<String>,
    pub revisions: Vec<i64>,
    pub desk_sequence: i64,
    pub wire_sequence: i64,
    pub warnings: Vec<u8>,
}

/// A row of any part. Columns that a part does not have are null.
struct Row {
    part: String,
    name: Option<String>,
    kind: Option<String>,
    state: Option<String>,
    revision: Option<i64>,
    merged_into: Option<String>,
    logged_state: Option<String>,
    content: Option<Vec<u8>>,
    meta: Option<Vec<u8>>,
    facets: Option<Vec<String>>,
    days: Option<PgRange<Date>>,
    is_readable: Option<bool>,
    key: Option<i64>,
    text: Option<String>,
    id: Option<Uuid>,
    names: Option<Vec<String>>,
    revisions: Option<Vec<i64>>,
    desk_sequence: Option<i64>,
    wire_sequence: Option<i64>,
}

/// Rows that a statement found, by part.
#[derive(Default)]
struct Found {
    heads: Vec<(Name, Head)>,
    statuses: Vec<(Name, RecordStatus)>,
    revisions: Vec<(Pin, Body, bool)>,
    similar: Vec<(i64, Name)>,
    originals: Vec<(String, Name)>,
    answers: Answers,
    feed: Uuid,
}

/// Reads these parts of a plan into the view, and returns the stored answers of the requests and the id of the feed. `now` is the clock that
/// `append` uses.
pub(super) async fn read(
    connection: &mut Lease,
    read_view: &mut ReadView,
    wanted: &mut ReadPlan,
    requests: &[&Request],
    now: OffsetDateTime,
) -> Result<(Answers, Uuid), Error> {
    let rows = rows(connection, wanted, requests, now).await?;
    let mut found = Found::default();
    for row in rows {
        found.add(row)?;
    }
    read_view.insert_heads(std::mem::take(&mut wanted.heads), found.heads);
    read_view.insert_statuses(std::mem::take(&mut wanted.statuses), found.statuses);
    read_view.insert_revisions(std::mem::take(&mut wanted.revisions), found.revisions);
    read_view.insert_similar(std::mem::take(&mut wanted.keys), found.similar);
    read_view.insert_originals(std::mem::take(&mut wanted.originals), found.originals);
    Ok((found.answers, found.feed))
}

async fn rows(
    connection: &mut Lease,
    wanted: &ReadPlan,
    requests: &[&Request],
    now: OffsetDateTime,
) -> Result<Vec<Row>, Error> {
    let heads: Vec<_> = wanted.heads.iter().map(Name::to_string).collect();
    let statuses: Vec<_> = wanted.statuses.iter().map(Name::to_string).collect();
    let pins = wanted.revisions.iter();
    let (pinned, revisions): (Vec<_>, Vec<_>) = pins
        .map(|(name, revision)| (name.to_string(), revision.get()))
        .unzip();
    let keys: Vec<_> = wanted.keys.iter().copied().collect();
    let originals: Vec<_> = wanted.originals.iter().cloned().collect();
    let (authors, ids): (Vec<_>, Vec<_>) = requests
        .iter()
        .filter_map(|request| Some((request.by.author.clone(), request.id?)))
        .unzip();
    // Every join finds rows by a key, in the order of the arguments.
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT 'head' AS "part!", records.name, records.kind, records.state, records.revision, records.merged_into,
                  changes.state AS logged_state,
                  CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                      SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                  END AS content,
                  changes.meta, changes.facets, changes.days,
                  NULL::boolean AS is_readable, NULL::bigint AS key, NULL::text AS text, NULL::uuid AS id,
                  NULL::text[] AS names, NULL::bigint[] AS revisions, NULL::bigint AS desk_sequence,
                  records.wire_sequence
           FROM unnest($1::text[]) AS wanted (name)
           JOIN records ON records.name = wanted.name
           JOIN changes ON changes.desk_sequence = records.desk_sequence
           UNION ALL
           SELECT 'status', records.name, NULL, records.state, records.revision, records.merged_into, NULL, NULL, NULL,
                  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
           FROM unnest($2::text[]) AS wanted (name)
           JOIN records ON records.name = wanted.name
           UNION ALL
           SELECT 'revision', changes.name, changes.kind, NULL, wanted.revision, NULL, NULL, changes.content, NULL,
                  NULL, NULL,
                  changes.revision = wanted.revision AND changes.wire_sequence IS NOT NULL
                      AND changes.state = 'published',
                  NULL, NULL, NULL, NULL, NULL, NULL, NULL
           FROM unnest($3::text[], $4::bigint[]) AS wanted (name, revision)
           JOIN LATERAL (
               SELECT name, kind, revision, wire_sequence, state, CASE WHEN content_at IS NULL THEN content ELSE (
                       SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                   END AS content
               FROM changes
               WHERE changes.name = wanted.name
                   AND (changes.revision = wanted.revision OR wanted.revision BETWEEN 1 AND changes.revision)
               ORDER BY changes.revision
               LIMIT 1
           ) AS changes ON true
           -- What came from another database began there: the oldest revision that is here stands for those before it.
           -- Where all were kept there is none before.
           WHERE changes.revision = wanted.revision
               OR NOT EXISTS (SELECT FROM changes AS older WHERE older.name = changes.name AND older.revision < changes.revision)
           UNION ALL
           SELECT 'similar', found.name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, key, NULL, NULL,
                  NULL, NULL, NULL, NULL
           FROM unnest($5::bigint[]) AS key
           CROSS JOIN LATERAL (
               SELECT records.name
               FROM records
               WHERE records.keys @> ARRAY[key]
                   AND records.state IN ('draft', 'in_review', 'embargoed', 'published')
               LIMIT 6
           ) AS found
           UNION ALL
           SELECT 'original', records.name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                  records.original_sha256, NULL, NULL, NULL, NULL, NULL
           FROM records
           WHERE records.original_sha256 = ANY ($6)
           UNION ALL
           SELECT 'feed', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, feed.id, NULL,
                  NULL, NULL, NULL
           FROM feed
           UNION ALL
           SELECT 'answer', NULL, NULL, NULL, NULL, NULL, NULL, requests.fingerprint, requests.warnings, NULL, NULL,
                  NULL, NULL, requests.author, requests.id, requests.names, requests.revisions,
                  requests.desk_sequence, requests.wire_sequence
           FROM unnest($7::text[], $8::uuid[]) AS asked (author, id)
           JOIN requests ON requests.author = asked.author AND requests.id = asked.id
           WHERE requests.accepted_at > $9::timestamptz - interval '24 hours'"#,
        &heads,
        &statuses,
        &pinned,
        &revisions,
        &keys,
        &originals,
        &authors,
        &ids,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

impl Found {
    fn add(&mut self, row: Row) -> Result<(), Error> {
        match row.part.as_str() {
            "head" => self.heads.push(head(row)?),
            "status" => self.statuses.push(status(&row)?),
            "revision" => {
                let stored_name = given(row.name, "name")?;
                let pin = (
                    name(&stored_name)?,
                    Revision::new(given(row.revision, "revision")?),
                );
                let stored_kind = given(row.kind, "kind")?;
                let body =
                    decode_body(&stored_name, &stored_kind, &given(row.content, "content")?)?;
                self.revisions
                    .push((pin, body, given(row.is_readable, "is_readable")?));
            }
            "similar" => self
                .similar
                .push((given(row.key, "key")?, name(&given(row.name, "name")?)?)),
            "original" => self
                .originals
                .push((given(row.text, "text")?, name(&given(row.name, "name")?)?)),
            "answer" => {
                let key = (given(row.text, "author")?, given(row.id, "id")?);
                self.answers.insert(
                    key,
                    StoredAnswer {
                        fingerprint: given(row.content, "fingerprint")?,
                        names: given(row.names, "names")?,
                        revisions: given(row.revisions, "revisions")?,
                        desk_sequence: given(row.desk_sequence, "desk_sequence")?,
                        wire_sequence: given(row.wire_sequence, "wire_sequence")?,
                        warnings: given(row.meta, "warnings")?,
                    },
                );
            }
            "feed" => self.feed = given(row.id, "id")?,
            part => return Err(Error::Corrupt(format!("part {part:?}"))),
        }
        Ok(())
    }
}

/// A column that its part has.
fn given<T>(column: Option<T>, what: &str) -> Result<T, Error> {
    column.ok_or_else(|| Error::Corrupt(format!("{what} is null")))
}

fn head(row: Row) -> Result<(Name, Head), Error> {
    let stored_name = given(row.name, "name")?;
    let meta = RecordMeta::decode(given(row.meta, "meta")?.as_slice())
        .map_err(|error| Error::Corrupt(format!("meta of {stored_name}: {error}")))?;
    let status = RecordStatus {
        state: state(&given(row.logged_state, "state")?)?,
        deleted: row.state.as_deref() == Some(DELETED),
        revision: Revision::new(given(row.revision, "revision")?),
        merged_into: row.merged_into.as_deref().map(name).transpose()?,
    };
    let content = given(row.content, "content")?;
    let body = decode_body(&stored_name, &given(row.kind, "kind")?, &content)?;
    let facets = given(row.facets, "facets")?;
    let head = Head::new(
        status,
        content,
        body,
        meta,
        facets,
        row.days.map(days),
        row.wire_sequence,
    );
    Ok((name(&stored_name)?, head))
}

fn status(row: &Row) -> Result<(Name, RecordStatus), Error> {
    let column = row.state.as_deref().unwrap_or_default();
    let deleted = column == DELETED;
    let status = RecordStatus {
        state: if deleted {
            State::Draft
        } else {
            state(column)?
        },
        deleted,
        revision: Revision::new(given(row.revision, "revision")?),
        merged_into: row.merged_into.as_deref().map(name).transpose()?,
    };
    Ok((name(row.name.as_deref().unwrap_or_default())?, status))
}

/// Decodes stored content.
pub(super) fn decode_body(name: &str, kind_column: &str, content: &[u8]) -> Result<Body, Error> {
    match Body::decode(kind(kind_column)?, content) {
        Ok(Some(body)) => Ok(body),
        Ok(None) => Err(Error::Corrupt(format!("{name} is of no kind"))),
        Err(error) => Err(Error::Corrupt(format!("content of {name}: {error}"))),
    }
}
