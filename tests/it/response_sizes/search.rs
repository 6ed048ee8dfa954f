//! Pages of hits with records of maximum size, and with fragments of long texts.

use std::collections::BTreeSet;

use dateline_proto::v1::{RebuildSearchRequest, SearchRecordsRequest, View};

use crate::support::{
    large_records::{SizeChecks, desk},
    matching::head,
};

/// All pages of a search for everything and for words that nearly every record has: each hit once.
pub async fn all(checks: &mut SizeChecks) {
    let min_sequence = head(&checks.server.client.clone(), View::Desk).await;
    for query in ["", "port authority"] {
        let mut request = SearchRecordsRequest {
            query: query.to_owned(),
            view: desk(),
            order: dateline_proto::v1::search_records_request::Order::Name.into(),
            page_size: 1000,
            min_sequence,
            facets: (1..=8).collect(),
            ..SearchRecordsRequest::default()
        };
        let mut found = BTreeSet::new();
        loop {
            let page = checks.search.search_records(request.clone()).await;
            let page = checks.check_answer("SearchRecords", page);
            assert!(page.hits.iter().all(|hit| hit.record.is_some()));
            for hit in page.hits {
                assert!(found.insert(hit.name.clone()), "{} twice", hit.name);
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        assert!(found.len() >= 500, "{query:?}: {}", found.len());
    }
    let answer = checks.admin.rebuild_search(RebuildSearchRequest {}).await;
    checks.check_answer("RebuildSearch", answer);
}
