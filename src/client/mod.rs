//! The Rust client: a connection, its services, and what an error means to the caller. Writes that answer
//! UNAVAILABLE are tried again with the same `request_id`, as the contract asks.

mod failure;
mod watch;

use std::time::Duration;

use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

pub use self::{failure::Failure, watch::Watch};
use crate::proto::v1::{
    CommitRequest, CommitResponse, PublishRecordsRequest, PublishRecordsResponse,
    editorial_service_client::EditorialServiceClient, feed_service_client::FeedServiceClient,
    record_service_client::RecordServiceClient,
};

/// Largest answer that this client takes: a page or a commit, with room to spare.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// How often a write is tried in all.
const ATTEMPTS: u32 = 6;
/// Pause before the second try; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A connection to a server; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    /// Reads and single drafts.
    pub records: RecordServiceClient<Channel>,
    /// Commits and publishing.
    pub editorial: EditorialServiceClient<Channel>,
    /// Streams.
    pub feed: FeedServiceClient<Channel>,
    channel: Channel,
}

impl Client {
    /// Connects to `http://host:port`; a bare `host:port` will do.
    ///
    /// # Errors
    /// When nothing answers there.
    pub async fn connect(server: &str) -> Result<Self, Failure> {
        let url = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
        let unreachable = |error: tonic::transport::Error| Failure::unreachable(server, &error);
        let channel = Endpoint::from_shared(url)
            .map_err(unreachable)?
            .connect_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(1024 * 1024)
            .initial_connection_window_size(4 * 1024 * 1024)
            // Otherwise some hundred dropped streams make the client give up its whole connection.
            .http2_max_local_error_reset_streams(None)
            .connect()
            .await
            .map_err(unreachable)?;
        Ok(Self {
            records: RecordServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            editorial: EditorialServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            feed: FeedServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            channel,
        })
    }

    /// The connection itself, for other services on it.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Commits, again and again while the server is away. Gives the request an id if it has none.
    ///
    /// # Errors
    /// The server's answer, once it is not UNAVAILABLE or patience is out.
    pub async fn commit(&self, mut request: CommitRequest) -> Result<CommitResponse, Status> {
        name_request(&mut request.request_id);
        retry(|| {
            let (mut editorial, request) = (self.editorial.clone(), request.clone());
            async move { editorial.commit(request).await.map(tonic::Response::into_inner) }
        })
        .await
    }

    /// Publishes a batch, likewise.
    ///
    /// # Errors
    /// The server's answer, once it is not UNAVAILABLE or patience is out.
    pub async fn publish(&self, mut request: PublishRecordsRequest) -> Result<PublishRecordsResponse, Status> {
        name_request(&mut request.request_id);
        retry(|| {
            let (mut editorial, request) = (self.editorial.clone(), request.clone());
            async move { editorial.publish_records(request).await.map(tonic::Response::into_inner) }
        })
        .await
    }
}

fn name_request(id: &mut String) {
    if id.is_empty() {
        *id = Uuid::now_v7().to_string();
    }
}

async fn retry<T, Call>(mut call: impl FnMut() -> Call) -> Result<T, Status>
where
    Call: Future<Output = Result<T, Status>>,
{
    let mut pause = FIRST_PAUSE;
    for _ in 1..ATTEMPTS {
        match call().await {
            Err(status) if status.code() == Code::Unavailable => {
                tracing::debug!(message = status.message(), "trying again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            answer => return answer,
        }
    }
    call().await
}
