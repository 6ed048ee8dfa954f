//! The audit log: each entry is written in the transaction of its act, with author, time and peer, and never changes.

use dateline_proto::v1::{
    AuditEntry, CommitRequest, CompactFeedRequest, ListAuditEntriesRequest, Role,
    change::Type as ChangeType, compact_feed_request::Before,
};
use sqlx::{Connection, Executor, PgConnection};
use tonic::Code;

use crate::support::{
    builders::{commit_request, create, publish, purge, update},
    callers::{
        AccessServers, client_with_roles, client_with_token, create_token_with,
        start_access_servers,
    },
    editing::{
        RpcError, commit_err, commit_one, create_base, desk_record, timestamp_in_ms, try_commit,
    },
    records::{actor, text_field, with_text},
    server::start_server,
};

async fn audit(two: &AccessServers, request: ListAuditEntriesRequest) -> Vec<AuditEntry> {
    let mut admin = two.open.client.admin.clone();
    admin
        .list_audit_entries(request)
        .await
        .unwrap()
        .into_inner()
        .entries
}

fn of_record(name: &str) -> ListAuditEntriesRequest {
    ListAuditEntriesRequest {
        record: name.into(),
        ..ListAuditEntriesRequest::default()
    }
}

#[tokio::test]
async fn every_change_says_who_made_it_from_where_by_what_and_when_and_not_what_it_says() {
    let two = start_access_servers().await;
    create_base(&two.open.client).await;
    let (token, secret) = create_token_with(&two.open.client, &[Role::Publisher], &[]).await;
    let publisher = client_with_token(&two.closed.address, &secret).await;
    let id = uuid::Uuid::now_v7().to_string();
    let request = CommitRequest {
        request_id: id.clone(),
        ..commit_request(vec![create(&with_text(
            &actor("noted"),
            "said in confidence",
        ))])
    };
    let made = try_commit(&publisher, request.clone()).await.unwrap();
    // A retry is the same act, and a check is no act.
    try_commit(&publisher, request.clone()).await.unwrap();
    let check = CommitRequest {
        validate_only: true,
        request_id: String::new(),
        ..commit_request(vec![create(&actor("only-checked"))])
    };
    try_commit(&publisher, check).await.unwrap();
    let draft = made.records[0].clone();
    let shown = commit_one(&publisher, publish(&draft)).await;
    // A write that changes nothing is not logged.
    commit_one(&publisher, publish(&shown)).await;
    let entries = audit(&two, of_record("actors/noted")).await;
    assert_eq!(entries.len(), 2, "{entries:#?}");
    let first = &entries[1];
    assert!(first.author.starts_with("tester-"), "{first:?}");
    assert_eq!(first.credential, format!("token {}", token.id));
    assert!(first.peer.starts_with("127.0.0.1:"), "{first:?}");
    assert_eq!(
        (first.method.as_str(), first.outcome.as_str()),
        ("Commit", "done")
    );
    assert_eq!(
        (first.request_id.as_str(), first.desk_sequence),
        (id.as_str(), made.sequence)
    );
    let told: Vec<_> = entries.iter().rev().flat_map(|it| &it.records).collect();
    let told: Vec<_> = told.iter().map(|it| (it.r#type(), it.revision)).collect();
    assert_eq!(told, [(ChangeType::Created, 1), (ChangeType::Published, 2)]);
    assert!(!format!("{entries:?}").contains("said in confidence"));
    assert!(
        audit(&two, of_record("actors/only-checked"))
            .await
            .is_empty()
    );
    // After an erasure by law, the entry and its author stay.
    commit_one(
        &two.open.client,
        purge(&desk_record(&two.open.client, "actors/noted").await, false),
    )
    .await;
    let entries = audit(&two, of_record("actors/noted")).await;
    assert_eq!(entries.len(), 3);
    assert_eq!(
        (entries[0].author.as_str(), entries[0].records[0].r#type()),
        ("local", ChangeType::Purged)
    );
}

#[tokio::test]
async fn a_change_that_is_not_made_leaves_no_entry() {
    let two = start_access_servers().await;
    create_base(&two.open.client).await;
    let before = audit(&two, ListAuditEntriesRequest::default()).await.len();
    let one = desk_record(&two.open.client, "actors/one").await;
    commit_err(
        &two.open.client,
        vec![update(&with_text(&one, "x"), &[text_field(&one)])],
    )
    .await;
    commit_err(&two.open.client, vec![create(&one)]).await;
    assert_eq!(
        audit(&two, ListAuditEntriesRequest::default()).await.len(),
        before
    );
}

#[tokio::test]
async fn acts_of_operators_and_refusals_for_want_of_a_role_are_written_down() {
    let two = start_access_servers().await;
    create_base(&two.open.client).await;
    let reader = client_with_roles(&two, &[Role::Reader], &[]).await;
    let refusal = commit_err(&reader, vec![create(&actor("wanted"))]).await;
    refusal.assert_is(Code::PermissionDenied, "ROLE_REQUIRED");
    let compact = CompactFeedRequest {
        before: Some(Before::DeskSequence(1)),
        validate_only: false,
    };
    two.open
        .client
        .clone()
        .admin
        .compact_feed(compact)
        .await
        .unwrap();
    crate::support::editing::wait_until("the refusal is written down", async || {
        let entries = audit(&two, ListAuditEntriesRequest::default()).await;
        entries.iter().any(|it| {
            it.outcome == "ROLE_REQUIRED"
                && it.author.starts_with("tester-")
                && it.method == "Commit"
        })
    })
    .await;
    let entries = audit(&two, ListAuditEntriesRequest::default()).await;
    let by_method = |method: &str| entries.iter().find(|it| it.method == method).unwrap();
    assert!(
        by_method("CreateToken").details.contains("tester"),
        "{entries:#?}"
    );
    assert!(
        by_method("CompactFeed").details.contains("before 1"),
        "{entries:#?}"
    );
}

#[tokio::test]
async fn the_audit_is_asked_page_by_page_and_only_added_to() {
    let two = start_access_servers().await;
    create_base(&two.open.client).await;
    for id in ["a", "b", "c"] {
        commit_one(&two.open.client, create(&actor(id))).await;
    }
    let all = audit(&two, ListAuditEntriesRequest::default()).await;
    let mut request = ListAuditEntriesRequest {
        page_size: 2,
        ..ListAuditEntriesRequest::default()
    };
    let (mut paged, mut admin) = (Vec::new(), two.open.client.admin.clone());
    loop {
        let page = admin
            .list_audit_entries(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.entries.len() <= 2);
        paged.extend(page.entries);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all);
    assert!(all.is_sorted_by(|newer, older| newer.number > older.number));
    let newest = ListAuditEntriesRequest {
        after_number: all[1].number,
        ..ListAuditEntriesRequest::default()
    };
    assert_eq!(audit(&two, newest).await, all[..1]);
    let never = ListAuditEntriesRequest {
        until: Some(timestamp_in_ms(-86_400_000)),
        ..ListAuditEntriesRequest::default()
    };
    assert!(audit(&two, never).await.is_empty());
    let nobody = ListAuditEntriesRequest {
        author: "nobody".into(),
        ..ListAuditEntriesRequest::default()
    };
    assert!(audit(&two, nobody).await.is_empty());
    let mut forged = ListAuditEntriesRequest {
        page_token: "AAAA".into(),
        ..ListAuditEntriesRequest::default()
    };
    let status = admin.list_audit_entries(forged.clone()).await.unwrap_err();
    RpcError::from(status).assert_is(Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    forged.page_token.clear();
    forged.page_size = -1;
    let status = admin.list_audit_entries(forged).await.unwrap_err();
    RpcError::from(status).assert_is(Code::InvalidArgument, "INVALID_REQUEST");
    let mut sql = PgConnection::connect(&two.url).await.unwrap();
    for act in [
        "UPDATE audit SET author = 'x'",
        "DELETE FROM audit",
        "TRUNCATE audit",
    ] {
        let error = sql.execute(act).await.unwrap_err().to_string();
        assert!(error.contains("only added to"), "{act}: {error}");
    }
    assert_eq!(audit(&two, ListAuditEntriesRequest::default()).await, all);
}

#[tokio::test]
async fn what_ends_an_embargo_is_named_too() {
    let server = start_server().await;
    create_base(&server.client).await;
    let draft = commit_one(&server.client, create(&actor("later"))).await;
    commit_one(
        &server.client,
        crate::support::builders::publish_at(&draft, Some(timestamp_in_ms(300))),
    )
    .await;
    let mut admin = server.client.admin.clone();
    crate::support::editing::wait_until("the end of the embargo is written down", async || {
        let entries = admin
            .list_audit_entries(of_record("actors/later"))
            .await
            .unwrap();
        entries
            .into_inner()
            .entries
            .iter()
            .any(|it| it.author == "embargo" && it.method == "EmbargoEnd")
    })
    .await;
}
