//! Domain rule 6: approved but embargoed records. Nobody sees one before its time; everybody sees it once, and in time,
//! after.

mod answers;

use dateline_proto::v1::{
    BatchGetRecordsRequest, Change, DiffRevisionsRequest, GetRecordRequest, Kind,
    ListRecordsRequest, ListRevisionsRequest, PublishRecordsRequest, Record, RecordFilter,
    SendBackRecordsRequest, State, SubmitRecordsRequest, View, change::Type,
};
use prost_types::Timestamp;
use tonic::{Code, Status};

use crate::support::{
    editing::*,
    server::{TestServer, config, start_server_with},
    watch::{read_changes, watch_from_beginning},
};

/// An hour ahead: longer than any test.
const LATER: i64 = 3_600_000;

/// Creates a record under embargo until a time.
async fn hidden(server: &TestServer, record: &Record, until: Timestamp) -> Record {
    let draft = create_drafts(&server.client, std::slice::from_ref(record))
        .await
        .swap_remove(0);
    commit_one(&server.client, publish_at(&draft, Some(until))).await
}

/// The publications of a record on the wire feed.
fn published<'a>(wire: &'a [Change], name: &str) -> Vec<&'a Change> {
    let changes = wire.iter().filter(|change| change.name == name);
    changes
        .filter(|change| change.r#type() == Type::Published)
        .collect()
}

