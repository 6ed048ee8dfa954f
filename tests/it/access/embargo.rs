//! All calls of a reader while a record is under embargo and when it is lifted: nothing of it before, everything after,
//! once.

use std::collections::BTreeMap;

use dateline_client::Client;
use dateline_proto::v1::{
    BatchGetRecordsRequest, DiffRevisionsRequest, ExportRequest, GetFeedRequest,
    ListRecordsRequest, ListRevisionsRequest, Origin, Role, View, WatchRequest,
};
use tokio::sync::mpsc;
use tonic::Status;
use tonic_types::StatusExt;

use crate::support::{
    builders::{get_request, publish_at},
    callers::{client_with_roles, start_access_servers},
    editing::{
        commit_one, create_base, create_drafts, create_published, desk_record, timestamp_in_ms,
        wait_until,
    },
    records::{actor, meta, with_text},
    replica::next_response,
    server::TIMEOUT,
    watch,
    watch::{open_watch, read_call_until},
};

const NAME: &str = "actors/embargoed";
const WORDS: &str = "words that nobody may read yet";

/// Everything that a reader can request, as text, by the name of the call.
async fn everything(client: &Client, revision: i64) -> BTreeMap<&'static str, String> {
    let mut records = client.records.clone();
    let mut told = BTreeMap::new();
    let said = |answer: Result<String, Status>| match answer {
        Ok(text) => text,
        Err(status) => format!(
            "{:?} {} {:?}",
            status.code(),
            status.message(),
            status.get_error_details()
        ),
    };
    macro_rules! ask {
        ($call:expr, $answer:expr) => {
            told.insert(
                $call,
                said(
                    $answer
                        .await
                        .map(|answer| format!("{:?}", answer.into_inner())),
                ),
            );
        };
    }
    ask!(
        "GetRecord",
        records.get_record(get_request(NAME, View::Published))
    );
    let mut request = get_request(NAME, View::Published);
    request.revision = Some(revision);
    ask!("GetRecord at", records.get_record(request));
    let request = BatchGetRecordsRequest {
        names: vec![NAME.into()],
        ..BatchGetRecordsRequest::default()
    };
    ask!("BatchGetRecords", records.batch_get_records(request));
    ask!(
        "ListRecords",
        records.list_records(ListRecordsRequest::default())
    );
    let request = ListRevisionsRequest {
        name: NAME.into(),
        ..ListRevisionsRequest::default()
    };
    ask!("ListRevisions", records.list_revisions(request));
    let request = DiffRevisionsRequest {
        name: NAME.into(),
        from_revision: 1,
        to_revision: revision,
        ..DiffRevisionsRequest::default()
    };
    ask!("DiffRevisions", records.diff_revisions(request));
    ask!(
        "GetFeed",
        client.clone().feed.get_feed(GetFeedRequest::default())
    );
    for origin in [Origin::Beginning, Origin::Snapshot] {
        let text = watch::read_to_head(client, View::Published, origin)
            .await
            .unwrap();
        told.insert(
            if origin == Origin::Snapshot {
                "Watch snapshot"
            } else {
                "Watch"
            },
            text,
        );
    }
    let export = client
        .clone()
        .exports
        .export(ExportRequest::default())
        .await;
    let text = read_call_until(export, |part| part.complete).await.unwrap();
    told.insert("Export", text);
    told
}

/// Removes what differs between two times from a text.
fn without_times(text: &str) -> String {
    let times =
        regex::Regex::new(r"(Timestamp|Duration) \{[^}]*\}|cursor: \x22[^\x22]*\x22").unwrap();
    times.replace_all(text, "_").into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f10_an_embargo_shows_nothing_by_any_call_before_it_is_lifted_and_everything_once_after() {
    let two = start_access_servers().await;
    let desk = &two.open.client;
    create_base(desk).await;
    let reader = client_with_roles(&two, &[Role::Exporter], &[]).await;
    wait_until("the other server has heard of the base", async || {
        let feed = reader
            .clone()
            .feed
            .get_feed(GetFeedRequest::default())
            .await
            .unwrap();
        feed.into_inner().head_sequence == 3
    })
    .await;
    let mut follower = open_watch(&reader, WatchRequest::default()).await;
    next_response(&mut follower).await;

    // A reader gets the same answers if the record does not exist, is a draft, or is under embargo.
    let absent = everything(&reader, 2).await;
    let draft = create_drafts(desk, &[with_text(&actor("embargoed"), WORDS)])
        .await
        .swap_remove(0);
    let as_draft = everything(&reader, 2).await;
    let embargoed = commit_one(desk, publish_at(&draft, Some(timestamp_in_ms(3_600_000)))).await;
    let under_embargo = everything(&reader, 2).await;
    for (call, text) in &absent {
        for other in [&as_draft, &under_embargo] {
            assert_eq!(
                without_times(&other[call]),
                without_times(text),
                "{call} tells of a hidden record"
            );
        }
        assert!(!text.contains(WORDS));
    }

    // The embargo ends while a reader calls without a pause.
    let (told, mut asked) = mpsc::channel(1_000_000);
    let asking = {
        let reader = reader.clone();
        tokio::spawn(async move {
            loop {
                let answer = reader
                    .clone()
                    .records
                    .get_record(get_request(NAME, View::Published))
                    .await;
                let is_there = answer.is_ok();
                if told.send(is_there).await.is_err() || is_there {
                    return;
                }
            }
        })
    };
    let lift = timestamp_in_ms(1500);
    commit_one(desk, publish_at(&embargoed, Some(lift))).await;
    let mut answers = Vec::new();
    let collecting = async {
        while let Some(answer) = asked.recv().await {
            answers.push(answer);
        }
    };
    tokio::time::timeout(TIMEOUT, collecting)
        .await
        .expect("the embargo is lifted");
    asking.await.unwrap();
    assert!(
        answers.len() > 1 && answers.is_sorted(),
        "it was there, and gone again"
    );
    let lifted = desk_record(desk, NAME).await;
    let published = meta(&lifted).publish_time.unwrap();
    assert!(
        (published.seconds, published.nanos) >= (lift.seconds, lift.nanos),
        "before its time"
    );

    // A stream that follows gets it once.
    create_published(desk, &actor("after-it")).await;
    let mut changes = Vec::new();
    while !changes
        .iter()
        .any(|change: &dateline_proto::v1::Change| change.name == "actors/after-it")
    {
        changes.extend(next_response(&mut follower).await.changes);
    }
    let of_it: Vec<_> = changes
        .iter()
        .filter(|change| change.name == NAME)
        .collect();
    assert_eq!(of_it.len(), 1, "{of_it:#?}");
    assert!(format!("{of_it:?}").contains(WORDS));

    let revision = meta(&lifted).revision;
    let after = everything(&reader, revision).await;
    for (call, text) in &after {
        match *call {
            "GetFeed" | "ListRevisions" => {}
            // Earlier revisions were visible on the desk only.
            "DiffRevisions" => assert!(text.contains("NotFound"), "{text}"),
            _ => assert_eq!(text.matches(WORDS).count(), 1, "{call}: {text}"),
        }
    }
    assert!(
        after["ListRevisions"].contains(&format!("revision: {revision}")),
        "{}",
        after["ListRevisions"]
    );
}
