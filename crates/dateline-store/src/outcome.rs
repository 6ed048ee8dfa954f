//! Answers to commits: the records as they were stored, or the reason why nothing was stored.

use std::collections::VecDeque;

use dateline_engine::{
    change::{Change, Decision, Outcome},
    rejection::Rejection,
};
use dateline_record::{diff::diff, revision::Revision, sequence::Sequence};

use super::{
    Error,
    append::AssignedSequences,
    committer::{CommitError, Committed},
    pool::Lease,
    read_round::decode_body,
    requests::{revisions, warning_messages},
    stored::StoredRecord,
};

/// Most paths that a conflict reports.
const MAX_PATHS: usize = 100;

/// Adds the fields that have changed since the caller read the record (W3). Only the log knows them.
pub(super) async fn add_changed_paths(connection: &mut Lease, error: CommitError) -> CommitError {
    let CommitError::Rejected(Rejection::EtagMismatch {
        name,
        current,
        seen: Some(seen),
        ..
    }) = error
    else {
        return error;
    };
    match changed_since(connection, name.as_str(), seen).await {
        Ok(changed_paths) => Rejection::EtagMismatch {
            name,
            current,
            seen: Some(seen),
            changed_paths,
        }
        .into(),
        Err(error) => error.into(),
    }
}

/// Returns the paths in which a record differs from its content at a revision.
async fn changed_since(
    connection: &mut Lease,
    name: &str,
    revision: Revision,
) -> Result<Vec<String>, Error> {
    let rows = sqlx::query!(
        r#"SELECT changes.kind, CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                  SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
              END AS "content!"
           FROM changes
           WHERE name = $1 AND (revision = $2 OR revision = (SELECT revision FROM records WHERE name = $1))
           ORDER BY revision"#,
        name,
        revision.get(),
    )
    .fetch_all(connection)
    .await?;
    let bodies = rows
        .iter()
        .map(|row| decode_body(name, &row.kind, &row.content));
    let bodies = bodies.collect::<Result<Vec<_>, _>>()?;
    Ok(match bodies.as_slice() {
        [before, after] => {
            let differences = diff(before, after).into_iter();
            let paths = differences.map(|difference| difference.path);
            paths.take(MAX_PATHS).collect()
        }
        _ => Vec::new(),
    })
}

/// Returns the answer to a decided request: changed records as stored, unchanged ones in their present revision.
pub(super) async fn load_committed(
    connection: &mut Lease,
    decision: Decision,
    numbered: Option<AssignedSequences>,
) -> Result<Committed, Error> {
    let mut unchanged = VecDeque::from(unchanged_records(connection, &decision).await?);
    let changed = || decision.outcomes.iter().filter_map(Outcome::change);
    // A batch is contiguous, so its numbers follow from the last one.
    let numbers = numbered.unwrap_or(AssignedSequences {
        desk_sequence: Sequence::ZERO,
        wire_sequence: Sequence::ZERO,
    });
    let (desk_count, wire_count) = (
        changed().count() as u64,
        changed().filter(|change| change.is_on_wire()).count() as u64,
    );
    let mut desk = numbers.desk_sequence.saturating_sub(desk_count);
    let mut wire = numbers.wire_sequence.saturating_sub(wire_count);
    let step = u64::from(numbered.is_some());
    let mut records = Vec::with_capacity(decision.outcomes.len());
    let changed = changed().count();
    for outcome in decision.outcomes {
        match outcome {
            Outcome::Changed(change) => {
                desk = desk.saturating_add(step);
                wire = wire.saturating_add(step * u64::from(change.is_on_wire()));
                let wire_sequence = change.is_on_wire().then_some(wire);
                records.push(StoredRecord::from_change(change, desk, wire_sequence));
            }
            Outcome::Unchanged(..) => records.extend(unchanged.pop_front()),
        }
    }
    Ok(Committed {
        records,
        changed,
        desk_sequence: numbers.desk_sequence,
        wire_sequence: numbers.wire_sequence,
        warnings: warning_messages(&decision.warnings),
    })
}

async fn unchanged_records(
    connection: &mut Lease,
    decision: &Decision,
) -> Result<Vec<StoredRecord>, Error> {
    let (names, numbers): (Vec<_>, Vec<_>) = decision
        .outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Unchanged(name, revision) => Some((name.to_string(), revision.get())),
            Outcome::Changed(_) => None,
        })
        .unzip();
    if names.is_empty() {
        Ok(Vec::new())
    } else {
        revisions(connection, &names, &numbers).await
    }
}

impl StoredRecord {
    fn from_change(
        change: Change,
        desk_sequence: Sequence,
        wire_sequence: Option<Sequence>,
    ) -> Self {
        let meta = change.meta_bytes();
        Self::new(
            change.name,
            change.state,
            desk_sequence,
            wire_sequence,
            change.content,
            meta,
        )
    }
}
