//! The only write path (group commit): waiting requests form one group, are decided in memory, and are written by one
//! `append`.
//!
//! Guarantees: a request is answered after its transaction is durable, or with the reason why nothing was written (W1,
//! W2). A refused or poisoned request never fails others of its group. No client and no other request can hold the
//! feed's lock: it is taken and released inside one statement.

use std::{
    collections::{HashSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dateline_engine::{
    change::{Decision, Outcome},
    decide::{DecideError, decide},
    read_view::ReadView,
    rejection::Rejection,
    request::Request,
};
use dateline_proto::v1::Warning;
use dateline_record::{name::Name, sequence::Sequence};
use futures_util::FutureExt;
use time::OffsetDateTime;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use uuid::Uuid;

use super::{
    Error, Store,
    append_args::AppendArgs,
    commit_batch::CommitBatch,
    outcome::{add_changed_paths, load_committed},
    pool::Lease,
    read_view,
    stored::StoredRecord,
};

/// Length of the queue of requests; further callers wait for a free slot.
const QUEUE_CAPACITY: usize = 1024;
/// Most decisions of one request whose read set keeps changing.
const MAX_ATTEMPTS: u32 = 20;

/// A durable write.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The records as stored, in the order of the writes.
    pub records: Vec<StoredRecord>,
    /// Number of records that got a new revision; 0 for a retry that gets its first answer again.
    pub changed: usize,
    /// Last desk sequence of the batch; 0 if nothing was written.
    pub desk_sequence: Sequence,
    /// Last wire sequence of the batch; 0 if no change is on the wire feed.
    pub wire_sequence: Sequence,
    /// Warnings about data that was stored nevertheless.
    pub warnings: Vec<Warning>,
}

/// The reason why a request did not commit.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

type CommitResult = Result<Committed, CommitError>;

/// A request that waits for its answer.
pub(super) struct Job {
    pub request: Request,
    answer: oneshot::Sender<CommitResult>,
    attempt: u32,
}

/// Handle to the committer; cheap to clone. The committer ends when every clone is dropped.
#[derive(Debug, Clone)]
pub struct Committer {
    queue: mpsc::Sender<Job>,
    busy_since: BusySince,
}

/// The time at which the present group began; `None` while idle.
type BusySince = Arc<Mutex<Option<Instant>>>;

impl Committer {
    /// Returns a committer and the task that runs it. `committed` is notified after every commit.
    pub fn new(store: Store, committed: Arc<Notify>) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(QUEUE_CAPACITY);
        let busy_since = BusySince::default();
        let worker = Worker {
            store,
            waiting,
            deferred: VecDeque::new(),
            committed,
            busy_since: busy_since.clone(),
        };
        (Self { queue, busy_since }, worker.run())
    }

    /// True if the committer's task has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Returns how long the present group has been committing; zero while idle.
    #[must_use]
    pub fn busy_for(&self) -> Duration {
        let since = self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Commits a request, and returns when it is durable. A caller that disconnects does not cancel it.
    ///
    /// # Errors
    /// If the request was refused, or the store failed.
    pub async fn commit(&self, request: Request) -> CommitResult {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            request,
            answer,
            attempt: 1,
        };
        self.queue
            .send(job)
            .await
            .map_err(|_| Error::ShuttingDown)?;
        // Without an answer the group has panicked, and the outcome is unknown.
        answered.await.map_err(|_| unavailable())?
    }
}

struct Worker {
    store: Store,
    waiting: mpsc::Receiver<Job>,
    /// Requests for a later group: they touch records that an earlier request of the group changes, or are decided
    /// again.
    deferred: VecDeque<Job>,
    committed: Arc<Notify>,
    busy_since: BusySince,
}

impl Worker {
    async fn run(mut self) {
        while let Some(group) = self.next_group().await {
            metrics::histogram!("dateline_commit_group_requests").record(group.len() as f64);
            self.set_busy(Some(Instant::now()));
            // A panic is a bug, and must not end the task that serves all writers.
            let committing = AssertUnwindSafe(self.commit_group(group)).catch_unwind();
            if committing.await.is_err() {
                metrics::counter!("dateline_panics_total").increment(1);
                tracing::error!(
                    "committing a group panicked; its requests are answered UNAVAILABLE"
                );
            }
            self.set_busy(None);
        }
    }

