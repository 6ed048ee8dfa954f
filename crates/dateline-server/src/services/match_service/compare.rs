//! The comparison of one actor with its candidates.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dateline_match::{Profile, Score, compare, profile_keys, resolve};
use dateline_proto::v1::{Actor, ActorMatches, MatchCandidate, Record, record::Kind as Body};
use dateline_record::filter::Filter;
use dateline_store::{Candidates, FeedView, Store, StoredRecord};
use prost::Message;
use tokio::sync::Semaphore;
use tonic::Status;
use uuid::Uuid;

use super::messages;
use crate::status;

/// Longest time that one actor is compared. Records with 200 names each in several scripts take longer, others
/// milliseconds.
const COMPARISON_TIME: Duration = Duration::from_secs(1);

/// The limits of a comparison.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison<'a> {
    /// Candidates below are left out.
    pub min_score: f64,
    /// Most candidates of the answer.
    pub limit: usize,
    /// The records that the caller may see.
    pub filter: &'a Filter,
    /// The view.
    pub view: FeedView,
}

/// Finds the records that may be the actor of a profile, best first.
///
/// # Errors
/// The store's error.
pub(crate) async fn find_matches(
    store: &Store,
    cores: &Arc<Semaphore>,
    profile: Arc<Profile>,
    comparison: Comparison<'_>,
) -> Result<ActorMatches, Status> {
    find_matches_before(store, cores, profile, comparison, None).await
}

/// The same, among the records that were created before the one of this uid.
pub(super) async fn find_matches_before(
    store: &Store,
    cores: &Arc<Semaphore>,
    profile: Arc<Profile>,
    comparison: Comparison<'_>,
    before: Option<Uuid>,
) -> Result<ActorMatches, Status> {
    let Comparison {
        min_score,
        limit,
        filter,
        view,
    } = comparison;
    let keys = on_a_core(cores, {
        let profile = profile.clone();
        move || profile_keys(&profile)
    })
    .await?;
    let found = store
        .candidates()
        .find_candidates(&keys, filter, view, before)
        .await;
    let found = found.map_err(|error| status::store(&error))?;
    on_a_core(cores, move || {
        rank(&profile, &found, view, min_score, limit)
    })
    .await
}

/// Runs work of milliseconds beside the threads of calls, as soon as a core is free.
pub(super) async fn on_a_core<T: Send + 'static>(
    cores: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    // The semaphore is never closed.
    let permit = cores.clone().acquire_owned().await;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    done.await.map_err(|error| status::internal(&error))
}

fn rank(
    profile: &Profile,
    found: &Candidates,
    view: FeedView,
    min_score: f64,
    limit: usize,
) -> ActorMatches {
    let began_at = Instant::now();
    // The likeliest candidates come first, so what is left out is the least likely.
    let records = found.records.iter();
    let in_time = records.take_while(|_| began_at.elapsed() < COMPARISON_TIME);
    let actors = in_time.filter_map(|it| actor(it, view));
    let mut scored: Vec<(Actor, Score)> = actors
        .map(|actor| {
            let score = compare(profile, &Profile::of(&actor));
            (actor, score)
        })
        .collect();
    let is_late = began_at.elapsed() >= COMPARISON_TIME;
    scored.sort_by(|(one, left), (two, right)| {
        let by_score = right.value.total_cmp(&left.value);
        by_score.then_with(|| one.name.cmp(&two.name))
    });
    let scores: Vec<Score> = scored
        .iter()
        .take(2)
        .map(|(_, score)| score.clone())
        .collect();
    let resolved = resolve(&scores).map(|index| scored[index].0.name.clone());
    let good = scored.iter().filter(|(_, score)| score.value >= min_score);
    let candidates: Vec<MatchCandidate> = good
        .take(limit)
        .map(|(actor, score)| messages::candidate(actor, score))
        .collect();
    ActorMatches {
        candidates,
        resolved: resolved.unwrap_or_default(),
        truncated: found.is_truncated || is_late,
    }
}

/// The actor of a record, as the view shows it; `None` if it shows no content.
pub(super) fn actor(record: &StoredRecord, view: FeedView) -> Option<Actor> {
    decode(&record.encoded(view)?)
}

/// The actor of an encoded record; `None` for a tombstone.
pub(super) fn decode(encoded: &[u8]) -> Option<Actor> {
    match Record::decode(encoded).ok()?.kind {
        Some(Body::Actor(actor)) if !actor.names.is_empty() => Some(actor),
        _ => None,
    }
}
