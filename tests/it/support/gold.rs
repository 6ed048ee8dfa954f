//! The seed article in 47 records, as it is sent and as readers see it, and its publication.

use dateline::json;
use dateline_proto::v1::{Bundle, PublishRecordsRequest, Record, record::Kind as Body};

use crate::support::{
    builders::{create_request, version},
    server::TestServer,
};

/// The seed article in 47 records.
pub const GOLD: &str = include_str!("../../../seed/gold.json");

/// The 47 gold records.
pub fn gold_records() -> Vec<Record> {
    Vec::from(json::read::<Bundle>(GOLD).unwrap())
}

/// The gold records as readers see them: their evidence cites the published revision of the article.
pub fn gold_as_published() -> Vec<Record> {
    gold_records()
        .iter()
        .map(citing_published_revision)
        .collect()
}

/// The same record with evidence that cites the published revision of articles: the second one.
pub fn citing_published_revision(record: &Record) -> Record {
    let mut record = record.clone();
    let evidence = record.kind.as_mut().and_then(Body::evidence_mut);
    for entry in evidence.into_iter().flatten() {
        entry.article_revision = 2;
    }
    record
}

/// Creates and publishes the gold records; returns the published ones.
pub async fn publish_gold(server: &TestServer) -> Vec<Record> {
    let created = server
        .client
        .commit(create_request(&gold_records()))
        .await
        .unwrap();
    assert_eq!(created.records.len(), 47);
    assert_eq!((created.sequence, created.wire_sequence), (47, 0));
    let versions = created.records.iter().map(version).collect();
    let request = PublishRecordsRequest {
        records: versions,
        ..PublishRecordsRequest::default()
    };
    let published = server.client.publish(request).await.unwrap();
    assert_eq!((published.sequence, published.wire_sequence), (94, 47));
    published.records
}
