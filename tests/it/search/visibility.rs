//! Readers find, count and see highlighted the words of published content alone: before, at and after every change.

use dateline_proto::v1::{
    Record, RecordFilter, Role, SearchRecordsRequest, State, View, facet_counts::Dimension,
};
use sqlx::{Connection, PgConnection};
use tonic::Code;

use super::{found, search, search_for};
use crate::support::{
    callers::{AccessServers, client_with_roles, start_access_servers},
    editing::*,
    projections::*,
};

const NONE: [&str; 0] = [];

fn worded(id: &str, words: &str) -> Record {
    with_text(&actor(id), words)
}

#[tokio::test(flavor = "multi_thread")]
async fn q2_words_under_embargo_are_found_by_no_reader_before_and_by_every_reader_right_after() {
    let server = start_server_with_base().await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let client = &server.client;
    let draft = create_drafts(client, &[worded("secret", "zanzibarquince")]).await;
    let ends = timestamp_in_ms(2_500);
    commit_one(client, publish_at(&draft[0], Some(ends))).await;
    wait_projected(&server.url).await;
    // From here on the index does not move: the end of the embargo alone makes the words visible.
    hold_projections(&mut sql).await;
    let request = SearchRecordsRequest {
        facets: vec![Dimension::Kind.into(), Dimension::State.into()],
        ..search_for("zanzibarquince", View::Published)
    };
    let mut asked = 0;
    wait_until("the embargo ends", async || {
        let before = desk_record(client, "actors/secret").await;
        let answer = search(client, request.clone()).await;
        let after = desk_record(client, "actors/secret").await;
        let is_hit = answer.total == 1 && answer.hits.len() == 1;
        let says_nothing = answer.total == 0
            && answer.hits.is_empty()
            && answer.facets.iter().all(|facet| facet.values.is_empty());
        assert!(is_hit || says_nothing, "{answer:?}");
        if state(&after) == State::Embargoed {
            asked += 1;
            assert!(says_nothing, "{answer:?}");
        }
        if state(&before) == State::Published {
            assert!(is_hit, "{answer:?}");
        }
        state(&before) == State::Published
    })
    .await;
    assert!(asked > 3, "{asked}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn q2_words_that_were_taken_out_before_publication_are_found_by_nobody_at_any_lag() {
    let server = start_server_with_base().await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let client = &server.client;
    let draft = create_drafts(client, &[worded("clean", "zanzibarquince")]).await;
    wait_projected(&server.url).await;
    assert_eq!(
        found(client, "zanzibarquince", View::Desk).await,
        ["actors/clean"]
    );
    assert_eq!(found(client, "zanzibarquince", View::Published).await, NONE);
    hold_projections(&mut sql).await;
    let edited = commit_one(client, update(&with_text(&draft[0], "plumtree"), &[])).await;
    commit_one(client, publish(&edited)).await;
    for view in [View::Published, View::Desk] {
        assert_eq!(
            found(client, "zanzibarquince", view).await,
            NONE,
            "{view:?}"
        );
    }
    release_projections(&mut sql).await;
    wait_projected(&server.url).await;
    assert_eq!(
        found(client, "plumtree", View::Published).await,
        ["actors/clean"]
    );
    // The same for a correction, and for a retraction.
    hold_projections(&mut sql).await;
    let public = desk_record(client, "actors/clean").await;
    let corrected = correct(&with_text(&public, "cherrytree"), &[], "it was wrong");
    let corrected = commit_one(client, corrected).await;
    assert_eq!(found(client, "plumtree", View::Published).await, NONE);
    release_projections(&mut sql).await;
    wait_projected(&server.url).await;
    assert_eq!(
        found(client, "cherrytree", View::Published).await,
        ["actors/clean"]
    );
    hold_projections(&mut sql).await;
    commit_one(client, retract(&corrected, "all wrong", false)).await;
    assert_eq!(found(client, "cherrytree", View::Published).await, NONE);
    release_projections(&mut sql).await;
    wait_projected(&server.url).await;
    let retracted = SearchRecordsRequest {
        filter: Some(RecordFilter {
            states: vec![State::Retracted.into()],
            ..RecordFilter::default()
        }),
        ..search_for("cherrytree", View::Published)
    };
    assert_eq!(search(client, retracted.clone()).await.total, 0);
    let on_desk = SearchRecordsRequest {
        view: View::Desk.into(),
        ..retracted
    };
    assert_eq!(search(client, on_desk).await.total, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn w11_a_purge_takes_the_words_at_once() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let public = create_published(client, &worded("known", "zanzibarquince")).await;
    wait_projected(&server.url).await;
    assert_eq!(
        found(client, "zanzibarquince", View::Published).await,
        ["actors/known"]
    );
    commit_one(client, purge(&public, false)).await;
    for view in [View::Published, View::Desk] {
        assert_eq!(
            found(client, "zanzibarquince", view).await,
            NONE,
            "{view:?}"
        );
    }
    let tables = dump_tables(&server.url).await;
    assert!(
        !tables["search"].contains("zanzibarquince"),
        "{}",
        tables["search"]
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_a_scope_bounds_hits_counts_and_pages() {
    let two = start_access_servers().await;
    let client = &two.open.client;
    create_base(client).await;
    create_published(client, &worded("seen", "zanzibarquince")).await;
    create_published(client, &with_text(&event("hidden"), "zanzibarquince")).await;
    wait_projected(&two.url).await;
    let request = SearchRecordsRequest {
        facets: vec![Dimension::Kind.into()],
        page_size: 1,
        ..search_for("zanzibarquince", View::Published)
    };
    let all = search(client, request.clone()).await;
    assert_eq!((all.total, all.facets[0].values.len()), (2, 2));
    let actors = client_with_roles(&two, &[Role::Reader], &["kind:actor"]).await;
    let bounded = search(&actors, request.clone()).await;
    assert_eq!((bounded.total, bounded.facets[0].values.len()), (1, 1));
    assert_eq!(bounded.hits[0].name, "actors/seen");
    assert_eq!(bounded.next_page_token, "");
    // A token of another scope, or of other words, is refused.
    let mut search = actors.search.clone();
    let stolen = SearchRecordsRequest {
        page_token: all.next_page_token.clone(),
        ..request.clone()
    };
    let refused = search.search_records(stolen).await.unwrap_err();
    RpcError::from(refused).assert_is(Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    let author = SearchRecordsRequest {
        author: "local".into(),
        ..request
    };
    let refused = search.search_records(author).await.unwrap_err();
    let refused = RpcError::from(refused);
    assert_eq!(refused.fields(), ["author"]);
    let AccessServers { open, closed, .. } = two;
    open.stop().await;
    closed.stop().await;
}
