//! W6 call by call: every write RPC accepts `validate_only`, and reports errors under the paths of its own request.

use dateline_proto::v1::{
    CorrectRecordRequest, CreateRecordRequest, DeleteRecordRequest, MergeRecordRequest,
    PublishRecordsRequest, PurgeRecordRequest, Record, RecordVersion, RestoreRecordRequest,
    RetractRecordsRequest, SendBackRecordsRequest, SubmitRecordsRequest, UnmergeRecordRequest,
    UpdateRecordRequest,
};
use tonic::{Response, Status};

use crate::support::{editing::*, projections::wait_projected, server::TestServer};

/// The records of all calls: one in each state that some call needs.
struct CallRecords {
    draft: Record,
    review: Record,
    public: Record,
    twin: Record,
    merged: Record,
}

async fn cast(server: &TestServer) -> CallRecords {
    let client = &server.client;
    let draft = create_drafts(client, &[actor("draft")])
        .await
        .swap_remove(0);
    let review = create_drafts(client, &[actor("review")])
        .await
        .swap_remove(0);
    let review = commit_one(client, submit(&review)).await;
    let public = create_published(client, &actor("public")).await;
    let public = commit_one(client, correct(&with_text(&public, "x"), &[], "x")).await;
    let twin = create_published(client, &actor("twin")).await;
    let loser = create_published(client, &actor("loser")).await;
    let winner = create_published(client, &actor("winner")).await;
    CallRecords {
        draft,
        review,
        public,
        twin,
        merged: commit_one(client, merge(&loser, &winner)).await,
    }
}

/// The sequence in an answer; other fields differ between calls.
type CallResult = Result<i64, RpcError>;

fn call_result<T>(answer: Result<Response<T>, Status>, sequence: impl Fn(&T) -> i64) -> CallResult {
    answer
        .map(|answer| sequence(answer.get_ref()))
        .map_err(RpcError::from)
}

/// Makes every write call, each valid unless `etag` is empty, which sends versions without etags. Returns names and
/// answers.
#[expect(
    clippy::too_many_lines,
    reason = "one paragraph per call, and no call is like another"
)]
async fn all(
    server: &TestServer,
    cast: &CallRecords,
    validate_only: bool,
    etag: &str,
) -> Vec<(&'static str, CallResult)> {
    let (mut records, mut editorial) = (
        server.client.clone().records,
        server.client.clone().editorial,
    );
    let read = |record: &Record| RecordVersion {
        etag: if etag.is_empty() {
            String::new()
        } else {
            version(record).etag
        },
        ..version(record)
    };
    let note = || "noted".to_owned();
    let mut fresh = actor("fresh");
    if etag.is_empty() {
        as_actor(&mut fresh).display_name.clear();
    }
    let edited = |record: &Record| {
        let mut edited = with_text(record, "edited");
        if etag.is_empty() {
            as_actor(&mut edited).meta = None;
        }
        Some(edited)
    };
    let request = CreateRecordRequest {
        record: Some(fresh),
        validate_only,
        ..Default::default()
    };
    let create = call_result(records.create_record(request).await, |it| it.sequence);
    let request = UpdateRecordRequest {
        record: edited(&cast.draft),
        validate_only,
        ..Default::default()
    };
    let update = call_result(records.update_record(request).await, |it| it.sequence);
    let RecordVersion { name, etag } = read(&cast.draft);
    let request = DeleteRecordRequest {
        name,
        etag,
        validate_only,
        ..Default::default()
    };
    let delete = call_result(records.delete_record(request).await, |it| it.sequence);
    let request = SubmitRecordsRequest {
        records: vec![read(&cast.draft)],
        validate_only,
        ..Default::default()
    };
    let submit = call_result(editorial.submit_records(request).await, |it| it.sequence);
    let request = SendBackRecordsRequest {
        records: vec![read(&cast.review)],
        validate_only,
        ..Default::default()
    };
    let send_back = call_result(editorial.send_back_records(request).await, |it| it.sequence);
    let request = PublishRecordsRequest {
        records: vec![read(&cast.draft)],
        validate_only,
        ..Default::default()
    };
    let publish = call_result(editorial.publish_records(request).await, |it| it.sequence);
    let request = CorrectRecordRequest {
        record: edited(&cast.public),
        note: note(),
        validate_only,
        ..Default::default()
    };
    let correct = call_result(editorial.correct_record(request).await, |it| it.sequence);
    let request = RetractRecordsRequest {
        records: vec![read(&cast.public)],
        note: note(),
        validate_only,
        ..Default::default()
    };
    let retract = call_result(editorial.retract_records(request).await, |it| it.sequence);
    let request = MergeRecordRequest {
        record: Some(read(&cast.twin)),
        into: Some(read(&cast.public)),
        validate_only,
        ..Default::default()
    };
    let merge = call_result(editorial.merge_record(request).await, |it| it.sequence);
    let request = UnmergeRecordRequest {
        record: Some(read(&cast.merged)),
        validate_only,
        ..Default::default()
    };
    let unmerge = call_result(editorial.unmerge_record(request).await, |it| it.sequence);
    let request = RestoreRecordRequest {
        record: Some(read(&cast.public)),
        revision: 1,
        note: note(),
        validate_only,
        ..Default::default()
    };
    let restore = call_result(editorial.restore_record(request).await, |it| it.sequence);
    let request = PurgeRecordRequest {
        record: Some(read(&cast.public)),
        note: note(),
        validate_only,
        ..Default::default()
    };
    let purge = call_result(editorial.purge_record(request).await, |it| it.sequence);
    vec![
        ("create", create),
        ("update", update),
        ("delete", delete),
        ("submit", submit),
        ("send_back", send_back),
        ("publish", publish),
        ("correct", correct),
        ("retract", retract),
        ("merge", merge),
        ("unmerge", unmerge),
        ("restore", restore),
        ("purge", purge),
    ]
}

