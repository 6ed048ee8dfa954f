//! `AdminService`: maintenance by operators.

mod audit;
mod token_service;

use dateline_access::Caller;
use dateline_feed::Feed;
use dateline_proto::v1::{
    CompactFeedRequest, CompactFeedResponse, CreateTokenRequest, CreateTokenResponse,
    ForkFeedRequest, ForkFeedResponse, GetHealthRequest, GetHealthResponse, HealthProblem,
    IsolatedEmbargo, ListAuditEntriesRequest, ListAuditEntriesResponse, ListTokensRequest,
    ListTokensResponse, LoadRecordsRequest, LoadRecordsResponse, RebuildSearchRequest,
    RebuildSearchResponse, RevokeTokenRequest, RevokeTokenResponse, UpdateTokenRequest,
    UpdateTokenResponse, compact_feed_request::Before,
};
use dateline_record::{sequence::Sequence, timestamp::timestamp};
use dateline_store::{Committer, FeedView, Positions, Store};
use time::OffsetDateTime;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::servers::admin_service_server::AdminService;
use crate::{
    embargo_status::EmbargoTracker,
    health::HealthState,
    middleware::admitted::extract_caller,
    services::commit,
    services::request::{parse_time, validate_request},
    status::{self, Reason},
    transport::codec::PreEncoded,
};

/// Most records of one load.
const MAX_LOADED_RECORDS: usize = 1000;
/// Most isolated records that `GetHealth` lists.
const MAX_LISTED_ISOLATED: usize = 200;

/// The service for operators.
#[derive(Debug, Clone)]
pub struct AdminHandler {
    /// The store to maintain.
    pub store: Store,
    /// The feeds, which must see changes of the log at once.
    pub feed: Feed,
    /// Loads records.
    pub committer: Committer,
    /// Current faults.
    pub health_state: HealthState,
    /// State of publication.
    pub embargoes: EmbargoTracker,
}

