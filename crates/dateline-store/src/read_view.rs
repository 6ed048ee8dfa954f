//! Reads the data that decisions need, as `dateline_engine::prefetch` requests it: round by round, in one statement per
//! sort of data, without a lock. `append` detects if any of it has changed.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use dateline_engine::{
    prefetch::Planner,
    read_plan::ReadPlan,
    read_view::{Head, NoteCopy, Pin, ReadView, RecordStatus},
    request::Request,
};
use dateline_proto::v1::{RecordMeta, State, record::Kind as Body};
use dateline_record::{name::Name, revision::Revision};
use prost::Message;

use super::{
    Error,
    columns::{DELETED, days, kind, name, state},
    pool::Lease,
};

/// Most rounds: the longest chain of reads follows an event to the events that it is part of, one by one.
const MAX_ROUNDS: usize = 40;

/// Reads the data that these requests need.
pub(super) async fn load(connection: &mut Lease, requests: &[&Request]) -> Result<ReadView, Error> {
    let mut read_view = ReadView::default();
    let mut planner = Planner::new(requests);
    let mut wanted = plan(&mut planner, &read_view)?;
    for _ in 0..MAX_ROUNDS {
        if wanted.is_empty() {
            return Ok(read_view);
        }
        fill(connection, &mut read_view, wanted).await?;
        wanted = plan(&mut planner, &read_view)?;
    }
    read_view.stop_before(wanted);
    Ok(read_view)
}

fn plan(planner: &mut Planner<'_>, read_view: &ReadView) -> Result<ReadPlan, Error> {
    // A panic is a bug, and must fail only the request that causes it: the group is then committed one by one.
    let planned = catch_unwind(AssertUnwindSafe(|| planner.plan_reads(read_view)));
    planned.map_err(|_| Error::Corrupt("looking at what a request needs panicked".to_owned()))
}

async fn fill(
    connection: &mut Lease,
    read_view: &mut ReadView,
    wanted: ReadPlan,
) -> Result<(), Error> {
    if !wanted.heads.is_empty() {
        let names = texts(&wanted.heads);
        read_view.insert_heads(wanted.heads, heads(connection, &names).await?);
    }
    if !wanted.statuses.is_empty() {
        let names = texts(&wanted.statuses);
        read_view.insert_statuses(wanted.statuses, statuses(connection, &names).await?);
    }
    if !wanted.revisions.is_empty() {
        let found = revisions(connection, &wanted.revisions).await?;
        read_view.insert_revisions(wanted.revisions, found);
    }
    if !wanted.published.is_empty() {
        let names = texts(&wanted.published);
        read_view.insert_readable(wanted.published, published(connection, &names).await?);
    }
    if !wanted.keys.is_empty() {
        let keys: Vec<_> = wanted.keys.iter().copied().collect();
        read_view.insert_similar(wanted.keys, similar(connection, &keys).await?);
    }
    if !wanted.originals.is_empty() {
        let hashes: Vec<_> = wanted.originals.iter().cloned().collect();
        read_view.insert_originals(wanted.originals, originals(connection, &hashes).await?);
    }
    if !wanted.citing.is_empty() {
        let names = texts(&wanted.citing);
        read_view.insert_citing(wanted.citing, citing(connection, &names).await?);
    }
    if !wanted.copies.is_empty() {
        let names = texts(&wanted.copies);
        read_view.insert_copies(wanted.copies, copies(connection, &names).await?);
    }
    Ok(())
}

