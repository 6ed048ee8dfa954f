//! Health: what this server can do at the moment, checked every second. Reads and writes are reported separately,
//! because the loss of a database machine may affect only one of them.
//!
//! `grpc.health.v1` reports the outcome per service; `AdminService.GetHealth` reports what is wrong and since when.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dateline_feed::Feed;
use dateline_proto::DESCRIPTORS;
use dateline_store::{Committer, Store, View, of_view};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{embargoes::Embargoes, jobs::Jobs};

/// Interval between two checks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Longest time that a commit batch may take before writes count as stuck.
const STUCK_WRITE: Duration = Duration::from_secs(5);
/// Longest time that streams may be behind a database that answers.
const STUCK_TAIL: Duration = Duration::from_secs(10);
/// Longest time without a publication while records are due.
const STUCK_EMBARGOES: Duration = Duration::from_secs(30);

/// Services that need only database reads. All others need writes too, and so does the server as a whole.
const READING: [&str; 2] = ["dateline.v1.FeedService", "dateline.v1.ExportService"];

/// A part of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The database answers.
    Reads,
    /// The database takes writes, and the committer makes progress.
    Writes,
    /// Streams follow the log.
    Feed,
    /// Records are published when their embargo ends.
    Embargoes,
    /// Background jobs run.
    Jobs,
}

impl Part {
    /// Returns the name of the part in logs and in `GetHealth`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Feed => "feed",
            Self::Embargoes => "embargoes",
            Self::Jobs => "jobs",
        }
    }

    fn concerns_readers(self) -> bool {
        matches!(self, Self::Reads | Self::Feed)
    }
}

/// A fault of a part.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The fault, as text.
    pub what: String,
    /// Time at which it was noticed.
    pub since: OffsetDateTime,
}

/// The faults that the last check found; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Findings(Arc<Mutex<BTreeMap<Part, Problem>>>);

impl Findings {
    /// Returns all current faults, by part.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Part, Problem> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Records the result of a check, and logs it when a part becomes faulty or sound.
    fn note(&self, part: Part, found: Result<(), String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(()) => {
                if known.remove(&part).is_some() {
                    tracing::info!(part = part.word(), "sound again");
                }
            }
            Err(what) => {
                if let Some(problem) = known.get_mut(&part) {
                    problem.what = what;
                } else {
                    tracing::warn!(part = part.word(), "not sound: {what}");
                    let since = OffsetDateTime::now_utc();
                    known.insert(part, Problem { what, since });
                }
            }
        }
    }
}

/// Checks all parts and reports the result.
#[derive(Clone)]
pub(super) struct Health {
    pub reporter: HealthReporter,
    pub findings: Findings,
    pub store: Store,
    pub committer: Committer,
    pub feed: Feed,
    pub embargoes: Embargoes,
    pub jobs: Jobs,
    /// Cancelled when the server stops: from then on it reports `NOT_SERVING`, whatever the database answers.
    pub stopping: CancellationToken,
}

impl Health {
    /// Checks at every interval until the server stops.
    pub async fn run(self) {
        let (mut reported, mut behind_since) = (None, None);
        let looking = async {
            loop {
                let serving = self.find(&mut behind_since).await;
                if reported != Some(serving) && !self.stopping.is_cancelled() {
                    report(&self.reporter, serving.0, serving.1).await;
                    reported = Some(serving);
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        let stopped = self.stopping.run_until_cancelled(Box::pin(looking)).await;
        // Reported last, after any report that was under way when the server stopped.
        report(&self.reporter, false, false).await;
        if stopped.is_none() {
            // A job must not end before it is stopped.
            std::future::pending::<()>().await;
        }
    }

    /// Checks once, and reports the result.
    pub async fn look(&self) {
        let (reads, writes) = self.find(&mut None).await;
        if !self.stopping.is_cancelled() {
            report(&self.reporter, reads, writes).await;
        }
    }

    /// Checks all parts. Returns whether reads and whether writes are served.
    async fn find(&self, behind_since: &mut Option<(u64, Instant)>) -> (bool, bool) {
        let (reads, writes) = tokio::join!(self.store.ping(), self.store.ping_writer());
        let reads = reads.map_err(|error| told(&error));
        self.findings.note(Part::Reads, reads);
        let writes = writes.map_err(|error| told(&error));
        let writes = writes.and_then(|()| self.committing());
        self.findings.note(Part::Writes, writes);
        let follows = self.follows(behind_since).await;
        self.findings.note(Part::Feed, follows);
        self.findings.note(Part::Embargoes, self.releasing());
        self.findings.note(Part::Jobs, self.running());
        let found = self.findings.all();
        let reads = !found.keys().any(|part| part.concerns_readers());
        (reads, found.is_empty())
    }

    fn committing(&self) -> Result<(), String> {
        if self.committer.is_closed() {
            return Err("the committer has ended; the server has to be started again".to_owned());
        }
        let busy = self.committer.busy_for();
        if busy > STUCK_WRITE {
            return Err(format!(
                "a commit has been under way for {} s",
                busy.as_secs()
            ));
        }
        Ok(())
    }

    /// Compares the head in memory with the head of the database.
    async fn follows(&self, behind_since: &mut Option<(u64, Instant)>) -> Result<(), String> {
        // If the heads cannot be read, nothing can be said about streams.
        let heads = tokio::time::timeout(STUCK_TAIL, self.store.heads()).await;
        let Ok(Ok(heads)) = heads else {
            return Ok(());
        };
        let (seen, head) = (self.feed.seen(View::Desk), of_view(heads, View::Desk));
        if seen >= head {
            *behind_since = None;
            return Ok(());
        }
        match behind_since {
            Some((place, since)) if *place == seen => {
                let behind = since.elapsed();
                if behind > STUCK_TAIL {
                    let seconds = behind.as_secs();
                    return Err(format!(
                        "streams have stood at {seen} of {head} for {seconds} s"
                    ));
                }
            }
            _ => *behind_since = Some((seen, Instant::now())),
        }
        Ok(())
    }

    fn releasing(&self) -> Result<(), String> {
        let stands = self.embargoes.standing();
        match stands.waiting_for {
            Some(waiting) if waiting > STUCK_EMBARGOES => Err(format!(
                "{} records are due, and none was published for {} s",
                stands.overdue,
                waiting.as_secs()
            )),
            _ => Ok(()),
        }
    }

    fn running(&self) -> Result<(), String> {
        let down = self.jobs.down();
        if down.is_empty() {
            return Ok(());
        }
        Err(format!("ended by themselves: {}", down.join(", ")))
    }
}

/// Reports the status of the server and of each service of the schema, so that none can be forgotten.
pub(super) async fn report(reporter: &HealthReporter, reads: bool, writes: bool) {
    let status = |serves| {
        if serves {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    };
    reporter.set_service_status("", status(writes)).await;
    let services = DESCRIPTORS.services();
    for service in services.filter(|service| service.package_name() == "dateline.v1") {
        let name = service.full_name();
        let serves = if READING.contains(&name) {
            reads
        } else {
            writes
        };
        reporter.set_service_status(name, status(serves)).await;
    }
}

/// Returns the error's own text; the driver's detail goes to the debug log.
fn told(error: &dateline_store::Error) -> String {
    tracing::debug!(error = error as &dyn std::error::Error, "health");
    error.to_string()
}
