//! Publishes what was under embargo, when its time has come. Every server sweeps; that each record is published
//! once is the write path's doing: whoever comes second finds it published (W3), and writes nothing.

use std::{collections::HashSet, time::Duration};

use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::{
    model::{
        name::Name,
        refusal::Refusal,
        request::{Action, By, Request, Write},
    },
    store::{CommitError, Committer, Due, Store},
};

/// How often the sweeper looks. A record is out within a second of its time.
const INTERVAL: Duration = Duration::from_millis(250);
/// Most records of one sweep, and so of one batch, unless more are due at one moment.
const BATCH: i64 = 1000;
/// Who publishes, in the log.
const AUTHOR: &str = "embargo";
/// Sweeps that leave out a record which could not be published.
const PATIENCE: u32 = 4;
/// Sweeps in which it is told once.
const SILENCE: u32 = 240;

/// Sweeps until `stop`.
pub async fn run(store: Store, committer: Committer, stop: CancellationToken) {
    let mut sweeper = Sweeper {
        store,
        committer,
        stuck: HashSet::new(),
        told: HashSet::new(),
        sweeps: 0,
    };
    let sweeping = async {
        loop {
            sweeper.sweep().await;
            tokio::time::sleep(INTERVAL).await;
        }
    };
    stop.run_until_cancelled(sweeping).await;
}

struct Sweeper {
    store: Store,
    committer: Committer,
    /// Revisions that could not be published although their time has come. Another revision may be another matter.
    stuck: HashSet<(Name, i64)>,
    /// Those of which the log has been told.
    told: HashSet<(Name, i64)>,
    sweeps: u32,
}

impl Sweeper {
    async fn sweep(&mut self) {
        self.sweeps = self.sweeps.wrapping_add(1);
        if self.sweeps.is_multiple_of(PATIENCE) {
            self.stuck.clear();
        }
        if self.sweeps.is_multiple_of(SILENCE) {
            self.told.clear();
        }
        let now = OffsetDateTime::now_utc();
        let stuck: Vec<_> = self.stuck.iter().cloned().collect();
        match self.store.due_embargoes(now, &stuck, BATCH).await {
            Ok(due) => self.publish(due).await,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot look for embargoes"
                );
            }
        }
    }

    /// Publishes what is due as one batch; what cannot be published is left out, and the rest tried again.
    async fn publish(&mut self, mut due: Vec<Due>) {
        while !due.is_empty() {
            let Err(error) = self.committer.commit(request(&due)).await else {
                tracing::info!(records = due.len(), "embargo ended; published");
                return;
            };
            let in_the_way = in_the_way(&error, &due);
            if in_the_way.is_empty() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an embargo has ended; publishing is tried again"
                );
                return;
            }
            let (left_out, rest): (Vec<_>, Vec<_>) = due
                .into_iter()
                .partition(|record| in_the_way.contains(&record.name));
            due = rest;
            if left_out.is_empty() {
                return;
            }
            // Somebody else's change is no reason to leave a record alone, or to speak of it.
            if matches!(
                error,
                CommitError::Refused(Refusal::EtagMismatch { .. } | Refusal::NotFound { .. })
            ) {
                continue;
            }
            for record in left_out {
                let revision = (record.name, record.revision);
                if self.told.insert(revision.clone()) {
                    let (name, error) = (&revision.0, &error as &dyn std::error::Error);
                    tracing::error!(%name, error, "its embargo has ended, but it cannot be published; send it back, or publish what it needs");
                    metrics::counter!("dateline_embargo_stuck").increment(1);
                }
                self.stuck.insert(revision);
            }
        }
    }
}

fn request(due: &[Due]) -> Request {
    let writes = due.iter().map(|record| Write {
        name: record.name.clone(),
        etag: record.etag.clone(),
        note: String::new(),
        action: Action::Publish { embargo: None },
    });
    Request {
        id: None,
        fingerprint: [0; 32],
        earlier_fingerprint: None,
        by: By {
            author: AUTHOR.to_owned(),
            credential: "none".to_owned(),
            peer: String::new(),
            method: "EmbargoEnd".to_owned(),
        },
        writes: writes.collect(),
        preconditions: Vec::new(),
        validate_only: false,
        bytes: 0,
        warnings: Vec::new(),
    }
}

/// The records for which a batch was refused.
fn in_the_way(error: &CommitError, due: &[Due]) -> HashSet<Name> {
    let CommitError::Refused(refusal) = error else {
        return HashSet::new();
    };
    match refusal {
        Refusal::UnresolvedReferences { references } => {
            references.iter().map(|it| it.source.clone()).collect()
        }
        Refusal::MissingEvidence { names } | Refusal::PartOfItself { names } => {
            names.iter().cloned().collect()
        }
        Refusal::EtagMismatch { name, .. }
        | Refusal::NotFound { name }
        | Refusal::WrongState { name, .. }
        | Refusal::PartOfTooDeep { name }
        | Refusal::Corrupt { name } => HashSet::from([name.clone()]),
        Refusal::Invalid(violations) => {
            let writes = violations.iter().filter_map(|it| write_of(&it.field));
            writes
                .filter_map(|index| Some(due.get(index)?.name.clone()))
                .collect()
        }
        Refusal::NameTaken { .. }
        | Refusal::DuplicateOriginal { .. }
        | Refusal::OnlyEvidence { .. }
        | Refusal::TooLarge { .. }
        | Refusal::RequestIdReused => HashSet::new(),
    }
}

/// `writes[3].publish.record…` → 3.
fn write_of(field: &str) -> Option<usize> {
    field
        .strip_prefix("writes[")?
        .split(']')
        .next()?
        .parse()
        .ok()
}
