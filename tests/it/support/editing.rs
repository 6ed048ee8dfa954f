//! Editing on a server: commits that must be accepted or refused, reads, and answers that can be compared.

use std::collections::{BTreeMap, HashMap};

use dateline_client::Client;
use dateline_proto::v1::{
    CommitRequest, CommitResponse, GetRecordRequest, GetRecordResponse, Record, State, View, Write,
};
use prost_types::Timestamp;
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub use crate::support::{builders::*, records::*};
use crate::support::{
    records::name as name_of,
    server::{TIMEOUT, TestServer, config, create_database, start_server, start_server_with},
};

/// The parts of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    pub code: Code,
    pub reason: String,
    pub message: String,
    /// Metadata of the `ErrorInfo`.
    pub about: BTreeMap<String, String>,
    /// Violations: field or subject, and the description.
    pub violations: Vec<(String, String)>,
}

impl From<Status> for RpcError {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let info = details
            .error_info()
            .unwrap_or_else(|| panic!("an error without ErrorInfo: {status:?}"));
        assert_eq!(info.domain, "dateline");
        let fields = details.bad_request().into_iter();
        let fields = fields.flat_map(|request| &request.field_violations);
        let fields = fields.map(|it| (it.field.clone(), it.description.clone()));
        let subjects = details.precondition_failure().into_iter();
        let subjects = subjects.flat_map(|failure| &failure.violations);
        let subjects = subjects.map(|it| (it.subject.clone(), it.description.clone()));
        Self {
            code: status.code(),
            reason: info.reason.clone(),
            message: status.message().to_owned(),
            about: info.metadata.clone().into_iter().collect(),
            violations: fields.chain(subjects).collect(),
        }
    }
}

impl RpcError {
    /// Asserts code and reason.
    #[track_caller]
    pub fn assert_is(&self, code: Code, reason: &str) -> &Self {
        assert_eq!(
            (self.code, self.reason.as_str()),
            (code, reason),
            "{self:?}"
        );
        self
    }

    /// The fields or subjects of the violations.
    pub fn fields(&self) -> Vec<&str> {
        let fields = self.violations.iter();
        fields.map(|(field, _)| field.as_str()).collect()
    }
}

/// A server with the published article [`SOURCE`] and the published actors `commit_one` and `two`: desk 6, wire 3.
pub async fn start_server_with_base() -> TestServer {
    let server = start_server().await;
    create_base(&server.client).await;
    server
}

/// Two servers on one database with the same records.
pub async fn start_two_servers_with_base() -> [TestServer; 2] {
    let url = create_database().await;
    let servers = [
        start_server_with(config(&url)).await,
        start_server_with(config(&url)).await,
    ];
    create_base(&servers[0].client).await;
    servers
}

pub async fn create_base(client: &Client) {
    let drafts = create_drafts(client, &[article("source"), actor("one"), actor("two")]).await;
    publish_all(client, &drafts).await;
}

