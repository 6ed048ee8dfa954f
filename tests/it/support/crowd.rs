//! Records enough for several pages, filters of several kinds, and lists under them.

use dateline_proto::v1::{Kind, ListRecordsRequest, Record, RecordFilter, State, View};

use crate::support::{editing::*, server::TestServer};

/// Creates enough records for several pages of a snapshot, by count and by bytes.
pub async fn crowd(server: &TestServer, count: usize) -> Vec<Record> {
    let mut records = Vec::new();
    for first in (0..count).step_by(500) {
        let batch: Vec<_> = (first..(first + 500).min(count))
            .map(|number| with_text(&actor(&format!("crowd-{number:05}")), &"word ".repeat(60)))
            .collect();
        let drafts = create_drafts(&server.client, &batch).await;
        records.extend(publish_all(&server.client, &drafts).await);
    }
    records
}

/// Filters of several kinds; the last one matches none of the gold records.
pub fn filters() -> Vec<RecordFilter> {
    vec![
        RecordFilter::default(),
        RecordFilter {
            kinds: vec![Kind::Event.into(), Kind::Article.into()],
            ..RecordFilter::default()
        },
        RecordFilter {
            actors: vec!["actors/nato".into()],
            ..RecordFilter::default()
        },
        RecordFilter {
            states: vec![State::Retracted.into(), State::Published.into()],
            ..RecordFilter::default()
        },
        RecordFilter {
            regions: vec!["KZ".into()],
            types: vec!["meeting".into()],
            ..RecordFilter::default()
        },
    ]
}

/// The result of a list under a filter, which fits one page.
pub async fn listed(server: &TestServer, view: View, filter: &RecordFilter) -> Vec<Record> {
    let list = ListRecordsRequest {
        filter: Some(filter.clone()),
        view: view.into(),
        page_size: 1000,
        ..ListRecordsRequest::default()
    };
    let mut client = server.client.clone();
    let answer = client.records.list_records(list).await.unwrap();
    answer.into_inner().records
}
