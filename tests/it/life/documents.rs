//! The document and the search text of a record match its newest revision, after any change; a change of state alone
//! does not write them again.

use dateline::json;
use dateline_proto::v1::{Record, record::Kind as Body};
use dateline_record::name::KINDS;
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::{hands::*, records::*};
use crate::rig::name;

/// The document and the search text of a head.
async fn told(url: &str, record: &Record) -> (Value, String) {
    let mut sql = PgConnection::connect(url).await.unwrap();
    let row = sqlx::query_as("SELECT document, search FROM records WHERE name = $1");
    row.bind(name(record)).fetch_one(&mut sql).await.unwrap()
}

fn content(record: &Record) -> Value {
    let mut record = record.clone();
    record.kind.as_mut().and_then(Body::take_meta);
    let whole = json::value(&record).unwrap();
    whole.as_object().unwrap().values().next().unwrap().clone()
}

#[tokio::test]
async fn what_people_read_of_a_head_is_what_its_newest_revision_says() {
    let site = base().await;
    for kind in KINDS {
        let draft = make(&site.client, &[of_kind(kind, "told")]).await;
        let draft = one(&site.client, update(&saying(&draft[0], "first words"), &[])).await;
        let first = told(&site.url, &draft).await;
        assert_eq!(first.0, content(&draft));
        let published = one(&site.client, publish(&draft)).await;
        // Its pins were moved to a revision that readers can read.
        let shown = (content(&published), first.1.clone());
        assert_eq!(told(&site.url, &published).await, shown);
        let other = correct(&saying(&published, "other words"), &[], "it was wrong");
        let corrected = one(&site.client, other).await;
        let second = told(&site.url, &corrected).await;
        assert_eq!(second.0, content(&corrected));
        assert_ne!(second, first);
        let before = on_desk(&site.client, name(&corrected)).await;
        one(&site.client, retract(&corrected, "all wrong", false)).await;
        assert_eq!(told(&site.url, &before).await, second);
    }
    site.stop().await;
}
