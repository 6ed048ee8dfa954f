//! How publication stands: what is due and not published, and which records could not be. Told by the sweeper, looked at
//! by health and operators, and kept as metrics.

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
    /// Another revision may be another matter.
    pub revision: i64,
    /// Why, in words.
    pub why: String,
    /// When it was isolated.
    pub since: OffsetDateTime,
    /// Times that it was tried.
    pub attempts: u32,
}

/// How publication stands.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Records that are due, isolated ones included.
    pub overdue: u64,
    /// Seconds that the first of them has waited.
    pub oldest_seconds: f64,
    /// Those that are isolated, by name.
    pub isolated: Vec<Isolated>,
    /// Time without progress although something is due that is not isolated.
    pub waiting_for: Option<Duration>,
}

/// How publication stands, for others to look at; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Embargoes(Arc<Mutex<Progress>>);

#[derive(Debug, Default)]
struct Progress {
    overdue: Overdue,
    isolated: Vec<Isolated>,
    /// Set while something is due that is not isolated.
    waits_since: Option<Instant>,
}

impl Embargoes {
    /// Returns how publication stands.
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