#[tonic::async_trait]
impl AdminService for AdminHandler {
    async fn compact_feed(
        &self,
        request: Request<CompactFeedRequest>,
    ) -> Result<Response<PreEncoded<CompactFeedResponse>>, Status> {
        let (caller, mut request) = extract_caller(request)?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let before = match request.before {
            Some(Before::DeskSequence(sequence)) => {
                self.check_reached(Sequence::new(sequence.cast_unsigned()))
                    .await?
            }
            Some(Before::Time(time)) => self.sequence_at(time).await?,
            None => {
                let what = "is missing: a sequence of the desk's feed, or a time";
                return Err(status::invalid_field(
                    Reason::InvalidRequest,
                    "before",
                    what,
                ));
            }
        };
        if !request.validate_only {
            // Written before the compaction, which is done in steps and may be interrupted.
            let details = format!("history before {before} of the desk's feed is dropped");
            self.record_audit(&caller, &details).await?;
        }
        let compacted = self.store.compact(before, request.validate_only).await;
        let compacted = compacted.map_err(|error| status::store(&error))?;
        if !request.validate_only {
            self.refresh().await?;
            tracing::info!(?compacted, "history was dropped");
        }
        let Positions { desk, wire } = compacted.earliest;
        let response = CompactFeedResponse {
            revisions: compacted.revisions.cast_signed(),
            earliest_desk_sequence: desk.to_i64(),
            earliest_wire_sequence: wire.to_i64(),
        };
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn fork_feed(
        &self,
        request: Request<ForkFeedRequest>,
    ) -> Result<Response<PreEncoded<ForkFeedResponse>>, Status> {
        let (caller, mut request) = extract_caller(request)?;
        validate_request(&mut request, Reason::InvalidRequest)?;
        let forked = match Uuid::try_parse(&request.feed) {
            Ok(feed) => self.store.fork(feed).await,
            Err(_) => Ok(None),
        };
        let Some(feed) = forked.map_err(|error| status::store(&error))? else {
            let what = "is not the id of this feed; GetFeed tells it";
            return Err(status::invalid_field(Reason::InvalidRequest, "feed", what));
        };
        self.refresh().await?;
        tracing::warn!(%feed, "the feed was forked");
        let details = format!("feed {} became {feed}", request.feed);
        self.record_audit(&caller, &details).await?;
        let response = ForkFeedResponse {
            feed: feed.to_string(),
        };
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn load_records(
        &self,
        request: Request<LoadRecordsRequest>,
    ) -> Result<Response<PreEncoded<LoadRecordsResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let count = request.records.len();
        if !(1..=MAX_LOADED_RECORDS).contains(&count) {
            let what = format!("has {count} records; 1 to {MAX_LOADED_RECORDS} go at once");
            return Err(status::invalid_field(
                Reason::InvalidRequest,
                "records",
                &what,
            ));
        }
        let committed = commit::load(&self.committer, &caller, request).await?;
        let response = LoadRecordsResponse {
            loaded: i64::try_from(committed.changed).unwrap_or(i64::MAX),
            desk_sequence: committed.desk_sequence.to_i64(),
            wire_sequence: committed.wire_sequence.to_i64(),
            warnings: committed.warnings,
        };
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn rebuild_search(
        &self,
        request: Request<RebuildSearchRequest>,
    ) -> Result<Response<PreEncoded<RebuildSearchResponse>>, Status> {
        let (caller, _) = extract_caller(request)?;
        self.record_audit(&caller, "the search index is made again")
            .await?;
        let rebuilt = self.store.search_index().rebuild().await;
        let desk_sequence = rebuilt.map_err(|error| status::store(&error))?;
        tracing::info!(desk_sequence, "the search index is made again");
        let response = RebuildSearchResponse { desk_sequence };
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<PreEncoded<CreateTokenResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let response = token_service::create(&self.store, &caller, request).await?;
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn list_tokens(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<PreEncoded<ListTokensResponse>>, Status> {
        let (_, request) = extract_caller(request)?;
        let response = token_service::list(&self.store, &self.feed.identity(), request).await?;
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn update_token(
        &self,
        request: Request<UpdateTokenRequest>,
    ) -> Result<Response<PreEncoded<UpdateTokenResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let token = token_service::update(&self.store, &caller, request).await?;
        let response = UpdateTokenResponse { token: Some(token) };
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<PreEncoded<RevokeTokenResponse>>, Status> {
        let (caller, request) = extract_caller(request)?;
        let token = token_service::revoke(&self.store, &caller, request).await?;
        let response = RevokeTokenResponse { token: Some(token) };
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn list_audit_entries(
        &self,
        request: Request<ListAuditEntriesRequest>,
    ) -> Result<Response<PreEncoded<ListAuditEntriesResponse>>, Status> {
        let (_, request) = extract_caller(request)?;
        let response = self.audit_page(request).await?;
        Ok(Response::new(PreEncoded::from(&response)))
    }

    async fn get_health(
        &self,
        request: Request<GetHealthRequest>,
    ) -> Result<Response<PreEncoded<GetHealthResponse>>, Status> {
        extract_caller(request)?;
        Ok(Response::new(PreEncoded::from(&self.health())))
    }
}

impl AdminHandler {
    /// Builds the response without the database, so that it can report why the database is unavailable.
    fn health(&self) -> GetHealthResponse {
        let embargo_status = self.embargoes.status();
        let problems = self.health_state.all().into_iter();
        let isolated = embargo_status.isolated.iter().take(MAX_LISTED_ISOLATED);
        GetHealthResponse {
            problems: problems
                .map(|(part, problem)| HealthProblem {
                    part: part.as_str().to_owned(),
                    description: problem.what,
                    since: Some(timestamp(problem.since)),
                })
                .collect(),
            overdue_embargoes: i64::try_from(embargo_status.overdue).unwrap_or(i64::MAX),
            oldest_overdue_seconds: embargo_status.oldest_seconds,
            isolated_embargoes: i64::try_from(embargo_status.isolated.len()).unwrap_or(i64::MAX),
            isolated: isolated
                .map(|it| IsolatedEmbargo {
                    name: it.name.clone(),
                    revision: it.revision,
                    reason: it.why.clone(),
                    since: Some(timestamp(it.since)),
                    attempts: it.attempts.into(),
                })
                .collect(),
        }
    }

    /// Writes an action that is not a commit to the audit log.
    async fn record_audit(&self, caller: &Caller, details: &str) -> Result<(), Status> {
        let noted = self
            .store
            .record_audit(&caller.attribution(), "done", details)
            .await;
        noted.map_err(|error| status::store(&error))
    }

    /// Checks that a sequence is not beyond the next one: a mistyped one would drop all history.
    async fn check_reached(&self, sequence: Sequence) -> Result<Sequence, Status> {
        let head = self.feed.stored_head(FeedView::Desk).await;
        let head = head.map_err(|error| status::store(&error))?;
        if sequence <= head.next() {
            return Ok(sequence);
        }
        let what = format!("is ahead of the feed, whose head is {head}");
        Err(status::invalid_field(
            Reason::InvalidRequest,
            "desk_sequence",
            &what,
        ))
    }

    async fn sequence_at(&self, time: prost_types::Timestamp) -> Result<Sequence, Status> {
        let time = parse_time(time)?;
        if time > OffsetDateTime::now_utc() {
            let what = "is in the future; history up to now is dropped with the time that it is";
            return Err(status::invalid_field(Reason::InvalidRequest, "time", what));
        }
        let found = self.store.desk_sequence_since(time).await;
        found.map_err(|error| status::store(&error))
    }

    /// Makes the change visible to the streams of this server before the response is sent; other servers are notified.
    async fn refresh(&self) -> Result<(), Status> {
        let now = self.feed.refresh().await;
        now.map(drop).map_err(|error| status::store(&error))
    }
}
