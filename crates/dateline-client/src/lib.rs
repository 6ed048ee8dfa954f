//! The Rust client: a connection, its services, and what an error means to the caller. Writes that answer
//! UNAVAILABLE, and writes whose answer was lost with the connection, are tried again with the same
//! `request_id`, as the contract asks.

mod bearer;
mod connection;
mod copy;
mod exports;
mod failure;
mod resumed;
mod subscriber;

use std::time::{Duration, Instant};

use dateline_proto::v1::{
    BatchGetRecordsRequest, BatchGetRecordsResponse, CommitRequest, CommitResponse,
    DiffRevisionsRequest, DiffRevisionsResponse, GetRecordRequest, GetRecordResponse,
    ListRevisionsRequest, ListRevisionsResponse, LoadRecordsRequest, LoadRecordsResponse,
    PublishRecordsRequest, PublishRecordsResponse, admin_service_client::AdminServiceClient,
    editorial_service_client::EditorialServiceClient, export_service_client::ExportServiceClient,
    feed_service_client::FeedServiceClient, record_service_client::RecordServiceClient,
};
use tonic::{Code, Response, Status, service::interceptor::InterceptedService, transport::Channel};
use uuid::Uuid;

pub use self::{
    bearer::Bearer,
    connection::Connection,
    copy::{Copy, Kept},
    exports::ExportPart,
    failure::Failure,
    resumed::{Exporting, Watch},
    subscriber::{Event, Position, Subscriber},
};

/// Largest answer that this client takes: a page or a commit, with room to spare.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// How long a call is tried again while nobody answers: a server that is started anew, or a database that
/// recovers, is back by then.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often a call is tried again that the server had no time for: a database that is busy with something large
/// for longer than one statement may take is free again soon.
const LATE_TRIES: u32 = 3;
/// Pause before the second try; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A connection that shows a token with each call, if there is one.
pub type Line = InterceptedService<Channel, Bearer>;

/// A connection to a server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    /// Reads and single drafts.
    pub records: RecordServiceClient<Line>,
    /// Commits and publishing.
    pub editorial: EditorialServiceClient<Line>,
    /// Streams.
    pub feed: FeedServiceClient<Line>,
    /// What operators do.
    pub admin: AdminServiceClient<Line>,
    /// The state at one sequence.
    pub exports: ExportServiceClient<Line>,
    line: Line,
    channel: Channel,
}

impl Client {
    /// Connects to `http://host:port` or `https://host:port`; a bare `host:port` will do.
    ///
    /// # Errors
    /// When nothing answers there.
    pub async fn connect(server: &str) -> Result<Self, Failure> {
        Self::connect_with(&server.into()).await
    }

    /// Connects as is said.
    ///
    /// # Errors
    /// When nothing answers there, when it is not to be believed, or when a file cannot be used.
    pub async fn connect_with(connection: &Connection) -> Result<Self, Failure> {
        let bearer = connection.bearer()?;
        let channel = connection.connect().await?;
        let line = InterceptedService::new(channel.clone(), bearer);
        Ok(Self {
            records: RecordServiceClient::new(line.clone())
                .max_decoding_message_size(MAX_ANSWER_BYTES),
            editorial: EditorialServiceClient::new(line.clone())
                .max_decoding_message_size(MAX_ANSWER_BYTES),
            admin: AdminServiceClient::new(line.clone()),
            exports: ExportServiceClient::new(line.clone())
                .max_decoding_message_size(MAX_ANSWER_BYTES),
            feed: FeedServiceClient::new(line.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            line,
            channel,
        })
    }

    /// Takes records as another database had them, again and again while the server is away.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn load(
        &self,
        mut request: LoadRecordsRequest,
    ) -> Result<LoadRecordsResponse, Status> {
        name_request(&mut request.request_id);
        retry(request, |request| {
            let mut admin = self.admin.clone();
            async move { admin.load_records(request).await }
        })
        .await
    }

    /// The connection itself, for other services on it.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Commits, again and again while the server is away. Gives the request an id if it has none. Every move
    /// of a record is a write of a commit, so this is the way of all of them.
    ///
    /// # Errors
    /// The server's answer, once it is not UNAVAILABLE or patience is out.
    pub async fn commit(&self, mut request: CommitRequest) -> Result<CommitResponse, Status> {
        name_request(&mut request.request_id);
        retry(request, |request| {
            let mut editorial = self.editorial.clone();
            async move { editorial.commit(request).await }
        })
        .await
    }

    /// Publishes a batch, likewise.
    ///
    /// # Errors
    /// The server's answer, once it is not UNAVAILABLE or patience is out.
    pub async fn publish(
        &self,
        mut request: PublishRecordsRequest,
    ) -> Result<PublishRecordsResponse, Status> {
        name_request(&mut request.request_id);
        retry(request, |request| {
            let mut editorial = self.editorial.clone();
            async move { editorial.publish_records(request).await }
        })
        .await
    }

    /// Reads records by name, likewise; what one answer has no room for, with further ones.
    ///
    /// # Errors
    /// The server's answer, once it is not UNAVAILABLE or patience is out.
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
            // With nothing found and something omitted, the same would be asked for ever.
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

    /// Reads one record, likewise.
    ///
    /// # Errors
    /// The server's answer, once it is not UNAVAILABLE or patience is out.
    pub async fn get(&self, request: GetRecordRequest) -> Result<GetRecordResponse, Status> {
        retry(request, |request| {
            let mut records = self.records.clone();
            async move { records.get_record(request).await }
        })
        .await
    }

    /// Reads a page of a record's revisions, likewise.
    ///
    /// # Errors
    /// The server's answer, once it is not UNAVAILABLE or patience is out.
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

    /// Compares two revisions, likewise.
    ///
    /// # Errors
    /// The server's answer, once it is not UNAVAILABLE or patience is out.
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

fn name_request(id: &mut String) {
    if id.is_empty() {
        *id = Uuid::now_v7().to_string();
    }
}

/// Calls until the server is there: with the same request each time, so with the same `request_id`.
async fn retry<Request, Answer, Call>(
    request: Request,
    call: impl Fn(Request) -> Call,
) -> Result<Answer, Status>
where
    Request: Clone,
    Call: Future<Output = Result<Response<Answer>, Status>>,
{
    let since = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut late = 0;
    loop {
        match call(request.clone()).await {
            Err(status) if status.code() == Code::DeadlineExceeded && late < LATE_TRIES => {
                late += 1;
                tracing::debug!(message = status.message(), "trying again");
            }
            Err(status) if is_away(&status) && since.elapsed() + pause < PATIENCE => {
                tracing::debug!(message = status.message(), "trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => return answer.map(Response::into_inner),
        }
    }
}

/// Whether the server is away, or the connection to it broke.
fn is_away(status: &Status) -> bool {
    status.code() == Code::Unavailable || is_broken(status)
}

/// How the codec says that an answer is no message of the schema.
const UNDECODABLE: &str = "failed to decode Protobuf message";

/// Whether the connection broke. The transport has many codes for that; but every error of the server's own
/// carries details, and these carry none. An answer that is not understood would not be understood the next time.
fn is_broken(status: &Status) -> bool {
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
