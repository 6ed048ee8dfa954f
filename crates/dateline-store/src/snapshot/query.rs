//! Statements that read pages of snapshots, exports and deltas: the heads give the names, the log gives the revisions.

use dateline_record::{filter::Filter, sequence::Sequence};
use sqlx::{Postgres, QueryBuilder};

use super::{FeedView, PAGE_BYTES, PageScan, SnapshotQuery};
use crate::{columns::range, visible_rows::push_kinds};

/// Selects the name this many names further in a part; no row if there are fewer. With several parts, as many times
/// more names are skipped, since parts are about alike.
pub(super) fn until(snapshot: &SnapshotQuery, after: &str, names: usize) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("SELECT name FROM records WHERE name > ");
    query.push_bind(after.to_owned());
    push_kinds(&mut query, &snapshot.filter);
    push_since(&mut query, snapshot);
    query.push(" ORDER BY name OFFSET ");
    query.push_bind(whole(names) * i64::from(snapshot.part.1) - 1);
    query.push(" LIMIT 1");
    query
}

/// Selects the rows of a page and one record beyond it, without content, which shows that the page is full.
pub(super) fn rows(
    snapshot: &SnapshotQuery,
    scan: &PageScan,
    until: Option<&str>,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "SELECT name, kind, state, type, merged_into, desk_sequence, wire_sequence, meta, fits, is_in, is_changed,
                CASE WHEN fits AND is_in THEN content ELSE ''::bytea END AS content
         FROM (
             SELECT *, lag(NOT fits, 1, false) OVER (ORDER BY name) AS is_behind
             FROM (
                 SELECT found.*,
                     sum(CASE WHEN is_in THEN octet_length(content) ELSE 0 END) OVER by_name <= ",
    );
    query.push_bind(whole(PAGE_BYTES.saturating_sub(scan.bytes)));
    query.push(" OR ").push_bind(scan.entries.is_empty());
    query.push(
        " AND row_number() OVER by_name = 1 AS fits
                 FROM (
                     SELECT records.name, was.*, ",
    );
    push_is_in(&mut query, snapshot, "was");
    query.push(" AS is_in, ");
    push_is_changed(&mut query, snapshot);
    query.push(" AS is_changed");
    if snapshot.since.is_some() {
        // A revision erased from the log cannot be matched, so it counts as matching.
        query.push(", coalesce(was.meta = '' OR before.meta = '', false) OR ");
        push_is_in(&mut query, snapshot, "before");
        query.push(" AS was_in");
    }
    query.push(" FROM records");
    push_as_of(&mut query, snapshot, snapshot.at, "records.name", "was");
    if let Some(since) = snapshot.since {
        query.push(" LEFT");
        push_as_of(&mut query, snapshot, since, "records.name", "before");
    }
    query.push(" WHERE records.name > ");
    query.push_bind(scan.last_name.clone());
    if let Some(until) = until {
        query.push(" AND records.name <= ");
        query.push_bind(until.to_owned());
    }
    push_kinds(&mut query, &snapshot.filter);
    push_since(&mut query, snapshot);
    push_part(&mut query, snapshot.part);
    push_unmoved(&mut query, snapshot);
    query.push(") AS found WHERE ");
    query.push(
        match (snapshot.since.is_some(), snapshot.has_dependants()) {
            (false, _) => "is_in",
            (true, false) => "is_changed AND (is_in OR was_in)",
            (true, true) => "is_in OR was_in",
        },
    );
    query.push(
        " WINDOW by_name AS (ORDER BY name)
             ) AS weighed
         ) AS page
         WHERE NOT is_behind
         ORDER BY name",
    );
    query
}

