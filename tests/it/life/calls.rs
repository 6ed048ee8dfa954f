//! W6 call by call: every write RPC accepts `validate_only`, and reports errors under the paths of its own request.

use dateline_proto::v1::{
    CorrectRecordRequest, CreateRecordRequest, DeleteRecordRequest, MergeRecordRequest,
    PublishRecordsRequest, PurgeRecordRequest, Record, RecordVersion, RestoreRecordRequest,
    RetractRecordsRequest, SendBackRecordsRequest, SubmitRecordsRequest, UnmergeRecordRequest,
    UpdateRecordRequest,
};
use tonic::{Response, Status};

use super::hands::*;
use crate::{
    gold::version,
    rig::{Site, name},
};

/// The records of all calls: one in each state that some call needs.
struct Cast {
    draft: Record,
    review: Record,
    public: Record,
    twin: Record,
    merged: Record,
}

async fn cast(site: &Site) -> Cast {
    let client = &site.client;
    let draft = make(client, &[actor("draft")]).await.swap_remove(0);
    let review = make(client, &[actor("review")]).await.swap_remove(0);
    let review = one(client, submit(&review)).await;
    let public = shown(client, &actor("public")).await;
    let public = one(client, correct(&saying(&public, "x"), &[], "x")).await;
    let twin = shown(client, &actor("twin")).await;
    let loser = shown(client, &actor("loser")).await;
    let winner = shown(client, &actor("winner")).await;
    Cast {
        draft,
        review,
        public,
        twin,
        merged: one(client, merge(&loser, &winner)).await,
    }
}

/// The sequence in an answer; other fields differ between calls.
type Told = Result<i64, Refused>;

fn told<T>(answer: Result<Response<T>, Status>, sequence: impl Fn(&T) -> i64) -> Told {
    answer
        .map(|answer| sequence(answer.get_ref()))
        .map_err(Refused::from)
}

/// Makes every write call, each valid unless `etag` is empty, which sends versions without etags. Returns names and
/// answers.
#[expect(
    clippy::too_many_lines,
    reason = "one paragraph per call, and no call is like another"
)]
async fn all(
    site: &Site,
    cast: &Cast,
    validate_only: bool,
    etag: &str,
) -> Vec<(&'static str, Told)> {
    let (mut records, mut editorial) = (site.client.clone().records, site.client.clone().editorial);
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
        let mut edited = saying(record, "edited");
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
    let create = told(records.create_record(request).await, |it| it.sequence);
    let request = UpdateRecordRequest {
        record: edited(&cast.draft),
        validate_only,
        ..Default::default()
    };
    let update = told(records.update_record(request).await, |it| it.sequence);
    let RecordVersion { name, etag } = read(&cast.draft);
    let request = DeleteRecordRequest {
        name,
        etag,
        validate_only,
        ..Default::default()
    };
    let delete = told(records.delete_record(request).await, |it| it.sequence);
    let request = SubmitRecordsRequest {
        records: vec![read(&cast.draft)],
        validate_only,
        ..Default::default()
    };
    let submit = told(editorial.submit_records(request).await, |it| it.sequence);
    let request = SendBackRecordsRequest {
        records: vec![read(&cast.review)],
        validate_only,
        ..Default::default()
    };
    let send_back = told(editorial.send_back_records(request).await, |it| it.sequence);
    let request = PublishRecordsRequest {
        records: vec![read(&cast.draft)],
        validate_only,
        ..Default::default()
    };
    let publish = told(editorial.publish_records(request).await, |it| it.sequence);
    let request = CorrectRecordRequest {
        record: edited(&cast.public),
        note: note(),
        validate_only,
        ..Default::default()
    };
    let correct = told(editorial.correct_record(request).await, |it| it.sequence);
    let request = RetractRecordsRequest {
        records: vec![read(&cast.public)],
        note: note(),
        validate_only,
        ..Default::default()
    };
    let retract = told(editorial.retract_records(request).await, |it| it.sequence);
    let request = MergeRecordRequest {
        record: Some(read(&cast.twin)),
        into: Some(read(&cast.public)),
        validate_only,
        ..Default::default()
    };
    let merge = told(editorial.merge_record(request).await, |it| it.sequence);
    let request = UnmergeRecordRequest {
        record: Some(read(&cast.merged)),
        validate_only,
        ..Default::default()
    };
    let unmerge = told(editorial.unmerge_record(request).await, |it| it.sequence);
    let request = RestoreRecordRequest {
        record: Some(read(&cast.public)),
        revision: 1,
        note: note(),
        validate_only,
        ..Default::default()
    };
    let restore = told(editorial.restore_record(request).await, |it| it.sequence);
    let request = PurgeRecordRequest {
        record: Some(read(&cast.public)),
        note: note(),
        validate_only,
        ..Default::default()
    };
    let purge = told(editorial.purge_record(request).await, |it| it.sequence);
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
    let site = base().await;
    let cast = cast(&site).await;
    let before = (heads(&site.url).await, dump(&site.url).await);
    for (call, answer) in all(&site, &cast, true, "as read").await {
        assert_eq!(answer, Ok(0), "{call}");
    }
    assert_eq!((heads(&site.url).await, dump(&site.url).await), before);
    assert_eq!(on_desk(&site.client, name(&cast.public)).await, cast.public);
}

#[tokio::test]
async fn w2_w6_every_call_tells_what_is_wrong_under_its_own_paths() {
    let site = base().await;
    let cast = cast(&site).await;
    let before = (heads(&site.url).await, dump(&site.url).await);
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
    let answers = all(&site, &cast, false, "").await;
    for ((call, answer), fields) in answers.into_iter().zip(fields) {
        let refused = answer.expect_err(call);
        refused.is(tonic::Code::InvalidArgument, "INVALID_RECORD");
        assert_eq!(refused.fields(), fields, "{call}");
    }
    assert_eq!((heads(&site.url).await, dump(&site.url).await), before);
}
