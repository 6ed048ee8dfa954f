//! W11's one exception: content that is erased by law exists nowhere any more; the fact of the erasure remains.

use dateline_proto::v1::{
    Change, CommitRequest, CommitResponse, DiffRevisionsRequest, GetRecordRequest, Kind,
    ListRevisionsRequest, PurgeRecordRequest, Record, RecordFilter, State, View, WatchRequest,
    change::Type,
};
use prost::Message;
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    editing::*,
    server::TestServer,
    watch::{read_changes, watch_from_beginning},
};

/// Text that must not be found anywhere afterwards.
pub const CANARY: &str = "zanzibarquince";

fn hexadecimal(text: &str) -> String {
    hex::encode(text.as_bytes())
}

/// The tables that still have the canary, as text or in bytes.
pub async fn traces(server: &TestServer) -> Vec<String> {
    let dump = dump_tables(&server.url).await;
    let found = dump.into_iter().filter(|(_, rows)| {
        rows.to_lowercase().contains(CANARY) || rows.contains(&hexadecimal(CANARY))
    });
    found.map(|(table, _)| table).collect()
}

pub fn says_canary(message: &impl Message) -> bool {
    let bytes = message.encode_to_vec();
    String::from_utf8_lossy(&bytes)
        .to_lowercase()
        .contains(CANARY)
}

/// A history in which every revision, every note and one request with an id have the canary.
async fn live(server: &TestServer, kind: Kind) -> (Record, CommitRequest, CommitResponse) {
    let client = &server.client;
    let mut record = with_text(&record_of_kind(kind, "erased"), CANARY);
    if kind == Kind::Actor {
        as_actor(&mut record).names[0].text = format!("Mr {CANARY}");
        as_actor(&mut record).display_name = format!("Mr {CANARY}");
    }
    let request = CommitRequest {
        request_id: Uuid::now_v7().to_string(),
        ..commit_request(vec![create(&record)])
    };
    let answer = try_commit(client, request.clone()).await.unwrap();
    let draft = answer.records[0].clone();
    let draft = commit_one(
        client,
        update(&with_text(&draft, &format!("{CANARY} again")), &[]),
    )
    .await;
    let review = commit_one(client, submit(&draft)).await;
    let back = commit_one(client, send_back(&review, &format!("is it {CANARY}?"))).await;
    let public = commit_one(client, publish(&back)).await;
    let corrected = with_text(&public, &format!("not {CANARY}"));
    let public = commit_one(client, correct(&corrected, &[], &format!("it is {CANARY}"))).await;
    (public, request, answer)
}

/// Everything that a stream sends from its beginning.
async fn stream(
    server: &TestServer,
    view: View,
    filter: Option<RecordFilter>,
    count: usize,
) -> Vec<Change> {
    let request = WatchRequest {
        filter,
        ..watch_from_beginning(view)
    };
    read_changes(server, request, count).await
}

async fn nothing_is_left(servers: &[TestServer; 2], kind: Kind) {
    let client = &servers[0].client;
    let (public, created, first_answer) = live(&servers[0], kind).await;
    let name = name(&public);
    let (desk, wire) = feed_heads(&servers[0].url).await;
    // Both servers have it in memory.
    for server in servers {
        let seen = stream(server, View::Desk, None, usize::try_from(desk).unwrap()).await;
        assert!(
            seen.iter().any(says_canary),
            "there is something to be erased"
        );
    }
    assert!(!traces(&servers[0]).await.is_empty());
    let purge = PurgeRecordRequest {
        record: Some(version(&public)),
        note: "court order 7".into(),
        request_id: Uuid::now_v7().to_string(),
        ..PurgeRecordRequest::default()
    };
    let mut editorial = client.clone().editorial;
    let first = editorial
        .purge_record(purge.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(!says_canary(&first));
    assert_eq!((first.sequence, first.wire_sequence), (desk + 1, wire + 1));
    let again = servers[1]
        .client
        .clone()
        .editorial
        .purge_record(purge)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, first);
    assert_eq!(traces(&servers[0]).await, Vec::<String>::new());
    for server in servers {
        streams_tell_only_the_fact(server, name, (desk + 1, wire + 1)).await;
        reads_tell_only_the_fact(server, &public, (desk, wire)).await;
        // The first request still has an answer, without the erased content.
        let replayed = try_commit(&server.client, created.clone()).await.unwrap();
        assert_eq!(
            (replayed.sequence, names(&replayed.records)),
            (first_answer.sequence, vec![name])
        );
        assert!(!says_canary(&replayed));
    }
}

