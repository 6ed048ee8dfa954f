//! A projection and its steps: which heads a step reads, and how the projection writes them.

use futures_util::future::BoxFuture;

use crate::{Error, pool::Lease};

/// Content bytes after which a step ends.
const MAX_STEP_BYTES: i64 = 4 * 1024 * 1024;

/// A projection: a table that is a function of the heads.
pub(super) struct Projection {
    /// Its row in `projections`, and its label in metrics.
    pub name: &'static str,
    /// To be raised whenever `apply` makes other rows of the same heads: the projection then begins again.
    pub version: i32,
    /// Writes the rows of a step's heads and the new position, in one statement. Returns false if another server has
    /// taken the step.
    pub apply: Apply,
}

type Apply =
    for<'c> fn(&'c mut Lease, Step, Vec<ProjectedHead>) -> BoxFuture<'c, Result<bool, Error>>;

/// A step of a projection over the desk sequences after `from`, up to `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub version: i32,
    pub epoch: i64,
    pub from: i64,
    pub to: i64,
}

/// A record whose newest revision is among the changes of a step.
pub(super) struct ProjectedHead {
    pub name: String,
    pub kind: String,
    /// An editorial state, or 'deleted'.
    pub state: String,
    pub desk_sequence: i64,
    pub content: Vec<u8>,
}

/// Reads the heads of a step, and shortens it if they are large. Changes that were superseded are skipped: a later step
/// has the record.
pub(super) async fn read_heads(
    connection: &mut Lease,
    step: Step,
) -> Result<(Step, Vec<ProjectedHead>), Error> {
    let rows = sqlx::query!(
        r#"SELECT name AS "name!", kind AS "kind!", state AS "state!", desk_sequence AS "desk_sequence!",
                  content AS "content!", heads AS "heads!"
           FROM (
               SELECT *, count(*) OVER () AS heads,
                   sum(octet_length(content)) OVER (ORDER BY desk_sequence) - octet_length(content) AS bytes_before
               FROM (
                   SELECT changes.name, changes.kind, records.state, changes.desk_sequence,
                       CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                           SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                       END AS content
                   FROM changes
                   JOIN records ON records.name = changes.name AND records.desk_sequence = changes.desk_sequence
                   WHERE changes.desk_sequence > $1 AND changes.desk_sequence <= $2
                   OFFSET 0
               ) AS head
           ) AS page
           WHERE bytes_before < $3
           ORDER BY desk_sequence"#,
        step.from,
        step.to,
        MAX_STEP_BYTES,
    )
    .fetch_all(connection)
    .await?;
    let is_cut = rows
        .first()
        .is_some_and(|row| row.heads > i64::try_from(rows.len()).unwrap_or(i64::MAX));
    let to = match rows.last() {
        Some(last) if is_cut => last.desk_sequence,
        _ => step.to,
    };
    let heads = rows.into_iter().map(|row| ProjectedHead {
        name: row.name,
        kind: row.kind,
        state: row.state,
        desk_sequence: row.desk_sequence,
        content: row.content,
    });
    Ok((Step { to, ..step }, heads.collect()))
}