/// Sends a request once, unchanged.
pub async fn try_commit(
    client: &Client,
    request: CommitRequest,
) -> Result<CommitResponse, RpcError> {
    let answer = client.clone().editorial.commit(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(RpcError::from)
}

/// Commits writes that must be accepted.
#[track_caller]
pub fn commit_ok(
    client: &Client,
    writes: Vec<Write>,
) -> impl Future<Output = CommitResponse> + use<> {
    let (client, at) = (client.clone(), std::panic::Location::caller());
    async move {
        let answer = try_commit(&client, commit_request(writes)).await;
        answer.unwrap_or_else(|refused| panic!("at {at}: {refused:?}"))
    }
}

/// Commits one write that must be accepted; returns its record.
#[track_caller]
pub fn commit_one(client: &Client, write: Write) -> impl Future<Output = Record> + use<> {
    let answer = commit_ok(client, vec![write]);
    async move { answer.await.records.swap_remove(0) }
}

/// Commits writes that must be refused.
#[track_caller]
pub fn commit_err(client: &Client, writes: Vec<Write>) -> impl Future<Output = RpcError> + use<> {
    let (client, at) = (client.clone(), std::panic::Location::caller());
    async move {
        match try_commit(&client, commit_request(writes)).await {
            Err(refused) => refused,
            Ok(answer) => panic!("at {at}: accepted, as {answer:?}"),
        }
    }
}

/// Creates drafts in one commit.
#[track_caller]
pub fn create_drafts(
    client: &Client,
    records: &[Record],
) -> impl Future<Output = Vec<Record>> + use<> {
    let answer = commit_ok(client, records.iter().map(create).collect());
    async move { answer.await.records }
}

/// Publishes records in one commit.
#[track_caller]
pub fn publish_all(
    client: &Client,
    records: &[Record],
) -> impl Future<Output = Vec<Record>> + use<> {
    let answer = commit_ok(client, records.iter().map(publish).collect());
    async move { answer.await.records }
}

/// Creates and publishes a record.
#[track_caller]
pub fn create_published(client: &Client, record: &Record) -> impl Future<Output = Record> + use<> {
    let (drafts, client) = (
        create_drafts(client, std::slice::from_ref(record)),
        client.clone(),
    );
    async move { publish_all(&client, &drafts.await).await.swap_remove(0) }
}

pub async fn get_record(
    client: &Client,
    request: GetRecordRequest,
) -> Result<GetRecordResponse, RpcError> {
    let answer = client.clone().records.get_record(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(RpcError::from)
}

/// The current record in a view, without following a merge.
pub async fn find_record(client: &Client, name: &str, view: View) -> Option<Record> {
    let request = GetRecordRequest {
        no_redirect: true,
        ..get_request(name, view)
    };
    match get_record(client, request).await {
        Ok(answer) => answer.record,
        Err(refused) => {
            refused.assert_is(Code::NotFound, "RECORD_NOT_FOUND");
            None
        }
    }
}

/// The desk's version of a record that must exist.
pub async fn desk_record(client: &Client, name: &str) -> Record {
    find_record(client, name, View::Desk).await.unwrap()
}

pub fn state(record: &Record) -> State {
    meta(record).state()
}

pub fn names(records: &[Record]) -> Vec<&str> {
    records.iter().map(name_of).collect()
}

/// The heads of the desk feed and the wire feed.
pub async fn feed_heads(url: &str) -> (i64, i64) {
    let mut sql = PgConnection::connect(url).await.unwrap();
    let row = sqlx::query("SELECT desk_head, wire_head FROM feed");
    let row = row.fetch_one(&mut sql).await.unwrap();
    (row.get(0), row.get(1))
}

/// Runs statements directly on the database.
pub async fn execute_sql(url: &str, statements: &str) {
    let mut sql = PgConnection::connect(url).await.unwrap();
    sql.execute(sqlx::AssertSqlSafe(statements.to_owned()))
        .await
        .unwrap();
}

/// Everything in the database, table by table, as text; bytes are in hexadecimal.
pub async fn dump_tables(url: &str) -> HashMap<String, String> {
    let mut sql = PgConnection::connect(url).await.unwrap();
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables)
        .fetch_all(&mut sql)
        .await
        .unwrap();
    assert!(tables.len() >= 5, "{tables:?}");
    let mut dump = HashMap::new();
    for table in tables {
        let rows = format!("SELECT row_to_json(t)::text FROM {table} t");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(rows))
            .fetch_all(&mut sql)
            .await
            .unwrap();
        dump.insert(table, rows.join("\n"));
    }
    dump
}

/// Waits until a condition holds.
#[track_caller]
pub fn wait_until<Check: AsyncFnMut() -> bool>(
    what: &'static str,
    mut check: Check,
) -> impl Future<Output = ()> {
    let at = std::panic::Location::caller();
    async move {
        let waiting = async {
            while !check().await {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(TIMEOUT, waiting).await;
        waited.unwrap_or_else(|_| panic!("at {at}: waited in vain until {what}"));
    }
}

/// Publishes without a pause until stopped; returns the number of publications.
pub fn publish_continuously(server: &TestServer) -> impl AsyncFnOnce() -> usize + use<> {
    let (client, stop) = (server.client.clone(), CancellationToken::new());
    let stopped = stop.clone();
    let writing = tokio::spawn(async move {
        let mut count = 0;
        while !stopped.is_cancelled() {
            create_published(&client, &actor(&format!("busy-{count}"))).await;
            count += 1;
        }
        count
    });
    async move || {
        stop.cancel();
        writing.await.unwrap()
    }
}

/// The current time plus `ms` milliseconds.
pub fn timestamp_in_ms(ms: i64) -> Timestamp {
    let at = time::OffsetDateTime::now_utc() + time::Duration::milliseconds(ms);
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: at.nanosecond().cast_signed(),
    }
}
