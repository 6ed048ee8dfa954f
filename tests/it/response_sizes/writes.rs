//! Writes near the limits of a request: done, answered, and answered again.

use dateline_proto::v1::{
    CompactFeedRequest, CorrectRecordRequest, CreateRecordRequest, CreateTokenRequest,
    DeleteRecordRequest, ForkFeedRequest, ListRecordsRequest, LoadRecordsRequest,
    MergeRecordRequest, PublishRecordsRequest, PurgeRecordRequest, Record, RestoreRecordRequest,
    RetractRecordsRequest, RevokeTokenRequest, Role, SendBackRecordsRequest, State,
    SubmitRecordsRequest, UnmergeRecordRequest, UpdateRecordRequest, UpdateTokenRequest,
    compact_feed_request::Before,
};
use prost_types::Timestamp;
use tonic::Code;

use crate::support::{
    builders::{create, version, versions},
    callers::in_an_hour,
    editing::desk_record,
    large_records::{SizeChecks, desk, large, note, quoted, request_id, unchecked, wire},
    records::{meta, with_etag},
};

/// Sends a write twice under the same request id; the answers are the same, and say whether content was omitted.
macro_rules! twice {
    ($checks:expr, $service:ident.$method:ident, $name:literal, $request:expr) => {{
        let request = $request;
        let answer = $checks.$service.$method(request.clone()).await;
        let answer = $checks.check_answer($name, answer);
        let again = $checks.$service.$method(request).await;
        assert_eq!($checks.check_answer($name, again), answer, "{}", $name);
        answer
    }};
}

/// A thousand articles, created by commits near the limit, and moved from state to state all at once.
pub async fn thousand_articles(checks: &mut SizeChecks) -> Vec<Record> {
    let create_all = |from, to, length| -> Vec<_> {
        (from..to)
            .map(|number| create(&wire(number, length)))
            .collect()
    };
    let most = checks.commit(create_all(0, 630, 6500)).await;
    assert!(most.content_omitted);
    assert_eq!(most.records.len(), 630);
    let rest = checks.commit(create_all(630, 1000, 300)).await;
    assert!(!rest.content_omitted);
    let mut records = [most.records, rest.records].concat();
    let submitted = twice!(
        checks,
        editorial.submit_records,
        "SubmitRecords",
        SubmitRecordsRequest {
            records: versions(&records),
            request_id: request_id(),
            ..SubmitRecordsRequest::default()
        }
    );
    records = all_of(submitted.records, submitted.content_omitted);
    let returned = twice!(
        checks,
        editorial.send_back_records,
        "SendBackRecords",
        SendBackRecordsRequest {
            records: versions(&records),
            note: note(),
            request_id: request_id(),
            ..SendBackRecordsRequest::default()
        }
    );
    records = all_of(returned.records, returned.content_omitted);
    let published = twice!(
        checks,
        editorial.publish_records,
        "PublishRecords",
        PublishRecordsRequest {
            records: versions(&records),
            request_id: request_id(),
            ..PublishRecordsRequest::default()
        }
    );
    records = all_of(published.records, published.content_omitted);
    assert!(
        records
            .iter()
            .all(|record| meta(record).state() == State::Published)
    );
    // Each has a note of 4 kB in its meta: not even the meta of all fits.
    let retracted = twice!(
        checks,
        editorial.retract_records,
        "RetractRecords",
        RetractRecordsRequest {
            records: versions(&records),
            note: note(),
            request_id: request_id(),
            ..RetractRecordsRequest::default()
        }
    );
    records = all_of(retracted.records, retracted.content_omitted);
    let first = meta(&records[0]);
    assert_eq!(first.state(), State::Retracted);
    assert!(first.corrections.is_empty() && !first.etag.is_empty());
    records
}

fn all_of(records: Vec<Record>, content_omitted: bool) -> Vec<Record> {
    assert_eq!((records.len(), content_omitted), (1000, true));
    records
}

/// Records as large as a request, and as a record, may be; and their states.
pub async fn large_records(checks: &mut SizeChecks) {
    let drafts = checks.commit(vec![create(&quoted())]).await;
    let request = PublishRecordsRequest {
        records: versions(&drafts.records),
        ..PublishRecordsRequest::default()
    };
    let shown = checks.editorial.publish_records(request).await;
    let shown = checks
        .check_answer("PublishRecords", shown)
        .records
        .remove(0);
    correct_and_restore(checks, &shown).await;
    single_draft(checks).await;
    merge_and_purge(checks).await;
    // A record that no answer could hold is refused.
    let too_large = large("too-large", 330, 0);
    let request = crate::support::builders::commit_request(vec![
        create(&wire(5000, 100)),
        create(&too_large),
    ]);
    let refused = checks.editorial.commit(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused
            .message()
            .starts_with("writes[1].create.record.actor: would come to"),
        "{refused}"
    );
}

async fn correct_and_restore(checks: &mut SizeChecks, shown: &Record) {
    let mut changed = shown.clone();
    if let Some(dateline_proto::v1::record::Kind::Article(article)) = &mut changed.kind {
        article.summary = note();
    }
    let corrected = twice!(
        checks,
        editorial.correct_record,
        "CorrectRecord",
        CorrectRecordRequest {
            record: Some(changed),
            note: note(),
            request_id: request_id(),
            ..CorrectRecordRequest::default()
        }
    );
    assert!(!corrected.content_omitted);
    twice!(
        checks,
        editorial.restore_record,
        "RestoreRecord",
        RestoreRecordRequest {
            record: corrected.record.as_ref().map(version),
            revision: 1,
            note: note(),
            request_id: request_id(),
            ..RestoreRecordRequest::default()
        }
    );
}