fn texts(names: &BTreeSet<Name>) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Revisions of other records that were given a note of these: the other side of a merge, and what was withdrawn or
/// sent back with one note. They were written in the same batch. Of what was erased before, the note is not known any
/// more; the other side of a merge is, and so is what rested on an article.
async fn copies(connection: &mut Lease, names: &[String]) -> Result<Vec<(Name, NoteCopy)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT own.name AS "of!", copy.name, copy.revision, copy.meta
           FROM unnest($1::text[]) AS erased (name)
           JOIN changes AS own ON own.name = erased.name AND (own.note <> '' OR own.meta = '')
           JOIN changes AS copy
               ON copy.desk_sequence BETWEEN own.desk_batch - 10000 AND own.desk_batch
               AND copy.desk_batch = own.desk_batch
               AND copy.name <> own.name
               AND copy.meta <> ''
               AND copy.note <> ''
               AND (copy.note = own.note OR own.meta = '')
           WHERE (own.type = 'merged' AND copy.name = own.merged_into)
               OR (copy.type = 'merged' AND copy.merged_into = own.name)
               OR (own.type = 'unmerged' AND copy.type = 'corrected' AND copy.changed_fields @> '{meta.merged_from}')
               OR (own.type = 'corrected' AND copy.type = 'unmerged'
                   AND (own.changed_fields @> '{meta.merged_from}' OR own.meta = ''))
               OR (own.type IN ('retracted', 'returned') AND copy.type = own.type AND copy.note = own.note)
               OR (own.type IN ('retracted', 'purged') AND copy.type = 'retracted' AND EXISTS (
                   SELECT FROM links
                   WHERE links.source = copy.name AND links.target = own.name AND links.field = 'evidence.article'))"#,
        names,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let meta = RecordMeta::decode(row.meta.as_slice())
            .map_err(|error| Error::Corrupt(format!("meta of {}: {error}", row.name)))?;
        let copy = NoteCopy {
            name: name(&row.name)?,
            revision: Revision::new(row.revision),
            meta,
        };
        Ok((name(&row.of)?, copy))
    });
    rows.collect()
}

async fn heads(connection: &mut Lease, names: &[String]) -> Result<Vec<(Name, Head)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT records.name, records.kind, records.state, records.revision, records.merged_into,
                  changes.state AS logged_state, changes.content, changes.meta, changes.facets, changes.days
           FROM unnest($1::text[]) AS wanted (name)
           JOIN records ON records.name = wanted.name
           JOIN changes ON changes.desk_sequence = records.desk_sequence"#,
        names,
    )
    .fetch_all(connection)
    .await?;
    let mut heads = Vec::with_capacity(rows.len());
    for row in rows {
        let meta = RecordMeta::decode(row.meta.as_slice())
            .map_err(|error| Error::Corrupt(format!("meta of {}: {error}", row.name)))?;
        let status = RecordStatus {
            state: state(&row.logged_state)?,
            deleted: row.state == DELETED,
            revision: Revision::new(row.revision),
            merged_into: row.merged_into.as_deref().map(name).transpose()?,
        };
        let body = decode_body(&row.name, &row.kind, &row.content)?;
        let days = row.days.map(days);
        let head = Head::new(status, row.content, body, meta, row.facets, days);
        heads.push((name(&row.name)?, head));
    }
    Ok(heads)
}

/// Decodes stored content.
pub(super) fn decode_body(name: &str, kind_column: &str, content: &[u8]) -> Result<Body, Error> {
    match Body::decode(kind(kind_column)?, content) {
        Ok(Some(body)) => Ok(body),
        Ok(None) => Err(Error::Corrupt(format!("{name} is of no kind"))),
        Err(error) => Err(Error::Corrupt(format!("content of {name}: {error}"))),
    }
}

async fn statuses(
    connection: &mut Lease,
    names: &[String],
) -> Result<Vec<(Name, RecordStatus)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT records.name, records.state, records.revision, records.merged_into
           FROM unnest($1::text[]) AS wanted (name)
           JOIN records ON records.name = wanted.name"#,
        names,
    )
    .fetch_all(connection)
    .await?;
    let mut statuses = Vec::with_capacity(rows.len());
    for row in rows {
        let deleted = row.state == DELETED;
        let status = RecordStatus {
            state: if deleted {
                State::Draft
            } else {
                state(&row.state)?
            },
            deleted,
            revision: Revision::new(row.revision),
            merged_into: row.merged_into.as_deref().map(name).transpose()?,
        };
        statuses.push((name(&row.name)?, status));
    }
    Ok(statuses)
}

