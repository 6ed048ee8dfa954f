//! Narrowed tokens: a caller limited to English, or to events, is so limited on every call.

use dateline_client::Client;
use dateline_proto::v1::{
    BatchGetRecordsRequest, ExportRequest, GetFeedRequest, ListRecordsRequest,
    ListRevisionsRequest, Origin, RecordFilter, Role, View, WatchRequest,
};
use tonic::Code;

use crate::support::{
    builders::{commit_request, correct, get_request, purge, retract},
    callers::{AccessServers, client_with_roles, start_access_servers},
    editing::{
        RpcError, commit_err, commit_ok, commit_one, create_base, create_drafts, create_published,
        desk_record, find_record, publish_all, try_commit, wait_until,
    },
    records::{actor, article, event, text_field, with_text},
    watch::{caught_up, open_watch, read_to_head, read_until, watch_from_cursor, watch_snapshot},
};

fn in_french(id: &str) -> dateline_proto::v1::Record {
    let mut record = article(id);
    if let Some(dateline_proto::v1::record::Kind::Article(article)) = record.kind.as_mut() {
        article.language_code = "fr".into();
        article.body = format!("Le texte de {id}.");
    }
    record
}

/// `articles/source` and `articles/anglais` are English, `articles/francais` is French.
async fn base() -> (AccessServers, Client) {
    let two = start_access_servers().await;
    create_base(&two.open.client).await;
    create_published(&two.open.client, &article("anglais")).await;
    create_published(&two.open.client, &in_french("francais")).await;
    let english = client_with_roles(&two, &[Role::Exporter], &["lang:en", "kind:article"]).await;
    (two, english)
}

