//! W4, W6 and W7: repeated requests, requests that only validate, and reads that follow a write.

use dateline_client::Client;
use dateline_proto::v1::{CommitRequest, CommitResponse, GetRecordRequest, View};
use futures_util::future::join_all;
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    editing::*,
    projections::wait_projected,
    server::{TestServer, config, start_server_with},
};

fn with_id(request: CommitRequest) -> CommitRequest {
    CommitRequest {
        request_id: Uuid::now_v7().to_string(),
        ..request
    }
}

/// A commit with warnings, so that these are compared too.
fn telling(id: &str) -> CommitRequest {
    let stranger = with_evidence(
        &actor(id),
        vec![evidence_quoting(&format!("articles/nowhere-{id}"))],
    );
    with_id(commit_request(vec![create(&stranger), create(&event(id))]))
}

async fn first(client: &Client, request: &CommitRequest) -> CommitResponse {
    let answer = try_commit(client, request.clone()).await.unwrap();
    let reasons: Vec<_> = answer
        .warnings
        .iter()
        .map(|it| it.reason.as_str())
        .collect();
    assert_eq!(reasons, ["DANGLING_REFERENCE"]);
    answer
}

#[tokio::test]
async fn w4_a_repeated_request_gets_the_first_answer_though_the_world_moved_on() {
    let servers = start_two_servers_with_base().await;
    let request = telling("again");
    let answer = first(&servers[0].client, &request).await;
    let moved = update(&with_text(&answer.records[1], "moved on"), &[]);
    let moved = commit_one(&servers[1].client, moved).await;
    commit_ok(&servers[0].client, vec![delete(&answer.records[0])]).await;
    let before = feed_heads(&servers[0].url).await;
    for server in &servers {
        assert_eq!(
            try_commit(&server.client, request.clone()).await.unwrap(),
            answer
        );
    }
    // The amount of content in the answer is not part of the request's identity.
    let less = CommitRequest {
        omit_content: true,
        ..request.clone()
    };
    for server in &servers {
        let again = try_commit(&server.client, less.clone()).await.unwrap();
        assert_eq!(again.sequence, answer.sequence);
        assert_eq!(meta(&again.records[1]), meta(&answer.records[1]));
        assert_ne!(again.records, answer.records);
    }
    let other = CommitRequest {
        validate_only: true,
        ..request.clone()
    };
    for server in &servers {
        let refused = try_commit(&server.client, other.clone()).await.unwrap_err();
        refused.assert_is(Code::InvalidArgument, "REQUEST_ID_REUSED");
        assert_eq!(refused.fields(), ["request_id"]);
    }
    assert_eq!(feed_heads(&servers[0].url).await, before);
    assert_eq!(desk_record(&servers[0].client, name(&moved)).await, moved);
    let [one, two] = servers;
    one.stop().await;
    two.stop().await;
    let again =
        start_server_with(config(&{ crate::support::server::create_database().await })).await;
    let strange = try_commit(&again.client, request).await.unwrap();
    assert_eq!(
        strange.records.len(),
        2,
        "another database knows nothing of it"
    );
}

