//! Publishes records whose embargo has ended. Every server sweeps; the write path ensures that each record is published
//! once: the server that comes second finds it published (W3), and writes nothing.
//!
//! Records that one request put under embargo are published as one batch, independently of all others
//! (`dateline_engine::release`). A batch that fails is halved until one record is isolated. An isolated record is
//! logged, counted, reported and retried with back-off, and blocks no other record.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use dateline_engine::{
    rejection::Rejection,
    release::{self, ReleaseUnit},
    request::{Action, Attribution, Request, Write},
};
use dateline_record::name::Name;
use dateline_store::{CommitError, Committer, DueEmbargo, Store};
use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::embargo_status::{EmbargoTracker, IsolatedRecord};

/// Interval between two sweeps. A record is published within a second of its time.
const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
/// Pause after the store was unavailable.
const UNAVAILABLE_BACKOFF: Duration = Duration::from_secs(1);
/// Interval at which overdue records are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// Most records of one sweep, unless one request put more under embargo.
const SWEEP_LIMIT: i64 = 1000;
/// Batches that are committed concurrently. The committer groups them.
const MAX_CONCURRENT_COMMITS: usize = 256;
/// Timeouts after which a batch is halved: one may be caused by a lock that has nothing to do with the batch.
const MAX_TIMEOUTS: u32 = 3;
/// Number of times that an unchanged record may be reported as changed before it is isolated.
const MAX_CONFLICTS: u32 = 4;
/// First pause before isolated records are tried again; it doubles with each attempt.
const MIN_RETRY_BACKOFF: Duration = Duration::from_secs(1);
/// Longest such pause.
const MAX_RETRY_BACKOFF: Duration = Duration::from_secs(16);
/// Interval at which isolated records are logged again.
const REMIND_INTERVAL: Duration = Duration::from_mins(10);
/// Most names in one log line.
const LOGGED_NAMES: usize = 20;
/// Longest reason kept of each record.
const MAX_REASON_BYTES: usize = 500;
/// Author of these publications in the log.
const AUTHOR: &str = "embargo";

/// Sweeps until it is stopped.
pub async fn run(store: Store, committer: Committer, embargoes: EmbargoTracker) {
    let mut sweeper = Sweeper {
        store,
        committer,
        embargoes,
        isolated: HashMap::new(),
        to_try: HashSet::new(),
        pause: MIN_RETRY_BACKOFF,
        tried_at: Instant::now(),
        reminded_at: Instant::now(),
        counted_at: None,
        slow: HashMap::new(),
        moved: HashMap::new(),
        made_progress: false,
        is_away: false,
    };
    loop {
        let pause = match sweeper.sweep().await {
            Ok(true) => Duration::ZERO,
            Ok(false) => SWEEP_INTERVAL,
            // The first retry is quick: after a lost connection the next one may work.
            Err(error) if sweeper.log_unavailable(&error) => SWEEP_INTERVAL,
            Err(_) => UNAVAILABLE_BACKOFF,
        };
        tokio::time::sleep(pause).await;
    }
}

struct Sweeper {
    store: Store,
    committer: Committer,
    embargoes: EmbargoTracker,
    /// By name; another revision of a record is not isolated.
    isolated: HashMap<String, IsolatedRecord>,
    /// Isolated records that are due for another attempt: there may be more than one sweep takes.
    to_try: HashSet<String>,
    /// Pause between attempts to publish isolated records.
    pause: Duration,
    /// Time of the last attempt.
    tried_at: Instant,
    reminded_at: Instant,
    counted_at: Option<Instant>,
    /// Batches that timed out, with the number of timeouts.
    slow: HashMap<i64, u32>,
    /// Revisions that were reported as changed, and how often.
    moved: HashMap<(Name, i64), u32>,
    /// True if a record was published since the last count.
    made_progress: bool,
    is_away: bool,
}

/// The result of releasing a sequence of batches.
#[derive(Default)]
struct ReleaseOutcome {
    published: usize,
    /// Records that could not be published, with the reason.
    isolated: Vec<(usize, String)>,
    /// Records that another request has changed.
    moved: Vec<usize>,
    /// The batch that timed out.
    slow: Option<i64>,
    /// The store failed, which is no fault of the records.
    away: Option<dateline_store::Error>,
}

