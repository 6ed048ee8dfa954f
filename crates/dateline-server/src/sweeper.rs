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
    refusal::Refusal,
    release::{self, Unit},
    request::{Action, By, Request, Write},
};
use dateline_record::name::Name;
use dateline_store::{CommitError, Committer, Due, Store};
use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::embargoes::{Embargoes, Isolated};

/// Interval between two sweeps. A record is published within a second of its time.
const INTERVAL: Duration = Duration::from_millis(250);
/// Pause after the store was unavailable.
const AWAY_PAUSE: Duration = Duration::from_secs(1);
/// Interval at which overdue records are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// Most records of one sweep, unless one request put more under embargo.
const SWEPT: i64 = 1000;
/// Batches that are committed concurrently. The committer groups them.
const AT_ONCE: usize = 256;
/// Timeouts after which a batch is halved: one may be caused by a lock that has nothing to do with the batch.
const SLOW: u32 = 3;
/// Number of times that an unchanged record may be reported as changed before it is isolated.
const MOVED: u32 = 4;
/// First pause before isolated records are tried again; it doubles with each attempt.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause.
const MAX_PAUSE: Duration = Duration::from_secs(16);
/// Interval at which isolated records are logged again.
const REMIND_INTERVAL: Duration = Duration::from_mins(10);
/// Most names in one log line.
const LOGGED_NAMES: usize = 20;
/// Longest reason kept of each record.
const MAX_REASON_BYTES: usize = 500;
/// Author of these publications in the log.
const AUTHOR: &str = "embargo";

/// Sweeps until it is stopped.
pub async fn run(store: Store, committer: Committer, embargoes: Embargoes) {
    let mut sweeper = Sweeper {
        store,
        committer,
        embargoes,
        isolated: HashMap::new(),
        to_try: HashSet::new(),
        pause: MIN_PAUSE,
        tried_at: Instant::now(),
        reminded_at: Instant::now(),
        counted_at: None,
        slow: HashMap::new(),
        moved: HashMap::new(),
        went_on: false,
        is_away: false,
    };
    loop {
        let pause = match sweeper.sweep().await {
            Ok(true) => Duration::ZERO,
            Ok(false) => INTERVAL,
            // The first retry is quick: after a lost connection the next one may work.
            Err(error) if sweeper.away(&error) => INTERVAL,
            Err(_) => AWAY_PAUSE,
        };
        tokio::time::sleep(pause).await;
    }
}

struct Sweeper {
    store: Store,
    committer: Committer,
    embargoes: Embargoes,
    /// By name; another revision of a record is not isolated.
    isolated: HashMap<String, Isolated>,
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
    went_on: bool,
    is_away: bool,
}

