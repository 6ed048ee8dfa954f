//! Bad input, sent to the real server. The tables here hold rows of the two catalogues of bad input under their own
//! numbers: T, N, D, R, H, F and C rows of the first, `#` rows of the second. After each row the same is checked:
//! nothing was written, other clients are served, and the answer uses the contract's words only.
//!
//! `catalogue` is the index of all rows: the test of each, here or elsewhere, or the reason for having none.

mod accepted;
mod amplification;
mod batches;
mod catalogue;
mod connections;
mod disconnects;
mod exports;
mod extremes;
mod files;
mod floods;
mod framing;
mod history;
mod names;
mod reads;
mod requests;
mod startup;
mod texts;
mod values;

use dateline::json;
use dateline_proto::v1::{
    BatchGetRecordsRequest, CommitRequest, CompactFeedRequest, CreateRecordRequest,
    DeleteRecordRequest, DiffRevisionsRequest, ExportRequest, ForkFeedRequest, GetRecordRequest,
    ListRecordsRequest, ListRevisionsRequest, LoadRecordsRequest, PublishRecordsRequest, Record,
    RestoreRecordRequest, RetractRecordsRequest, SendBackRecordsRequest, UpdateRecordRequest, View,
    WatchRequest,
};
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{ErrorInfo, StatusExt, pb};

use crate::support::{
    gold::publish_gold,
    server::{TIMEOUT, TestServer, start_server},
    watch::{open_watch, watch_from_now},
};

/// The request of a row.
pub enum BadRequest {
    Create(CreateRecordRequest),
    Get(GetRecordRequest),
    BatchGet(BatchGetRecordsRequest),
    List(ListRecordsRequest),
    Update(UpdateRecordRequest),
    Delete(DeleteRecordRequest),
    Commit(CommitRequest),
    Publish(PublishRecordsRequest),
    Retract(RetractRecordsRequest),
    SendBack(SendBackRecordsRequest),
    Restore(RestoreRecordRequest),
    Revisions(ListRevisionsRequest),
    Diff(DiffRevisionsRequest),
    Compact(CompactFeedRequest),
    Fork(ForkFeedRequest),
    Load(LoadRecordsRequest),
    Watch(WatchRequest),
    Export(ExportRequest),
}

/// One row: its number, its request, the expected answer.
pub struct Row {
    pub id: &'static str,
    pub sent: BadRequest,
    pub answer: ExpectedError,
}

/// An answer: its code and reason, the field of the request if any, and a part of the message.
pub struct ExpectedError {
    pub code: Code,
    pub reason: &'static str,
    pub field: String,
    pub words: String,
}

/// An answer without a field.
pub fn answer(code: Code, reason: &'static str, words: &str) -> ExpectedError {
    ExpectedError {
        code,
        reason,
        field: String::new(),
        words: words.to_owned(),
    }
}

/// `INVALID_ARGUMENT` for a field.
pub fn invalid(reason: &'static str, field: &str, words: &str) -> ExpectedError {
    ExpectedError {
        field: field.to_owned(),
        ..answer(Code::InvalidArgument, reason, words)
    }
}

/// A row that creates one record and is refused for one of its fields, a path within its kind.
pub fn bad_record(id: &'static str, record: &Value, field: &str, words: &str) -> Row {
    let kind = record.as_object().unwrap().keys().next().unwrap();
    let field = match field {
        "" => format!("record.{kind}"),
        field => format!("record.{kind}.{field}"),
    };
    Row {
        id,
        sent: create(record),
        answer: invalid("INVALID_RECORD", &field, words),
    }
}

pub fn record(json: &Value) -> Record {
    json::read(&json.to_string()).unwrap()
}

pub fn create(json: &Value) -> BadRequest {
    BadRequest::Create(CreateRecordRequest {
        record: Some(record(json)),
        ..CreateRecordRequest::default()
    })
}

/// `base` with other fields.
pub fn with(mut base: Value, other: Value) -> Value {
    if let Value::Object(other) = other {
        base.as_object_mut().unwrap().extend(other);
    }
    base
}

pub fn article(fields: Value) -> Value {
    let base = json!({
        "name": "articles/bad", "headline": "NATO 👍 talks", "body": "Say 👍 NATO, NATO.\n",
        "languageCode": "en",
    });
    json!({"article": with(base, fields)})
}

pub fn actor(fields: Value) -> Value {
    let base = json!({
        "name": "actors/bad", "type": "TYPE_PERSON", "displayName": "Ann",
        "names": [{"text": "Ann", "languageCode": "en", "type": "TYPE_FULL"}],
    });
    json!({"actor": with(base, fields)})
}

pub fn relation(fields: Value) -> Value {
    let base = json!({
        "name": "relations/bad", "type": "TYPE_MEMBER_OF", "subject": "actors/nato",
        "object": "actors/unifil",
    });
    json!({"relation": with(base, fields)})
}

pub fn event(fields: Value) -> Value {
    let base = json!({
        "name": "events/bad", "type": "TYPE_MEETING", "form": "FORM_SINGLE",
        "status": "STATUS_OCCURRED", "displayName": "Talks",
    });
    json!({"event": with(base, fields)})
}

pub fn evidence(fields: Value) -> Value {
    let base = json!({
        "article": GOLD_ARTICLE, "articleRevision": "1", "modality": "MODALITY_ASSERTED",
    });
    json!({"evidence": [with(base, fields)]})
}

pub const GOLD_ARTICLE: &str = "articles/kazakhstan-confirms-partnership-with-nato-us";