impl Sweeper {
    /// Publishes what is due. Returns true if there may be more.
    async fn sweep(&mut self) -> Result<bool, dateline_store::Error> {
        let tries_isolated = !self.isolated.is_empty() && self.tried_at.elapsed() >= self.pause;
        if tries_isolated {
            self.tried_at = Instant::now();
            self.pause = (self.pause * 2).min(MAX_RETRY_BACKOFF);
            self.to_try = self.isolated.keys().cloned().collect();
        }
        let mut resting = self.isolated_revisions();
        resting.retain(|(name, _)| !self.to_try.contains(name));
        let ended = self.store.ended_embargoes(&resting, SWEEP_LIMIT).await?;
        for due in &ended.due {
            self.to_try.remove(due.name.as_str());
        }
        for damaged in ended.damaged {
            self.to_try.remove(&damaged.name);
            self.isolate(damaged.name, damaged.revision, damaged.error.to_string());
        }
        if ended.due.is_empty() {
            self.to_try.clear();
        } else {
            self.publish(&ended.due).await?;
        }
        self.count_overdue().await?;
        self.is_away = false;
        Ok(ended.has_more)
    }

    async fn publish(&mut self, due: &[DueEmbargo]) -> Result<(), dateline_store::Error> {
        let links = self.store.links_among(due).await?;
        let records: Vec<_> = due.iter().map(release::EndedEmbargo::from).collect();
        let rows = release::plan_commits(&records, &links);
        let this = &*self;
        let releasing = rows.into_iter().map(|row| this.release(due, row));
        let released: Vec<_> = stream::iter(releasing)
            .buffer_unordered(MAX_CONCURRENT_COMMITS)
            .collect()
            .await;
        let moved = std::mem::take(&mut self.moved);
        let (mut published, mut away) = (0, None);
        for row in released {
            published += row.published;
            away = away.or(row.away);
            for (index, why) in row.isolated {
                self.isolate(due[index].name.to_string(), due[index].revision, why);
            }
            if let Some(batch) = row.slow {
                *self.slow.entry(batch).or_default() += 1;
            }
            for index in row.moved {
                let revision = (due[index].name.clone(), due[index].revision);
                let times = moved.get(&revision).copied().unwrap_or_default() + 1;
                if times >= MAX_CONFLICTS {
                    let why = "it is said to have changed, and has not".to_owned();
                    self.isolate(revision.0.to_string(), revision.1, why);
                } else {
                    self.moved.insert(revision, times);
                }
            }
        }
        if published > 0 {
            tracing::info!(records = published, "embargo ended; published");
            self.made_progress = true;
            self.slow.clear();
            // Isolated records may have waited for these.
            self.pause = MIN_RETRY_BACKOFF;
        }
        away.map_or(Ok(()), Err)
    }

    /// Publishes batches one after another. Records that cannot be published are left out, and the rest is tried again.
    async fn release(&self, due: &[DueEmbargo], row: Vec<ReleaseUnit>) -> ReleaseOutcome {
        let mut released = ReleaseOutcome::default();
        let mut open = VecDeque::from(row);
        while let Some(unit) = open.pop_front() {
            let Err(error) = self.committer.commit(request(due, &unit)).await else {
                released.published += unit.len();
                continue;
            };
            let batch = unit.indexes().next().map_or(0, |first| due[first].batch);
            let slow = self.slow.get(&batch).copied().unwrap_or_default();
            match classify_failure(error, due, &unit) {
                ReleaseFailure::Away(error) => {
                    released.away = Some(error);
                    return released;
                }
                ReleaseFailure::Slow(_) if slow < MAX_TIMEOUTS => {
                    released.slow = Some(batch);
                    return released;
                }
                ReleaseFailure::Moved(index) => {
                    released.moved.push(index);
                    open.push_front(unit.without(&HashSet::from([index])));
                }
                ReleaseFailure::Members(rejected) => {
                    let out: HashSet<_> = rejected.iter().map(|(index, _)| *index).collect();
                    released.isolated.extend(rejected);
                    open.push_front(unit.without(&out));
                }
                ReleaseFailure::Slow(why) | ReleaseFailure::Whole(why) => {
                    match unit.clone().halves() {
                        Some((first, second)) => {
                            tracing::warn!(
                                records = unit.len(),
                                "an embargo has ended, but what it hid cannot be published together: {why}; it is halved"
                            );
                            open.push_front(second);
                            open.push_front(first);
                        }
                        None => released
                            .isolated
                            .extend(unit.indexes().map(|index| (index, why.clone()))),
                    }
                }
            }
            if open.front().is_some_and(ReleaseUnit::is_empty) {
                open.pop_front();
            }
        }
        released
    }

