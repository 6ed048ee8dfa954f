//! The calls of the matrix: each method of the schema, in each of its views, and each write of a commit.

use dateline_client::Client;
use dateline_proto::v1::{
    BatchGetRecordsRequest, CompactFeedRequest, CorrectRecordRequest, CreateRecordRequest,
    CreateTokenRequest, DeleteRecordRequest, DiffRevisionsRequest, ExportRequest,
    FindDuplicatesRequest, ForkFeedRequest, GetFeedRequest, GetHealthRequest, GetRecordRequest,
    ListAuditEntriesRequest, ListRecordsRequest, ListRevisionsRequest, ListTokensRequest,
    LoadRecordsRequest, MatchActorsRequest, MergeRecordRequest, Origin, PublishRecordsRequest,
    PurgeRecordRequest, RebuildSearchRequest, RestoreRecordRequest, RetractRecordsRequest,
    RevokeTokenRequest, Role, SearchRecordsRequest, SendBackRecordsRequest, SubmitRecordsRequest,
    SuggestMentionsRequest, UnmergeRecordRequest, UpdateRecordRequest, UpdateTokenRequest, View,
    Write, compact_feed_request::Before,
};
use tonic::Status;

use crate::support::{
    builders::{
        commit_request, correct, create, delete, field_mask, merge, publish, purge, restore,
        retract, send_back, submit, unmerge, update, version,
    },
    callers::in_an_hour,
    fixtures::{FIXTURE_STATES, Fixture, FixtureState},
    matching::example,
    records::{text_field, with_text},
    watch::{read_call_until, read_to_head},
};

/// The result of a call: the whole answer as text, or the refusal.
pub type CallOutcome = Result<String, Status>;

fn text<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, Status>) -> CallOutcome {
    answer.map(|answer| format!("{:?}", answer.into_inner()))
}

/// The view in the name of a call.
pub fn view(call: &str) -> View {
    if call.ends_with(" desk") {
        View::Desk
    } else {
        View::Published
    }
}

/// Calls about one record.
pub const OF_ONE: &[&str] = &[
    "GetRecord",
    "GetRecord desk",
    "GetRecord at",
    "GetRecord at desk",
    "GetRecord as of",
    "GetRecord as of desk",
    "BatchGetRecords",
    "BatchGetRecords desk",
    "ListRevisions",
    "ListRevisions desk",
    "DiffRevisions",
    "DiffRevisions desk",
    "CreateRecord",
    "UpdateRecord",
    "DeleteRecord",
    "SubmitRecords",
    "SendBackRecords",
    "PublishRecords",
    "CorrectRecord",
    "RetractRecords",
    "MergeRecord",
    "UnmergeRecord",
    "RestoreRecord",
    "PurgeRecord",
    "Commit create",
    "Commit update",
    "Commit delete",
    "Commit submit",
    "Commit send back",
    "Commit publish",
    "Commit correct",
    "Commit retract",
    "Commit merge",
    "Commit unmerge",
    "Commit restore",
    "Commit purge",
];

/// Calls that return all records.
pub const OF_ALL: &[&str] = &[
    "ListRecords",
    "ListRecords desk",
    "Watch",
    "Watch desk",
    "Watch snapshot",
    "Watch snapshot desk",
    "Export",
    "Export desk",
    "MatchActors",
    "MatchActors desk",
    "FindDuplicates",
    "FindDuplicates desk",
    "SuggestMentions",
    "SuggestMentions desk",
    "SearchRecords",
    "SearchRecords desk",
];

/// Calls that return no records.
pub const OF_NONE: &[&str] = &[
    "GetFeed",
    "GetFeed desk",
    "CompactFeed",
    "ForkFeed",
    "LoadRecords",
    "RebuildSearch",
    "CreateToken",
    "ListTokens",
    "UpdateToken",
    "RevokeToken",
    "ListAuditEntries",
    "GetHealth",
];

