//! W11: erased content is also removed from other records, where the service wrote a note to several at once, and from
//! what streams and exports have read and not yet sent.

use std::{sync::Arc, time::Duration};

use dateline_feed::{ExportItem, ExportOptions, Feed, Start, WatchItem, WatchOptions};
use dateline_proto::v1::{Kind, Record, View};
use dateline_record::{filter::Filter, sequence::Sequence};
use dateline_store::{FeedView, Settings, SnapshotQuery, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::purge::*;
use crate::support::{
    editing::*,
    server::TestServer,
    watch::{read_changes, watch_from_beginning},
};

const MERGING: [Kind; 3] = [Kind::Actor, Kind::Relation, Kind::Event];

fn noted(write: dateline_proto::v1::Write, note: &str) -> dateline_proto::v1::Write {
    use dateline_proto::v1::write::Action;
    let mut write = write;
    match write.action.as_mut().unwrap() {
        Action::Merge(merge) => note.clone_into(&mut merge.note),
        Action::Unmerge(unmerge) => note.clone_into(&mut unmerge.note),
        other => panic!("{other:?}"),
    }
    write
}

/// Asserts that no table, stream or list of revisions has the canary, and that the digests are those of the visible
/// records.
async fn nothing_tells(server: &TestServer, names: &[&str]) {
    assert_eq!(traces(server).await, Vec::<String>::new());
    let (desk, wire) = feed_heads(&server.url).await;
    for (view, head) in [(View::Desk, desk), (View::Published, wire)] {
        let seen = read_changes(
            server,
            watch_from_beginning(view),
            usize::try_from(head).unwrap(),
        )
        .await;
        assert!(!seen.iter().any(says_canary), "{view:?}");
        for name in names {
            let mut records = server.client.clone().records;
            let listed = records.list_revisions(dateline_proto::v1::ListRevisionsRequest {
                name: (*name).to_owned(),
                view: view.into(),
                ..Default::default()
            });
            assert!(!says_canary(&listed.await.unwrap().into_inner()));
            if let Some(record) = find_record(&server.client, name, view).await {
                assert!(!says_canary(&record), "{record:?}");
            }
        }
    }
}

/// A record that was merged into another one, unmerged, and merged once more; all notes have the canary.
async fn merged(server: &TestServer, kind: Kind) -> (Record, Record) {
    let client = &server.client;
    let loser = create_published(client, &record_of_kind(kind, "loser")).await;
    let winner = create_published(client, &record_of_kind(kind, "winner")).await;
    let into = noted(merge(&loser, &winner), &format!("{CANARY} is the same"));
    let gone = commit_one(client, into).await;
    let out = noted(unmerge(&gone), &format!("{CANARY} is another one"));
    let loser = commit_one(client, out).await;
    let winner = desk_record(client, name(&winner)).await;
    let into = noted(merge(&loser, &winner), &format!("{CANARY} it is"));
    let loser = commit_one(client, into).await;
    (loser, desk_record(client, name(&winner)).await)
}

#[tokio::test]
async fn w11_the_note_of_a_merge_goes_from_both_records_whichever_is_erased() {
    for kind in MERGING {
        for erases_winner in [false, true] {
            let server = start_server_with_base().await;
            let (loser, winner) = merged(&server, kind).await;
            let all = [name(&loser), name(&winner)];
            let gone = if erases_winner { &winner } else { &loser };
            let answer = commit_ok(&server.client, vec![purge(gone, false)]).await;
            assert_eq!(
                answer.records.len(),
                1,
                "no revision is made of the other one"
            );
            nothing_tells(&server, &all).await;
            let kept = desk_record(&server.client, all[usize::from(!erases_winner)]).await;
            let before = if erases_winner { &loser } else { &winner };
            assert_eq!(meta(&kept).revision, meta(before).revision);
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn w11_the_note_of_a_retraction_goes_from_what_was_withdrawn_with_it() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let source = create_published(client, &article("other")).await;
    let mut facts = Vec::new();
    for kind in MERGING {
        let fact = with_evidence(
            &record_of_kind(kind, "fact"),
            vec![evidence_quoting("articles/other")],
        );
        facts.push(create_published(client, &fact).await);
    }
    let note = format!("{CANARY} asked for it");
    let gone = commit_ok(client, vec![retract(&source, &note, true)]).await;
    assert_eq!(gone.records.len(), 4);
    assert!(meta(&gone.records[1]).corrections[0].note.contains(CANARY));
    commit_ok(client, vec![purge(&gone.records[0], false)]).await;
    let names: Vec<_> = gone.records.iter().map(name).collect();
    nothing_tells(&server, &names).await;
    for fact in &facts {
        let left = find_record(client, name(fact), View::Published)
            .await
            .unwrap();
        assert_eq!(
            meta(&left).corrections[0].note,
            "erased",
            "that it was withdrawn stays"
        );
        assert_eq!(meta(&left).uid, meta(fact).uid);
    }
    // Erases one of those too, and checks both.
    let left = desk_record(client, name(&facts[0])).await;
    commit_one(client, purge(&left, false)).await;
    nothing_tells(&server, &names).await;
}

#[tokio::test]
async fn w11_what_was_erased_before_copies_were_known_goes_when_it_is_erased_again() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let (loser, winner) = merged(&server, Kind::Actor).await;
    let gone = commit_one(client, purge(&loser, false)).await;
    // Restores the note that an earlier version left.
    let left = format!(
        "UPDATE changes SET note = '{CANARY}' WHERE name = '{}' AND changed_fields @> '{{meta.merged_from}}'",
        name(&winner)
    );
    execute_sql(&server.url, &left).await;
    assert_eq!(traces(&server).await, ["changes"]);
    commit_one(client, purge(&gone, false)).await;
    nothing_tells(&server, &[name(&loser), name(&winner)]).await;
}

#[tokio::test]
async fn w11_records_of_one_merge_can_be_erased_in_one_request() {
    let server = start_server_with_base().await;
    let (loser, winner) = merged(&server, Kind::Event).await;
    let answer = commit_ok(
        &server.client,
        vec![purge(&loser, false), purge(&winner, false)],
    )
    .await;
    assert_eq!(answer.records.len(), 2);
    nothing_tells(&server, &[name(&loser), name(&winner)]).await;
}

/// A feed of its own on the server's database, with a tail.
async fn feed(server: &TestServer) -> (Feed, Store, CancellationToken) {
    let store = Store::connect(&server.url, &Settings::default())
        .await
        .unwrap();
    let stop = CancellationToken::new();
    let opened = Feed::open(store.clone(), Duration::from_secs(5), 0);
    let feed = opened.await.unwrap();
    let (tail, stopped) = (feed.clone(), stop.clone());
    tokio::spawn(async move {
        let following = tail.follow(Arc::new(Notify::new()));
        stopped.run_until_cancelled(following).await
    });
    (feed, store, stop)
}

/// Publishes records so large that a page holds some and a message few; the last one has the canary.
async fn filled(server: &TestServer) -> Record {
    let client = &server.client;
    let mut last = None;
    for n in 0..12 {
        let mut record = article(&format!("long-{n:02}"));
        match record.kind.as_mut().unwrap() {
            dateline_proto::v1::record::Kind::Article(article) => {
                let word = if n == 11 { CANARY } else { "a word" };
                article.body = format!("{word} ")
                    .repeat(40_000 / (word.len() + 1))
                    .trim()
                    .to_owned();
            }
            other => panic!("{other:?}"),
        }
        last = Some(create_published(client, &record).await);
    }
    last.unwrap()
}

fn text(pieces: &[bytes::Bytes]) -> String {
    pieces
        .iter()
        .map(|piece| String::from_utf8_lossy(piece))
        .collect()
}

fn order(start: Start) -> WatchOptions {
    WatchOptions {
        view: FeedView::Wire,
        filter: Filter::default(),
        filter_bytes: Vec::new(),
        start,
        skip_before: None,
        digest: false,
    }
}

/// Erases a record, and waits until the feed's tail is notified.
async fn purged(server: &TestServer, feed: &Feed, record: &Record) {
    let live = feed.subscribe(order(Start::Now), CancellationToken::new());
    let mut live = live.await.unwrap();
    commit_one(&server.client, purge(record, false)).await;
    let heard =
        async { while !matches!(live.next().await.unwrap().unwrap(), WatchItem::Changes(..)) {} };
    tokio::time::timeout(crate::support::server::TIMEOUT, heard)
        .await
        .unwrap();
}

#[tokio::test]
async fn w11_what_a_stream_has_read_and_not_sent_is_read_again_after_an_erasure() {
    for start in [Start::Beginning, Start::Snapshot] {
        let server = start_server_with_base().await;
        let last = filled(&server).await;
        let (feed, _store, stop) = feed(&server).await;
        let mut stream = feed
            .subscribe(order(start.clone()), CancellationToken::new())
            .await
            .unwrap();
        // Reads one message with content, of a page that holds all.
        let mut got = String::new();
        while got.is_empty() {
            match stream.next().await.unwrap().unwrap() {
                WatchItem::Changes(pieces, _) | WatchItem::Records(pieces, ..) => {
                    got = text(&pieces);
                }
                WatchItem::Checkpoint(_) => {}
            }
        }
        assert!(!got.contains(CANARY), "it is the last one");
        purged(&server, &feed, &last).await;
        let (head, mut behind) = (
            feed.stored_head(FeedView::Wire).await.unwrap(),
            Sequence::ZERO,
        );
        while behind < head {
            match stream.next().await.unwrap().unwrap() {
                WatchItem::Changes(pieces, _) | WatchItem::Records(pieces, ..) => {
                    got += &text(&pieces);
                }
                WatchItem::Checkpoint(checkpoint) => behind = checkpoint.sequence,
            }
        }
        assert!(!got.contains(CANARY), "{start:?}");
        for n in 0..11 {
            let name = format!("articles/long-{n:02}");
            assert!(got.contains(&name), "{name} is not lost");
        }
        stop.cancel();
        server.stop().await;
    }
}

#[tokio::test]
async fn w11_what_an_export_has_read_and_not_sent_is_read_again_after_an_erasure() {
    let server = start_server_with_base().await;
    let last = filled(&server).await;
    let (feed, _store, stop) = feed(&server).await;
    let order = ExportOptions {
        extract: SnapshotQuery::new(Filter::default(), FeedView::Wire, Sequence::ZERO),
        sequence: None,
        request_bytes: Vec::new(),
        cursor: None,
    };
    let mut export = feed.export(order, CancellationToken::new()).await.unwrap();
    let mut got = String::new();
    while got.is_empty() {
        match export.next().await.unwrap().unwrap() {
            ExportItem::Part(pieces, _) => got = text(&pieces),
            ExportItem::End => panic!("there is nothing"),
        }
    }
    assert!(!got.contains(CANARY), "it is the last one");
    purged(&server, &feed, &last).await;
    while let ExportItem::Part(pieces, _) = export.next().await.unwrap().unwrap() {
        got += &text(&pieces);
    }
    assert!(!got.contains(CANARY));
    for n in 0..11 {
        let name = format!("articles/long-{n:02}");
        assert!(got.contains(&name), "{name} is not lost");
    }
    stop.cancel();
}
