//! Pages of pairs of actors that may be the same one. The position of a page is the uid of the last record that was
//! compared: uids sort by the time of creation and never change, so no edit between two pages moves a record past the
//! position, and each pair is found once, at its newer record.

use std::sync::Arc;

use dateline_access::Caller;
use dateline_match::{POSSIBLE, Profile};
use dateline_proto::v1::{
    Actor, DuplicatePair, FindDuplicatesRequest, FindDuplicatesResponse, RecordFilter, actor,
};
use dateline_store::Created;
use prost::Message;
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use super::{
    MatchHandler,
    compare::{self, Comparison, find_matches_before},
};
use crate::{
    services::{
        page_token::PageContext,
        request::{validate_request, visibility, visible_filter},
    },
    status::{self, Reason},
};

/// Pairs of a page if the client sets none, and the most.
const DEFAULT_PAIRS: usize = 50;
const MAX_PAIRS: usize = 200;
/// Records that are compared for a page.
const RECORDS_OF_PAGE: u16 = 200;
/// Time after which a page ends.
const PAGE_TIME: std::time::Duration = std::time::Duration::from_secs(3);
/// Bytes after which a page ends. The pairs of one record take some hundred kilobytes at most.
const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Most pairs of one newer record.
const PAIRS_OF_RECORD: usize = 20;

impl MatchHandler {
    /// Returns the page of a request.
    pub(super) async fn duplicate_page(
        &self,
        caller: &Caller,
        mut request: FindDuplicatesRequest,
    ) -> Result<FindDuplicatesResponse, Status> {
        let visibility = visibility(caller, request.view())?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let context = PageContext::new(&FindDuplicatesRequest {
            view: request.view,
            types: request.types.clone(),
            min_score: request.min_score,
            ..FindDuplicatesRequest::default()
        })
        .restricted_to(&visibility);
        let identity = self.feed.identity();
        let mut before = position(&context.decode_token(&identity, &request.page_token)?)?;
        let view = visibility.view();
        self.wait_for_keys(view, request.min_sequence, caller)
            .await?;
        let of_types =
            visible_filter(&self.store, &visibility, Some(&type_filter(&request))).await?;
        let visible = visible_filter(&self.store, &visibility, None).await?;
        let store = self.store.candidates();
        let newest = store.newest_actors(&of_types, view, before, RECORDS_OF_PAGE);
        let newest = newest.await.map_err(|error| status::store(&error))?;
        let has_more = newest.len() == usize::from(RECORDS_OF_PAGE);
        let wanted = match request.page_size {
            0 => DEFAULT_PAIRS,
            more => usize::try_from(more).unwrap_or(MAX_PAIRS).min(MAX_PAIRS),
        };
        let began_at = Instant::now();
        let (mut pairs, mut left) = (Vec::new(), newest.len());
        for created in newest {
            let comparison = Comparison {
                min_score: request.min_score.unwrap_or(POSSIBLE),
                limit: PAIRS_OF_RECORD,
                filter: &visible,
                view,
            };
            let uid = created.uid;
            pairs.extend(self.pairs_of(&created, comparison).await?);
            before = Some(uid);
            left -= 1;
            let bytes: usize = pairs.iter().map(Message::encoded_len).sum();
            if pairs.len() >= wanted || bytes > PAGE_BYTES || began_at.elapsed() > PAGE_TIME {
                break;
            }
        }
        let next = before.filter(|_| left > 0 || has_more);
        Ok(FindDuplicatesResponse {
            pairs,
            next_page_token: next.map_or_else(String::new, |uid| {
                context.encode_token(&identity, &uid.to_string())
            }),
        })
    }

    /// The older records that may be the same as one.
    async fn pairs_of(
        &self,
        created: &Created,
        comparison: Comparison<'_>,
    ) -> Result<Vec<DuplicatePair>, Status> {
        let Some(actor) = compare::actor(&created.record, comparison.view) else {
            return Ok(Vec::new());
        };
        let profile = Arc::new(Profile::of(&actor));
        let (store, uid) = (&self.store, Some(created.uid));
        let found = find_matches_before(store, &self.cores, profile, comparison, uid).await?;
        let Actor {
            name,
            display_name,
            description,
            ..
        } = actor;
        let pairs = found.candidates.into_iter().map(|candidate| DuplicatePair {
            record: name.clone(),
            display_name: display_name.clone(),
            description: description.clone(),
            candidate: Some(candidate),
        });
        Ok(pairs.collect())
    }
}

/// The position of a token, which was signed here.
fn position(last: &str) -> Result<Option<Uuid>, Status> {
    if last.is_empty() {
        return Ok(None);
    }
    Uuid::try_parse(last).map(Some).map_err(|_| {
        let what = "is not a token of an earlier page with the same view, types and score";
        status::invalid_field(Reason::InvalidPageToken, "page_token", what)
    })
}

fn type_filter(request: &FindDuplicatesRequest) -> RecordFilter {
    let label = |kind: actor::Type| {
        let name = kind.as_str_name();
        name.strip_prefix("TYPE_").unwrap_or(name).to_lowercase()
    };
    RecordFilter {
        types: request.types().map(label).collect(),
        ..RecordFilter::default()
    }
}
