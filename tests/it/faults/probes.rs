//! Streams that must be refused, and their errors: cursors of another feed, of the future, of dropped history, and
//! malformed ones (F6).

use std::time::Duration;

use dateline_client::{Client, Failure};
use dateline_feed::Cursor;
use dateline_proto::v1::{
    CompactFeedRequest, GetFeedRequest, GetFeedResponse, RecordFilter, View,
    admin_service_client::AdminServiceClient, compact_feed_request::Before,
};
use dateline_record::sequence::Sequence;
use dateline_store::{Epoch, FeedIdentity, Positions};
use uuid::Uuid;

use super::{recorder::Recorder, watchers::request};
use crate::{
    support::server::TIMEOUT,
    validator::history::{Event, HexMessage, Start},
};

/// Records the answer of `GetFeed`.
pub async fn read_feed(
    client: &Client,
    view: View,
    recorder: &Recorder,
) -> Option<GetFeedResponse> {
    let request = GetFeedRequest { view: view.into() };
    let feed = client
        .clone()
        .feed
        .get_feed(request)
        .await
        .ok()?
        .into_inner();
    recorder.add(|at| Event::Stood {
        at,
        view: view.into(),
        feed: HexMessage(feed.clone()),
    });
    Some(feed)
}

/// Opens a stream; returns the reason of its refusal, or nothing if it begins.
async fn answer_to(client: &Client, view: View, start: &Start) -> String {
    let filter = RecordFilter::default();
    let mut feed = client.feed.clone();
    match feed.watch(request(view, &filter, start)).await {
        Err(status) => Failure::from(status).reason,
        Ok(stream) => match stream.into_inner().message().await {
            Err(status) => Failure::from(status).reason,
            Ok(_) => String::new(),
        },
    }
}

async fn probe(
    client: &Client,
    recorder: &Recorder,
    (what, expected): (&str, &str),
    view: View,
    start: Start,
) {
    let answer = answer_to(client, view, &start).await;
    recorder.add(|at| Event::Probed {
        at,
        what: format!("{what} ({view:?})"),
        expected: expected.to_owned(),
        answer,
    });
}

/// Waits until a server knows that the beginning is gone. Until it hears of it from the other one, it sends the history
/// that it has in memory, which is whole.
async fn knows_what_is_gone(client: &Client, view: View) {
    let knows = async {
        while answer_to(client, view, &Start::Beginning).await != "CURSOR_EXPIRED" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let knows = tokio::time::timeout(TIMEOUT, knows).await;
    knows.expect("the other server hears of dropped history");
}

/// A cursor as a server of this feed would issue it at this position.
fn cursor(feed: &GetFeedResponse, id: Uuid, epoch: u64, view: View, sequence: i64) -> Start {
    let identity = FeedIdentity {
        id,
        epoch,
        token_key: [0; 32],
        epochs: vec![Epoch {
            id: epoch,
            heads: Positions::default(),
        }],
        earliest: Positions {
            desk: Sequence::FIRST,
            wire: Sequence::FIRST,
        },
    };
    let view = match view {
        View::Desk => dateline_store::FeedView::Desk,
        _ => dateline_store::FeedView::Wire,
    };
    assert!(sequence <= feed.head_sequence + 1000);
    let cursor = Cursor {
        view,
        sequence: Sequence::new(sequence.cast_unsigned()),
        check: None,
        snapshot: None,
    };
    Start::Cursor(cursor.to_text(&identity))
}

/// Tries all invalid cursors of one view.
pub async fn probe_all(client: &Client, recorder: &Recorder, view: View) {
    let feed = read_feed(client, view, recorder).await.expect("it answers");
    let (id, head) = (Uuid::parse_str(&feed.feed).unwrap(), feed.head_sequence);
    let other = if view == View::Desk {
        View::Published
    } else {
        View::Desk
    };
    let at = |id, epoch, view, sequence| cursor(&feed, id, epoch, view, sequence);
    for (what, expected, start) in [
        ("no cursor", "INVALID_CURSOR", Start::Cursor("AAAA".into())),
        (
            "a cursor one ahead",
            "CURSOR_IN_FUTURE",
            at(id, feed.epoch, view, head + 1),
        ),
        (
            "a cursor far ahead",
            "CURSOR_IN_FUTURE",
            at(id, feed.epoch, view, head + 999),
        ),
        (
            "a cursor of the other view",
            "CURSOR_FOREIGN",
            at(id, feed.epoch, other, 1),
        ),
        (
            "a cursor of another feed",
            "CURSOR_FOREIGN",
            at(Uuid::from_u128(7), feed.epoch, view, 1),
        ),
        (
            "a cursor of another history",
            "CURSOR_FOREIGN",
            at(id, feed.epoch ^ 5, view, 1),
        ),
        ("a cursor at the head", "", at(id, feed.epoch, view, head)),
    ] {
        probe(client, recorder, (what, expected), view, start).await;
    }
}

/// Drops the first half of history at one server, and requests it at the other.
pub async fn compact(clients: &[Client; 2], recorder: &Recorder) {
    let desk = read_feed(&clients[0], View::Desk, recorder)
        .await
        .expect("it answers");
    let mut admin = AdminServiceClient::new(clients[0].channel());
    let request = CompactFeedRequest {
        before: Some(Before::DeskSequence(desk.head_sequence / 2)),
        ..CompactFeedRequest::default()
    };
    let kept = admin.compact_feed(request).await.unwrap().into_inner();
    for (view, earliest) in [
        (View::Desk, kept.earliest_desk_sequence),
        (View::Published, kept.earliest_wire_sequence),
    ] {
        assert!(earliest > 2, "there is history to drop: {kept:?}");
        let feed = read_feed(&clients[1], view, recorder)
            .await
            .expect("it answers");
        knows_what_is_gone(&clients[1], view).await;
        let id = Uuid::parse_str(&feed.feed).unwrap();
        let at = |sequence| cursor(&feed, id, feed.epoch, view, sequence);
        for (what, expected, start) in [
            (
                "the beginning, which is gone",
                "CURSOR_EXPIRED",
                Start::Beginning,
            ),
            (
                "a cursor before what is kept",
                "CURSOR_EXPIRED",
                at(earliest - 2),
            ),
            ("a cursor right before what is kept", "", at(earliest - 1)),
        ] {
            for client in clients {
                probe(client, recorder, (what, expected), view, start.clone()).await;
            }
        }
    }
}
