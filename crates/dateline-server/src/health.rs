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
use dateline_record::sequence::Sequence;
use dateline_store::{Committer, FeedView, Store};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{embargo_status::EmbargoTracker, jobs::Jobs};

/// Longest wait for an answer about lags. What follows in the same round are the probes that find dead connections: they
/// must not wait for one.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(1);
/// Interval between two checks.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time that a commit batch may take before writes count as stuck.
const COMMIT_STALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time that streams may be behind a database that answers.
const TAIL_STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time without a publication while records are due.
const EMBARGO_STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Services that need only database reads. All others need writes too, and so does the server as a whole.
const READ_ONLY_SERVICES: [&str; 4] = [
    "dateline.v1.FeedService",
    "dateline.v1.ExportService",
    "dateline.v1.MatchService",
    "dateline.v1.SearchService",
];
/// Longest time that the keys of actors or the words of search may be behind the feed before it counts as a fault.
const INDEX_STALL_TIMEOUT: Duration = Duration::from_mins(1);

/// A part of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subsystem {
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
    /// Keys of actors follow the feed. Names that they do not have yet are not matched; all else works.
    Matching,
    /// Search follows the feed. What is behind delays words, and nothing else.
    Search,
}

impl Subsystem {
    /// Returns the name of the part in logs and in `GetHealth`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Feed => "feed",
            Self::Embargoes => "embargoes",
            Self::Jobs => "jobs",
            Self::Matching => "matching",
            Self::Search => "search",
        }
    }

    fn affects_writes(self) -> bool {
        !matches!(self, Self::Matching | Self::Search)
    }

    fn affects_reads(self) -> bool {
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
pub struct HealthState(Arc<Mutex<BTreeMap<Subsystem, Problem>>>);

impl HealthState {
    /// Returns all current faults, by part.
    #[must_use]
    pub fn all(&self) -> BTreeMap<Subsystem, Problem> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Records the result of a check, and logs it when a part becomes faulty or sound.
    fn record(&self, part: Subsystem, found: Result<(), String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(()) => {
                if known.remove(&part).is_some() {
                    tracing::info!(part = part.as_str(), "sound again");
                }
            }
            Err(what) => {
                if let Some(problem) = known.get_mut(&part) {
                    problem.what = what;
                } else {
                    tracing::warn!(part = part.as_str(), "not sound: {what}");
                    let since = OffsetDateTime::now_utc();
                    known.insert(part, Problem { what, since });
                }
            }
        }
    }
}

/// Checks all parts and reports the result.
#[derive(Clone)]
pub(super) struct HealthChecker {
    pub reporter: HealthReporter,
    pub health_state: HealthState,
    pub store: Store,
    pub committer: Committer,
    pub feed: Feed,
    pub embargoes: EmbargoTracker,
    pub jobs: Jobs,
    /// Cancelled when the server stops: from then on it reports `NOT_SERVING`, whatever the database answers.
    pub stopping: CancellationToken,
}