/// Joins the revision of a record as of a sequence. `name` is the SQL expression of its name.
pub(crate) fn push_as_of(
    query: &mut QueryBuilder<Postgres>,
    snapshot: &SnapshotQuery,
    at: Sequence,
    name: &str,
    alias: &str,
) {
    query.push(
        " JOIN LATERAL (
             SELECT kind, state, type, merged_into, desk_sequence, wire_sequence, meta, facets, days,
                    CASE WHEN content_at IS NULL THEN content ELSE (
                        SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                    END AS content
             FROM changes
             WHERE changes.name = ",
    );
    query.push(name).push(" AND changes.");
    query.push(snapshot.number()).push(" <= ");
    query.push_bind(at.to_i64());
    query.push(" ORDER BY changes.revision DESC LIMIT 1) AS ");
    query.push(alias).push(" ON true");
}

/// Selects true if a record changed after the earlier sequence; an erased revision counts as changed.
fn push_is_changed(query: &mut QueryBuilder<Postgres>, snapshot: &SnapshotQuery) {
    let Some(since) = snapshot.since else {
        query.push("true");
        return;
    };
    query.push("(was.meta = '' OR was.").push(snapshot.number());
    query.push(" > ").push_bind(since.to_i64()).push(")");
}

/// Selects true if the revision `was` belongs to the snapshot.
pub(crate) fn push_is_in(query: &mut QueryBuilder<Postgres>, snapshot: &SnapshotQuery, was: &str) {
    let shown = match snapshot.view {
        FeedView::Desk => {
            "(was.type <> 'deleted' AND (was.type <> 'purged' OR was.state IN ('retracted', 'merged'))"
        }
        FeedView::Wire => "(was.state IN ('published', 'retracted', 'merged')",
    };
    query
        .push("coalesce(")
        .push(shown.replace("was.", &format!("{was}.")));
    if !snapshot.filter.by_state && !snapshot.tombstones {
        query.push(" AND ").push(was);
        query.push(".state NOT IN ('retracted', 'merged')");
    }
    push_filter(query, &snapshot.filter, was);
    query.push("), false)");
}

/// Skips records whose head has not moved since the earlier sequence, without reading the log.
fn push_since(query: &mut QueryBuilder<Postgres>, snapshot: &SnapshotQuery) {
    let Some(since) = snapshot.since else { return };
    query.push(" AND (records.").push(snapshot.number());
    query.push(" > ").push_bind(since.to_i64());
    if snapshot.has_dependants() {
        push_refers_to_moved(query, snapshot, since);
    }
    query.push(")");
}

/// Adds records that refer to a moved record, directly or through merges. Resolution decides later whether their
/// references changed.
fn push_refers_to_moved(
    query: &mut QueryBuilder<Postgres>,
    snapshot: &SnapshotQuery,
    since: Sequence,
) {
    query.push(
        " OR EXISTS (
             WITH RECURSIVE way (name) AS (
                 SELECT target FROM links WHERE links.source = records.name
                 UNION
                 SELECT loser.merged_into
                 FROM way
                 JOIN records AS loser ON loser.name = way.name AND loser.merged_into IS NOT NULL
             )
             SELECT FROM way JOIN records AS moved ON moved.name = way.name
             WHERE moved.",
    );
    query.push(snapshot.number());
    query.push(" > ").push_bind(since.to_i64()).push(")");
}

/// Restricts to one part, by the last byte of the uid, which is random and never changes: parts have about the same
/// size, and the same records every time.
fn push_part(query: &mut QueryBuilder<Postgres>, (part, of): (u16, u16)) {
    if of > 1 {
        query.push(" AND get_byte(uuid_send(records.uid), 15) % ");
        query.push_bind(i32::from(of)).push(" = ");
        query.push_bind(i32::from(part));
    }
}

/// Skips records whose head has not moved and does not match, without reading the log. Not for deltas, which also need
/// records that matched before.
fn push_unmoved(query: &mut QueryBuilder<Postgres>, snapshot: &SnapshotQuery) {
    if snapshot.filter.is_empty() || snapshot.since.is_some() {
        return;
    }
    query
        .push(" AND (records.")
        .push(snapshot.number())
        .push(" > ");
    query.push_bind(snapshot.at.to_i64());
    query.push(" OR true");
    push_filter(query, &snapshot.filter, "records");
    query.push(")");
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &Filter, of: &str) {
    for dimension in &filter.dimensions {
        query.push(" AND ").push(of).push(".facets && ");
        query.push_bind(dimension.clone());
    }
    if let Some(days) = filter.days {
        query.push(" AND ").push(of).push(".days && ");
        query.push_bind(range(days));
    }
}
