//! The comparison of new actors with those that have a record, for warnings of writes. It may be left out: a write
//! never fails or waits long for it.

use std::{sync::Arc, time::Duration};

use dateline_access::Caller;
use dateline_engine::request::{Action, Request};
use dateline_match::{POSSIBLE, Profile};
use dateline_proto::v1::{Actor, MatchCandidate, View, record::Kind as Body};
use dateline_record::{filter::Filter, violation::Warning};
use dateline_store::{FeedView, Store};
use tokio::sync::Semaphore;

use crate::services::match_service::{Comparison, find_matches};

/// New actors of a request that are compared; a request with more is an import, whose sender asks `MatchActors`.
const MAX_NEW_ACTORS: usize = 10;
/// Candidates of a warning.
const MAX_CANDIDATES: usize = 5;
/// Longest time that a write waits for its comparisons.
const COMPARISON_TIMEOUT: Duration = Duration::from_millis(500);

/// Compares actors; cheap to clone.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// Serves candidates.
    pub store: Store,
    /// Permits to compare: as many as there are cores, shared by all calls.
    pub cores: Arc<Semaphore>,
}

impl Matcher {
    /// Returns a matcher that uses all cores.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            store,
            cores: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Adds a warning for each new actor of a request that may have a record already.
    pub(crate) async fn warn_of_duplicates(&self, caller: &Caller, request: &mut Request) {
        let new_actors: Vec<(usize, Actor)> = new_actors(request);
        if new_actors.is_empty() || new_actors.len() > MAX_NEW_ACTORS {
            return;
        }
        // Writers may read the desk; a scope narrows both.
        let Ok(visibility) = caller.visibility(View::Desk) else {
            return;
        };
        let filter = visibility.restrict(Filter::default());
        let comparing = async {
            let mut warnings = Vec::new();
            for (index, actor) in &new_actors {
                let candidates = self.candidates(actor, &filter).await;
                warnings.extend(warning(*index, candidates));
            }
            warnings
        };
        match tokio::time::timeout(COMPARISON_TIMEOUT, comparing).await {
            Ok(warnings) => request.warnings.extend(warnings),
            Err(_) => {
                metrics::counter!("dateline_match_warnings_skipped_total").increment(1);
            }
        }
    }

    /// The records that a new actor may be.
    async fn candidates(&self, actor: &Actor, filter: &Filter) -> Vec<MatchCandidate> {
        let comparison = Comparison {
            min_score: POSSIBLE,
            limit: MAX_CANDIDATES + 1,
            filter,
            view: FeedView::Desk,
        };
        let profile = Arc::new(Profile::of(actor));
        match find_matches(&self.store, &self.cores, profile, comparison).await {
            Ok(found) => {
                let candidates = found.candidates.into_iter();
                let others = candidates.filter(|candidate| candidate.record != actor.name);
                others.take(MAX_CANDIDATES).map(without_content).collect()
            }
            Err(status) => {
                metrics::counter!("dateline_match_warnings_skipped_total").increment(1);
                tracing::debug!(%status, "a new actor was not compared");
                Vec::new()
            }
        }
    }
}

/// The candidate without anything that its record says: the answer of a write is stored for a day, and a purge of the
/// other record does not reach it (W11).
fn without_content(candidate: MatchCandidate) -> MatchCandidate {
    MatchCandidate {
        record: candidate.record,
        score: candidate.score,
        band: candidate.band,
        ..MatchCandidate::default()
    }
}

fn new_actors(request: &Request) -> Vec<(usize, Actor)> {
    let writes = request.writes.iter().enumerate();
    let new = writes.filter_map(|(index, write)| match &write.action {
        Action::Create {
            body: Body::Actor(actor),
            ..
        } => Some((index, actor.clone())),
        _ => None,
    });
    new.take(MAX_NEW_ACTORS + 1).collect()
}

fn warning(index: usize, candidates: Vec<MatchCandidate>) -> Option<Warning> {
    let best = candidates.first()?;
    let others = match candidates.len() - 1 {
        0 => String::new(),
        1 => ", and one other record".to_owned(),
        more => format!(", and {more} other records"),
    };
    Some(Warning {
        field: format!("writes[{index}].create.record.actor"),
        reason: "POSSIBLE_DUPLICATE",
        description: format!(
            "it may be {}, score {:.2}{others}; if it is the same one, use that record",
            best.record, best.score
        ),
        records: candidates.iter().map(|it| it.record.clone()).collect(),
        candidates,
    })
}
