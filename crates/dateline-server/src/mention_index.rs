//! The names of all actors in memory, for finding them in texts. Follows the log by itself, and is built from its
//! beginning when the server starts.
//!
//! Guarantees: a call brings the index up to the head that it finds in the database ([`MentionIndex::catch_up`]), so it
//! sees every change that was committed before it, at any server. A step removes the old names of an actor before it
//! adds the new ones. After a purge the whole index is made again, so that no word of an erased name is left in memory
//! (W11). Size is bounded by the number of names.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use dateline_feed::Feed;
use dateline_match::{Mention, Mentions};
use dateline_proto::v1::{State, name};
use dateline_record::sequence::Sequence;
use dateline_store::{ActorHead, ActorPage, Error, FeedView, Positions, Store};
use tokio::sync::Mutex;

/// Most names that are kept.
const MAX_NAMES: usize = 400_000;
/// Removed actors after which the index is made again, beside a quarter of all.
const MAX_REMOVED: usize = 1000;
/// Shortest pause between two steps of the job: what changed meanwhile is one step.
const STEP_INTERVAL: Duration = Duration::from_millis(100);
/// Interval at which the job looks for changes without a notice of the tail, which looks by itself. Calls look too.
const POLL_INTERVAL: Duration = Duration::from_secs(30);
/// Pause after the store was unavailable.
const UNAVAILABLE_BACKOFF: Duration = Duration::from_secs(1);

/// The index; cheap to clone.
#[derive(Debug, Clone)]
pub struct MentionIndex {
    store: Store,
    known: Arc<RwLock<Known>>,
    /// Held while the index is brought forward.
    progress: Arc<Mutex<Progress>>,
}

/// The position of the index in the log.
#[derive(Debug, Default)]
struct Progress {
    epoch: i64,
    position: Sequence,
}

/// Mentions that were found.
#[derive(Debug)]
pub struct FoundMentions {
    /// Mentions; their candidates are positions in `records`.
    pub mentions: Vec<Mention>,
    /// Names of the records of all candidates.
    pub records: HashMap<u32, String>,
    /// The heads of the feeds up to which names are known.
    pub heads: Positions,
    /// True if there are more names than are kept.
    pub is_full: bool,
}

/// The names of an actor that lists have.
#[derive(Debug)]
struct Owner {
    record: String,
    is_published: bool,
    names: Vec<String>,
}

#[derive(Debug, Default)]
struct Known {
    mentions: Mentions,
    /// Owners by number; `None` for what was removed, which the mentions still have.
    owners: Vec<Option<Owner>>,
    numbers: HashMap<String, u32>,
    names: usize,
    removed: usize,
    is_full: bool,
    heads: Positions,
}

impl MentionIndex {
    /// Creates an empty index.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            known: Arc::default(),
            progress: Arc::default(),
        }
    }

    /// Follows the log until it is stopped.
    pub async fn follow(self, feed: Feed) {
        let mut is_away = false;
        loop {
            let caught_up = self.catch_up().await;
            let position = self.position();
            let lag = feed
                .local_head(FeedView::Desk)
                .get()
                .saturating_sub(position.get());
            metrics::gauge!("dateline_mention_index_lag").set(lag as f64);
            metrics::gauge!("dateline_mention_index_names").set(self.names() as f64);
            match caught_up {
                Ok(()) => {
                    is_away = false;
                    let next = feed.wait_for_sequence(FeedView::Desk, position.saturating_add(1));
                    // An error is one of the database, which the next step meets too.
                    drop(tokio::time::timeout(POLL_INTERVAL, next).await);
                    tokio::time::sleep(STEP_INTERVAL).await;
                }
                Err(error) => {
                    if !is_away {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "names of actors cannot be read; trying again");
                    }
                    is_away = true;
                    tokio::time::sleep(UNAVAILABLE_BACKOFF).await;
                }
            }
        }
    }

    /// Brings the index up to the present head of the feed, or beyond.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let mut progress = self.progress.lock().await;
        loop {
            let page = self.store.actors().read_after(progress.position).await?;
            if page.epoch != progress.epoch {
                // Another history: nothing that is known need be true in it.
                *progress = Progress {
                    epoch: page.epoch,
                    position: Sequence::ZERO,
                };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known::default();
                continue;
            }
            let (reached, head) = (page.reached, page.heads.desk);
            self.apply(page).await?;
            progress.position = reached;
            // Only then the heads of both feeds are those of the names.
            if reached == head {
                return Ok(());
            }
        }
    }

    /// Finds the names that a view has in a text, except those of these records.
    #[must_use]
    pub fn find(&self, text: &str, view: FeedView, except: &[String]) -> FoundMentions {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.find(text, view, except)
    }

    fn position(&self) -> Sequence {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.heads.desk
    }

    fn names(&self) -> usize {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.names
    }

    /// Applies a page, beside the threads of calls: the first ones take long.
    async fn apply(&self, page: ActorPage) -> Result<(), Error> {
        let known = self.known.clone();
        let applied = tokio::task::spawn_blocking(move || {
            let is_purged = page.actors.iter().any(|actor| actor.is_purged);
            let rebuilds = {
                let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
                for actor in page.actors {
                    known.replace(actor);
                }
                known.heads = Positions {
                    desk: page.reached,
                    wire: page.heads.wire,
                };
                is_purged || known.removed > MAX_REMOVED + known.numbers.len() / 4
            };
            if rebuilds {
                // Nothing else writes: the caller holds `progress`. Calls read the old one meanwhile.
                let rebuilt = known
                    .read()
                    .unwrap_or_else(PoisonError::into_inner)
                    .rebuilt();
                *known.write().unwrap_or_else(PoisonError::into_inner) = rebuilt;
            }
        });
        let failed = |error| Error::Corrupt(format!("names of actors cannot be indexed: {error}"));
        applied.await.map_err(failed)
    }
}