#[tokio::test]
async fn f10_who_is_narrowed_to_english_gets_no_other_by_any_call() {
    let (two, english) = base().await;
    wait_until("the other server has heard of it", async || {
        find_record(&english, "articles/anglais", View::Published)
            .await
            .is_some()
    })
    .await;
    assert!(
        find_record(&two.open.client, "articles/francais", View::Published)
            .await
            .is_some()
    );
    let refuse = |name: &str| {
        let request = get_request(name, View::Published);
        let mut records = english.records.clone();
        async move { RpcError::from(records.get_record(request).await.unwrap_err()) }
    };
    let hidden = refuse("articles/francais").await;
    let absent = refuse("articles/franzose").await;
    let as_if = format!("{hidden:?}").replace("francais", "franzose");
    assert_eq!(
        as_if,
        format!("{absent:?}"),
        "what is hidden is told apart from what is not there"
    );
    for revision in [1, 2] {
        let mut request = get_request("articles/francais", View::Published);
        request.revision = Some(revision);
        let status = english
            .clone()
            .records
            .get_record(request)
            .await
            .unwrap_err();
        RpcError::from(status).assert_is(Code::NotFound, "RECORD_NOT_FOUND");
    }
    let names = ["articles/anglais", "articles/francais", "articles/franzose"];
    let request = BatchGetRecordsRequest {
        names: names.map(ToOwned::to_owned).to_vec(),
        ..BatchGetRecordsRequest::default()
    };
    let batch = english
        .clone()
        .records
        .batch_get_records(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(batch.missing, names[1..]);
    let request = ListRevisionsRequest {
        name: "articles/francais".into(),
        ..ListRevisionsRequest::default()
    };
    let status = english
        .clone()
        .records
        .list_revisions(request)
        .await
        .unwrap_err();
    RpcError::from(status).assert_is(Code::NotFound, "RECORD_NOT_FOUND");
    // Every list is narrowed; a filter for records outside of the scope matches nothing.
    for (languages, expected) in [
        (vec![], true),
        (vec!["fr"], false),
        (vec!["fr", "en"], true),
    ] {
        let filter = Some(RecordFilter {
            language_codes: languages.iter().map(ToString::to_string).collect(),
            ..RecordFilter::default()
        });
        let request = ListRecordsRequest {
            filter,
            ..ListRecordsRequest::default()
        };
        let list = english
            .clone()
            .records
            .list_records(request)
            .await
            .unwrap()
            .into_inner();
        let text = format!("{list:?}");
        assert!(
            !text.contains("francais") && !text.contains("actors/one\""),
            "{languages:?}: {text}"
        );
        assert_eq!(text.contains("anglais"), expected, "{languages:?}");
    }
    for origin in [Origin::Snapshot, Origin::Beginning] {
        let text = read_to_head(&english, View::Published, origin)
            .await
            .unwrap();
        assert!(
            text.contains("anglais") && !text.contains("francais"),
            "{origin:?}: {text}"
        );
        assert!(
            !text.contains("display_name"),
            "{origin:?}: an actor in {text}"
        );
    }
    let mut export = english
        .clone()
        .exports
        .export(ExportRequest::default())
        .await
        .unwrap()
        .into_inner();
    let mut text = String::new();
    while let Some(part) = export.message().await.unwrap() {
        assert!(
            part.begin.is_none_or(|begin| begin.digest.is_none()),
            "a digest of more than is shown"
        );
        text.push_str(&format!("{:?}", part.records));
    }
    assert!(
        text.contains("anglais") && !text.contains("francais"),
        "{text}"
    );
}

#[tokio::test]
async fn f10_numbers_tell_no_more_than_records_do() {
    let (_two, english) = base().await;
    let feed = english
        .clone()
        .feed
        .get_feed(GetFeedRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(feed.digest, None, "counts of what is not shown");
    let request = WatchRequest {
        digest: true,
        ..WatchRequest::default()
    };
    let status = english.clone().feed.watch(request).await.unwrap_err();
    RpcError::from(status).assert_is(Code::PermissionDenied, "OUT_OF_SCOPE");
}

#[tokio::test]
async fn a_place_in_a_list_or_a_snapshot_belongs_to_who_sees_the_same() {
    let (two, english) = base().await;
    let french = client_with_roles(&two, &[Role::Reader], &["lang:fr"]).await;
    let list = ListRecordsRequest {
        page_size: 1,
        ..ListRecordsRequest::default()
    };
    let page = two
        .open
        .client
        .clone()
        .records
        .list_records(list.clone())
        .await
        .unwrap()
        .into_inner();
    let next = ListRecordsRequest {
        page_token: page.next_page_token,
        ..list
    };
    let status = french.clone().records.list_records(next).await.unwrap_err();
    RpcError::from(status).assert_is(Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    let request = watch_snapshot(View::Published);
    let mut stream = open_watch(&english, request).await;
    let cursor = stream.message().await.unwrap().unwrap().cursor;
    let request = watch_from_cursor(View::Published, &cursor);
    let status = french
        .clone()
        .feed
        .watch(request.clone())
        .await
        .unwrap_err();
    RpcError::from(status).assert_is(Code::InvalidArgument, "INVALID_CURSOR");
    let mut again = open_watch(&english, request).await;
    read_until(&mut again, caught_up).await.unwrap();
}

#[tokio::test]
async fn f10_what_leaves_the_scope_is_told_by_name_and_what_was_never_in_it_not_at_all() {
    let (two, english) = base().await;
    let mut stream = open_watch(&english, WatchRequest::default()).await;
    stream.message().await.unwrap().unwrap();
    let admin = &two.open.client;
    let french = desk_record(admin, "articles/francais").await;
    commit_one(admin, retract(&french, "mistaken", false)).await;
    let actor = desk_record(admin, "actors/two").await;
    commit_one(admin, purge(&actor, false)).await;
    let mut english_one = desk_record(admin, "articles/anglais").await;
    if let Some(dateline_proto::v1::record::Kind::Article(article)) = english_one.kind.as_mut() {
        article.language_code = "de".into();
    }
    commit_one(
        admin,
        correct(&english_one, &["language_code"], "it is German"),
    )
    .await;
    let text = read_until(&mut stream, |message| {
        message
            .changes
            .iter()
            .any(|change| change.name == "articles/anglais")
    })
    .await
    .unwrap();
    assert!(text.contains("Left"), "{text}");
    assert!(
        !text.contains("it is German") && !text.contains("The text of"),
        "{text}"
    );
    assert!(
        !text.contains("francais") && !text.contains("actors/two"),
        "{text}"
    );
}

#[tokio::test]
async fn who_writes_within_kinds_neither_writes_nor_reaches_beyond() {
    let two = start_access_servers().await;
    create_base(&two.open.client).await;
    let scope = ["kind:event", "kind:article"];
    let publisher = client_with_roles(&two, &[Role::Publisher], &scope).await;
    let draft = create_drafts(&publisher, &[event("mine")])
        .await
        .swap_remove(0);
    publish_all(&publisher, &[draft]).await;
    let outside = commit_err(
        &publisher,
        vec![crate::support::builders::create(&actor("not-mine"))],
    )
    .await;
    outside.assert_is(Code::PermissionDenied, "OUT_OF_SCOPE");
    // The answer is the same for existing and missing records.
    let there = desk_record(&two.open.client, "actors/one").await;
    let mut gone = there.clone();
    crate::support::records::as_actor(&mut gone).name = "actors/none".into();
    let [there, gone] = [there, gone].map(|record| {
        let write = correct(&with_text(&record, "x"), &[text_field(&record)], "n");
        send_one(&publisher, write)
    });
    assert_eq!(there.await, gone.await);
    // A cascade reaches a record outside of the scope; the record that would lose its source is not named.
    let source = desk_record(&two.open.client, "articles/source").await;
    let cascade = commit_err(&publisher, vec![retract(&source, "mistaken", true)]).await;
    cascade.assert_is(Code::PermissionDenied, "OUT_OF_SCOPE");
    let left = commit_err(&publisher, vec![retract(&source, "mistaken", false)]).await;
    left.assert_is(Code::FailedPrecondition, "ONLY_EVIDENCE");
    assert_eq!(
        left.fields(),
        ["events/mine"],
        "records of other kinds are named: {left:?}"
    );
    let mut precondition = commit_request(vec![crate::support::builders::create(&event("other"))]);
    precondition.preconditions = vec![crate::support::builders::version_with_etag(
        "actors/one",
        "",
    )];
    let seen = try_commit(&publisher, precondition).await.unwrap_err();
    seen.assert_is(Code::PermissionDenied, "OUT_OF_SCOPE");
    // A draft of somebody else is reported neither as missing nor as existing.
    let warned = commit_ok(
        &publisher,
        vec![crate::support::builders::create(&event_with(
            "actors/unknown",
        ))],
    )
    .await;
    assert!(
        warned
            .warnings
            .iter()
            .all(|warning| warning.reason != "DANGLING_REFERENCE"),
        "{warned:?}"
    );
}

fn event_with(actor: &str) -> dateline_proto::v1::Record {
    let mut record = event("with-unknown");
    crate::support::records::as_event(&mut record).participants[0].actor = actor.to_owned();
    record
}

async fn send_one(client: &Client, write: dateline_proto::v1::Write) -> RpcError {
    let refused = try_commit(client, commit_request(vec![write]))
        .await
        .unwrap_err();
    refused.assert_is(Code::PermissionDenied, "OUT_OF_SCOPE");
    refused
}
