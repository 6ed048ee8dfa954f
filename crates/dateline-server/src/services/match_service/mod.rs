//! `MatchService`: finds the records of actors that somebody writes about. Reads only.
//!
//! Candidates come from the store by keys, with the visibility of a list; scores come from `dateline_match`. Comparisons
//! run beside the threads of calls, on as many cores as there are, no more.

mod compare;
mod duplicates;
mod messages;
mod suggest;

use std::sync::Arc;

use dateline_access::Caller;
use dateline_feed::Feed;
use dateline_match::{POSSIBLE, Profile};
use dateline_proto::v1::{
    ActorMatches, FindDuplicatesRequest, FindDuplicatesResponse, MatchActorsRequest,
    MatchActorsResponse, SuggestMentionsRequest, SuggestMentionsResponse,
};
use dateline_record::{sequence::Sequence, violation::Violation};
use dateline_store::{FeedView, Store};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

pub(crate) use self::compare::{Comparison, find_matches};
use crate::servers::match_service_server::MatchService;
use crate::{
    mention_index::MentionIndex,
    middleware::{admitted::extract_caller, timeout},
    services::request::{validate_request, visibility, visible_filter, wait_for_sequence},
    status::{self, Reason},
    transport::codec::PreEncoded,
};

/// Candidates of an example if the client sets none, and the most.
const DEFAULT_CANDIDATES: usize = 5;
const MAX_CANDIDATES: usize = 50;
/// Interval at which a read looks again for keys that it waits for.
const KEYS_POLL_INTERVAL: std::time::Duration = std::time::Duration::from_millis(50);

/// Finds actors.
#[derive(Debug, Clone)]
pub struct MatchHandler {
    /// Serves candidates.
    pub store: Store,
    /// Provides the sequences that reads wait for.
    pub feed: Feed,
    /// Finds names in texts.
    pub mention_index: MentionIndex,
    /// Permits to compare.
    pub cores: Arc<Semaphore>,
}

impl MatchHandler {
    /// Waits until keys are up to date with a sequence of the view's feed, and the feed itself is.
    async fn wait_for_keys(
        &self,
        view: FeedView,
        min_sequence: i64,
        caller: &Caller,
    ) -> Result<(), Status> {
        wait_for_sequence(&self.feed, view, min_sequence, caller).await?;
        let Some(sequence) = Sequence::from_i64(min_sequence).filter(|it| *it > Sequence::ZERO)
        else {
            return Ok(());
        };
        let waiting = async {
            loop {
                let reached = self.store.candidates().has_keys_of(view, sequence).await;
                if reached.map_err(|error| status::store(&error))? {
                    return Ok(());
                }
                tokio::time::sleep(KEYS_POLL_INTERVAL).await;
            }
        };
        let reached = timeout::before_deadline(waiting);
        tokio::select! {
            biased;
            () = caller.ended() => Err(status::denied(&caller.end_reason())),
            reached = reached => reached.unwrap_or_else(|| {
                Err(status::unavailable(
                    Reason::StoreUnavailable,
                    "the keys of actors did not reach min_sequence before the deadline; try again",
                ))
            }),
        }
    }
}

#[tonic::async_trait]
impl MatchService for MatchHandler {
    async fn match_actors(
        &self,
        request: Request<MatchActorsRequest>,
    ) -> Result<Response<PreEncoded<MatchActorsResponse>>, Status> {
        let (caller, mut request) = extract_caller(request)?;
        let visibility = visibility(&caller, request.view())?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let wanted = match request.max_candidates {
            0 => DEFAULT_CANDIDATES,
            more => usize::try_from(more)
                .unwrap_or(MAX_CANDIDATES)
                .min(MAX_CANDIDATES),
        };
        let profiles = profiles(&request)?;
        let view = visibility.view();
        self.wait_for_keys(view, request.min_sequence, &caller)
            .await?;
        let filter = visible_filter(&self.store, &visibility, None).await?;
        let min_score = request.min_score.unwrap_or(POSSIBLE);
        let mut matches: Vec<ActorMatches> = Vec::with_capacity(profiles.len());
        for profile in profiles {
            let comparison = Comparison {
                min_score,
                limit: wanted,
                filter: &filter,
                view,
            };
            let found = find_matches(&self.store, &self.cores, profile, comparison).await;
            matches.push(found?);
        }
        messages::fit(&mut matches);
        Ok(Response::new(PreEncoded::from(&MatchActorsResponse {
            matches,
        })))
    }

    async fn find_duplicates(
        &self,
        request: Request<FindDuplicatesRequest>,
    ) -> Result<Response<PreEncoded<FindDuplicatesResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let response = self.duplicate_page(&caller, request).await?;
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn suggest_mentions(
        &self,
        request: Request<SuggestMentionsRequest>,
    ) -> Result<Response<PreEncoded<SuggestMentionsResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let response = self.mentions(&caller, request).await?;
        Ok(Response::new(PreEncoded::from(&response)))
    }
}

/// The examples of a request, parsed. An example without names and identifiers would match nothing.
fn profiles(request: &MatchActorsRequest) -> Result<Vec<Arc<Profile>>, Status> {
    let empty = request
        .examples
        .iter()
        .enumerate()
        .filter(|(_, example)| example.names.is_empty() && example.external_ids.is_empty());
    let violations: Vec<_> = empty
        .map(|(index, _)| {
            Violation::new(
                format_args!("examples[{index}].names"),
                "is empty: give a name or an external id",
            )
        })
        .collect();
    if !violations.is_empty() {
        return Err(status::invalid(Reason::InvalidRequest, &violations));
    }
    let profiles = request.examples.iter().map(messages::profile);
    Ok(profiles.map(Arc::new).collect())
}
