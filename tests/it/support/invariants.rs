//! Recorded histories, and their properties. Independent of `feed`: it sees only the answers to writers and the
//! messages to watchers.

use std::collections::{BTreeMap, HashMap, HashSet};

use dateline_proto::v1::{Change, change::Type};

/// A change that was acknowledged to a writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckedChange {
    pub name: String,
    pub revision: i64,
    pub desk_sequence: i64,
    /// Last desk sequence of its commit batch.
    pub batch: i64,
}

/// The changes that one watcher received, over all its connections.
#[derive(Debug, Clone, Default)]
pub struct ReceivedChanges {
    pub changes: Vec<Change>,
}

/// F1, F2: sequences are dense from 1, ascending, each once.
pub fn assert_dense(watched: &ReceivedChanges, head: i64) {
    let sequences: Vec<_> = watched
        .changes
        .iter()
        .map(|change| change.sequence)
        .collect();
    assert_eq!(
        sequences,
        (1..=head).collect::<Vec<_>>(),
        "every sequence once, in order, none skipped"
    );
}

/// F1: revisions of a record follow each other.
pub fn assert_revisions_follow(watched: &ReceivedChanges) {
    let mut newest: HashMap<&str, i64> = HashMap::new();
    for change in &watched.changes {
        let before = newest.insert(&change.name, change.revision).unwrap_or(0);
        assert_eq!(
            change.revision,
            before + 1,
            "{} at {}",
            change.name,
            change.sequence
        );
    }
}

/// F3: batches are contiguous, and exactly their last change is marked.
pub fn assert_whole_batches(watched: &ReceivedChanges) {
    let mut closed = HashSet::new();
    for (change, next) in watched
        .changes
        .iter()
        .zip(watched.changes.iter().skip(1).map(Some).chain([None]))
    {
        assert!(
            !closed.contains(&change.batch),
            "batch {} goes on after its end",
            change.batch
        );
        let ends = next.is_none_or(|next| next.batch != change.batch);
        assert_eq!(
            change.last_in_batch, ends,
            "the mark at {}",
            change.sequence
        );
        assert_eq!(
            change.sequence == change.batch,
            ends,
            "the number of batch {}",
            change.batch
        );
        if ends {
            closed.insert(change.batch);
        }
    }
}

/// Invariants 2 and 3: an acknowledged change exists at its acknowledged sequence, and every change was acknowledged or
/// belongs to an abandoned request.
pub fn assert_acknowledged(
    watched: &ReceivedChanges,
    acknowledged: &[AckedChange],
    unknown: &HashSet<String>,
) {
    let mut seen: BTreeMap<(&str, i64), (i64, i64)> = watched
        .changes
        .iter()
        .map(|change| {
            (
                (change.name.as_str(), change.revision),
                (change.sequence, change.batch),
            )
        })
        .collect();
    for told in acknowledged {
        let place = seen.remove(&(told.name.as_str(), told.revision));
        assert_eq!(
            place,
            Some((told.desk_sequence, told.batch)),
            "{told:?} is on the feed where it was said to be"
        );
    }
    for ((name, revision), (sequence, _)) in seen {
        assert!(
            unknown.contains(name),
            "{name} revision {revision} at {sequence} was acknowledged to nobody"
        );
    }
}

/// Invariant 10: two streams of one feed received the same.
pub fn assert_same(left: &ReceivedChanges, right: &ReceivedChanges) {
    assert_eq!(
        left.changes, right.changes,
        "the same change under the same sequence"
    );
}

/// W9, invariant 27: whenever a record was published, the records it refers to were published before or with it.
pub fn assert_nothing_dangling(
    desk: &ReceivedChanges,
    references: impl Fn(&Change) -> Vec<String>,
) {
    let mut published: HashSet<&str> = HashSet::new();
    for batch in desk
        .changes
        .chunk_by(|left, right| left.batch == right.batch)
    {
        for change in batch {
            match change.r#type() {
                Type::Published => published.insert(&change.name),
                Type::Retracted => published.remove(change.name.as_str()),
                _ => false,
            };
        }
        for change in batch
            .iter()
            .filter(|change| change.r#type() == Type::Published)
        {
            for target in references(change) {
                assert!(
                    published.contains(target.as_str()),
                    "{} at {} names {target}",
                    change.name,
                    change.sequence
                );
            }
        }
    }
}
