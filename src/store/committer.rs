//! The one write path: whatever requests wait become one group, are decided in memory, and go in by one
//! `append` (group commit).
//!
//! What it promises: a request is answered after its transaction is durable, or with the reason why nothing
//! was written (W1, W2). A refused or poisoned request never fails its neighbours. No client and no other
//! request can hold the feed's lock: it is taken and released inside one statement.

use std::{
    collections::{HashSet, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use time::OffsetDateTime;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use uuid::Uuid;

use super::{
    Error, Store,
    answers::{answered, explain},
    company::Company,
    group::Group,
    pool::Lease,
    requests,
    stored::StoredRecord,
    world,
};
use crate::{
    model::{
        change::{Decision, Outcome},
        decide::decide,
        name::Name,
        refusal::Refusal,
        request::Request,
        world::World,
    },
    proto::v1::Warning,
};

/// Requests that may wait; past that, callers wait to be let in.
const QUEUE: usize = 1024;
/// How often a request is decided again because what it looked at has moved.
const ATTEMPTS: u32 = 20;

/// A write that is durable.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The records as stored, in the order of the writes.
    pub records: Vec<StoredRecord>,
    /// How many records got a revision, this time: a retry that is answered again changes none.
    pub changed: usize,
    /// Last desk sequence of the batch; 0 if nothing was to be written.
    pub desk_sequence: u64,
    /// Last wire sequence of the batch; 0 if readers see nothing of it.
    pub wire_sequence: u64,
    /// What looks wrong although it was stored.
    pub warnings: Vec<Warning>,
}

/// Why a request did not commit.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It may not.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] Error),
}

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

type Answer = Result<Committed, CommitError>;

/// A request that waits for its answer.
pub(super) struct Job {
    pub request: Request,
    answer: oneshot::Sender<Answer>,
    attempt: u32,
}

/// The way into the committer; cheap to clone. The committer ends when every clone is gone.
#[derive(Debug, Clone)]
pub struct Committer {
    queue: mpsc::Sender<Job>,
    busy_since: Busy,
}

/// When the group began that is being committed.
type Busy = Arc<Mutex<Option<Instant>>>;

impl Committer {
    /// Makes a committer and the task that has to be run for it. `committed` is told after every commit.
    pub fn new(store: Store, committed: Arc<Notify>) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let busy_since = Busy::default();
        let worker = Worker {
            store,
            waiting,
            set_aside: VecDeque::new(),
            committed,
            busy_since: busy_since.clone(),
        };
        (Self { queue, busy_since }, worker.run())
    }

    /// True if the task that commits has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Returns how long the group has taken that is being committed; zero if there is none.
    #[must_use]
    pub fn busy_for(&self) -> Duration {
        let since = self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Commits a request, and waits until it is durable. A caller that goes away does not undo it.
    ///
    /// # Errors
    /// When it was refused, or the store could not do it.
    pub async fn commit(&self, request: Request) -> Answer {
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
        // Without an answer its group has panicked, and nobody knows what became of it.
        answered.await.map_err(|_| away())?
    }
}

struct Worker {
    store: Store,
    waiting: mpsc::Receiver<Job>,
    /// Requests for a later group: they touch what an earlier one of the group changes, or have to be decided
    /// again.
    set_aside: VecDeque<Job>,
    committed: Arc<Notify>,
    busy_since: Busy,
}

impl Worker {
    async fn run(mut self) {
        while let Some(group) = self.next_group().await {
            metrics::histogram!("dateline_commit_group_requests").record(group.len() as f64);
            self.busy(Some(Instant::now()));
            // A panic is a bug, and must not end the task that writes for everybody.
            let committing = AssertUnwindSafe(self.commit_group(group)).catch_unwind();
            if committing.await.is_err() {
                metrics::counter!("dateline_panics").increment(1);
                tracing::error!(
                    "committing a group panicked; its requests are answered UNAVAILABLE"
                );
            }
            self.busy(None);
        }
    }