    fn set_busy(&self, since: Option<Instant>) {
        *self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Returns the waiting requests as a group, in which no two touch the same record, so that none depends on another.
    async fn next_group(&mut self) -> Option<Vec<Job>> {
        let mut group = CommitBatch::default();
        for job in std::mem::take(&mut self.deferred) {
            // A caller that has disconnected retries under the same id if the write matters.
            if !job.answer.is_closed() {
                self.deferred.extend(group.try_add(job));
            }
        }
        if group.jobs.is_empty() {
            let first = self.waiting.recv().await?;
            self.deferred.extend(group.try_add(first));
        }
        while group.has_room()
            && self.deferred.len() < QUEUE_CAPACITY
            && let Ok(job) = self.waiting.try_recv()
        {
            self.deferred.extend(group.try_add(job));
        }
        Some(group.jobs)
    }

    async fn commit_group(&mut self, jobs: Vec<Job>) {
        let mut connection = match self.store.writer.acquire().await {
            Ok(connection) => connection,
            Err(error) => {
                let error = Error::from(error);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no connection to commit with"
                );
                return fail_all(jobs);
            }
        };
        match self.try_group(&mut connection, jobs).await {
            Ok(()) => {}
            Err((error, jobs)) if is_rolled_back(&error) && jobs.len() > 1 => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a group failed; committing one by one"
                );
                for job in jobs {
                    if let Err((error, jobs)) = self.try_group(&mut connection, vec![job]).await {
                        self.retry_or_fail(error, jobs);
                    }
                }
            }
            Err((error, jobs)) => self.retry_or_fail(error, jobs),
        }
    }

    /// Ends jobs whose statement failed; those that lost a race are decided again.
    fn retry_or_fail(&mut self, error: Error, jobs: Vec<Job>) {
        let is_race = matches!(error, Error::Raced(_));
        let mut error = Some(error);
        for job in jobs {
            if is_race && job.attempt < MAX_ATTEMPTS {
                self.deferred.push_back(Job {
                    attempt: job.attempt + 1,
                    ..job
                });
            } else {
                let error = error.take().unwrap_or_else(unavailable);
                tracing::error!(error = &error as &dyn std::error::Error, "a commit failed");
                answer(job.answer, Err(error.into()));
            }
        }
    }

    /// Decides and appends. A database error is returned together with the jobs that were not answered.
    async fn try_group(
        &mut self,
        connection: &mut Lease,
        jobs: Vec<Job>,
    ) -> Result<(), (Error, Vec<Job>)> {
        connection.renew();
        // Microseconds, like the log, so that a record and its change carry the same time.
        let now = OffsetDateTime::now_utc().truncate_to_microsecond();
        let (read_view, jobs, feed) = self.prepare(connection, jobs, now).await?;
        let mut decided = Vec::with_capacity(jobs.len());
        let mut changed = HashSet::new();
        for job in jobs {
            match decide_job(&job.request, &read_view, now) {
                // Its read set holds a record that an earlier request of the group changes.
                Ok(decision) if conflicts_with(&decision, &changed) => self.deferred.push_back(job),
                Ok(decision) => {
                    if !job.request.validate_only {
                        let changes = decision.outcomes.iter().filter_map(Outcome::change);
                        changed.extend(changes.map(|change| change.name.clone()));
                    }
                    decided.push((job, decision));
                }
                Err(error) => answer(job.answer, Err(add_changed_paths(connection, error).await)),
            }
        }
        let (to_write, to_validate): (Vec<_>, Vec<_>) = decided
            .into_iter()
            .partition(|(job, _)| !job.request.validate_only);
        for (job, decision) in to_validate {
            let committed = load_committed(connection, decision, None).await;
            answer(job.answer, committed.map_err(CommitError::from));
        }
        if to_write.is_empty() {
            return Ok(());
        }
        let mut args = AppendArgs::new(feed, now);
        for (job, decision) in &to_write {
            args.push(&job.request, decision);
        }
        let numbers = match args.append(connection).await {
            Ok(numbers) => numbers,
            Err(error) => return Err((error, to_write.into_iter().map(|(job, _)| job).collect())),
        };
        self.committed.notify_one();
        for (number, (job, decision)) in (1..).zip(to_write) {
            match numbers.get(&number) {
                Some(numbered) => {
                    // Committed: if reading the answer fails now, a retry under the same id gets it.
                    let committed = load_committed(connection, decision, Some(*numbered)).await;
                    answer(
                        job.answer,
                        committed.map_err(|error| unknown_outcome(&error).into()),
                    );
                }
                None => self.defer_or_fail(job),
            }
        }
        Ok(())
    }

    /// Prefetches the data of requests, and answers those that were answered before.
    async fn prepare(
        &mut self,
        connection: &mut Lease,
        jobs: Vec<Job>,
        now: OffsetDateTime,
    ) -> Result<(ReadView, Vec<Job>, Uuid), (Error, Vec<Job>)> {
        let asked: Vec<_> = jobs.iter().map(|job| &job.request).collect();
        let (read_view, found, feed) = match read_view::load(connection, &asked, now).await {
            Ok(loaded) => loaded,
            Err(error) => return Err((error, jobs)),
        };
        let mut fresh = Vec::with_capacity(jobs.len());
        for job in jobs {
            let before = job
                .request
                .id
                .and_then(|id| found.get(&(job.request.by.author.clone(), id)));
            match before {
                None => fresh.push(job),
                Some(before) if !job.request.has_fingerprint(&before.fingerprint) => {
                    answer(job.answer, Err(Rejection::RequestIdReused.into()));
                }
                Some(before) => {
                    let again = before.replay(connection).await;
                    answer(job.answer, again.map_err(CommitError::from));
                }
            }
        }
        Ok((read_view, fresh, feed))
    }

    fn defer_or_fail(&mut self, job: Job) {
        metrics::counter!("dateline_commit_retries_total").increment(1);
        if job.attempt < MAX_ATTEMPTS {
            self.deferred.push_back(Job {
                attempt: job.attempt + 1,
                ..job
            });
        } else {
            answer(
                job.answer,
                Err(Error::Raced(sqlx::Error::RowNotFound).into()),
            );
        }
    }
}

