//! Progress of publication: records that are due and not published, and records that could not be published. The
//! sweeper writes it; health and `AdminService` read it, and it is exported as metrics.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dateline_store::Overdue;
use time::OffsetDateTime;
use tokio::time::Instant;

/// A record that could not be published although its embargo has ended.
#[derive(Debug, Clone)]
pub struct Isolated {
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
pub struct Standing {
    /// Records that are due, isolated ones included.
    pub overdue: u64,
    /// Seconds since the first of them was due.
    pub oldest_seconds: f64,
    /// Isolated records, by name.
    pub isolated: Vec<Isolated>,
    /// Time since the last progress while a record that is not isolated is due; `None` if none is.
    pub waiting_for: Option<Duration>,
}

/// The state of publication, shared between its writer and its readers; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Embargoes(Arc<Mutex<Progress>>);

#[derive(Debug, Default)]
struct Progress {
    overdue: Overdue,
    isolated: Vec<Isolated>,
    /// Set while a record is due that is not isolated.
    waits_since: Option<Instant>,
}

impl Embargoes {
    /// Returns the state of publication.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Standing {
            overdue: progress.overdue.records,
            oldest_seconds: progress.overdue.seconds,
            isolated: progress.isolated.clone(),
            waiting_for: progress.waits_since.map(|since| since.elapsed()),
        }
    }

    pub(super) fn tell(&self, overdue: Overdue, isolated: Vec<Isolated>, went_on: bool) {
        let mut progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = overdue.records > isolated.len() as u64;
        let went_on = went_on || overdue.seconds < progress.overdue.seconds;
        progress.waits_since = match progress.waits_since {
            Some(since) if waits && !went_on => Some(since),
            _ => waits.then(Instant::now),
        };
        metrics::gauge!("dateline_embargo_overdue").set(overdue.records as f64);
        metrics::gauge!("dateline_embargo_overdue_seconds").set(overdue.seconds);
        metrics::gauge!("dateline_embargo_stuck").set(isolated.len() as f64);
        progress.overdue = overdue;
        progress.isolated = isolated;
    }
}
