//! Progress of publication: records that are due and not published, and records that could not be published. The
//! sweeper writes it; health and `AdminService` read it, and it is exported as metrics.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dateline_store::OverdueEmbargoes;
use time::OffsetDateTime;
use tokio::time::Instant;

/// A record that could not be published although its embargo has ended.
#[derive(Debug, Clone)]
pub struct IsolatedRecord {
    /// The record.
    pub name: String,
    /// The revision that failed; another revision is tried again.
    pub revision: i64,
    /// The reason, as text.
    pub why: String,
    /// Time at which it was isolated.
    pub since: OffsetDateTime,
    /// Attempts to publish it.
    pub attempts: u32,
}

/// The state of publication.
#[derive(Debug, Clone, Default)]
pub struct EmbargoStatus {
    /// Records that are due, isolated ones included.
    pub overdue: u64,
    /// Seconds since the first of them was due.
    pub oldest_seconds: f64,
    /// Isolated records, by name.
    pub isolated: Vec<IsolatedRecord>,
    /// Time since the last progress while a record that is not isolated is due; `None` if none is.
    pub waiting_for: Option<Duration>,
}

/// The state of publication, shared between its writer and its readers; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct EmbargoTracker(Arc<Mutex<TrackerState>>);

#[derive(Debug, Default)]
struct TrackerState {
    overdue: OverdueEmbargoes,
    isolated: Vec<IsolatedRecord>,
    /// Set while a record is due that is not isolated.
    waits_since: Option<Instant>,
}

impl EmbargoTracker {
    /// Returns the state of publication.
    #[must_use]
    pub fn status(&self) -> EmbargoStatus {
        let progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        EmbargoStatus {
            overdue: progress.overdue.records,
            oldest_seconds: progress.overdue.seconds,
            isolated: progress.isolated.clone(),
            waiting_for: progress.waits_since.map(|since| since.elapsed()),
        }
    }

    pub(super) fn update(
        &self,
        overdue: OverdueEmbargoes,
        isolated: Vec<IsolatedRecord>,
        made_progress: bool,
    ) {
        let mut progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = overdue.records > isolated.len() as u64;
        let made_progress = made_progress || overdue.seconds < progress.overdue.seconds;
        progress.waits_since = match progress.waits_since {
            Some(since) if waits && !made_progress => Some(since),
            _ => waits.then(Instant::now),
        };
        metrics::gauge!("dateline_embargo_overdue").set(overdue.records as f64);
        metrics::gauge!("dateline_embargo_overdue_seconds").set(overdue.seconds);
        metrics::gauge!("dateline_embargo_stuck").set(isolated.len() as f64);
        progress.overdue = overdue;
        progress.isolated = isolated;
    }
}
