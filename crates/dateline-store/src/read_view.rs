//! Reads the data that decisions need, as `dateline_engine::prefetch` requests it: round by round, without a lock.
//! `append` detects if any of it has changed. `read_round` has the statement that nearly every round needs alone.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use dateline_engine::{
    prefetch::Planner,
    read_plan::{Pin, ReadPlan},
    read_view::{NoteCopy, ReadView},
    request::Request,
};
use dateline_proto::v1::{RecordMeta, record::Kind as Body};
use dateline_record::{name::Name, revision::Revision};
use prost::Message;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Error,
    columns::name,
    pool::Lease,
    read_round::{self, Answers, decode_body},
};

/// Most rounds: the longest chain of reads follows an event to the events that it is part of, one by one.
const MAX_ROUNDS: usize = 40;

/// Reads the data that these requests need, the stored answers of those that were answered before, and the id of the
/// feed. Answers are read
/// with or after everything else: if another server commits the first try in between, its answer must be found whenever
/// its writes are seen; otherwise the retry would be refused because of its own first try (W4).
pub(super) async fn load(
    connection: &mut Lease,
    requests: &[&Request],
    now: OffsetDateTime,
) -> Result<(ReadView, Answers, Uuid), Error> {
    let mut read_view = ReadView::default();
    let mut planner = Planner::new(requests);
    let mut wanted = plan(&mut planner, &read_view)?;
    let (mut answers, mut feed) = (Answers::default(), Uuid::nil());
    for _ in 0..MAX_ROUNDS {
        fill(connection, &mut read_view, &mut wanted).await?;
        (answers, feed) =
            read_round::read(connection, &mut read_view, &mut wanted, requests, now).await?;
        wanted = plan(&mut planner, &read_view)?;
        if wanted.is_empty() {
            return Ok((read_view, answers, feed));
        }
    }
    read_view.stop_before(wanted);
    Ok((read_view, answers, feed))
}

fn plan(planner: &mut Planner<'_>, read_view: &ReadView) -> Result<ReadPlan, Error> {
    // A panic is a bug, and must fail only the request that causes it: the group is then committed one by one.
    let planned = catch_unwind(AssertUnwindSafe(|| planner.plan_reads(read_view)));
    planned.map_err(|_| Error::Corrupt("looking at what a request needs panicked".to_owned()))
}

/// Reads what few requests need.
async fn fill(
    connection: &mut Lease,
    read_view: &mut ReadView,
    wanted: &mut ReadPlan,
) -> Result<(), Error> {
    let published = std::mem::take(&mut wanted.published);
    if !published.is_empty() {
        let found = readable(connection, &texts(&published)).await?;
        read_view.insert_readable(published, found);
    }
    let cited = std::mem::take(&mut wanted.citing);
    if !cited.is_empty() {
        let found = citing(connection, &texts(&cited)).await?;
        read_view.insert_citing(cited, found);
    }
    let erased = std::mem::take(&mut wanted.copies);
    if !erased.is_empty() {
        let found = copies(connection, &texts(&erased)).await?;
        read_view.insert_copies(erased, found);
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

/// Returns the first and the newest readable revision of each record, ascending; none for erased records.
async fn readable(connection: &mut Lease, names: &[String]) -> Result<Vec<(Pin, Body)>, Error> {
    let rows = sqlx::query!(
        r#"SELECT changes.name, changes.kind, changes.revision,
                  CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                      SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                  END AS "content!"
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