/// The result of releasing a sequence of batches.
#[derive(Default)]
struct Released {
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
            self.pause = (self.pause * 2).min(MAX_PAUSE);
            self.to_try = self.isolated.keys().cloned().collect();
        }
        let mut resting = self.known();
        resting.retain(|(name, _)| !self.to_try.contains(name));
        let ended = self.store.ended_embargoes(&resting, SWEPT).await?;
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
        self.count().await?;
        self.is_away = false;
        Ok(ended.has_more)
    }

    async fn publish(&mut self, due: &[Due]) -> Result<(), dateline_store::Error> {
        let links = self.store.links_among(due).await?;
        let records: Vec<_> = due.iter().map(release::Ended::from).collect();
        let rows = release::plan(&records, &links);
        let this = &*self;
        let releasing = rows.into_iter().map(|row| this.release(due, row));
        let released: Vec<_> = stream::iter(releasing)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let moved = std::mem::take(&mut self.moved);
        let (mut published, mut away) = (0, None);
        for row in released {
            published += row.published;
            away = away.or(row.away);
            for (place, why) in row.isolated {
                self.isolate(due[place].name.to_string(), due[place].revision, why);
            }
            if let Some(batch) = row.slow {
                *self.slow.entry(batch).or_default() += 1;
            }
            for place in row.moved {
                let revision = (due[place].name.clone(), due[place].revision);
                let times = moved.get(&revision).copied().unwrap_or_default() + 1;
                if times >= MOVED {
                    let why = "it is said to have changed, and has not".to_owned();
                    self.isolate(revision.0.to_string(), revision.1, why);
                } else {
                    self.moved.insert(revision, times);
                }
            }
        }
        if published > 0 {
            tracing::info!(records = published, "embargo ended; published");
            self.went_on = true;
            self.slow.clear();
            // Isolated records may have waited for these.
            self.pause = MIN_PAUSE;
        }
        away.map_or(Ok(()), Err)
    }

    /// Publishes batches one after another. Records that cannot be published are left out, and the rest is tried again.
    async fn release(&self, due: &[Due], row: Vec<Unit>) -> Released {
        let mut released = Released::default();
        let mut open = VecDeque::from(row);
        while let Some(unit) = open.pop_front() {
            let Err(error) = self.committer.commit(request(due, &unit)).await else {
                released.published += unit.len();
                continue;
            };
            let batch = unit.places().next().map_or(0, |first| due[first].batch);
            let slow = self.slow.get(&batch).copied().unwrap_or_default();
            match verdict(error, due, &unit) {
                Verdict::Away(error) => {
                    released.away = Some(error);
                    return released;
                }
                Verdict::Slow(_) if slow < SLOW => {
                    released.slow = Some(batch);
                    return released;
                }
                Verdict::Moved(place) => {
                    released.moved.push(place);
                    open.push_front(unit.without(&HashSet::from([place])));
                }
                Verdict::Members(culprits) => {
                    let out: HashSet<_> = culprits.iter().map(|(place, _)| *place).collect();
                    released.isolated.extend(culprits);
                    open.push_front(unit.without(&out));
                }
                Verdict::Slow(why) | Verdict::Whole(why) => match unit.clone().halves() {
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
                        .extend(unit.places().map(|place| (place, why.clone()))),
                },
            }
            if open.front().is_some_and(Unit::is_empty) {
                open.pop_front();
            }
        }
        released
    }

    fn known(&self) -> Vec<(String, i64)> {
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
        self.pause = MIN_PAUSE;
        let isolated = Isolated {
            name: name.clone(),
            revision,
            why,
            since: OffsetDateTime::now_utc(),
            attempts: 1,
        };
        self.isolated.insert(name, isolated);
    }

    /// Counts overdue records, drops those that are no longer isolated, and reports both.
    async fn count(&mut self) -> Result<(), dateline_store::Error> {
        if self
            .counted_at
            .is_some_and(|at| at.elapsed() < COUNT_INTERVAL)
        {
            return Ok(());
        }
        let (overdue, still) = self.store.overdue_embargoes(&self.known()).await?;
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
        let went_on = std::mem::take(&mut self.went_on);
        self.embargoes.tell(overdue, isolated, went_on);
        Ok(())
    }

    fn remind(&mut self, isolated: &[Isolated]) {
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
    fn away(&mut self, error: &dateline_store::Error) -> bool {
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
enum Verdict {
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

fn verdict(error: CommitError, due: &[Due], unit: &Unit) -> Verdict {
    let refusal = match error {
        CommitError::Refused(refusal) => refusal,
        CommitError::Store(error) => {
            return match error {
                dateline_store::Error::TimedOut(_) => Verdict::Slow(error.to_string()),
                dateline_store::Error::Corrupt(_)
                | dateline_store::Error::Database(_)
                | dateline_store::Error::UidTaken(_) => Verdict::Whole(error.to_string()),
                dateline_store::Error::Unavailable(_)
                | dateline_store::Error::DiskFull(_)
                | dateline_store::Error::Raced(_)
                | dateline_store::Error::Schema(_)
                | dateline_store::Error::SchemaVersion(_)
                | dateline_store::Error::Foreign(_)
                | dateline_store::Error::Url(_)
                | dateline_store::Error::ShuttingDown => Verdict::Away(error),
            };
        }
    };
    let place = |name: &Name| unit.places().find(|place| due[*place].name == *name);
    if let Refusal::EtagMismatch { name, .. } | Refusal::NotFound { name } = &refusal
        && let Some(moved) = place(name)
    {
        return Verdict::Moved(moved);
    }
    let mut culprits: Vec<_> = in_the_way(&refusal, due, unit)
        .into_iter()
        .filter_map(|(name, why)| Some((place(&name)?, why)))
        .collect();
    culprits.sort_unstable();
    culprits.dedup_by_key(|(place, _)| *place);
    if culprits.is_empty() {
        Verdict::Whole(refusal.to_string())
    } else {
        Verdict::Members(culprits)
    }
}

fn request(due: &[Due], unit: &Unit) -> Request {
    let writes = unit.places().map(|place| Write {
        name: due[place].name.clone(),
        etag: due[place].etag.clone(),
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
        bytes: unit.places().map(|place| due[place].bytes).sum(),
        warnings: Vec::new(),
    }
}

/// Returns the records for which a batch was refused, each with the reason.
fn in_the_way(refusal: &Refusal, due: &[Due], unit: &Unit) -> Vec<(Name, String)> {
    let all = |names: &[Name]| {
        let names = names.iter().cloned();
        names.map(|name| (name, refusal.to_string())).collect()
    };
    match refusal {
        Refusal::UnresolvedReferences { references } => {
            let references = references.iter().map(|it| {
                let why = format!(
                    "{} names {}, which is not published",
                    it.reference.field, it.reference.target
                );
                (it.source.clone(), why)
            });
            references.collect()
        }
        Refusal::MissingEvidence { names } | Refusal::PartOfItself { names } => all(names),
        Refusal::EtagMismatch { name, .. }
        | Refusal::NotFound { name }
        | Refusal::WrongState { name, .. }
        | Refusal::PartOfTooDeep { name }
        | Refusal::Corrupt { name } => all(std::slice::from_ref(name)),
        Refusal::Invalid(violations) => {
            let writes = violations.iter().filter_map(|it| {
                let place = unit.places().nth(write_of(&it.field)?)?;
                let why = format!("{} {}", it.field, it.description);
                Some((due[place].name.clone(), why))
            });
            writes.collect()
        }
        Refusal::NameTaken { .. }
        | Refusal::DuplicateOriginal { .. }
        | Refusal::OnlyEvidence { .. }
        | Refusal::TooLarge { .. }
        | Refusal::RequestIdReused => Vec::new(),
    }
}

/// Parses the index of a write: `writes[3].publish.record…` → 3.
fn write_of(field: &str) -> Option<usize> {
    field
        .strip_prefix("writes[")?
        .split(']')
        .next()?
        .parse()
        .ok()
}
