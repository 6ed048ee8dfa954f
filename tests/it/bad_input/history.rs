//! Rows about history: forged cursors, sequences that do not exist or were dropped, revisions, and compaction by
//! operators.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use dateline_proto::v1::{
    CompactFeedRequest, DeleteRecordRequest, DiffRevisionsRequest, ExportRequest, ForkFeedRequest,
    GetRecordRequest, ListRecordsRequest, ListRevisionsRequest, Record, RecordFilter,
    RestoreRecordRequest, State, View, WatchRequest, compact_feed_request::Before,
    watch_request::Start,
};
use dateline_record::mac::{sign, split};
use prost_types::{Duration, Timestamp};
use serde_json::json;
use tonic::Code;

use super::{
    BadRequest, ExpectedError, Row, actor, answer, evidence, gold_server, invalid, names::make,
    prove, record, with,
};
use crate::support::{
    builders::{purge, version},
    editing,
    editing::{commit_ok, commit_one, create_published, desk_record},
    records::{meta, name},
    server::TestServer,
    watch::{watch_from_beginning, watch_from_cursor},
};

/// A cursor with another payload and a valid seal: the key derives from the cursor's own content.
fn forged(good: &str, change: impl FnOnce(&mut Vec<u8>) -> u8) -> String {
    let (_, token) = split(good).unwrap();
    let mut payload = token.payload().to_vec();
    let key = blake3::derive_key("dateline.v1 cursor", &payload[..16]);
    let version = change(&mut payload);
    sign(&key, version, &payload)
}

/// Bytes 25 to 33 of a position are its sequence.
fn at(good: &str, sequence: u64) -> String {
    forged(good, |payload| {
        payload[25..33].copy_from_slice(&sequence.to_be_bytes());
        1
    })
}

/// The same position in a snapshot, after a name that may be invalid.
fn in_snapshot(good: &str, after: &[u8]) -> String {
    forged(good, |payload| {
        let hash = blake3::hash(b"");
        payload.extend_from_slice(&hash.as_bytes()[..8]);
        payload.extend_from_slice(after);
        2
    })
}

fn resume(cursor: &str) -> BadRequest {
    BadRequest::Watch(watch_from_cursor(View::Published, cursor))
}

fn resume_request(cursor: &str) -> BadRequest {
    BadRequest::Export(ExportRequest {
        view: View::Published.into(),
        cursor: cursor.to_owned(),
        ..ExportRequest::default()
    })
}

async fn cursor(server: &TestServer) -> String {
    let mut stream =
        crate::support::watch::open_watch(&server.client, watch_from_beginning(View::Published))
            .await;
    crate::support::replica::next_response(&mut stream)
        .await
        .cursor
}

#[tokio::test]
async fn r5_a_cursor_that_somebody_sealed_himself_gets_no_further_than_one_that_was_given() {
    let server = gold_server().await;
    let good = cursor(&server).await;
    let ahead = || {
        answer(
            Code::OutOfRange,
            "CURSOR_IN_FUTURE",
            "the feed's head is 47",
        )
    };
    let foreign = || answer(Code::FailedPrecondition, "CURSOR_FOREIGN", "begin anew");
    let none = || invalid("INVALID_CURSOR", "cursor", "not a cursor");
    let row = |id, sent, answer: ExpectedError| Row { id, sent, answer };
    let another = |place: usize| {
        forged(&good, |payload| {
            payload[place] ^= 1;
            1
        })
    };
    let older = |version: u8| forged(&good, |_| version);
    let short = forged(&good, |payload| {
        payload.truncate(20);
        1
    });
    let mut rows = vec![
        row("R5", resume(&at(&good, 48)), ahead()),
        row(
            "#100",
            resume(&at(&good, i64::MAX.cast_unsigned() + 1)),
            ahead(),
        ),
        row("#100", resume(&at(&good, u64::MAX)), ahead()),
        // Of another epoch, and of the other view.
        row("#101", resume(&another(24)), foreign()),
        row("#101", resume(&another(16)), foreign()),
        row("R5", resume(&older(0)), none()),
        row("R5", resume(&older(9)), none()),
        row("R5", resume(&short), none()),
        row("R4", resume(&(URL_SAFE_NO_PAD.encode([1; 12]))), none()),
    ];
    for after in [&b"a\0"[..], b"actors/nato'; --", b"\xff", b"actors/"] {
        rows.push(row("#122", resume(&in_snapshot(&good, after)), none()));
        rows.push(row(
            "#122",
            resume_request(&in_snapshot(&good, after)),
            none(),
        ));
    }
    prove(&server, rows).await;
    server.stop().await;
}

/// An actor with a source, so that it can be published.
fn cited(name: &str) -> Record {
    record(&actor(with(json!({"name": name}), evidence(json!({})))))
}