pub async fn read_one(client: &mut Client, call: &str, name: String, head: i64) -> CallOutcome {
    let at = view(call).into();
    let get = GetRecordRequest {
        name: name.clone(),
        view: at,
        no_redirect: true,
        ..GetRecordRequest::default()
    };
    match call.trim_end_matches(" desk") {
        "GetRecord" => text(client.records.get_record(get).await),
        "GetRecord at" => {
            let revision = Some(2);
            text(
                client
                    .records
                    .get_record(GetRecordRequest { revision, ..get })
                    .await,
            )
        }
        "GetRecord as of" => {
            let as_of = Some(head);
            text(
                client
                    .records
                    .get_record(GetRecordRequest { as_of, ..get })
                    .await,
            )
        }
        "BatchGetRecords" => {
            let request = BatchGetRecordsRequest {
                names: vec![name],
                view: at,
                ..BatchGetRecordsRequest::default()
            };
            text(client.records.batch_get_records(request).await)
        }
        "ListRevisions" => {
            let request = ListRevisionsRequest {
                name,
                view: at,
                ..ListRevisionsRequest::default()
            };
            text(client.records.list_revisions(request).await)
        }
        "DiffRevisions" => {
            let request = DiffRevisionsRequest {
                name,
                view: at,
                from_revision: 2,
                to_revision: 2,
            };
            text(client.records.diff_revisions(request).await)
        }
        other => panic!("no call {other}"),
    }
}

fn write_of(verb: &str, fixture: &Fixture, winner: &dateline_proto::v1::Record) -> Write {
    let record = &fixture.record;
    let changed = with_text(record, &format!("changed {}", fixture.stand.words()));
    match verb {
        "create" => create(record),
        "update" => update(&changed, &[text_field(record)]),
        "delete" => delete(record),
        "submit" => submit(record),
        "send back" => send_back(record, "again"),
        "publish" => publish(record),
        "correct" => correct(&changed, &[text_field(record)], "mistaken"),
        "retract" => retract(record, "mistaken", false),
        "merge" => merge(record, winner),
        "unmerge" => unmerge(record),
        "restore" => restore(record, 1, "better before"),
        "purge" => purge(record, false),
        other => panic!("no write {other}"),
    }
}

pub async fn write_one(
    client: &mut Client,
    call: &str,
    fixture: &Fixture,
    winner: &dateline_proto::v1::Record,
) -> CallOutcome {
    if let Some(verb) = call.strip_prefix("Commit ") {
        let mut request = commit_request(vec![write_of(verb, fixture, winner)]);
        request.validate_only = true;
        return text(client.editorial.commit(request).await);
    }
    let (record, validate_only) = (fixture.record.clone(), true);
    let records = vec![version(&record)];
    let of = Some(version(&record));
    let changed = Some(with_text(
        &record,
        &format!("changed {}", fixture.stand.words()),
    ));
    let update_mask = field_mask(&[text_field(&record)]);
    let note = "mistaken".to_owned();
    macro_rules! call {
        ($service:ident . $method:ident, $request:ident { $($field:ident $(: $value:expr)?),* }) => {
            text(client.$service.$method($request {
                validate_only,
                $($field $(: $value)?,)*
                ..$request::default()
            }).await)
        };
    }
    match call {
        "CreateRecord" => {
            call!(
                records.create_record,
                CreateRecordRequest {
                    record: Some(record)
                }
            )
        }
        "UpdateRecord" => call!(
            records.update_record,
            UpdateRecordRequest {
                record: changed,
                update_mask
            }
        ),
        "DeleteRecord" => {
            let version = version(&record);
            call!(
                records.delete_record,
                DeleteRecordRequest {
                    name: version.name,
                    etag: version.etag
                }
            )
        }
        "SubmitRecords" => call!(editorial.submit_records, SubmitRecordsRequest { records }),
        "SendBackRecords" => call!(
            editorial.send_back_records,
            SendBackRecordsRequest { records, note }
        ),
        "PublishRecords" => call!(editorial.publish_records, PublishRecordsRequest { records }),
        "CorrectRecord" => {
            call!(
                editorial.correct_record,
                CorrectRecordRequest {
                    record: changed,
                    update_mask,
                    note
                }
            )
        }
        "RetractRecords" => call!(
            editorial.retract_records,
            RetractRecordsRequest { records, note }
        ),
        "MergeRecord" => {
            let into = Some(version(winner));
            call!(
                editorial.merge_record,
                MergeRecordRequest {
                    record: of,
                    into,
                    note
                }
            )
        }
        "UnmergeRecord" => call!(
            editorial.unmerge_record,
            UnmergeRecordRequest { record: of, note }
        ),
        "RestoreRecord" => {
            call!(
                editorial.restore_record,
                RestoreRecordRequest {
                    record: of,
                    revision: 1,
                    note
                }
            )
        }
        "PurgeRecord" => call!(
            editorial.purge_record,
            PurgeRecordRequest { record: of, note }
        ),
        other => panic!("no call {other}"),
    }
}