impl BadRequest {
    /// The server's answer.
    async fn send(self, server: &TestServer) -> Result<(), Status> {
        let client = server.client.clone();
        let (mut records, mut editorial, mut admin) =
            (client.records, client.editorial, client.admin);
        match self {
            BadRequest::Create(request) => records.create_record(request).await.map(drop),
            BadRequest::Get(request) => records.get_record(request).await.map(drop),
            BadRequest::BatchGet(request) => records.batch_get_records(request).await.map(drop),
            BadRequest::List(request) => records.list_records(request).await.map(drop),
            BadRequest::Update(request) => records.update_record(request).await.map(drop),
            BadRequest::Delete(request) => records.delete_record(request).await.map(drop),
            BadRequest::Commit(request) => editorial.commit(request).await.map(drop),
            BadRequest::Publish(request) => editorial.publish_records(request).await.map(drop),
            BadRequest::Retract(request) => editorial.retract_records(request).await.map(drop),
            BadRequest::SendBack(request) => editorial.send_back_records(request).await.map(drop),
            BadRequest::Restore(request) => editorial.restore_record(request).await.map(drop),
            BadRequest::Revisions(request) => records.list_revisions(request).await.map(drop),
            BadRequest::Diff(request) => records.diff_revisions(request).await.map(drop),
            BadRequest::Compact(request) => admin.compact_feed(request).await.map(drop),
            BadRequest::Fork(request) => admin.fork_feed(request).await.map(drop),
            BadRequest::Load(request) => admin.load_records(request).await.map(drop),
            BadRequest::Watch(request) => {
                let mut stream = server
                    .client
                    .feed
                    .clone()
                    .watch(request)
                    .await?
                    .into_inner();
                stream.message().await.map(drop)
            }
            BadRequest::Export(request) => {
                let mut exports = server.client.exports.clone();
                let mut stream = exports.export(request).await?;
                stream.get_mut().message().await.map(drop)
            }
        }
    }
}

/// A server with the gold records, which are published.
pub async fn gold_server() -> TestServer {
    let server = start_server().await;
    publish_gold(&server).await;
    server
}

/// Sends each row, checks its answer, and the conditions that hold after any row.
pub async fn prove(server: &TestServer, rows: Vec<Row>) {
    let before = heads(server).await;
    for Row { id, sent, answer } in rows {
        let sending = tokio::time::timeout(TIMEOUT, sent.send(server));
        let status = sending.await.unwrap_or_else(|_| panic!("{id}: no answer"));
        let status = status.expect_err(&format!("{id} is accepted, not {}", answer.words));
        assert_answer(id, &status, &answer);
        assert_eq!(heads(server).await, before, "{id} wrote something");
    }
    assert_serves(server).await;
}

pub fn assert_answer(id: &str, status: &Status, expected: &ExpectedError) {
    let shown = format!("{id}: {status:?}\n{:#?}", status.get_error_details());
    assert_eq!(status.code(), expected.code, "{shown}");
    assert_contract(id, status);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.reason, expected.reason, "{shown}");
    let words = expected.words.as_str();
    if expected.field.is_empty() {
        assert!(status.message().contains(words), "{words:?} in {shown}");
        return;
    }
    let violations = status
        .get_details_bad_request()
        .map(|told| told.field_violations)
        .unwrap_or_default();
    let told = violations
        .iter()
        .find(|told| told.field == expected.field)
        .unwrap_or_else(|| panic!("{} in {shown}", expected.field));
    assert!(told.description.contains(words), "{words:?} in {shown}");
}

/// Checks every error: exactly one `ErrorInfo`, in our domain; never INTERNAL; no text of driver, SQL or Rust.
pub fn assert_contract(id: &str, status: &Status) {
    let shown = format!("{id}: {status:?}");
    assert_ne!(status.code(), Code::Internal, "{shown}");
    assert_ne!(status.code(), Code::Unknown, "{shown}");
    let details = pb::Status::decode(status.details()).unwrap();
    let infos: Vec<_> = details
        .details
        .iter()
        .filter(|detail| detail.type_url == ErrorInfo::TYPE_URL)
        .collect();
    assert_eq!(infos.len(), 1, "{shown}");
    assert_eq!(status.get_details_error_info().unwrap().domain, "dateline");
    let text = String::from_utf8_lossy(status.details()).into_owned() + status.message();
    for leak in [
        "sqlx",
        "ostgres",
        "SELECT",
        "INSERT",
        "prost",
        "tonic",
        "::",
        "panicked",
        "DecodeError",
        "src/",
        "crates/",
        ".rs",
    ] {
        assert!(!text.contains(leak), "{leak:?} in {shown}");
    }
    assert!(!status.message().contains(char::is_control), "{shown}");
    assert!(status.message().chars().count() < 2000, "{shown}");
}

/// The heads of both feeds, as streams report them.
pub async fn heads(server: &TestServer) -> [i64; 2] {
    let mut heads = [0; 2];
    for (head, view) in heads.iter_mut().zip([View::Desk, View::Published]) {
        let mut stream = open_watch(&server.client, watch_from_now(view)).await;
        let first = stream.message().await.unwrap().unwrap();
        *head = first.checkpoint.unwrap().head_sequence;
    }
    heads
}

/// Asserts that existing and new connections are served.
pub async fn assert_serves(server: &TestServer) {
    let fresh = dateline_client::Client::connect(&server.address).await;
    for client in [server.client.clone(), fresh.unwrap()] {
        let request = GetRecordRequest {
            name: "actors/nato".to_owned(),
            ..GetRecordRequest::default()
        };
        let mut records = client.records.clone();
        let answer = tokio::time::timeout(TIMEOUT, records.get_record(request)).await;
        assert!(
            answer
                .expect("an answer")
                .unwrap()
                .into_inner()
                .record
                .is_some()
        );
    }
}
