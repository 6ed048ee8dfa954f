//! The Rust client: a connection, its services, and errors for the caller. A write that fails with UNAVAILABLE, or
//! whose response was lost with the connection, is retried with the same `request_id`, as the contract asks.

mod bearer;
#[cfg(feature = "bulk")]
pub mod bulk;
mod connection;
mod event;
mod exports;
mod failure;
#[cfg(feature = "verify")]
mod replica;
mod resuming_stream;
mod subscriber;

use std::time::{Duration, Instant};

use dateline_proto::v1::{
    BatchGetRecordsRequest, BatchGetRecordsResponse, CommitRequest, CommitResponse,
    DiffRevisionsRequest, DiffRevisionsResponse, GetRecordRequest, GetRecordResponse,
    ListRevisionsRequest, ListRevisionsResponse, LoadRecordsRequest, LoadRecordsResponse,
    PublishRecordsRequest, PublishRecordsResponse, admin_service_client::AdminServiceClient,
    editorial_service_client::EditorialServiceClient, export_service_client::ExportServiceClient,
    feed_service_client::FeedServiceClient, match_service_client::MatchServiceClient,
    record_service_client::RecordServiceClient, search_service_client::SearchServiceClient,
};
use tonic::{Code, Response, Status, service::interceptor::InterceptedService, transport::Channel};
use uuid::Uuid;

/// The messages, for programs that depend on this crate alone.
pub use dateline_proto as proto;

#[cfg(feature = "verify")]
pub use self::replica::{ReplicaDigest, ReplicaEntry};
pub use self::{
    bearer::Bearer,
    connection::Connection,
    event::Event,
    exports::EncodedExportResponse,
    failure::Failure,
    resuming_stream::{ExportStream, WatchStream},
    subscriber::{Position, Subscriber},
};

/// Largest response that this client accepts, in bytes: a page or a commit, with a margin.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;
/// Time for which a call is retried while no server responds: enough for a restart of the server or a recovery of the
/// database.
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);
/// Retries of a call that exceeded the server's deadline: a database that is busy with a large statement is usually
/// free again soon.
const MAX_DEADLINE_RETRIES: u32 = 3;
/// Pause before the second try; doubles with each try.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);
/// Longest backoff between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// A channel that sends a token with each call, if there is one.
pub type AuthenticatedChannel = InterceptedService<Channel, Bearer>;

/// A connection to a server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    /// Reads and single drafts.
    pub records: RecordServiceClient<AuthenticatedChannel>,
    /// Commits and publishing.
    pub editorial: EditorialServiceClient<AuthenticatedChannel>,
    /// Streams.
    pub feed: FeedServiceClient<AuthenticatedChannel>,
    /// Administration.
    pub admin: AdminServiceClient<AuthenticatedChannel>,
    /// The state at one sequence.
    pub exports: ExportServiceClient<AuthenticatedChannel>,
    /// Actors that may be the same, and their names in texts.
    pub matching: MatchServiceClient<AuthenticatedChannel>,
    /// Searches.
    pub search: SearchServiceClient<AuthenticatedChannel>,
    authenticated: AuthenticatedChannel,
    channel: Channel,
}

impl Client {
    /// Connects to `http://host:port` or `https://host:port`; also accepts a bare `host:port`.
    ///
    /// # Errors
    /// If no server responds there.
    pub async fn connect(server: &str) -> Result<Self, Failure> {
        Self::connect_with(&server.into()).await
    }

    /// Connects with these settings.
    ///
    /// # Errors
    /// If no server responds, its certificate is not trusted, or a file cannot be used.
    pub async fn connect_with(connection: &Connection) -> Result<Self, Failure> {
        let bearer = connection.bearer()?;
        let channel = connection.connect().await?;
        let authenticated = InterceptedService::new(channel.clone(), bearer);
        Ok(Self {
            records: RecordServiceClient::new(authenticated.clone())
                .max_decoding_message_size(MAX_RESPONSE_BYTES),
            editorial: EditorialServiceClient::new(authenticated.clone())
                .max_decoding_message_size(MAX_RESPONSE_BYTES),
            admin: AdminServiceClient::new(authenticated.clone()),
            exports: ExportServiceClient::new(authenticated.clone())
                .max_decoding_message_size(MAX_RESPONSE_BYTES),
            matching: MatchServiceClient::new(authenticated.clone())
                .max_decoding_message_size(MAX_RESPONSE_BYTES),
            search: SearchServiceClient::new(authenticated.clone())
                .max_decoding_message_size(MAX_RESPONSE_BYTES),
            feed: FeedServiceClient::new(authenticated.clone())
                .max_decoding_message_size(MAX_RESPONSE_BYTES),
            authenticated,
            channel,
        })
    }

