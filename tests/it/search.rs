//! Search (Q1 to Q5): what is found, in which order; never by words that the caller may not read; the index equals a
//! rebuilt one. `crash::projections` has kills, `access::matrix` each caller and state.

mod index;
mod pages;
mod quality;
mod visibility;

use dateline_client::Client;
use dateline_proto::v1::{SearchRecordsRequest, SearchRecordsResponse, View};

/// A search for words in a view, of what is committed.
pub fn search_for(query: &str, view: View) -> SearchRecordsRequest {
    SearchRecordsRequest {
        query: query.into(),
        view: view.into(),
        ..SearchRecordsRequest::default()
    }
}

/// Searches, and expects an answer.
pub async fn search(client: &Client, request: SearchRecordsRequest) -> SearchRecordsResponse {
    let mut search = client.search.clone();
    let answer = search.search_records(request).await;
    answer.unwrap().into_inner()
}

/// The names that words find in a view, in their order.
pub async fn found(client: &Client, query: &str, view: View) -> Vec<String> {
    let answer = search(client, search_for(query, view)).await;
    answer.hits.into_iter().map(|hit| hit.name).collect()
}
