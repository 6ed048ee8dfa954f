//! Orders, pages, facets, highlights and limits of searches.

use std::collections::BTreeMap;

use dateline_proto::v1::{
    SearchRecordsRequest, SearchRecordsResponse, View, facet_counts::Dimension,
    search_records_request::Order,
};
use tonic::Code;

use super::{search, search_for};
use crate::support::{
    editing::*,
    gold::publish_gold,
    projections::wait_projected,
    server::{TestServer, start_server},
};

async fn pages(
    server: &TestServer,
    mut request: SearchRecordsRequest,
) -> Vec<SearchRecordsResponse> {
    let mut pages = Vec::new();
    loop {
        let page = search(&server.client, request.clone()).await;
        request.page_token.clone_from(&page.next_page_token);
        pages.push(page);
        if request.page_token.is_empty() {
            return pages;
        }
    }
}

fn hits(pages: &[SearchRecordsResponse]) -> Vec<String> {
    let hits = pages.iter().flat_map(|page| &page.hits);
    hits.map(|hit| hit.name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn q1_pages_of_every_order_have_each_hit_once_and_the_same_total() {
    let server = start_server().await;
    publish_gold(&server).await;
    wait_projected(&server.url).await;
    let orders = [Order::Relevance, Order::Newest, Order::Time, Order::Name];
    for query in ["kazakhstan", "nato", ""] {
        for order in orders {
            if query.is_empty() && order == Order::Relevance {
                continue;
            }
            let request = |page_size| SearchRecordsRequest {
                order: order.into(),
                page_size,
                ..search_for(query, View::Published)
            };
            let whole = pages(&server, request(1000)).await;
            let small = pages(&server, request(3)).await;
            let names = hits(&whole);
            assert!(names.len() > 3, "{query} {names:?}");
            assert_eq!(hits(&small), names, "{query} {order:?}");
            let total = i32::try_from(names.len()).unwrap();
            for page in &small {
                assert_eq!((page.total, page.total_is_lower_bound), (total, false));
            }
            if order == Order::Name {
                assert!(names.is_sorted());
            }
        }
    }
    let every = pages(&server, search_for("", View::Published)).await;
    assert_eq!(hits(&every).len(), 47);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn q1_counts_are_those_of_the_hits_and_highlights_are_their_text() {
    let server = start_server().await;
    publish_gold(&server).await;
    wait_projected(&server.url).await;
    let request = SearchRecordsRequest {
        facets: vec![
            Dimension::Kind.into(),
            Dimension::Type.into(),
            Dimension::Kind.into(),
        ],
        page_size: 1000,
        ..search_for("kazakhstan", View::Published)
    };
    let answer = search(&server.client, request).await;
    let mut kinds: BTreeMap<&str, i32> = BTreeMap::new();
    for hit in &answer.hits {
        let kind = hit.name.split('/').next().unwrap().trim_end_matches('s');
        *kinds.entry(kind).or_default() += 1;
    }
    assert_eq!(answer.facets.len(), 2);
    let counted = answer.facets[0].values.iter();
    let counted: BTreeMap<&str, i32> = counted.map(|it| (it.value.as_str(), it.count)).collect();
    assert_eq!(counted, kinds);
    let mut marked = 0;
    for hit in &answer.hits {
        for fragment in &hit.fragments {
            let characters: Vec<char> = fragment.text.chars().collect();
            for span in &fragment.spans {
                let (start, end) = (
                    usize::try_from(span.start).unwrap(),
                    usize::try_from(span.end).unwrap(),
                );
                let word: String = characters[start..end].iter().collect();
                assert!(
                    word.to_lowercase().starts_with("kazakh"),
                    "{word} in {fragment:?}"
                );
                marked += 1;
            }
        }
        assert!(hit.record.is_some());
    }
    assert!(marked >= answer.hits.len(), "{marked}");
    assert_eq!(answer.hits[0].name, "actors/kazakhstan");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn q1_phrases_exclusions_beginnings_and_stems() {
    let server = start_server().await;
    let client = &server.client;
    let headed = |id: &str, headline: &str| {
        let mut record = article(id);
        as_article(&mut record).headline = headline.into();
        as_article(&mut record).language_code = "en".into();
        record
    };
    let drafts = [
        headed("one", "The port authority negotiates"),
        headed("two", "An authority of the harbour"),
        headed("three", "新しい港湾局 opens"),
    ];
    create_drafts(client, &drafts).await;
    wait_projected(&server.url).await;
    for (query, expected) in [
        ("\"port authority\"", &["one"][..]),
        ("\"authority port\"", &[]),
        ("authority ", &["one", "two"]),
        ("authority -harbour", &["one"]),
        ("harb", &["two"]),
        ("negotiating ", &["one"]),
        ("port OR opens", &["one", "three"]),
        ("港湾局", &["three"]),
        ("湾港", &[]),
        ("autority ", &["one", "two"]),
        ("'); DROP TABLE search; --", &[]),
    ] {
        let request = SearchRecordsRequest {
            order: Order::Name.into(),
            ..search_for(query, View::Desk)
        };
        let request = if query == "autority " {
            search_for(query, View::Desk)
        } else {
            request
        };
        let answer = search(client, request).await;
        let mut names: Vec<_> = answer
            .hits
            .iter()
            .map(|hit| hit.name.trim_start_matches("articles/"))
            .collect();
        names.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(names, expected, "{query}");
    }
    server.stop().await;
}

#[tokio::test]
async fn r6_a_search_that_cannot_be_answered_says_why() {
    let server = start_server().await;
    let many = "a ".repeat(17);
    for (request, field) in [
        (search_for("!?", View::Desk), "query"),
        (search_for("-nato", View::Desk), "query"),
        (search_for(&many, View::Desk), "query"),
        (search_for(&"a".repeat(501), View::Desk), "query"),
        (
            SearchRecordsRequest {
                order: Order::Relevance.into(),
                ..search_for("", View::Desk)
            },
            "order",
        ),
        (
            SearchRecordsRequest {
                facets: vec![Dimension::Author.into()],
                ..search_for("a", View::Published)
            },
            "facets",
        ),
        (
            SearchRecordsRequest {
                page_size: -1,
                ..search_for("a", View::Desk)
            },
            "page_size",
        ),
    ] {
        let refused = server.client.search.clone().search_records(request).await;
        let refused = RpcError::from(refused.unwrap_err());
        refused.assert_is(Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(refused.fields(), [field]);
    }
    server.stop().await;
}
