//! The index as a projection: it is what one from the beginning would be, reads wait for it, and it is made again beside
//! itself.

use std::time::Duration;

use dateline_proto::v1::{RebuildSearchRequest, SearchRecordsRequest, View};
use sqlx::{Connection, Executor, PgConnection};
use tonic::Code;

use super::{found, search, search_for};
use crate::support::{
    editing::*,
    gold::publish_gold,
    projections::*,
    server::{config, start_server, start_server_with},
};

#[tokio::test(flavor = "multi_thread")]
async fn q3_a_search_with_min_sequence_finds_what_was_written_before_it() {
    let server = start_server_with_base().await;
    let client = &server.client;
    for word in ["quince", "plumtree", "zanzibar", "cherry", "mulberry"] {
        let draft = create_drafts(client, &[with_text(&actor(word), word)]).await;
        let answer = commit_ok(client, vec![publish(&draft[0])]).await;
        for (view, sequence) in [
            (View::Desk, answer.sequence),
            (View::Published, answer.wire_sequence),
        ] {
            let request = SearchRecordsRequest {
                min_sequence: sequence,
                ..search_for(word, view)
            };
            assert_eq!(search(client, request).await.total, 1, "{word}");
        }
    }
    // While the index does not move, the deadline ends the wait.
    let mut settings = config(&server.url);
    settings.limits.request_timeout = Duration::from_millis(600);
    let hasty = start_server_with(settings).await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    hold_projections(&mut sql).await;
    create_drafts(client, &[actor("late")]).await;
    let (head, _) = feed_heads(&server.url).await;
    let request = SearchRecordsRequest {
        min_sequence: head,
        ..search_for("late", View::Desk)
    };
    let refused = hasty.client.search.clone().search_records(request).await;
    let refused = RpcError::from(refused.unwrap_err());
    refused.assert_is(Code::Unavailable, "STORE_UNAVAILABLE");
    hasty.stop().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn q4_the_index_is_made_again_beside_itself_and_equals_one_from_the_beginning() {
    let server = start_server().await;
    publish_gold(&server).await;
    wait_projected(&server.url).await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let right = index_rows(&mut sql).await;
    assert_eq!(right.len(), 47);
    let expected = found(&server.client, "kazakhstan", View::Published).await;
    assert!(!expected.is_empty());
    // Damaged rows are found out by making them again; what is sound is found meanwhile.
    sql.execute("UPDATE search SET words = '' WHERE name LIKE 'relations/%'")
        .await
        .unwrap();
    let mut admin = server.client.admin.clone();
    let rebuilt = admin.rebuild_search(RebuildSearchRequest {}).await.unwrap();
    assert_eq!(rebuilt.into_inner().desk_sequence, 94);
    // Written while it is made again, and found without waiting for that.
    sql.execute(
        "UPDATE projections SET worker = gen_random_uuid(), worker_until = 'infinity'
                 WHERE name = 'search_rebuild'",
    )
    .await
    .unwrap();
    let draft = create_drafts(
        &server.client,
        &[with_text(&actor("new"), "zanzibarquince")],
    )
    .await;
    let request = SearchRecordsRequest {
        min_sequence: 95,
        ..search_for("zanzibarquince", View::Desk)
    };
    assert_eq!(search(&server.client, request).await.total, 1);
    commit_one(&server.client, delete(&draft[0])).await;
    release_projections(&mut sql).await;
    wait_projected(&server.url).await;
    assert_eq!(index_rows(&mut sql).await, right);
    // The same from nothing, by a later version.
    sql.execute("DELETE FROM search; UPDATE projections SET version = 0")
        .await
        .unwrap();
    wait_until("the rows are made again", async || {
        index_rows(&mut sql).await == right
    })
    .await;
    assert_eq!(
        found(&server.client, "kazakhstan", View::Published).await,
        expected
    );
    server.stop().await;
}