    /// Loads records of another database, and retries while the server is unavailable.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn load(
        &self,
        mut request: LoadRecordsRequest,
    ) -> Result<LoadRecordsResponse, Status> {
        set_request_id(&mut request.request_id);
        retry(request, |request| {
            let mut admin = self.admin.clone();
            async move { admin.load_records(request).await }
        })
        .await
    }

    /// The channel, for other services on the same connection.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Commits, and retries while the server is unavailable. Sets a request id if there is none. Every state change of
    /// a record is a write of a commit, so all of them use this.
    ///
    /// # Errors
    /// The server's error, if it is not UNAVAILABLE or the time for retries is over.
    pub async fn commit(&self, mut request: CommitRequest) -> Result<CommitResponse, Status> {
        set_request_id(&mut request.request_id);
        retry(request, |request| {
            let mut editorial = self.editorial.clone();
            async move { editorial.commit(request).await }
        })
        .await
    }

    /// Publishes a batch, with the same retries.
    ///
    /// # Errors
    /// The server's error, if it is not UNAVAILABLE or the time for retries is over.
    pub async fn publish(
        &self,
        mut request: PublishRecordsRequest,
    ) -> Result<PublishRecordsResponse, Status> {
        set_request_id(&mut request.request_id);
        retry(request, |request| {
            let mut editorial = self.editorial.clone();
            async move { editorial.publish_records(request).await }
        })
        .await
    }

    /// Reads records by name, with the same retries. Sends further requests for records that did not fit into a
    /// response.
    ///
    /// # Errors
    /// The server's error, if it is not UNAVAILABLE or the time for retries is over.
    pub async fn batch_get(
        &self,
        mut request: BatchGetRecordsRequest,
    ) -> Result<BatchGetRecordsResponse, Status> {
        let mut all = BatchGetRecordsResponse::default();
        loop {
            let answer = retry(request.clone(), |request| {
                let mut records = self.records.clone();
                async move { records.batch_get_records(request).await }
            })
            .await?;
            // If nothing was found and something omitted, the same request would repeat forever.
            let is_all = answer.omitted.is_empty() || answer.records.is_empty();
            all.records.extend(answer.records);
            all.missing.extend(answer.missing);
            if is_all {
                all.omitted = answer.omitted;
                return Ok(all);
            }
            request.names = answer.omitted;
        }
    }

    /// Reads one record, with the same retries.
    ///
    /// # Errors
    /// The server's error, if it is not UNAVAILABLE or the time for retries is over.
    pub async fn get(&self, request: GetRecordRequest) -> Result<GetRecordResponse, Status> {
        retry(request, |request| {
            let mut records = self.records.clone();
            async move { records.get_record(request).await }
        })
        .await
    }

    /// Reads a page of a record's revisions, with the same retries.
    ///
    /// # Errors
    /// The server's error, if it is not UNAVAILABLE or the time for retries is over.
    pub async fn revisions(
        &self,
        request: ListRevisionsRequest,
    ) -> Result<ListRevisionsResponse, Status> {
        retry(request, |request| {
            let mut records = self.records.clone();
            async move { records.list_revisions(request).await }
        })
        .await
    }

    /// Compares two revisions, with the same retries.
    ///
    /// # Errors
    /// The server's error, if it is not UNAVAILABLE or the time for retries is over.
    pub async fn diff(
        &self,
        request: DiffRevisionsRequest,
    ) -> Result<DiffRevisionsResponse, Status> {
        retry(request, |request| {
            let mut records = self.records.clone();
            async move { records.diff_revisions(request).await }
        })
        .await
    }
}

fn set_request_id(id: &mut String) {
    if id.is_empty() {
        *id = Uuid::now_v7().to_string();
    }
}

/// Retries a call while the server is unavailable, with the same request each time and so with the same `request_id`.
async fn retry<Request, Answer, Call>(
    request: Request,
    call: impl Fn(Request) -> Call,
) -> Result<Answer, Status>
where
    Request: Clone,
    Call: Future<Output = Result<Response<Answer>, Status>>,
{
    let since = Instant::now();
    let mut backoff = INITIAL_BACKOFF;
    let mut deadline_retries = 0;
    loop {
        match call(request.clone()).await {
            Err(status)
                if status.code() == Code::DeadlineExceeded
                    && deadline_retries < MAX_DEADLINE_RETRIES =>
            {
                deadline_retries += 1;
                tracing::debug!(message = status.message(), "trying again");
            }
            Err(status) if is_unavailable(&status) && since.elapsed() + backoff < RETRY_TIMEOUT => {
                tracing::debug!(message = status.message(), "trying again");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
            }
            answer => return answer.map(Response::into_inner),
        }
    }
}

/// True if the server is unavailable or the connection to it broke.
fn is_unavailable(status: &Status) -> bool {
    status.code() == Code::Unavailable || is_connection_broken(status)
}

/// Begin of the codec's message for a response that cannot be decoded.
const UNDECODABLE: &str = "failed to decode Protobuf message";

/// True if the connection broke. The transport reports this under many codes; but every error of the server carries
/// details, and these carry none. A response that cannot be decoded would fail again, so it is not retried.
fn is_connection_broken(status: &Status) -> bool {
    if status.message().starts_with(UNDECODABLE) {
        return false;
    }
    let codes = [
        Code::Unavailable,
        Code::Unknown,
        Code::Cancelled,
        Code::Internal,
    ];
    codes.contains(&status.code()) && status.details().is_empty()
}
