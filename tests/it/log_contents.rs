//! The log stores a content once, and commits to what readers were told: pointers lead to contents whatever becomes of
//! their rows, commitments are opened by what is on the stream, and an erasure takes the salts (W11).

use std::collections::HashMap;

use dateline_client::Client;
use dateline_proto::v1::{Change, Kind, Record, View};
use dateline_record::{
    revision::Revision,
    slot::slot,
    statement::{SALT_BYTES, Statement},
    timestamp::instant,
};
use prost::Message;
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    replicas::dropped_history::compact,
    support::{
        editing::*,
        log_rows::broken_rows,
        replica::{are_tallies_correct, get_feed},
        server::TestServer,
        watch::{read_changes, watch_from_beginning},
    },
};

/// The rows of a record: type, bytes that it stores, revision at which its content is.
async fn rows(sql: &mut PgConnection, name: &str) -> Vec<(String, i32, i64)> {
    let rows = "SELECT changes.type, octet_length(changes.content), coalesce(kept.revision, changes.revision)
         FROM changes
         LEFT JOIN changes AS kept ON kept.desk_sequence = changes.content_at
         WHERE changes.name = $1
         ORDER BY changes.revision";
    let rows = sqlx::query_as(rows).bind(name).fetch_all(sql);
    rows.await.unwrap()
}

/// Types of a record's rows, and where the content of each is.
async fn places(sql: &mut PgConnection, name: &str) -> Vec<(String, i64)> {
    let rows = rows(sql, name).await.into_iter();
    rows.map(|(change, bytes, at)| {
        assert!(bytes < 2000, "{change}");
        (change, at)
    })
    .collect()
}

fn at(places: &[(&str, i64)]) -> Vec<(String, i64)> {
    let places = places.iter();
    places
        .map(|(change, at)| ((*change).to_owned(), *at))
        .collect()
}

/// Every change of both feeds, by view.
async fn feeds(server: &TestServer) -> HashMap<View, Vec<Change>> {
    let mut feeds = HashMap::new();
    for view in [View::Published, View::Desk] {
        let head = get_feed(server, view).await.head_sequence;
        let count = usize::try_from(head).unwrap();
        let changes = read_changes(server, watch_from_beginning(view), count).await;
        feeds.insert(view, changes);
    }
    feeds
}

fn content(record: &Record) -> Vec<u8> {
    let mut body = record.kind.clone().unwrap();
    body.take_meta();
    body.to_content()
}

/// A record of each kind in each state that it can be in, some corrected, merged and merged no more.
async fn live(server: &TestServer) {
    let client = &server.client;
    for kind in [Kind::Article, Kind::Actor, Kind::Relation, Kind::Event] {
        let named = |end: &str| record_of_kind(kind, &format!("kept-{end}"));
        let draft = create_drafts(client, &[named("deleted")]).await;
        commit_one(client, delete(&draft[0])).await;
        let public = create_published(client, &named("corrected")).await;
        let other = correct(&with_text(&public, "corrected"), &[], "it was wrong");
        let corrected = commit_one(client, other).await;
        commit_one(client, retract(&corrected, "all wrong", false)).await;
        let public = create_published(client, &named("erased")).await;
        commit_one(client, purge(&public, false)).await;
        if kind != Kind::Article {
            let loser = create_published(client, &named("loser")).await;
            let winner = create_published(client, &named("winner")).await;
            let merged = commit_one(client, merge(&loser, &winner)).await;
            commit_one(client, unmerge(&merged)).await;
        }
    }
}

#[tokio::test]
async fn w1_a_content_that_stays_is_stored_once_and_read_in_every_revision() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let draft = create_drafts(client, &[article("once")]).await;
    let sent = commit_one(client, submit(&draft[0])).await;
    let public = commit_one(client, publish(&sent)).await;
    let other = correct(&with_text(&public, "said better"), &[], "said better");
    let corrected = commit_one(client, other).await;
    commit_one(client, retract(&corrected, "all wrong", false)).await;
    let stored = rows(&mut sql, "articles/once").await;
    let kept: Vec<_> = stored
        .iter()
        .map(|(_, bytes, at)| (*bytes > 0, *at))
        .collect();
    assert_eq!(
        kept,
        [(true, 1), (false, 1), (false, 1), (true, 4), (false, 4)],
        "{stored:?}"
    );
    for (revision, expected) in [(1, &draft[0]), (3, &public), (5, &corrected)] {
        let mut request = get_request("articles/once", View::Desk);
        request.revision = Some(revision);
        let found = get_record(client, request).await.unwrap();
        let found = found.record.unwrap();
        assert_eq!(content(&found), content(expected), "revision {revision}");
    }
    assert!(are_tallies_correct(&mut sql).await);
    assert_eq!(broken_rows(&mut sql).await, [""; 0]);
    server.stop().await;
}