#[tokio::test]
async fn w6_every_call_can_be_asked_only_and_then_writes_nothing() {
    let server = start_server_with_base().await;
    let cast = cast(&server).await;
    wait_projected(&server.url).await;
    let before = (
        feed_heads(&server.url).await,
        dump_tables(&server.url).await,
    );
    for (call, answer) in all(&server, &cast, true, "as read").await {
        assert_eq!(answer, Ok(0), "{call}");
    }
    assert_eq!(
        (
            feed_heads(&server.url).await,
            dump_tables(&server.url).await
        ),
        before
    );
    assert_eq!(
        desk_record(&server.client, name(&cast.public)).await,
        cast.public
    );
}

#[tokio::test]
async fn w2_w6_every_call_tells_what_is_wrong_under_its_own_paths() {
    let server = start_server_with_base().await;
    let cast = cast(&server).await;
    wait_projected(&server.url).await;
    let before = (
        feed_heads(&server.url).await,
        dump_tables(&server.url).await,
    );
    let fields = [
        vec!["record.actor.display_name"],
        vec!["record.actor.meta.etag"],
        vec!["etag"],
        vec!["records[0].etag"],
        vec!["records[0].etag"],
        vec!["records[0].etag"],
        vec!["record.actor.meta.etag"],
        vec!["records[0].etag"],
        vec!["record.etag", "into.etag"],
        vec!["record.etag"],
        vec!["record.etag"],
        vec!["record.etag"],
    ];
    let answers = all(&server, &cast, false, "").await;
    for ((call, answer), fields) in answers.into_iter().zip(fields) {
        let refused = answer.expect_err(call);
        refused.assert_is(tonic::Code::InvalidArgument, "INVALID_RECORD");
        assert_eq!(refused.fields(), fields, "{call}");
    }
    assert_eq!(
        (
            feed_heads(&server.url).await,
            dump_tables(&server.url).await
        ),
        before
    );
}
