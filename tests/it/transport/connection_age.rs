//! Old connections are closed, and no call is lost.

use std::time::Duration;

use dateline_client::{Client, Failure, WatchStream};
use dateline_proto::v1::View;
use tonic::Code;

use super::{nato, server_with};
use crate::support::{
    builders::create_request,
    gold::gold_records,
    raw_h2::{END_HEADERS, GET, H2Connection, HEADERS, frame, headers},
    server::TIMEOUT,
    watch::watch_from_beginning,
};

const AGE: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn f12_a_stream_of_an_old_connection_ends_with_a_checkpoint_and_a_reason() {
    let server = server_with(|limits| limits.max_connection_age = AGE).await;
    let client = Client::connect(&server.address).await.unwrap();
    let mut feed = client.feed.clone();
    let stream = feed
        .watch(watch_from_beginning(View::Published))
        .await
        .unwrap();
    let mut stream = stream.into_inner();
    let mut last = None;
    let reading = async {
        loop {
            match stream.message().await {
                Ok(Some(response)) => last = Some(response),
                Ok(None) => panic!("the stream ended without a word"),
                Err(status) => return status,
            }
        }
    };
    let status = tokio::time::timeout(TIMEOUT, reading)
        .await
        .expect("an end");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(Failure::from(status).reason, "CONNECTION_AGED");
    let checkpoint = last.expect("a response").checkpoint;
    assert_eq!(checkpoint.expect("a last checkpoint").sequence, 47);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_a_stream_that_outlives_many_connections_brings_everything_once() {
    let server = server_with(|limits| limits.max_connection_age = AGE).await;
    let mut watch = WatchStream::open(&server.address, watch_from_beginning(View::Desk))
        .await
        .unwrap();
    let mut ends = 0;
    let mut sequences = Vec::new();
    let following = async {
        let mut written = 0;
        while ends < 5 || sequences.len() < 94 + written {
            if ends < 5 {
                written += 1;
                let mut record = gold_records()[1].clone();
                rename(&mut record, written);
                server
                    .client
                    .commit(create_request(&[record]))
                    .await
                    .unwrap();
            }
            // A connection may also reach its age before its stream has begun.
            let mut told = |what: &str| ends += usize::from(what.contains("long enough"));
            let response = watch.next(&mut told).await.unwrap();
            sequences.extend(response.changes.iter().map(|change| change.sequence));
        }
        written
    };
    let written = tokio::time::timeout(TIMEOUT * 2, following)
        .await
        .expect("it comes to its end");
    let all = i64::try_from(94 + written).unwrap();
    assert_eq!(sequences, (1..=all).collect::<Vec<_>>());
    server.stop().await;
}

fn rename(record: &mut dateline_proto::v1::Record, number: usize) {
    use dateline_proto::v1::record::Kind as Body;
    match record.kind.as_mut() {
        Some(Body::Actor(actor)) => actor.name = format!("actors/aged-{number}"),
        Some(Body::Event(event)) => event.name = format!("events/aged-{number}"),
        Some(Body::Relation(relation)) => relation.name = format!("relations/aged-{number}"),
        Some(Body::Article(_)) | None => panic!("the first record is an article"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_answered_across_the_ages_of_their_connections() {
    let server = server_with(|limits| limits.max_connection_age = Duration::from_millis(100)).await;
    let client = Client::connect(&server.address).await.unwrap();
    let old = H2Connection::connect_with_preface(&server.address).await;
    let mut generations = vec![old];
    // Each closed connection corresponds to one age that the client has outlived.
    let calling = async {
        let mut ages = 0;
        while ages < 10 {
            client.get(nato()).await.unwrap();
            if generations.last().is_some_and(H2Connection::is_closed) {
                generations.push(H2Connection::connect_with_preface(&server.address).await);
                ages += 1;
            }
        }
    };
    tokio::time::timeout(TIMEOUT * 2, calling)
        .await
        .expect("ten ages");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_cut_off_after_the_grace() {
    let server = server_with(|limits| {
        limits.max_connection_age = AGE;
        limits.max_connection_age_grace = AGE;
    })
    .await;
    let mut talker = H2Connection::connect_with_preface(&server.address).await;
    // The message never arrives; the server's deadline is a minute.
    talker
        .send(&frame(HEADERS, END_HEADERS, 1, &headers(GET)))
        .await;
    let heard = talker.received().await;
    let (code, _) = heard.goaway.expect("a goaway");
    assert_eq!(code, 0);
    assert!(!heard.kinds.contains(&HEADERS), "it was not answered");
    server.stop().await;
}