    fn isolated_revisions(&self) -> Vec<(String, i64)> {
        let known = self.isolated.values();
        known.map(|it| (it.name.clone(), it.revision)).collect()
    }

    fn isolate(&mut self, name: String, revision: i64, mut why: String) {
        why.truncate(why.floor_char_boundary(MAX_REASON_BYTES));
        if let Some(known) = self.isolated.get_mut(&name)
            && known.revision == revision
        {
            known.attempts = known.attempts.saturating_add(1);
            known.why = why;
            return;
        }
        tracing::error!(
            name,
            revision,
            "its embargo has ended, but it cannot be published: {why}; send it back, or publish what it needs"
        );
        self.pause = MIN_RETRY_BACKOFF;
        let isolated = IsolatedRecord {
            name: name.clone(),
            revision,
            why,
            since: OffsetDateTime::now_utc(),
            attempts: 1,
        };
        self.isolated.insert(name, isolated);
    }

    /// Counts overdue records, drops those that are no longer isolated, and reports both.
    async fn count_overdue(&mut self) -> Result<(), dateline_store::Error> {
        if self
            .counted_at
            .is_some_and(|at| at.elapsed() < COUNT_INTERVAL)
        {
            return Ok(());
        }
        let (overdue, still) = self
            .store
            .overdue_embargoes(&self.isolated_revisions())
            .await?;
        self.counted_at = Some(Instant::now());
        let still: HashSet<_> = still.into_iter().collect();
        self.isolated.retain(|name, it| {
            let stays = still.contains(&(name.clone(), it.revision));
            if !stays {
                tracing::info!(name, revision = it.revision, "no embargo holds it any more");
            }
            stays
        });
        let mut isolated: Vec<_> = self.isolated.values().cloned().collect();
        isolated.sort_by(|one, other| one.name.cmp(&other.name));
        self.remind(&isolated);
        let made_progress = std::mem::take(&mut self.made_progress);
        self.embargoes.update(overdue, isolated, made_progress);
        Ok(())
    }

    fn remind(&mut self, isolated: &[IsolatedRecord]) {
        if isolated.is_empty() || self.reminded_at.elapsed() < REMIND_INTERVAL {
            return;
        }
        self.reminded_at = Instant::now();
        let names: Vec<_> = isolated.iter().map(|it| it.name.as_str()).collect();
        let (first, rest) = names.split_at(names.len().min(LOGGED_NAMES));
        tracing::error!(
            records = isolated.len(),
            "embargoes have ended, but these cannot be published: {}{}",
            first.join(", "),
            if rest.is_empty() { "" } else { " …" }
        );
    }

    /// Logs once that the store is unavailable. Returns true the first time.
    fn log_unavailable(&mut self, error: &dateline_store::Error) -> bool {
        let is_first = !std::mem::replace(&mut self.is_away, true);
        if is_first {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "embargoes wait for the database"
            );
        }
        is_first
    }
}

/// The cause of a failed commit.
enum ReleaseFailure {
    /// The store is unavailable at the moment.
    Away(dateline_store::Error),
    /// The commit timed out, for any reason.
    Slow(String),
    /// Another request changed this record first.
    Moved(usize),
    /// Some of the records cannot be published.
    Members(Vec<(usize, String)>),
    /// The error names no record.
    Whole(String),
}