impl HealthChecker {
    /// Checks at every interval until the server stops.
    pub async fn run(self) {
        let (mut reported, mut behind_since) = (None, None);
        let looking = async {
            loop {
                let serving = self.check_all(&mut behind_since).await;
                if reported != Some(serving) && !self.stopping.is_cancelled() {
                    report_status(&self.reporter, serving.0, serving.1).await;
                    reported = Some(serving);
                }
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        };
        let stopped = self.stopping.run_until_cancelled(Box::pin(looking)).await;
        // Reported last, after any report that was under way when the server stopped.
        report_status(&self.reporter, false, false).await;
        if stopped.is_none() {
            // A job must not end before it is stopped.
            std::future::pending::<()>().await;
        }
    }

    /// Checks once, and reports the result.
    pub async fn check_once(&self) {
        let (reads, writes) = self.check_all(&mut None).await;
        if !self.stopping.is_cancelled() {
            report_status(&self.reporter, reads, writes).await;
        }
    }

    /// Checks all parts. Returns whether reads and whether writes are served.
    async fn check_all(&self, behind_since: &mut Option<(Sequence, Instant)>) -> (bool, bool) {
        let (reads, writes) = tokio::join!(self.store.ping(), self.store.ping_writer());
        let reads = reads.map_err(|error| error_text(&error));
        self.health_state.record(Subsystem::Reads, reads);
        let writes = writes.map_err(|error| error_text(&error));
        let writes = writes.and_then(|()| self.check_committer());
        self.health_state.record(Subsystem::Writes, writes);
        let (follows, keys, indexed) = tokio::join!(
            self.check_tail(behind_since),
            self.check_keys(),
            self.check_search()
        );
        self.health_state.record(Subsystem::Feed, follows);
        self.health_state
            .record(Subsystem::Embargoes, self.check_embargoes());
        self.health_state.record(Subsystem::Jobs, self.check_jobs());
        self.health_state.record(Subsystem::Matching, keys);
        self.health_state.record(Subsystem::Search, indexed);
        let found = self.health_state.all();
        let reads = !found.keys().any(|part| part.affects_reads());
        (reads, !found.keys().any(|part| part.affects_writes()))
    }

    fn check_committer(&self) -> Result<(), String> {
        if self.committer.is_closed() {
            return Err("the committer has ended; the server has to be started again".to_owned());
        }
        let busy = self.committer.busy_for();
        if busy > COMMIT_STALL_TIMEOUT {
            return Err(format!(
                "a commit has been under way for {} s",
                busy.as_secs()
            ));
        }
        Ok(())
    }

    /// Compares the head in memory with the head of the database.
    async fn check_tail(
        &self,
        behind_since: &mut Option<(Sequence, Instant)>,
    ) -> Result<(), String> {
        // If the heads cannot be read, nothing can be said about streams.
        let heads = tokio::time::timeout(QUESTION_TIMEOUT, self.store.heads()).await;
        let Ok(Ok(heads)) = heads else {
            return Ok(());
        };
        let (seen, head) = (self.feed.local_head(FeedView::Desk), heads.desk);
        if seen >= head {
            *behind_since = None;
            return Ok(());
        }
        match behind_since {
            Some((position, since)) if *position == seen => {
                let behind = since.elapsed();
                if behind > TAIL_STALL_TIMEOUT {
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

    fn check_embargoes(&self) -> Result<(), String> {
        let embargo_status = self.embargoes.status();
        match embargo_status.waiting_for {
            Some(waiting) if waiting > EMBARGO_STALL_TIMEOUT => Err(format!(
                "{} records are due, and none was published for {} s",
                embargo_status.overdue,
                waiting.as_secs()
            )),
            _ => Ok(()),
        }
    }

    /// Checks how far the keys of actors are behind. If the database does not answer, nothing can be said of them.
    async fn check_keys(&self) -> Result<(), String> {
        let candidates = self.store.candidates();
        let lag = tokio::time::timeout(QUESTION_TIMEOUT, candidates.lag()).await;
        match lag {
            Ok(Ok((changes, lag))) if lag > INDEX_STALL_TIMEOUT => Err(format!(
                "the keys of actors are {changes} changes and {} s behind the feed: new names are not matched yet",
                lag.as_secs()
            )),
            _ => Ok(()),
        }
    }

    /// Checks how far search is behind. If the database does not answer, nothing can be said of it.
    async fn check_search(&self) -> Result<(), String> {
        let index = self.store.search_index();
        let lag = tokio::time::timeout(QUESTION_TIMEOUT, index.lag()).await;
        match lag {
            Ok(Ok((changes, seconds))) if seconds > INDEX_STALL_TIMEOUT.as_secs_f64() => Err(
                format!("search is {changes} changes and {seconds:.0} s behind the feed"),
            ),
            _ => Ok(()),
        }
    }

    fn check_jobs(&self) -> Result<(), String> {
        let down = self.jobs.not_running();
        if down.is_empty() {
            return Ok(());
        }
        Err(format!("ended by themselves: {}", down.join(", ")))
    }
}

/// Reports the status of the server and of each service of the schema, so that none can be forgotten.
pub(super) async fn report_status(reporter: &HealthReporter, reads: bool, writes: bool) {
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
        let serves = if READ_ONLY_SERVICES.contains(&name) {
            reads
        } else {
            writes
        };
        reporter.set_service_status(name, status(serves)).await;
    }
}

/// Returns the error's own text; the driver's detail goes to the debug log.
fn error_text(error: &dateline_store::Error) -> String {
    tracing::debug!(error = error as &dyn std::error::Error, "health");
    error.to_string()
}