async fn revisions(
    connection: &mut Lease,
    pins: &BTreeSet<Pin>,
) -> Result<Vec<(Pin, Body, bool)>, Error> {
    let names: Vec<_> = pins.iter().map(|(name, _)| name.to_string()).collect();
    let numbers: Vec<_> = pins.iter().map(|(_, revision)| revision.get()).collect();
    let rows = sqlx::query!(
        r#"SELECT changes.name, changes.kind, wanted.revision AS "revision!", changes.content,
                  changes.revision = wanted.revision AND changes.wire_sequence IS NOT NULL
                      AND changes.state = 'published' AS "is_readable!"
           FROM unnest($1::text[], $2::bigint[]) AS wanted (name, revision)
           JOIN LATERAL (
               SELECT name, kind, revision, content, wire_sequence, state
               FROM changes
               WHERE changes.name = wanted.name
                   AND (changes.revision = wanted.revision OR wanted.revision BETWEEN 1 AND changes.revision)
               ORDER BY changes.revision
               LIMIT 1
           ) AS changes ON true
           -- What came from another database began there: the oldest revision that is here stands for those before it.
           -- Where all were kept there is none before.
           WHERE changes.revision = wanted.revision
               OR NOT EXISTS (SELECT FROM changes AS older WHERE older.name = changes.name AND older.revision < changes.revision)"#,
        &names,
        &numbers,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let body = decode_body(&row.name, &row.kind, &row.content)?;
        Ok((
            (name(&row.name)?, Revision::new(row.revision)),
            body,
            row.is_readable,
        ))
    });
    rows.collect()
}

/// Returns the first and the newest readable revision of each record, ascending; none for erased records.
async fn published(connection: &mut Lease, names: &[String]) -> Result<Vec<(Pin, Body)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT changes.name, changes.kind, changes.revision, changes.content
           FROM unnest($1::text[]) AS wanted (name)
           CROSS JOIN LATERAL (
               SELECT min(revision) AS first, max(revision) AS newest
               FROM changes
               WHERE changes.name = wanted.name AND wire_sequence IS NOT NULL AND state = 'published' AND meta <> ''
           ) AS ends
           JOIN changes ON changes.name = wanted.name AND changes.revision IN (ends.first, ends.newest)
           ORDER BY changes.name, changes.revision"#,
        names,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| {
        let body = decode_body(&row.name, &row.kind, &row.content)?;
        Ok(((name(&row.name)?, Revision::new(row.revision)), body))
    });
    rows.collect()
}

async fn similar(connection: &mut Lease, keys: &[i64]) -> Result<Vec<(i64, Name)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT found.name, key AS "key!"
           FROM unnest($1::bigint[]) AS key
           CROSS JOIN LATERAL (
               SELECT records.name
               FROM records
               WHERE records.keys @> ARRAY[key]
                   AND records.state IN ('draft', 'in_review', 'embargoed', 'published')
               LIMIT 6
           ) AS found"#,
        keys,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| Ok((row.key, name(&row.name)?)));
    rows.collect()
}

async fn originals(
    connection: &mut Lease,
    hashes: &[String],
) -> Result<Vec<(String, Name)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT name, original_sha256 AS "original_sha256!"
           FROM records
           WHERE original_sha256 = ANY ($1)"#,
        hashes,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows
        .into_iter()
        .map(|row| Ok((row.original_sha256, name(&row.name)?)));
    rows.collect()
}

/// Returns the published records that cite each article. `append` repeats this query under the lock.
async fn citing(connection: &mut Lease, articles: &[String]) -> Result<Vec<(Name, Name)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT links.target, links.source
           FROM links
           JOIN records ON records.name = links.source
           WHERE links.target = ANY ($1) AND links.field = 'evidence.article' AND records.state = 'published'"#,
        articles,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows
        .into_iter()
        .map(|row| Ok((name(&row.target)?, name(&row.source)?)));
    rows.collect()
}