#[tokio::test]
async fn f5_what_stays_of_a_compacted_log_takes_over_the_contents_of_what_goes() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let retracted = create_published(client, &article("retracted")).await;
    let retracted = commit_one(client, retract(&retracted, "all wrong", false)).await;
    let public = create_published(client, &article("public")).await;
    let (desk, _) = feed_heads(&server.url).await;
    let before = [&retracted, &public].map(content);
    compact(&server, desk, false).await;
    // Half of the rows of `public` lie before the point, and the newer one is its own.
    assert_eq!(
        places(&mut sql, "articles/retracted").await,
        at(&[("retracted", 3)])
    );
    compact(&server, desk + 1, false).await;
    assert_eq!(
        places(&mut sql, "articles/public").await,
        at(&[("published", 2)])
    );
    let after = [
        desk_record(client, "articles/retracted").await,
        desk_record(client, "articles/public").await,
    ];
    assert_eq!(after.each_ref().map(content), before);
    // A later change points at the heir.
    commit_one(client, retract(&after[1], "also wrong", false)).await;
    let places = places(&mut sql, "articles/public").await;
    assert_eq!(places, at(&[("published", 2), ("retracted", 2)]));
    assert!(are_tallies_correct(&mut sql).await);
    assert_eq!(broken_rows(&mut sql).await, [""; 0]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f5_no_pointer_leads_nowhere_when_the_log_is_compacted_while_records_are_published() {
    let server = start_server_with_base().await;
    let (client, stop) = (server.client.clone(), CancellationToken::new());
    let stopped = stop.clone();
    let writing = tokio::spawn(async move {
        for number in 0.. {
            let public = create_published(&client, &article(&format!("busy-{number}"))).await;
            commit_one(&client, retract(&public, "all wrong", false)).await;
            if stopped.is_cancelled() {
                return number;
            }
        }
        0
    });
    for _ in 0..40 {
        let (desk, _) = feed_heads(&server.url).await;
        compact(&server, desk + 1, false).await;
    }
    stop.cancel();
    assert!(writing.await.unwrap() > 0, "somebody wrote");
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    assert_eq!(broken_rows(&mut sql).await, [""; 0]);
    assert!(are_tallies_correct(&mut sql).await);
    server.stop().await;
}

/// Salt, previous and commitment of a change on the wire.
type Opening = (Option<Vec<u8>>, Option<i64>, Vec<u8>, i16);

/// The same after its sequence on the wire.
type OpeningRow = (i64, Option<Vec<u8>>, Option<i64>, Vec<u8>, i16);

async fn openings(sql: &mut PgConnection) -> HashMap<i64, Opening> {
    let rows: Vec<OpeningRow> = sqlx::query_as(
        "SELECT wire_sequence, salt, previous, commitment, slot FROM changes WHERE wire_sequence IS NOT NULL",
    )
    .fetch_all(sql)
    .await
    .unwrap();
    let rows = rows.into_iter();
    rows.map(|(sequence, salt, previous, commitment, slot)| {
        (sequence, (salt, previous, commitment, slot))
    })
    .collect()
}

/// Returns the commitment to what a reader was told. An erasure comes without a record: its tombstone is read.
async fn commitment(
    client: &Client,
    feed: &str,
    change: &Change,
    previous: Option<i64>,
    salt: &[u8],
) -> [u8; 32] {
    let salt: &[u8; SALT_BYTES] = salt.try_into().unwrap();
    let record = match &change.record {
        Some(record) => record.clone(),
        None => find_record(client, &change.name, View::Published)
            .await
            .unwrap(),
    };
    let mut meta = record.kind.clone().unwrap().take_meta().unwrap();
    meta.sequence = 0;
    let statement = Statement {
        feed,
        name: &change.name,
        kind: change.kind(),
        change_type: change.r#type(),
        state: meta.state(),
        revision: Revision::new(change.revision),
        previous,
        accepted_at: instant(change.time.unwrap()).unwrap(),
        note: &change.note,
        changed_fields: &change.changed_fields,
        merged_into: &change.merged_into,
        content: &content(&record),
        meta: &meta.encode_to_vec(),
        salt,
    };
    statement.commitment()
}

#[tokio::test]
async fn w8_every_change_on_the_wire_opens_its_commitment_and_names_the_one_before() {
    let server = start_server_with_base().await;
    live(&server).await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let wire = get_feed(&server, View::Published).await;
    let openings = openings(&mut sql).await;
    let changes = feeds(&server).await.remove(&View::Published).unwrap();
    let (mut opened, mut erased, mut newest) = (0, 0, HashMap::new());
    for change in &changes {
        let (salt, previous, committed, in_slot) = &openings[&change.sequence];
        let before = newest.insert(change.name.clone(), change.sequence);
        assert_eq!(*previous, before, "{change:?}");
        assert_eq!(*in_slot, i16::from(slot(&change.name)));
        let Some(salt) = salt else {
            erased += 1;
            continue;
        };
        let opens = commitment(&server.client, &wire.feed, change, *previous, salt).await;
        assert_eq!(committed, &opens, "{change:?}");
        opened += 1;
    }
    // A publication of each kind was erased.
    assert_eq!((erased, opened), (4, changes.len() - 4));
    let salts = openings.values().filter_map(|(salt, ..)| salt.as_ref());
    let salts: std::collections::HashSet<_> = salts.collect();
    assert_eq!(salts.len(), opened, "no salt is used twice");
    let drafts: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM changes
         WHERE wire_sequence IS NULL AND (commitment IS NOT NULL OR salt IS NOT NULL OR previous IS NOT NULL)",
    )
    .fetch_one(&mut sql)
    .await
    .unwrap();
    assert_eq!(
        drafts, 0,
        "nothing commits to what readers do not see (F10)"
    );
    assert!(Uuid::parse_str(&wire.feed).is_ok());
    assert_eq!(broken_rows(&mut sql).await, [""; 0]);
    server.stop().await;
}