#[tokio::test]
async fn w4_a_restarted_server_remembers() {
    let server = start_server_with_base().await;
    let request = telling("kept");
    let answer = first(&server.client, &request).await;
    let url = server.url.clone();
    server.stop().await;
    let server = start_server_with(config(&url)).await;
    assert_eq!(try_commit(&server.client, request).await.unwrap(), answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_fifty_at_once_on_two_servers_are_one_write_with_one_answer() {
    let servers = start_two_servers_with_base().await;
    for round in 0..10 {
        let request = telling(&format!("storm-{round}"));
        let before = feed_heads(&servers[0].url).await;
        let all = (0..50).map(|n| try_commit(&servers[n % 2].client, request.clone()));
        let answers = join_all(all).await;
        let first = answers[0].clone().unwrap();
        for answer in answers {
            assert_eq!(answer.unwrap(), first);
        }
        assert_eq!(feed_heads(&servers[0].url).await, (before.0 + 2, before.1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_one_id_for_two_bodies_at_once_serves_one_of_them() {
    let servers = start_two_servers_with_base().await;
    for round in 0..20 {
        let id = Uuid::now_v7().to_string();
        let all = (0..4).map(|n| {
            let request = CommitRequest {
                request_id: id.clone(),
                ..commit_request(vec![create(&actor(&format!("r{round}-{n}")))])
            };
            try_commit(&servers[n % 2].client, request)
        });
        let answers = join_all(all).await;
        let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(accepted, 1, "{answers:?}");
        for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            refused.assert_is(Code::InvalidArgument, "REQUEST_ID_REUSED");
        }
    }
    assert_eq!(feed_heads(&servers[0].url).await, (6 + 20, 3));
}

#[tokio::test]
async fn w4_a_refused_request_may_come_again_under_its_id() {
    let server = start_server_with_base().await;
    let stranger = with_id(commit_request(vec![create(&article("late"))]));
    let late = with_evidence(
        &actor("needs-late"),
        vec![evidence_quoting("articles/late")],
    );
    let draft = create_drafts(&server.client, &[late]).await.swap_remove(0);
    let request = with_id(commit_request(vec![publish(&draft)]));
    let refused = try_commit(&server.client, request.clone())
        .await
        .unwrap_err();
    refused.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let made = try_commit(&server.client, stranger).await.unwrap();
    publish_all(&server.client, &made.records).await;
    let answer = try_commit(&server.client, request).await.unwrap();
    assert_eq!(names(&answer.records), ["actors/needs-late"]);
}

#[tokio::test]
async fn w4_an_id_that_is_no_uuid_is_refused() {
    let server = start_server_with_base().await;
    for id in [
        "x",
        "00000000-0000-0000-0000-000000000000",
        "{0755f1cf-eb93-728c-bfc4-65fa001ae9ed}",
    ] {
        let request = CommitRequest {
            request_id: id.into(),
            ..commit_request(vec![create(&actor("a"))])
        };
        let refused = try_commit(&server.client, request).await.unwrap_err();
        refused.assert_is(Code::InvalidArgument, "INVALID_RECORD");
        assert_eq!(refused.fields(), ["request_id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w7_the_other_server_shows_what_was_written_here() {
    let servers = start_two_servers_with_base().await;
    for round in 0..50 {
        let here = &servers[round % 2].client;
        let there = &servers[(round + 1) % 2].client;
        let drafts = create_drafts(here, &[actor(&format!("seen-{round}"))]).await;
        let answer = commit_ok(here, vec![publish(&drafts[0])]).await;
        for (view, min_sequence) in [
            (View::Desk, answer.sequence),
            (View::Published, answer.wire_sequence),
        ] {
            let request = GetRecordRequest {
                min_sequence,
                ..get_request(name(&drafts[0]), view)
            };
            let read = get_record(there, request).await.unwrap().record.unwrap();
            assert_eq!(meta(&read).sequence, min_sequence);
            assert_eq!(meta(&read).revision, 2);
        }
    }
}

/// Every kind of commit, each valid at present, and none of them sent.
async fn ask(server: &TestServer) -> Vec<(&'static str, CommitRequest)> {
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
    let merged = create_published(client, &actor("merged")).await;
    let into = create_published(client, &actor("into")).await;
    let merged = commit_one(client, merge(&merged, &into)).await;
    let source = create_published(client, &article("other")).await;
    let cited = with_evidence(&actor("cited"), vec![evidence_quoting("articles/other")]);
    create_published(client, &cited).await;
    let writes = vec![
        ("create", create(&actor("new"))),
        ("update", update(&with_text(&draft, "y"), &[])),
        ("delete", delete(&draft)),
        ("submit", submit(&draft)),
        ("send_back", send_back(&review, "")),
        ("publish", publish(&draft)),
        (
            "embargo",
            publish_at(&draft, Some(timestamp_in_ms(100_000))),
        ),
        ("correct", correct(&with_text(&public, "y"), &[], "y")),
        ("retract", retract(&source, "y", true)),
        ("merge", merge(&twin, &public)),
        ("unmerge", unmerge(&merged)),
        ("restore", restore(&public, 1, "y")),
        ("purge", purge(&source, true)),
    ];
    let writes = writes.into_iter();
    writes
        .map(|(word, write)| (word, commit_request(vec![write])))
        .collect()
}

#[tokio::test]
async fn w6_validate_only_answers_as_the_write_would_and_writes_nothing() {
    let server = start_server_with_base().await;
    let asked = ask(&server).await;
    wait_projected(&server.url).await;
    let before = (
        feed_heads(&server.url).await,
        dump_tables(&server.url).await,
    );
    for (word, request) in &asked {
        let request = CommitRequest {
            validate_only: true,
            request_id: Uuid::now_v7().to_string(),
            ..request.clone()
        };
        let answer = try_commit(&server.client, request)
            .await
            .unwrap_or_else(|it| panic!("{word}: {it:?}"));
        assert_eq!((answer.sequence, answer.wire_sequence), (0, 0), "{word}");
        assert!(!answer.records.is_empty(), "{word}");
        let first = meta(&answer.records[0]);
        assert_eq!(first.sequence, 0, "{word}");
        assert_eq!(first.uid.is_empty(), *word == "create", "{word}: {first:?}");
    }
    assert_eq!(
        (
            feed_heads(&server.url).await,
            dump_tables(&server.url).await
        ),
        before
    );
    let bad = CommitRequest {
        validate_only: true,
        ..commit_request(vec![create(&actor("draft"))])
    };
    let refused = try_commit(&server.client, bad).await.unwrap_err();
    refused.assert_is(Code::AlreadyExists, "NAME_TAKEN");
}