fn nanos(time: Timestamp) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embargo_ends_once_and_within_a_second_with_two_servers_running() {
    let servers = start_two_servers_with_base().await;
    let mut due = Vec::new();
    for (n, after) in (0..20).zip((1500..).step_by(37)) {
        let record = record_of_kind(KINDS[n % 4], &format!("due-{n}"));
        due.push(hidden(&servers[n % 2], &record, timestamp_in_ms(after)).await);
    }
    let wire = read_changes(
        &servers[0],
        watch_from_beginning(View::Published),
        3 + due.len(),
    )
    .await;
    for record in &due {
        let [only] = published(&wire, name(record))[..] else {
            panic!("{} was published more than once", name(record))
        };
        let late = nanos(only.time.unwrap()) - nanos(meta(record).embargo_time.unwrap());
        assert!(
            (0..1_000_000_000).contains(&late),
            "{} came {late} ns late",
            name(record)
        );
        let seen = meta(only.record.as_ref().unwrap());
        assert_eq!(
            (seen.state(), seen.embargo_time),
            (State::Published, meta(record).embargo_time)
        );
        assert_eq!(seen.publish_time, only.time);
    }
    // No second publication follows.
    for round in 0..3 {
        create_drafts(&servers[0].client, &[actor(&format!("tick-{round}"))]).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert_eq!(feed_heads(&servers[0].url).await.1, 3 + 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embargo_that_ended_while_no_server_ran_ends_when_one_starts() {
    let server = start_server_with_base().await;
    let secret = hidden(&server, &actor("overdue"), timestamp_in_ms(700)).await;
    let url = server.url.clone();
    server.stop().await;
    let until = nanos(meta(&secret).embargo_time.unwrap());
    let now = || time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    while now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(feed_heads(&url).await.1, 3);
    let server = start_server_with(config(&url)).await;
    let started = now();
    let wire = read_changes(&server, watch_from_beginning(View::Published), 4).await;
    let late = nanos(published(&wire, "actors/overdue")[0].time.unwrap()) - started;
    assert!(late < 1_000_000_000, "{late} ns after the start");
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_what_was_embargoed_together_comes_out_as_one_batch() {
    let server = start_server_with_base().await;
    let mut meeting = event("meeting");
    as_event(&mut meeting).participants[0].actor = "actors/host".into();
    let drafts = create_drafts(
        &server.client,
        &[meeting, actor("host"), article("report"), relation("tie")],
    )
    .await;
    let request = PublishRecordsRequest {
        records: drafts.iter().map(version).collect(),
        embargo_time: Some(timestamp_in_ms(600)),
        ..PublishRecordsRequest::default()
    };
    let answer = server.client.publish(request).await.unwrap();
    assert_eq!(answer.wire_sequence, 0);
    let wire = read_changes(&server, watch_from_beginning(View::Published), 7).await;
    assert!(
        wire[3..]
            .iter()
            .all(|it| it.batch == 7 && it.r#type() == Type::Published)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_large_batch_comes_out_whole_though_something_else_was_due_before() {
    let server = start_server_with_base().await;
    let count = 1000;
    let events: Vec<_> = (0..count).map(|n| event(&format!("e-{n:04}"))).collect();
    let drafts = create_drafts(&server.client, &events).await;
    let others = create_drafts(&server.client, &[actor("aa"), actor("ab"), actor("ac")]).await;
    let until = timestamp_in_ms(6000);
    let before = Timestamp {
        seconds: until.seconds,
        nanos: 0,
    };
    let writes = others.iter().map(|other| publish_at(other, Some(before)));
    commit_ok(&server.client, writes.collect()).await;
    let writes = drafts.iter().map(|draft| publish_at(draft, Some(until)));
    let answer = commit_ok(&server.client, writes.collect()).await;
    assert_eq!(answer.records.len(), count);
    let url = server.url.clone();
    server.stop().await;
    let due = nanos(until);
    while time::OffsetDateTime::now_utc().unix_timestamp_nanos() < due {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let server = start_server_with(config(&url)).await;
    let wire = read_changes(
        &server,
        watch_from_beginning(View::Published),
        3 + 3 + count,
    )
    .await;
    let batches: std::collections::BTreeSet<_> = wire
        .iter()
        .filter(|it| it.name.starts_with("events/"))
        .map(|it| it.batch)
        .collect();
    assert_eq!(batches.len(), 1, "{batches:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embargo_is_moved_lifted_and_sent_back() {
    let server = start_server_with_base().await;
    let client = &server.client;
    for kind in KINDS {
        let moved = hidden(
            &server,
            &record_of_kind(kind, "moved"),
            timestamp_in_ms(LATER),
        )
        .await;
        let sooner = commit_one(client, publish_at(&moved, Some(timestamp_in_ms(400)))).await;
        assert_eq!(
            (state(&sooner), meta(&sooner).revision),
            (State::Embargoed, 3)
        );
        let same = commit_one(client, publish_at(&sooner, meta(&sooner).embargo_time)).await;
        assert_eq!(same, sooner, "the same time again is no change");
        wait_until("the moved one is out", async || {
            find_record(client, name(&moved), View::Published)
                .await
                .is_some()
        })
        .await;
        let lifted = hidden(
            &server,
            &record_of_kind(kind, "lifted"),
            timestamp_in_ms(LATER),
        )
        .await;
        let public = commit_one(client, publish(&lifted)).await;
        assert_eq!(
            (state(&public), meta(&public).embargo_time),
            (State::Published, meta(&lifted).embargo_time)
        );
        let back = hidden(
            &server,
            &record_of_kind(kind, "back"),
            timestamp_in_ms(1000),
        )
        .await;
        let draft = commit_one(client, send_back(&back, "not yet")).await;
        assert_eq!(
            (state(&draft), meta(&draft).embargo_time),
            (State::Draft, None)
        );
        for write in [
            update(&with_text(&lifted, "x"), &[]),
            correct(&with_text(&public, "x"), &["name"], "x"),
        ] {
            commit_err(client, vec![write]).await;
        }
        let past = create_drafts(client, &[record_of_kind(kind, "past")])
            .await
            .swap_remove(0);
        let public = commit_one(client, publish_at(&past, Some(timestamp_in_ms(-1000)))).await;
        assert_eq!(
            (state(&public), meta(&public).embargo_time),
            (State::Published, None)
        );
        let answer = commit_err(
            client,
            vec![publish_at(&public, Some(timestamp_in_ms(LATER)))],
        )
        .await;
        answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
    }
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    for kind in KINDS {
        let back = record_of_kind(kind, "back");
        assert_eq!(
            state(&desk_record(client, name(&back)).await),
            State::Draft,
            "it stays a draft"
        );
    }
}

#[tokio::test]
async fn a_time_that_is_none_or_out_of_reach_is_refused() {
    let server = start_server_with_base().await;
    let draft = create_drafts(&server.client, &[actor("far")])
        .await
        .swap_remove(0);
    let seconds = |seconds: i64, nanos: i32| Some(Timestamp { seconds, nanos });
    let years = |years: i64| timestamp_in_ms(0).seconds + years * 31_557_600;
    for time in [
        seconds(years(11), 0),
        seconds(i64::MAX, 0),
        seconds(i64::MIN, 0),
        seconds(years(1), -1),
        seconds(years(1), 1_000_000_000),
    ] {
        let answer = commit_err(&server.client, vec![publish_at(&draft, time)]).await;
        answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
        assert_eq!(
            answer.fields(),
            ["writes[0].publish.embargo_time"],
            "{time:?}"
        );
        let request = PublishRecordsRequest {
            records: vec![version(&draft)],
            embargo_time: time,
            ..PublishRecordsRequest::default()
        };
        let answer = RpcError::from(server.client.publish(request).await.unwrap_err());
        assert_eq!(answer.fields(), ["embargo_time"]);
    }
    assert_eq!(
        state(&commit_one(&server.client, publish_at(&draft, seconds(years(9), 0))).await),
        State::Embargoed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_at_its_time_holds_nobody_up_and_goes_once_it_can() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let source = hidden(&server, &article("late-source"), timestamp_in_ms(1200)).await;
    let stuck = with_evidence(
        &actor("stuck"),
        vec![evidence_quoting("articles/late-source")],
    );
    let stuck = hidden(&server, &stuck, timestamp_in_ms(1200)).await;
    let mut behind = event("behind");
    as_event(&mut behind).participants[0].actor = "actors/stuck".into();
    hidden(&server, &behind, timestamp_in_ms(1200)).await;
    hidden(&server, &actor("free"), timestamp_in_ms(1200)).await;
    // Its source is sent back in the meantime.
    let source = commit_one(client, send_back(&source, "wait")).await;
    wait_until("the free one is out", async || {
        find_record(client, "actors/free", View::Published)
            .await
            .is_some()
    })
    .await;
    assert_eq!(
        find_record(client, "actors/stuck", View::Published).await,
        None
    );
    assert_eq!(
        find_record(client, "events/behind", View::Published).await,
        None
    );
    assert_eq!(
        state(&desk_record(client, "actors/stuck").await),
        State::Embargoed
    );
    // Sent back, repaired and embargoed again, it is published in time.
    let draft = commit_one(client, send_back(&stuck, "another source")).await;
    let repaired = commit_one(
        client,
        update(&with_evidence(&draft, vec![evidence_quoting(SOURCE)]), &[]),
    )
    .await;
    let again = commit_one(client, publish_at(&repaired, Some(timestamp_in_ms(500)))).await;
    let due = nanos(meta(&again).embargo_time.unwrap());
    wait_until("the repaired one is out", async || {
        find_record(client, "actors/stuck", View::Published)
            .await
            .is_some()
    })
    .await;
    let seen = find_record(client, "actors/stuck", View::Published)
        .await
        .unwrap();
    let late = nanos(meta(&seen).publish_time.unwrap()) - due;
    assert!((0..1_000_000_000).contains(&late), "{late} ns late");
    // The record that depends on it is published, too.
    wait_until("what waited is out", async || {
        find_record(client, "events/behind", View::Published)
            .await
            .is_some()
    })
    .await;
    assert_eq!(state(&source), State::Draft);
}

#[tokio::test]
async fn an_embargo_may_rest_on_one_that_ends_no_later_and_on_no_other() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let early = hidden(&server, &article("early"), timestamp_in_ms(LATER)).await;
    let time = meta(&early).embargo_time.unwrap();
    let facts = ["same", "after", "before", "now"]
        .map(|id| with_evidence(&actor(id), vec![evidence_quoting("articles/early")]));
    let drafts = create_drafts(client, &facts).await;
    let at = |seconds: i64| {
        Some(Timestamp {
            seconds: time.seconds + seconds,
            ..time
        })
    };
    for (draft, time) in [(&drafts[0], at(0)), (&drafts[1], at(10))] {
        assert_eq!(
            state(&commit_one(client, publish_at(draft, time)).await),
            State::Embargoed
        );
    }
    for (draft, time) in [(&drafts[2], at(-10)), (&drafts[3], None)] {
        let answer = commit_err(client, vec![publish_at(draft, time)]).await;
        answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    }
    // The same for a source in the same request.
    let fact = with_evidence(&actor("with"), vec![evidence_quoting("articles/with")]);
    let pair = create_drafts(client, &[article("with"), fact]).await;
    let together = |seconds| {
        vec![
            publish_at(&pair[0], at(seconds)),
            publish_at(&pair[1], at(0)),
        ]
    };
    let answer = commit_err(client, together(10)).await;
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    commit_ok(client, together(-10)).await;
}

#[tokio::test]
async fn reviews_go_to_and_fro_by_their_own_calls() {
    let server = start_server_with_base().await;
    let drafts = create_drafts(
        &server.client,
        &KINDS.map(|kind| record_of_kind(kind, "review")),
    )
    .await;
    let request = SubmitRecordsRequest {
        records: drafts.iter().map(version).collect(),
        ..SubmitRecordsRequest::default()
    };
    let mut editorial = server.client.clone().editorial;
    let answer = editorial
        .submit_records(request)
        .await
        .unwrap()
        .into_inner();
    assert!(
        answer
            .records
            .iter()
            .all(|record| state(record) == State::InReview)
    );
    let request = SendBackRecordsRequest {
        records: answer.records.iter().map(version).collect(),
        note: "a source, please".into(),
        omit_content: true,
        ..SendBackRecordsRequest::default()
    };
    let answer = editorial
        .send_back_records(request)
        .await
        .unwrap()
        .into_inner();
    assert!(
        answer
            .records
            .iter()
            .all(|record| state(record) == State::Draft && text(record).is_empty())
    );
    assert_eq!((answer.sequence, answer.wire_sequence), (6 + 3 * 4, 0));
    let desk = read_changes(&server, watch_from_beginning(View::Desk), 18).await;
    assert!(desk[14..].iter().all(|it| it.r#type() == Type::Returned
        && it.note == "a source, please"
        && it.batch == 18));
    let kinds: Vec<_> = desk[14..].iter().map(Change::kind).collect();
    assert_eq!(
        kinds,
        [Kind::Article, Kind::Actor, Kind::Relation, Kind::Event]
    );
}