/// A draft as large as a request about one record may be: 2 MiB.
async fn single_draft(checks: &mut SizeChecks) {
    let created = twice!(
        checks,
        records.create_record,
        "CreateRecord",
        CreateRecordRequest {
            record: Some(unchecked("single", 255, "\u{20001}")),
            request_id: request_id(),
            ..CreateRecordRequest::default()
        }
    );
    let stored = created.record.unwrap();
    let updated = twice!(
        checks,
        records.update_record,
        "UpdateRecord",
        UpdateRecordRequest {
            record: Some(with_etag(
                &unchecked("single", 255, "\u{20002}"),
                &meta(&stored).etag
            )),
            request_id: request_id(),
            ..UpdateRecordRequest::default()
        }
    );
    assert!(!updated.content_omitted);
}

/// Records of maximum size: two of them exceed an answer.
async fn merge_and_purge(checks: &mut SizeChecks) {
    for id in ["one", "two"] {
        let draft = checks.commit(vec![create(&large(id, 320, 0))]).await;
        let request = PublishRecordsRequest {
            records: versions(&draft.records),
            ..PublishRecordsRequest::default()
        };
        let shown = checks.editorial.publish_records(request).await;
        assert!(!checks.check_answer("PublishRecords", shown).content_omitted);
    }
    let client = checks.server.client.clone();
    let merged = twice!(
        checks,
        editorial.merge_record,
        "MergeRecord",
        MergeRecordRequest {
            record: Some(version(&desk_record(&client, "actors/one").await)),
            into: Some(version(&desk_record(&client, "actors/two").await)),
            note: note(),
            request_id: request_id(),
            ..MergeRecordRequest::default()
        }
    );
    assert!(merged.content_omitted && merged.records.len() == 2);
    let unmerged = twice!(
        checks,
        editorial.unmerge_record,
        "UnmergeRecord",
        UnmergeRecordRequest {
            record: Some(version(&merged.records[0])),
            note: note(),
            request_id: request_id(),
            ..UnmergeRecordRequest::default()
        }
    );
    assert!(unmerged.content_omitted);
}

/// Calls of operators; they must run last.
pub async fn operators(checks: &mut SizeChecks) {
    let client = checks.server.client.clone();
    let single = desk_record(&client, "actors/single").await;
    twice!(
        checks,
        records.delete_record,
        "DeleteRecord",
        DeleteRecordRequest {
            name: "actors/single".to_owned(),
            etag: meta(&single).etag,
            request_id: request_id(),
            ..DeleteRecordRequest::default()
        }
    );
    let request = ListRecordsRequest {
        view: desk(),
        page_size: 1000,
        ..ListRecordsRequest::default()
    };
    let page = checks.records.list_records(request).await;
    let page = checks.check_answer("ListRecords", page);
    twice!(
        checks,
        admin.load_records,
        "LoadRecords",
        LoadRecordsRequest {
            records: page.records,
            request_id: request_id(),
            ..LoadRecordsRequest::default()
        }
    );
    // A record that only the article supports is withdrawn with it.
    let quoted = desk_record(&client, crate::support::large_records::QUOTED).await;
    let purged = twice!(
        checks,
        editorial.purge_record,
        "PurgeRecord",
        PurgeRecordRequest {
            record: Some(version(&quoted)),
            note: note(),
            cascade: true,
            request_id: request_id(),
            ..PurgeRecordRequest::default()
        }
    );
    assert!(purged.content_omitted && purged.records.len() == 3);
    tokens(checks).await;
    let request = CompactFeedRequest {
        before: Some(Before::Time(Timestamp {
            seconds: 1,
            nanos: 0,
        })),
        validate_only: true,
    };
    let compacted = checks.admin.compact_feed(request).await;
    checks.check_answer("CompactFeed", compacted);
    let feed = checks
        .feed
        .get_feed(dateline_proto::v1::GetFeedRequest::default());
    let feed = feed.await;
    let feed = checks.check_answer("GetFeed", feed).feed;
    let forked = checks.admin.fork_feed(ForkFeedRequest { feed }).await;
    checks.check_answer("ForkFeed", forked);
}

async fn tokens(checks: &mut SizeChecks) {
    let scope: Vec<_> = (0..100)
        .map(|number| format!("topic:{number:0>94}"))
        .collect();
    let request = CreateTokenRequest {
        name: "reader".to_owned(),
        roles: vec![Role::Reader.into()],
        scope: scope.clone(),
        expire_time: Some(in_an_hour()),
    };
    let created = checks.admin.create_token(request).await;
    let id = checks
        .check_answer("CreateToken", created)
        .token
        .unwrap()
        .id;
    let request = UpdateTokenRequest {
        id: id.clone(),
        roles: vec![Role::Reader.into()],
        scope,
        expire_time: None,
    };
    let updated = checks.admin.update_token(request).await;
    checks.check_answer("UpdateToken", updated);
    let revoked = checks.admin.revoke_token(RevokeTokenRequest { id }).await;
    checks.check_answer("RevokeToken", revoked);
}