fn decide_job(
    request: &Request,
    read_view: &ReadView,
    now: OffsetDateTime,
) -> Result<Decision, CommitError> {
    let mut new_uid = || {
        if request.validate_only {
            Uuid::nil()
        } else {
            Uuid::now_v7()
        }
    };
    // A decision that panics is a bug, and must fail only its own request: this task serves all writers.
    let decided = catch_unwind(AssertUnwindSafe(|| {
        decide(request, read_view, now, &mut new_uid)
    }));
    match decided.map_err(|_| Error::Corrupt("a decision panicked".to_owned()))? {
        Ok(decision) => Ok(decision),
        Err(DecideError::Rejected(rejection)) => Err(rejection.into()),
        Err(DecideError::NotRead(keys)) => {
            tracing::error!(
                keys = %keys,
                method = request.by.method,
                "a decision looked up what was never read; nothing is written"
            );
            Err(Error::NotRead(keys).into())
        }
    }
}

/// True if the decision has read a record that the group changes.
fn conflicts_with(decision: &Decision, changed: &HashSet<Name>) -> bool {
    let mut read = decision.read_set.revisions.iter();
    read.any(|(name, _)| changed.contains(name))
}

/// True if the failed statement has certainly changed nothing, and may succeed for the other requests.
fn is_rolled_back(error: &Error) -> bool {
    match error {
        Error::DiskFull(_)
        | Error::Raced(_)
        | Error::UidTaken(_)
        | Error::Database(_)
        | Error::Corrupt(_)
        | Error::NotRead(_) => true,
        // The connection may have died after the commit and before the answer. A timeout has changed nothing, but each
        // single request would wait for the lock again.
        Error::Unavailable(_)
        | Error::TimedOut(_)
        | Error::Schema(_)
        | Error::SchemaVersion(_)
        | Error::Foreign(_)
        | Error::Url(_)
        | Error::ShuttingDown => false,
    }
}

fn unknown_outcome(error: &Error) -> Error {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "committed, but the answer cannot be read"
    );
    unavailable()
}

fn unavailable() -> Error {
    Error::Unavailable(sqlx::Error::PoolTimedOut)
}

fn fail_all(jobs: Vec<Job>) {
    for job in jobs {
        answer(job.answer, Err(unavailable().into()));
    }
}

/// Sends an answer. If the caller has disconnected, the answer is dropped; what was committed stays committed.
fn answer(to: oneshot::Sender<CommitResult>, with: CommitResult) {
    drop(to.send(with));
}
