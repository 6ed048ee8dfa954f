//! Typed queries on the seed records: errors, other scripts, parts of names, other orders of words.

use dateline_proto::v1::View;

use super::found;
use crate::support::{gold::publish_gold, projections::wait_projected, server::start_server};

/// One query a line: the record, a tab, the words.
const QUERIES: &str = include_str!("../../data/search_queries.txt");

#[tokio::test(flavor = "multi_thread")]
async fn q5_of_100_typed_queries_95_have_the_right_record_among_the_first_three() {
    let server = start_server().await;
    publish_gold(&server).await;
    wait_projected(&server.url).await;
    let (mut asked, mut first, mut missed) = (0, 0, Vec::new());
    let lines = QUERIES
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in lines {
        let (right, query) = line.split_once('\t').unwrap();
        let names = found(&server.client, query, View::Published).await;
        let place = names.iter().position(|name| name == right);
        asked += 1;
        first += usize::from(place == Some(0));
        if place.is_none_or(|place| place > 2) {
            let best: Vec<_> = names.into_iter().take(3).collect();
            missed.push(format!("{query}: {right} at {place:?}, first {best:?}"));
        }
    }
    println!(
        "{asked} queries: {first} first, {} not among three\n{}",
        missed.len(),
        missed.join("\n")
    );
    assert!(asked >= 60, "{asked}");
    assert!(missed.len() * 100 <= asked * 5, "{missed:#?}");
    server.stop().await;
}