/// The name of the actor in a state, as people write it.
fn called(stand: FixtureState) -> String {
    format!("Actor {}", stand.name().trim_start_matches("actors/"))
}

pub async fn read_all(client: &mut Client, call: &str) -> CallOutcome {
    let at = view(call).into();
    match call.trim_end_matches(" desk") {
        "ListRecords" => {
            let request = ListRecordsRequest {
                view: at,
                page_size: 1000,
                ..ListRecordsRequest::default()
            };
            text(client.records.list_records(request).await)
        }
        "SearchRecords" => {
            let request = SearchRecordsRequest {
                query: "words".into(),
                view: at,
                page_size: 1000,
                ..SearchRecordsRequest::default()
            };
            text(client.search.search_records(request).await)
        }
        "Watch" => read_to_head(client, view(call), Origin::Beginning).await,
        "Watch snapshot" => read_to_head(client, view(call), Origin::Snapshot).await,
        "Export" => {
            let request = ExportRequest {
                view: at,
                ..ExportRequest::default()
            };
            read_call_until(client.exports.export(request).await, |part| part.complete).await
        }
        "MatchActors" => {
            let request = MatchActorsRequest {
                examples: FIXTURE_STATES.map(|stand| example(&called(stand))).into(),
                view: at,
                min_score: Some(0.0),
                max_candidates: 50,
                ..MatchActorsRequest::default()
            };
            text(client.matching.match_actors(request).await)
        }
        "FindDuplicates" => {
            let request = FindDuplicatesRequest {
                view: at,
                min_score: Some(0.0),
                page_size: 200,
                ..FindDuplicatesRequest::default()
            };
            text(client.matching.find_duplicates(request).await)
        }
        "SuggestMentions" => {
            let request = SuggestMentionsRequest {
                text: FIXTURE_STATES.map(called).join("; "),
                view: at,
                ..SuggestMentionsRequest::default()
            };
            text(client.matching.suggest_mentions(request).await)
        }
        other => panic!("no call {other}"),
    }
}

pub async fn other(client: &mut Client, call: &str) -> CallOutcome {
    match call.trim_end_matches(" desk") {
        "GetFeed" => {
            let view = view(call).into();
            text(client.feed.get_feed(GetFeedRequest { view }).await)
        }
        "CompactFeed" => {
            let request = CompactFeedRequest {
                before: Some(Before::DeskSequence(1)),
                validate_only: true,
            };
            text(client.admin.compact_feed(request).await)
        }
        "ForkFeed" => {
            let feed = uuid::Uuid::nil().to_string();
            text(client.admin.fork_feed(ForkFeedRequest { feed }).await)
        }
        "LoadRecords" => text(
            client
                .admin
                .load_records(LoadRecordsRequest::default())
                .await,
        ),
        "RebuildSearch" => text(client.admin.rebuild_search(RebuildSearchRequest {}).await),
        "CreateToken" => {
            let request = CreateTokenRequest {
                name: "other".into(),
                roles: vec![Role::Reader.into()],
                expire_time: Some(in_an_hour()),
                ..CreateTokenRequest::default()
            };
            text(client.admin.create_token(request).await)
        }
        "ListTokens" => text(client.admin.list_tokens(ListTokensRequest::default()).await),
        "UpdateToken" => {
            let request = UpdateTokenRequest {
                id: "aaaaaaaa".into(),
                roles: vec![Role::Reader.into()],
                ..UpdateTokenRequest::default()
            };
            text(client.admin.update_token(request).await)
        }
        "RevokeToken" => {
            let id = "aaaaaaaa".into();
            text(client.admin.revoke_token(RevokeTokenRequest { id }).await)
        }
        "ListAuditEntries" => {
            let request = ListAuditEntriesRequest::default();
            text(client.admin.list_audit_entries(request).await)
        }
        "GetHealth" => text(client.admin.get_health(GetHealthRequest {}).await),
        other => panic!("no call {other}"),
    }
}