/// Checks both feeds from the beginning, filtered or not.
async fn streams_tell_only_the_fact(server: &TestServer, name: &str, (desk, wire): (i64, i64)) {
    for (view, head) in [(View::Desk, desk), (View::Published, wire)] {
        let seen = stream(server, view, None, usize::try_from(head).unwrap()).await;
        assert!(!seen.iter().any(says_canary), "{view:?}");
        let last = seen.last().unwrap();
        assert_eq!((last.r#type(), last.name.as_str()), (Type::Purged, name));
        assert_eq!((last.note.as_str(), &last.record), ("court order 7", &None));
        let elsewhere = RecordFilter {
            regions: vec!["IS".into()],
            ..RecordFilter::default()
        };
        let told = stream(server, view, Some(elsewhere), 1).await;
        let told: Vec<_> = told
            .iter()
            .filter(|it| it.r#type() == Type::Purged)
            .collect();
        assert!(!told.is_empty() && told.iter().all(|it| it.record.is_none()));
    }
}

/// Checks reads by name, revision, sequence, list and comparison. `desk` and `wire` are the heads before the erasure.
async fn reads_tell_only_the_fact(server: &TestServer, public: &Record, (desk, wire): (i64, i64)) {
    let name = name(public);
    for view in [View::Desk, View::Published] {
        let tombstone = find_record(&server.client, name, view).await.unwrap();
        assert_eq!(state(&tombstone), State::Retracted);
        assert!(!says_canary(&tombstone));
        assert_eq!(meta(&tombstone).uid, meta(public).uid);
        assert_eq!(
            meta(&tombstone).corrections.last().unwrap().note,
            "court order 7"
        );
        for revision in 1..=7 {
            let request = GetRecordRequest {
                revision: Some(revision),
                ..get_request(name, view)
            };
            assert!(
                get_record(&server.client, request)
                    .await
                    .is_ok_and(|it| !says_canary(&it))
                    || view == View::Published && revision < 5
            );
        }
        for at in [desk - 3, desk, desk + 1]
            .map(|at| at.min(if view == View::Desk { at } else { wire + 1 }))
        {
            let request = GetRecordRequest {
                as_of: Some(at),
                ..get_request(name, view)
            };
            if let Ok(answer) = get_record(&server.client, request).await {
                assert!(!says_canary(&answer));
            }
        }
        let request = ListRevisionsRequest {
            name: name.to_owned(),
            view: view.into(),
            ..ListRevisionsRequest::default()
        };
        let listed = server
            .client
            .clone()
            .records
            .list_revisions(request)
            .await
            .unwrap()
            .into_inner();
        assert!(!says_canary(&listed));
        let newest = &listed.revisions[0];
        assert_eq!(
            (newest.r#type(), newest.note.as_str()),
            (Type::Purged, "court order 7")
        );
        assert!(newest.time.is_some());
        assert_eq!(
            newest.author,
            if view == View::Desk { "local" } else { "" },
            "who did it stays"
        );
    }
    let request = DiffRevisionsRequest {
        name: name.to_owned(),
        view: View::Desk.into(),
        from_revision: 1,
        to_revision: 6,
    };
    let answer = server
        .client
        .clone()
        .records
        .diff_revisions(request)
        .await
        .unwrap()
        .into_inner();
    assert!(answer.differences.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn w11_erased_content_is_in_no_table_no_stream_and_no_answer() {
    for kind in KINDS {
        nothing_is_left(&start_two_servers_with_base().await, kind).await;
    }
}

async fn a_draft_is_erased(server: &TestServer, kind: Kind) {
    let client = &server.client;
    let record = with_text(&record_of_kind(kind, "draft"), CANARY);
    let draft = create_drafts(client, std::slice::from_ref(&record))
        .await
        .swap_remove(0);
    let (desk, wire) = feed_heads(&server.url).await;
    let answer = commit_ok(client, vec![purge(&draft, false)]).await;
    assert_eq!((answer.sequence, answer.wire_sequence), (desk + 1, 0));
    assert!(!says_canary(&answer));
    assert_eq!(find_record(client, name(&draft), View::Desk).await, None);
    assert_eq!(
        feed_heads(&server.url).await.1,
        wire,
        "readers hear nothing"
    );
    assert_eq!(traces(server).await, Vec::<String>::new());
}

#[tokio::test]
async fn w11_a_draft_and_an_embargoed_record_are_erased_without_a_word_to_readers() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        a_draft_is_erased(&server, kind).await;
        let record = with_text(&record_of_kind(kind, "secret"), CANARY);
        let draft = create_drafts(&server.client, &[record])
            .await
            .swap_remove(0);
        let secret = commit_one(
            &server.client,
            publish_at(&draft, Some(timestamp_in_ms(700))),
        )
        .await;
        commit_one(&server.client, purge(&secret, false)).await;
        assert_eq!(
            find_record(&server.client, name(&secret), View::Desk).await,
            None
        );
    }
    assert_eq!(traces(&server).await, Vec::<String>::new());
    // Their embargoes end, and nothing is published.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    assert_eq!(feed_heads(&server.url).await.1, 3);
}

#[tokio::test]
async fn w11_a_deleted_draft_can_be_erased_too() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        let record = with_text(&record_of_kind(kind, "deleted"), CANARY);
        let draft = create_drafts(&server.client, &[record])
            .await
            .swap_remove(0);
        let gone = commit_ok(&server.client, vec![delete(&draft)])
            .await
            .records
            .swap_remove(0);
        // A client that did not keep the answer reads the version from history.
        let request = GetRecordRequest {
            revision: Some(2),
            ..get_request(name(&draft), View::Desk)
        };
        let last = get_record(&server.client, request)
            .await
            .unwrap()
            .record
            .unwrap();
        assert_eq!(last, gone);
        commit_ok(&server.client, vec![purge(&last, false)]).await;
        assert_eq!(
            find_record(&server.client, name(&draft), View::Desk).await,
            None
        );
        let taken = commit_err(
            &server.client,
            vec![create(&record_of_kind(kind, "deleted"))],
        )
        .await;
        taken.assert_is(Code::AlreadyExists, "NAME_TAKEN");
    }
    assert_eq!(traces(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn w11_merged_and_retracted_records_are_erased_and_their_names_still_answer() {
    let server = start_server_with_base().await;
    let client = &server.client;
    for kind in KINDS {
        let gone = create_published(
            client,
            &with_text(&record_of_kind(kind, "retracted"), CANARY),
        )
        .await;
        let gone = commit_one(client, retract(&gone, &format!("{CANARY} asked"), false)).await;
        commit_one(client, purge(&gone, false)).await;
        assert_eq!(
            state(
                &find_record(client, name(&gone), View::Published)
                    .await
                    .unwrap()
            ),
            State::Retracted
        );
        if kind == Kind::Article {
            continue;
        }
        let loser =
            create_published(client, &with_text(&record_of_kind(kind, "loser"), CANARY)).await;
        let winner = create_published(client, &record_of_kind(kind, "winner")).await;
        let merged = commit_one(client, merge(&loser, &winner)).await;
        let erased = commit_one(client, purge(&merged, false)).await;
        let led = get_record(client, get_request(name(&loser), View::Published))
            .await
            .unwrap();
        assert_eq!(name(&led.record.unwrap()), name(&winner));
        let answer = commit_err(client, vec![unmerge(&erased)]).await;
        assert_ne!(answer.code, Code::Internal, "{answer:?}");
    }
    assert_eq!(traces(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn w11_an_erased_source_takes_along_what_rests_on_it_when_asked_to() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let source = create_published(client, &with_text(&article("other"), CANARY)).await;
    let fact = create_published(
        client,
        &with_evidence(&actor("fact"), vec![evidence_quoting("articles/other")]),
    )
    .await;
    let answer = commit_err(client, vec![purge(&source, false)]).await;
    answer.assert_is(Code::FailedPrecondition, "ONLY_EVIDENCE");
    let answer = commit_ok(client, vec![purge(&source, true)]).await;
    assert_eq!(names(&answer.records), ["articles/other", "actors/fact"]);
    assert_eq!(
        state(&desk_record(client, name(&fact)).await),
        State::Retracted
    );
    assert_eq!(traces(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn w3_w6_an_erasure_needs_the_newest_version_and_a_reason() {
    let server = start_server_with_base().await;
    let draft = create_drafts(&server.client, &[actor("kept")])
        .await
        .swap_remove(0);
    let request = PurgeRecordRequest {
        record: Some(version(&draft)),
        ..PurgeRecordRequest::default()
    };
    let answer = server
        .client
        .clone()
        .editorial
        .purge_record(request)
        .await
        .unwrap_err();
    let answer = RpcError::from(answer);
    assert_eq!(
        answer
            .assert_is(Code::InvalidArgument, "INVALID_RECORD")
            .fields(),
        ["note"]
    );
    commit_one(&server.client, update(&with_text(&draft, "newer"), &[])).await;
    let answer = commit_err(&server.client, vec![purge(&draft, false)]).await;
    answer.assert_is(Code::Aborted, "ETAG_MISMATCH");
}