fn get(as_of: Option<i64>, revision: Option<i64>) -> BadRequest {
    BadRequest::Get(GetRecordRequest {
        name: "actors/nato".to_owned(),
        as_of,
        revision,
        ..GetRecordRequest::default()
    })
}

fn compact(before: Option<Before>) -> BadRequest {
    BadRequest::Compact(CompactFeedRequest {
        before,
        validate_only: false,
    })
}

#[tokio::test]
async fn r14_what_was_at_a_sequence_is_told_or_refused_and_never_guessed() {
    let server = gold_server().await;
    // A revision that a compaction drops.
    let first = create_published(&server.client, &cited("actors/edited")).await;
    let edited = editing::with_text(&first, "better");
    commit_one(
        &server.client,
        editing::correct(&edited, &[], "said better"),
    )
    .await;
    let refused = |id, sent, field: &str, words: &str| Row {
        id,
        sent,
        answer: invalid("INVALID_REQUEST", field, words),
    };
    let revisions = |from_revision, to_revision| {
        BadRequest::Diff(DiffRevisionsRequest {
            name: "actors/nato".to_owned(),
            from_revision,
            to_revision,
            ..DiffRevisionsRequest::default()
        })
    };
    let absent = || {
        answer(
            Code::NotFound,
            "RECORD_NOT_FOUND",
            "there is no record actors/nato",
        )
    };
    prove(
        &server,
        vec![
            refused("R14", get(Some(0), None), "as_of", "must be at least 1"),
            refused("R14", get(Some(-1), None), "as_of", "must be at least 1"),
            refused("R14", get(Some(1000), None), "as_of", "ahead of the feed"),
            refused(
                "#70",
                get(Some(i64::MAX), None),
                "as_of",
                "ahead of the feed",
            ),
            refused("#70", get(None, Some(0)), "revision", "must be at least 1"),
            refused("#70", get(None, Some(-1)), "revision", "must be at least 1"),
            refused("#70", get(Some(1), Some(1)), "as_of", "one or the other"),
            refused(
                "#70",
                revisions(0, 1),
                "from_revision",
                "must be at least 1",
            ),
            refused("#70", revisions(1, -1), "to_revision", "must be at least 1"),
            Row {
                id: "#70",
                sent: get(None, Some(i64::MAX)),
                answer: absent(),
            },
            Row {
                id: "#70",
                sent: revisions(1, i64::MAX),
                answer: absent(),
            },
        ],
    )
    .await;
    let head = editing::feed_heads(&server.url).await.0;
    compact(Some(Before::DeskSequence(head)))
        .send(&server)
        .await
        .unwrap();
    let gone = || answer(Code::OutOfRange, "CURSOR_EXPIRED", "no longer kept");
    let dropped = |id, as_of| Row {
        id,
        sent: get(Some(as_of), None),
        answer: gone(),
    };
    prove(&server, vec![dropped("R14", 1), dropped("#70", 40)]).await;
    get(Some(editing::feed_heads(&server.url).await.1), None)
        .send(&server)
        .await
        .expect("the newest is kept");
    server.stop().await;
}

#[tokio::test]
async fn c139_history_is_dropped_up_to_a_point_that_there_is() {
    let server = gold_server().await;
    let row = |sent, field: &str, words: &str| Row {
        id: "#139",
        sent,
        answer: invalid("INVALID_REQUEST", field, words),
    };
    let sequence = |sequence| compact(Some(Before::DeskSequence(sequence)));
    let time = |seconds, nanos| compact(Some(Before::Time(Timestamp { seconds, nanos })));
    let fork = |feed: &str| {
        BadRequest::Fork(ForkFeedRequest {
            feed: feed.to_owned(),
        })
    };
    let other = "0755f1cf-eb93-728c-bfc4-65fa001ae9ed";
    prove(
        &server,
        vec![
            row(sequence(0), "desk_sequence", "must be at least 1"),
            row(sequence(-1), "desk_sequence", "must be at least 1"),
            row(sequence(96), "desk_sequence", "ahead of the feed"),
            row(sequence(1_000_000), "desk_sequence", "ahead of the feed"),
            row(sequence(i64::MAX), "desk_sequence", "ahead of the feed"),
            row(compact(None), "", "set one before"),
            row(time(i64::MAX, 0), "time", "0001 to 9999"),
            row(time(0, -1), "time", "0001 to 9999"),
            row(time(253_402_300_799, 0), "time", "is in the future"),
            row(fork(other), "feed", "is not the id of this feed"),
            row(fork("\0"), "feed", "null character"),
        ],
    )
    .await;
    // Nothing was dropped: a stream still begins with the first change.
    let first =
        crate::support::watch::read_changes(&server, watch_from_beginning(View::Desk), 1).await;
    assert_eq!(first[0].sequence, 1);
    server.stop().await;
}

