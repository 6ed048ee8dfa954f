//! Publishes what was under embargo, when its time has come. Every server sweeps; that each record is published
//! once is the write path's doing: whoever comes second finds it published (W3), and writes nothing.
//!
//! What one request put under embargo is published as one batch, independently of all others (`model::release`). A batch
//! that fails is halved until one record is isolated. An isolated record is logged, counted and reported, tried again
//! with back-off, and holds up nothing.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::embargoes::{Embargoes, Isolated};
use crate::{
    model::{
        name::Name,
        refusal::Refusal,
        release::{self, Unit},
        request::{Action, By, Request, Write},
    },
    store::{self, CommitError, Committer, Due, Store},
};

/// How often the sweeper looks. A record is out within a second of its time.
const INTERVAL: Duration = Duration::from_millis(250);
/// Pause after the store could not do it.
const AWAY_PAUSE: Duration = Duration::from_secs(1);
/// How often it is counted how far publication is behind.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// Most records of one sweep, unless one request put more under embargo.
const SWEPT: i64 = 1000;
/// Batches that are committed at once. The committer makes groups of them.
const AT_ONCE: usize = 256;
/// Times that a batch may take too long until it is halved: a lock that somebody holds is no fault of the batch.
const SLOW: u32 = 3;
/// Times that a record may be said to have changed although it has not, until it is isolated.
const MOVED: u32 = 4;
/// Pause until isolated records are tried again for the first time; it doubles with each time.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(16);
/// How often isolated records are logged again.
const REMIND_INTERVAL: Duration = Duration::from_mins(10);
/// Names that one line of the log has.
const LOGGED_NAMES: usize = 20;
/// Longest reason that is kept of each.
const MAX_REASON_BYTES: usize = 500;
/// Who publishes, in the log.
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
            // The first time at once: a connection was lost, and the next one may do.
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
    /// By name; another revision of a record may be another matter.
    isolated: HashMap<String, Isolated>,
    /// Isolated records whose turn it is to be tried again: there may be more than one sweep takes.
    to_try: HashSet<String>,
    /// Time between tries of what is isolated.
    pause: Duration,
    /// When it was tried last.
    tried_at: Instant,
    reminded_at: Instant,
    counted_at: Option<Instant>,
    /// Batches that took too long, and how often.
    slow: HashMap<i64, u32>,
    /// Revisions that were said to have changed, and how often.
    moved: HashMap<(Name, i64), u32>,
    /// Something was published since the last count.
    went_on: bool,
    is_away: bool,
}

/// What became of a row of batches.
#[derive(Default)]
struct Released {
    published: usize,
    /// Records, and why they could not be published.
    isolated: Vec<(usize, String)>,
    /// Records that somebody else has changed.
    moved: Vec<usize>,
    /// The batch that took too long.
    slow: Option<i64>,
    /// The store could not do it; no fault of the records.
    away: Option<store::Error>,
}

impl Sweeper {
    /// Publishes what is due; answers whether there may be more.
    async fn sweep(&mut self) -> Result<bool, store::Error> {
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

    async fn publish(&mut self, due: &[Due]) -> Result<(), store::Error> {
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
            // What is isolated may have waited for these.
            self.pause = MIN_PAUSE;
        }
        away.map_or(Ok(()), Err)
    }

    /// Publishes batches one after another. What cannot be published is left out, and the rest tried again.
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

    /// Counts what is due, forgets what is isolated no more, and reports both.
    async fn count(&mut self) -> Result<(), store::Error> {
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

    /// Says once that the store cannot do it; answers whether it was the first time.
    fn away(&mut self, error: &store::Error) -> bool {
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

/// What a failure means.
enum Verdict {
    /// The store cannot do it at the moment.
    Away(store::Error),
    /// It took too long, for whatever reason.
    Slow(String),
    /// Somebody else was faster with one.
    Moved(usize),
    /// Some of them are in the way.
    Members(Vec<(usize, String)>),
    /// It does not say which.
    Whole(String),
}

fn verdict(error: CommitError, due: &[Due], unit: &Unit) -> Verdict {
    let refusal = match error {
        CommitError::Refused(refusal) => refusal,
        CommitError::Store(error) => {
            return match error {
                store::Error::TimedOut(_) => Verdict::Slow(error.to_string()),
                store::Error::Corrupt(_)
                | store::Error::Database(_)
                | store::Error::UidTaken(_) => Verdict::Whole(error.to_string()),
                store::Error::Unavailable(_)
                | store::Error::DiskFull(_)
                | store::Error::Raced(_)
                | store::Error::Schema(_)
                | store::Error::SchemaVersion(_)
                | store::Error::Foreign(_)
                | store::Error::Url(_)
                | store::Error::ShuttingDown => Verdict::Away(error),
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

/// The records for which a batch was refused, and why each.
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

/// `writes[3].publish.record…` → 3.
fn write_of(field: &str) -> Option<usize> {
    field
        .strip_prefix("writes[")?
        .split(']')
        .next()?
        .parse()
        .ok()
}