#[tokio::test]
async fn w11_an_erasure_takes_contents_and_salts_and_leaves_commitments() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let loser = create_published(client, &actor("loser")).await;
    let winner = create_published(client, &actor("winner")).await;
    let merged = commit_one(client, merge(&loser, &winner)).await;
    let before = openings(&mut sql).await;
    commit_one(client, purge(&merged, false)).await;
    let after = openings(&mut sql).await;
    let gone: Vec<i64> = sqlx::query_scalar(
        "SELECT wire_sequence FROM changes
         WHERE wire_sequence IS NOT NULL AND name = 'actors/loser' AND type <> 'purged' ORDER BY 1",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(gone.len(), 2);
    for (sequence, (salt, previous, commitment, slot)) in before {
        let left = (None, previous, commitment.clone(), slot);
        if gone.contains(&sequence) {
            assert_eq!(after[&sequence], left);
        } else {
            // The note of a merge goes from the other record too, and with it what would confirm a guess.
            let kept = (salt, previous, commitment, slot);
            assert!([left, kept].contains(&after[&sequence]), "{sequence}");
        }
    }
    let blanked: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM changes WHERE name = 'actors/winner' AND wire_sequence IS NOT NULL AND salt IS NULL",
    )
    .fetch_one(&mut sql)
    .await
    .unwrap();
    let without_note: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM changes WHERE name = 'actors/winner' AND type = 'corrected' AND note = ''",
    )
    .fetch_one(&mut sql)
    .await
    .unwrap();
    assert_eq!(blanked, without_note);
    let places = places(&mut sql, "actors/loser").await;
    assert!(
        places.iter().zip(1..).all(|((_, at), own)| *at == own),
        "{places:?}"
    );
    assert!(are_tallies_correct(&mut sql).await);
    assert_eq!(broken_rows(&mut sql).await, [""; 0]);
    server.stop().await;
}