fn classify_failure(error: CommitError, due: &[DueEmbargo], unit: &ReleaseUnit) -> ReleaseFailure {
    let rejection = match error {
        CommitError::Rejected(rejection) => rejection,
        CommitError::Store(error) => {
            return match error {
                dateline_store::Error::TimedOut(_) => ReleaseFailure::Slow(error.to_string()),
                dateline_store::Error::Corrupt(_)
                | dateline_store::Error::NotRead(_)
                | dateline_store::Error::Database(_)
                | dateline_store::Error::UidTaken(_) => ReleaseFailure::Whole(error.to_string()),
                dateline_store::Error::Unavailable(_)
                | dateline_store::Error::DiskFull(_)
                | dateline_store::Error::Raced(_)
                | dateline_store::Error::Schema(_)
                | dateline_store::Error::SchemaVersion(_)
                | dateline_store::Error::Foreign(_)
                | dateline_store::Error::Url(_)
                | dateline_store::Error::ShuttingDown => ReleaseFailure::Away(error),
            };
        }
    };
    let index = |name: &Name| unit.indexes().find(|index| due[*index].name == *name);
    if let Rejection::EtagMismatch { name, .. } | Rejection::NotFound { name } = &rejection
        && let Some(moved) = index(name)
    {
        return ReleaseFailure::Moved(moved);
    }
    let mut rejected: Vec<_> = blocking_records(&rejection, due, unit)
        .into_iter()
        .filter_map(|(name, why)| Some((index(&name)?, why)))
        .collect();
    rejected.sort_unstable();
    rejected.dedup_by_key(|(index, _)| *index);
    if rejected.is_empty() {
        ReleaseFailure::Whole(rejection.to_string())
    } else {
        ReleaseFailure::Members(rejected)
    }
}

fn request(due: &[DueEmbargo], unit: &ReleaseUnit) -> Request {
    let writes = unit.indexes().map(|index| Write {
        name: due[index].name.clone(),
        etag: due[index].etag.clone(),
        note: String::new(),
        action: Action::Publish { embargo: None },
    });
    Request {
        id: None,
        fingerprint: [0; 32],
        earlier_fingerprint: None,
        by: Attribution {
            author: AUTHOR.to_owned(),
            credential: "none".to_owned(),
            peer: String::new(),
            method: "EmbargoEnd".to_owned(),
        },
        writes: writes.collect(),
        preconditions: Vec::new(),
        validate_only: false,
        bytes: unit.indexes().map(|index| due[index].bytes).sum(),
        warnings: Vec::new(),
    }
}

/// Returns the records for which a batch was refused, each with the reason.
fn blocking_records(
    rejection: &Rejection,
    due: &[DueEmbargo],
    unit: &ReleaseUnit,
) -> Vec<(Name, String)> {
    let all = |names: &[Name]| {
        let names = names.iter().cloned();
        names.map(|name| (name, rejection.to_string())).collect()
    };
    match rejection {
        Rejection::UnresolvedReferences { references } => {
            let references = references.iter().map(|it| {
                let why = format!(
                    "{} names {}, which is not published",
                    it.reference.field, it.reference.target
                );
                (it.source.clone(), why)
            });
            references.collect()
        }
        Rejection::MissingEvidence { names } | Rejection::PartOfItself { names } => all(names),
        Rejection::EtagMismatch { name, .. }
        | Rejection::NotFound { name }
        | Rejection::WrongState { name, .. }
        | Rejection::PartOfTooDeep { name }
        | Rejection::Corrupt { name } => all(std::slice::from_ref(name)),
        Rejection::Invalid(violations) => {
            let writes = violations.iter().filter_map(|it| {
                let index = unit.indexes().nth(write_index(&it.field)?)?;
                let why = format!("{} {}", it.field, it.description);
                Some((due[index].name.clone(), why))
            });
            writes.collect()
        }
        Rejection::NameTaken { .. }
        | Rejection::DuplicateOriginal { .. }
        | Rejection::OnlyEvidence { .. }
        | Rejection::TooLarge { .. }
        | Rejection::RequestIdReused => Vec::new(),
    }
}

/// Parses the index of a write: `writes[3].publish.record…` → 3.
fn write_index(field: &str) -> Option<usize> {
    field
        .strip_prefix("writes[")?
        .split(']')
        .next()?
        .parse()
        .ok()
}