#[tokio::test]
async fn d16_times_and_ages_that_cannot_be_are_refused_by_streams() {
    let server = gold_server().await;
    let watch = |start, max_age| {
        BadRequest::Watch(WatchRequest {
            start,
            max_age,
            consumer: dateline_proto::v1::Consumer::Notifier.into(),
            ..watch_from_beginning(View::Published)
        })
    };
    let time = |seconds, nanos| watch(Some(Start::Time(Timestamp { seconds, nanos })), None);
    let age = |seconds, nanos| watch(None, Some(Duration { seconds, nanos }));
    let row = |id, sent, field: &str, words: &str| Row {
        id,
        sent,
        answer: invalid("INVALID_REQUEST", field, words),
    };
    prove(
        &server,
        vec![
            row("D16", time(i64::MAX, 0), "time", "0001 to 9999"),
            row("D16", time(-62_135_596_801, 0), "time", "0001 to 9999"),
            row("#53", time(0, -1), "time", "0001 to 9999"),
            row("#53", time(0, i32::MAX), "time", "0001 to 9999"),
            row("#53", time(253_402_300_799, 0), "time", "in the future"),
            row("#53", age(-1, 0), "max_age", "0 to 10,000 years"),
            row("#53", age(i64::MAX, 0), "max_age", "0 to 10,000 years"),
            row("#53", age(0, -1), "max_age", "0 to 10,000 years"),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn c94_what_is_gone_is_gone_and_is_not_brought_back() {
    let server = gold_server().await;
    let client = &server.client;
    let draft = make(&server, &actor(json!({"name": "actors/once"}))).await;
    let delete = || {
        BadRequest::Delete(DeleteRecordRequest {
            name: name(&draft).to_owned(),
            etag: meta(&draft).etag,
            ..DeleteRecordRequest::default()
        })
    };
    delete().send(&server).await.unwrap();
    let erased = create_published(client, &cited("actors/erased")).await;
    commit_ok(client, vec![purge(&erased, false)]).await;
    let erased = desk_record(client, "actors/erased").await;
    let live = desk_record(client, "actors/nato").await;
    let restore = |record, revision| {
        BadRequest::Restore(RestoreRecordRequest {
            record: Some(record),
            revision,
            note: "back".to_owned(),
            ..RestoreRecordRequest::default()
        })
    };
    let no = |id, sent, name: &str| Row {
        id,
        sent,
        answer: answer(
            Code::NotFound,
            "RECORD_NOT_FOUND",
            &format!("there is no record {name}"),
        ),
    };
    prove(
        &server,
        vec![
            no("#94", delete(), "actors/once"),
            no("#95", restore(version(&draft), 1), "actors/once"),
            Row {
                id: "#95",
                sent: restore(version(&erased), 1),
                answer: answer(
                    Code::FailedPrecondition,
                    "WRONG_STATE",
                    "what was retracted stays so",
                ),
            },
            Row {
                id: "#95",
                sent: restore(version(&live), 99),
                answer: invalid("INVALID_RECORD", "revision", "there is no such revision"),
            },
            no(
                "#66",
                BadRequest::Revisions(ListRevisionsRequest {
                    name: "actors/nobody".to_owned(),
                    ..ListRevisionsRequest::default()
                }),
                "actors/nobody",
            ),
        ],
    )
    .await;
    server.stop().await;
}

#[tokio::test]
async fn c79_a_reader_who_asks_for_what_is_hidden_gets_what_is_not_there() {
    let server = gold_server().await;
    let unseen = [State::Draft, State::InReview, State::Embargoed];
    let ask = async |state: State, view: View| {
        let filter = RecordFilter {
            states: vec![state.into()],
            ..RecordFilter::default()
        };
        let request = ListRecordsRequest {
            filter: Some(filter),
            view: view.into(),
            ..ListRecordsRequest::default()
        };
        let mut records = server.client.records.clone();
        records.list_records(request).await.unwrap().into_inner()
    };
    let mut before = Vec::new();
    for state in unseen {
        before.push(ask(state, View::Published).await);
    }
    let made = ["draft", "review", "hidden"].map(|id| json!({"name": format!("actors/{id}")}));
    let mut drafts = Vec::new();
    for fields in made {
        drafts.push(make(&server, &actor(with(fields, evidence(json!({}))))).await);
    }
    commit_one(&server.client, editing::submit(&drafts[1])).await;
    let until = editing::timestamp_in_ms(3_600_000);
    commit_one(&server.client, editing::publish_at(&drafts[2], Some(until))).await;
    for (state, before) in unseen.into_iter().zip(before) {
        assert_eq!(ask(state, View::Published).await, before, "{state:?}");
        assert_eq!(ask(state, View::Desk).await.records.len(), 1, "{state:?}");
    }
    server.stop().await;
}
