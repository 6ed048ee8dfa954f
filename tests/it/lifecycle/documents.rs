//! The document of a record, which people read, matches its newest revision, after any change.

use dateline::json;
use dateline_proto::v1::{Record, record::Kind as Body};
use dateline_record::name::KINDS;
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use crate::support::{editing::*, projections::wait_projected};

/// The document of a record, once it is projected.
async fn stored_document(url: &str, record: &Record) -> Value {
    wait_projected(url).await;
    let mut sql = PgConnection::connect(url).await.unwrap();
    let row = sqlx::query_scalar("SELECT document FROM documents WHERE name = $1");
    row.bind(name(record)).fetch_one(&mut sql).await.unwrap()
}

fn content(record: &Record) -> Value {
    let mut record = record.clone();
    record.kind.as_mut().and_then(Body::take_meta);
    let whole = json::value(&record).unwrap();
    whole.as_object().unwrap().values().next().unwrap().clone()
}

#[tokio::test]
async fn what_people_read_of_a_record_is_what_its_newest_revision_says() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        let draft = create_drafts(&server.client, &[record_of_kind(kind, "told")]).await;
        let draft = commit_one(
            &server.client,
            update(&with_text(&draft[0], "first words"), &[]),
        )
        .await;
        let first = stored_document(&server.url, &draft).await;
        assert_eq!(first, content(&draft));
        let published = commit_one(&server.client, publish(&draft)).await;
        // Its pins were moved to a revision that readers can read.
        let shown = stored_document(&server.url, &published).await;
        assert_eq!(shown, content(&published));
        let other = correct(&with_text(&published, "other words"), &[], "it was wrong");
        let corrected = commit_one(&server.client, other).await;
        let second = stored_document(&server.url, &corrected).await;
        assert_eq!(second, content(&corrected));
        assert_ne!(second, first);
        let before = desk_record(&server.client, name(&corrected)).await;
        commit_one(&server.client, retract(&corrected, "all wrong", false)).await;
        assert_eq!(stored_document(&server.url, &before).await, second);
    }
    server.stop().await;
}