impl Known {
    /// Replaces what is known of an actor.
    fn replace(&mut self, head: ActorHead) {
        if let Some(number) = self.numbers.remove(&head.name) {
            let slot = usize::try_from(number).ok();
            let old = slot.and_then(|slot| self.owners.get_mut(slot)?.take());
            self.names -= old.map_or(0, |owner| owner.names.len());
            self.removed += 1;
        }
        let is_published = match head.state {
            None | Some(State::Unspecified | State::Retracted | State::Merged) => return,
            Some(State::Published) => true,
            Some(State::Draft | State::InReview | State::Embargoed) => false,
        };
        let Some(actor) = head.actor else { return };
        // A demonym names people of a country, not the country.
        let names = actor
            .names
            .into_iter()
            .filter(|name| name.r#type() != name::Type::Demonym);
        self.insert(Owner {
            record: head.name,
            is_published,
            names: names.map(|name| name.text).collect(),
        });
    }

    fn insert(&mut self, owner: Owner) {
        let number = u32::try_from(self.owners.len());
        let (Ok(number), true) = (number, self.names + owner.names.len() <= MAX_NAMES) else {
            self.is_full = true;
            return;
        };
        for name in &owner.names {
            self.mentions.add(name, number);
        }
        self.names += owner.names.len();
        self.numbers.insert(owner.record.clone(), number);
        self.owners.push(Some(owner));
    }

    /// Returns the same without what was removed.
    fn rebuilt(&self) -> Self {
        let mut rebuilt = Self {
            heads: self.heads,
            is_full: self.is_full,
            ..Self::default()
        };
        for owner in self.owners.iter().flatten() {
            rebuilt.insert(Owner {
                record: owner.record.clone(),
                is_published: owner.is_published,
                names: owner.names.clone(),
            });
        }
        rebuilt
    }

    fn owner(&self, number: u32) -> Option<&Owner> {
        self.owners.get(usize::try_from(number).ok()?)?.as_ref()
    }

    fn find(&self, text: &str, view: FeedView, except: &[String]) -> FoundMentions {
        let except: Vec<u32> = except
            .iter()
            .filter_map(|name| self.numbers.get(name).copied())
            .collect();
        let is_owner = |number| {
            let owner = self.owner(number);
            owner.is_some_and(|owner| owner.is_published || view == FeedView::Desk)
                && !except.contains(&number)
        };
        let mentions = self.mentions.find_of(text, is_owner);
        let numbers = mentions.iter().flat_map(|mention| &mention.candidates);
        let records = numbers
            .filter_map(|number| Some((*number, self.owner(*number)?.record.clone())))
            .collect();
        FoundMentions {
            mentions,
            records,
            heads: self.heads,
            is_full: self.is_full,
        }
    }
}