    fn busy(&self, since: Option<Instant>) {
        *self
            .busy_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Takes what waits; no two requests of a group touch the same record, so none depends on another.
    async fn next_group(&mut self) -> Option<Vec<Job>> {
        let mut group = Company::default();
        for job in std::mem::take(&mut self.set_aside) {
            // Whoever has gone away retries under the same id, if it matters.
            if !job.answer.is_closed() {
                self.set_aside.extend(group.take(job));
            }
        }
        if group.jobs.is_empty() {
            let first = self.waiting.recv().await?;
            self.set_aside.extend(group.take(first));
        }
        while group.has_room()
            && self.set_aside.len() < QUEUE
            && let Ok(job) = self.waiting.try_recv()
        {
            self.set_aside.extend(group.take(job));
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
                        self.settle(error, jobs);
                    }
                }
            }
            Err((error, jobs)) => self.settle(error, jobs),
        }
    }

    /// Ends jobs whose statement failed: those that lost a race are decided again.
    fn settle(&mut self, error: Error, jobs: Vec<Job>) {
        let is_race = matches!(error, Error::Raced(_));
        let mut error = Some(error);
        for job in jobs {
            if is_race && job.attempt < ATTEMPTS {
                self.set_aside.push_back(Job {
                    attempt: job.attempt + 1,
                    ..job
                });
            } else {
                let error = error.take().unwrap_or_else(away);
                tracing::error!(error = &error as &dyn std::error::Error, "a commit failed");
                answer(job.answer, Err(error.into()));
            }
        }
    }

    /// Decides and appends. On a database error the jobs that are not answered yet come back with it.
    async fn try_group(
        &mut self,
        connection: &mut Lease,
        jobs: Vec<Job>,
    ) -> Result<(), (Error, Vec<Job>)> {
        connection.renew();
        // As exact as the log keeps it, so that a record and its change tell the same time.
        let now = OffsetDateTime::now_utc().truncate_to_microsecond();
        let (world, jobs) = self.prepare(connection, jobs, now).await?;
        let mut group = Group::default();
        let mut decided = Vec::with_capacity(jobs.len());
        let mut changed = HashSet::new();
        for job in jobs {
            match decide_job(&job.request, &world, now) {
                // It has seen what an earlier one of the group is about to change.
                Ok(decision) if rests_on(&decision, &changed) => self.set_aside.push_back(job),
                Ok(decision) => match join(&mut group, &mut changed, &job.request, &decision) {
                    Ok(()) => decided.push((job, decision)),
                    Err(error) => answer(job.answer, Err(error.into())),
                },
                Err(error) => answer(job.answer, Err(explain(connection, error).await)),
            }
        }
        let (to_write, to_show): (Vec<_>, Vec<_>) = decided
            .into_iter()
            .partition(|(job, _)| !job.request.validate_only);
        for (job, decision) in to_show {
            let shown = answered(connection, &decision, None).await;
            answer(job.answer, shown.map_err(CommitError::from));
        }
        if to_write.is_empty() {
            return Ok(());
        }
        let numbers = match group.append(connection, now).await {
            Ok(numbers) => numbers,
            Err(error) => return Err((error, to_write.into_iter().map(|(job, _)| job).collect())),
        };
        self.committed.notify_one();
        for (number, (job, decision)) in (1..).zip(to_write) {
            match numbers.get(&number) {
                Some(numbered) => {
                    // It is committed: whatever fails now, the answer is there for a retry under the same id.
                    let told = answered(connection, &decision, Some(*numbered)).await;
                    answer(job.answer, told.map_err(|error| unanswered(&error).into()));
                }
                None => self.decide_again(job),
            }
        }
        Ok(())
    }

    /// Reads what requests have to look at, and answers those that were answered before. In this order: what a
    /// first try at another server has written must not be seen before its answer is, or the retry would be
    /// refused for what it did itself (W4).
    async fn prepare(
        &mut self,
        connection: &mut Lease,
        jobs: Vec<Job>,
        now: OffsetDateTime,
    ) -> Result<(World, Vec<Job>), (Error, Vec<Job>)> {
        let asked: Vec<_> = jobs.iter().map(|job| &job.request).collect();
        let world = match world::read(connection, &asked).await {
            Ok(world) => world,
            Err(error) => return Err((error, jobs)),
        };
        let found = match requests::find(connection, &asked, now).await {
            Ok(found) => found,
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
                Some(before) if !job.request.is_of(&before.fingerprint) => {
                    answer(job.answer, Err(Refusal::RequestIdReused.into()));
                }
                Some(before) => {
                    let again = before.replay(connection).await;
                    answer(job.answer, again.map_err(CommitError::from));
                }
            }
        }
        Ok((world, fresh))
    }

    fn decide_again(&mut self, job: Job) {
        metrics::counter!("dateline_commit_decided_again").increment(1);
        if job.attempt < ATTEMPTS {
            self.set_aside.push_back(Job {
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
    world: &World,
    now: OffsetDateTime,
) -> Result<Decision, CommitError> {
    let mut mint = || {
        if request.validate_only {
            Uuid::nil()
        } else {
            Uuid::now_v7()
        }
    };
    // A decision that panics is a bug, and must cost its own request only: this task writes for everybody.
    let decided = catch_unwind(AssertUnwindSafe(|| decide(request, world, now, &mut mint)));
    Ok(decided.map_err(|_| Error::Corrupt("a decision panicked".to_owned()))??)
}

/// Whether a decision looked at a record that has another revision by the time it is written.
fn rests_on(decision: &Decision, changed: &HashSet<Name>) -> bool {
    let mut seen = decision.seen.revisions.iter();
    seen.any(|(name, _)| changed.contains(name))
}

/// Takes a decision into the group; all of it or, when it fails, nothing.
fn join(
    group: &mut Group,
    changed: &mut HashSet<Name>,
    request: &Request,
    decision: &Decision,
) -> Result<(), Error> {
    if request.validate_only {
        return Ok(());
    }
    group.push(request, decision)?;
    let changes = decision.outcomes.iter().filter_map(Outcome::change);
    changed.extend(changes.map(|change| change.name.clone()));
    Ok(())
}

/// Whether the statement that failed has certainly changed nothing, and may succeed for others.
fn is_rolled_back(error: &Error) -> bool {
    match error {
        Error::DiskFull(_)
        | Error::Raced(_)
        | Error::UidTaken(_)
        | Error::Database(_)
        | Error::Corrupt(_) => true,
        // The connection may have died after the commit and before the answer. A timeout has changed nothing; but
        // whoever waited for the lock in vain would do so again, one by one.
        Error::Unavailable(_)
        | Error::TimedOut(_)
        | Error::Schema(_)
        | Error::SchemaVersion(_)
        | Error::Foreign(_)
        | Error::Url(_)
        | Error::ShuttingDown => false,
    }
}

fn unanswered(error: &Error) -> Error {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "committed, but the answer cannot be read"
    );
    away()
}

fn away() -> Error {
    Error::Unavailable(sqlx::Error::PoolTimedOut)
}

fn fail_all(jobs: Vec<Job>) {
    for job in jobs {
        answer(job.answer, Err(away().into()));
    }
}

/// A caller that has gone away does not want its answer; what was committed stays committed.
fn answer(to: oneshot::Sender<Answer>, with: Answer) {
    drop(to.send(with));
}
