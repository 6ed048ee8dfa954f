//! Domain rule 6: approved but embargoed records. Nobody sees one before its time; everybody sees it once, and in time,
//! after.

use dateline_proto::v1::{
    BatchGetRecordsRequest, Change, DiffRevisionsRequest, GetRecordRequest, Kind,
    ListRecordsRequest, ListRevisionsRequest, PublishRecordsRequest, Record, RecordFilter,
    SendBackRecordsRequest, State, SubmitRecordsRequest, View, change::Type,
};
use prost_types::Timestamp;
use tonic::{Code, Status};

use super::hands::*;
use crate::{
    gold::{changes, from_beginning, version},
    rig::{Site, config, meta, name, site_on},
};

/// An hour ahead: longer than any test.
const LATER: i64 = 3_600_000;

/// Creates a record under embargo until a time.
async fn hidden(site: &Site, record: &Record, until: Timestamp) -> Record {
    let draft = make(&site.client, std::slice::from_ref(record))
        .await
        .swap_remove(0);
    one(&site.client, publish_at(&draft, Some(until))).await
}

/// Code, message and details of a status, without the requested name.
fn told(status: &Status, name: &str) -> (Code, String, String) {
    let id = name.split_once('/').unwrap().1;
    let details = String::from_utf8_lossy(status.details()).replace(id, "x");
    // Lengths of strings in the details vary with the name; the rest does not.
    let details = details.chars().filter(char::is_ascii_graphic).collect();
    (status.code(), status.message().replace(id, "x"), details)
}

/// The answers to every way in which a reader can request a record by its name.
async fn answers(site: &Site, name: &str) -> Vec<(Code, String, String)> {
    let mut records = site.client.clone().records;
    let mut all = Vec::new();
    let asked = [
        get_request(name, View::Published),
        get_request(name, View::Unspecified),
        GetRecordRequest {
            no_redirect: true,
            ..get_request(name, View::Published)
        },
        GetRecordRequest {
            revision: Some(1),
            ..get_request(name, View::Published)
        },
        GetRecordRequest {
            revision: Some(2),
            ..get_request(name, View::Published)
        },
        GetRecordRequest {
            as_of: Some(3),
            ..get_request(name, View::Published)
        },
    ];
    for request in asked {
        all.push(told(&records.get_record(request).await.unwrap_err(), name));
    }
    let request = ListRevisionsRequest {
        name: name.to_owned(),
        ..ListRevisionsRequest::default()
    };
    all.push(told(
        &records.list_revisions(request).await.unwrap_err(),
        name,
    ));
    let request = DiffRevisionsRequest {
        name: name.to_owned(),
        from_revision: 1,
        to_revision: 2,
        ..DiffRevisionsRequest::default()
    };
    all.push(told(
        &records.diff_revisions(request).await.unwrap_err(),
        name,
    ));
    all
}

#[tokio::test]
async fn f10_what_is_under_embargo_answers_readers_like_what_there_is_not() {
    let site = base().await;
    let client = &site.client;
    for kind in KINDS {
        let secret = hidden(&site, &of_kind(kind, "secrt"), in_ms(LATER)).await;
        assert_eq!(
            (state(&secret), meta(&secret).sequence > 0),
            (State::Embargoed, true)
        );
        let unknown = name(&secret).replace("secrt", "nobdy");
        assert_eq!(
            answers(&site, name(&secret)).await,
            answers(&site, &unknown).await
        );
        let request = BatchGetRecordsRequest {
            names: vec![unknown.clone(), name(&secret).to_owned(), SOURCE.to_owned()],
            ..BatchGetRecordsRequest::default()
        };
        let batch = client
            .clone()
            .records
            .batch_get_records(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(batch.missing, [unknown.as_str(), name(&secret)]);
        assert_eq!(names(&batch.records), [SOURCE]);
    }
    for states in [
        vec![],
        vec![State::Embargoed, State::Draft],
        vec![State::Published, State::Embargoed],
    ] {
        let filter = RecordFilter {
            states: states.into_iter().map(Into::into).collect(),
            ..RecordFilter::default()
        };
        let request = ListRecordsRequest {
            filter: Some(filter),
            ..ListRecordsRequest::default()
        };
        let listed = client
            .clone()
            .records
            .list_records(request)
            .await
            .unwrap()
            .into_inner();
        assert!(
            names(&listed.records)
                .iter()
                .all(|name| !name.contains("secrt"))
        );
    }
    assert_eq!(heads(&site.url).await.1, 3, "the wire has no number for it");
    let wire = changes(&site, from_beginning(View::Published), 3).await;
    assert!(wire.iter().all(|change| !change.name.contains("secrt")));
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
    let sites = two_bases().await;
    let mut due = Vec::new();
    for (n, after) in (0..20).zip((1500..).step_by(37)) {
        let record = of_kind(KINDS[n % 4], &format!("due-{n}"));
        due.push(hidden(&sites[n % 2], &record, in_ms(after)).await);
    }
    let wire = changes(&sites[0], from_beginning(View::Published), 3 + due.len()).await;
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
        make(&sites[0].client, &[actor(&format!("tick-{round}"))]).await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert_eq!(heads(&sites[0].url).await.1, 3 + 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embargo_that_ended_while_no_server_ran_ends_when_one_starts() {
    let site = base().await;
    let secret = hidden(&site, &actor("overdue"), in_ms(700)).await;
    let url = site.url.clone();
    site.stop().await;
    let until = nanos(meta(&secret).embargo_time.unwrap());
    let now = || time::OffsetDateTime::now_utc().unix_timestamp_nanos();
    while now() < until {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(heads(&url).await.1, 3);
    let site = site_on(config(&url)).await;
    let started = now();
    let wire = changes(&site, from_beginning(View::Published), 4).await;
    let late = nanos(published(&wire, "actors/overdue")[0].time.unwrap()) - started;
    assert!(late < 1_000_000_000, "{late} ns after the start");
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_what_was_embargoed_together_comes_out_as_one_batch() {
    let site = base().await;
    let mut meeting = event("meeting");
    as_event(&mut meeting).participants[0].actor = "actors/host".into();
    let drafts = make(
        &site.client,
        &[meeting, actor("host"), article("report"), relation("tie")],
    )
    .await;
    let request = PublishRecordsRequest {
        records: drafts.iter().map(version).collect(),
        embargo_time: Some(in_ms(600)),
        ..PublishRecordsRequest::default()
    };
    let answer = site.client.publish(request).await.unwrap();
    assert_eq!(answer.wire_sequence, 0);
    let wire = changes(&site, from_beginning(View::Published), 7).await;
    assert!(
        wire[3..]
            .iter()
            .all(|it| it.batch == 7 && it.r#type() == Type::Published)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_a_large_batch_comes_out_whole_though_something_else_was_due_before() {
    let site = base().await;
    let count = 1000;
    let events: Vec<_> = (0..count).map(|n| event(&format!("e-{n:04}"))).collect();
    let drafts = make(&site.client, &events).await;
    let others = make(&site.client, &[actor("aa"), actor("ab"), actor("ac")]).await;
    let until = in_ms(6000);
    let before = Timestamp {
        seconds: until.seconds,
        nanos: 0,
    };
    let writes = others.iter().map(|other| publish_at(other, Some(before)));
    done(&site.client, writes.collect()).await;
    let writes = drafts.iter().map(|draft| publish_at(draft, Some(until)));
    let answer = done(&site.client, writes.collect()).await;
    assert_eq!(answer.records.len(), count);
    let url = site.url.clone();
    site.stop().await;
    let due = nanos(until);
    while time::OffsetDateTime::now_utc().unix_timestamp_nanos() < due {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let site = site_on(config(&url)).await;
    let wire = changes(&site, from_beginning(View::Published), 3 + 3 + count).await;
    let batches: std::collections::BTreeSet<_> = wire
        .iter()
        .filter(|it| it.name.starts_with("events/"))
        .map(|it| it.batch)
        .collect();
    assert_eq!(batches.len(), 1, "{batches:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embargo_is_moved_lifted_and_sent_back() {
    let site = base().await;
    let client = &site.client;
    for kind in KINDS {
        let moved = hidden(&site, &of_kind(kind, "moved"), in_ms(LATER)).await;
        let sooner = one(client, publish_at(&moved, Some(in_ms(400)))).await;
        assert_eq!(
            (state(&sooner), meta(&sooner).revision),
            (State::Embargoed, 3)
        );
        let same = one(client, publish_at(&sooner, meta(&sooner).embargo_time)).await;
        assert_eq!(same, sooner, "the same time again is no change");
        until("the moved one is out", async || {
            look(client, name(&moved), View::Published).await.is_some()
        })
        .await;
        let lifted = hidden(&site, &of_kind(kind, "lifted"), in_ms(LATER)).await;
        let public = one(client, publish(&lifted)).await;
        assert_eq!(
            (state(&public), meta(&public).embargo_time),
            (State::Published, meta(&lifted).embargo_time)
        );
        let back = hidden(&site, &of_kind(kind, "back"), in_ms(1000)).await;
        let draft = one(client, send_back(&back, "not yet")).await;
        assert_eq!(
            (state(&draft), meta(&draft).embargo_time),
            (State::Draft, None)
        );
        for write in [
            update(&saying(&lifted, "x"), &[]),
            correct(&saying(&public, "x"), &["name"], "x"),
        ] {
            refused(client, vec![write]).await;
        }
        let past = make(client, &[of_kind(kind, "past")]).await.swap_remove(0);
        let public = one(client, publish_at(&past, Some(in_ms(-1000)))).await;
        assert_eq!(
            (state(&public), meta(&public).embargo_time),
            (State::Published, None)
        );
        let answer = refused(client, vec![publish_at(&public, Some(in_ms(LATER)))]).await;
        answer.is(Code::FailedPrecondition, "WRONG_STATE");
    }
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    for kind in KINDS {
        let back = of_kind(kind, "back");
        assert_eq!(
            state(&on_desk(client, name(&back)).await),
            State::Draft,
            "it stays a draft"
        );
    }
}

#[tokio::test]
async fn a_time_that_is_none_or_out_of_reach_is_refused() {
    let site = base().await;
    let draft = make(&site.client, &[actor("far")]).await.swap_remove(0);
    let seconds = |seconds: i64, nanos: i32| Some(Timestamp { seconds, nanos });
    let years = |years: i64| in_ms(0).seconds + years * 31_557_600;
    for time in [
        seconds(years(11), 0),
        seconds(i64::MAX, 0),
        seconds(i64::MIN, 0),
        seconds(years(1), -1),
        seconds(years(1), 1_000_000_000),
    ] {
        let answer = refused(&site.client, vec![publish_at(&draft, time)]).await;
        answer.is(Code::InvalidArgument, "INVALID_RECORD");
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
        let answer = Refused::from(site.client.publish(request).await.unwrap_err());
        assert_eq!(answer.fields(), ["embargo_time"]);
    }
    assert_eq!(
        state(&one(&site.client, publish_at(&draft, seconds(years(9), 0))).await),
        State::Embargoed
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_at_its_time_holds_nobody_up_and_goes_once_it_can() {
    let site = base().await;
    let client = &site.client;
    let source = hidden(&site, &article("late-source"), in_ms(1200)).await;
    let stuck = citing(&actor("stuck"), vec![quoting("articles/late-source")]);
    let stuck = hidden(&site, &stuck, in_ms(1200)).await;
    let mut behind = event("behind");
    as_event(&mut behind).participants[0].actor = "actors/stuck".into();
    hidden(&site, &behind, in_ms(1200)).await;
    hidden(&site, &actor("free"), in_ms(1200)).await;
    // Its source is sent back in the meantime.
    let source = one(client, send_back(&source, "wait")).await;
    until("the free one is out", async || {
        look(client, "actors/free", View::Published).await.is_some()
    })
    .await;
    assert_eq!(look(client, "actors/stuck", View::Published).await, None);
    assert_eq!(look(client, "events/behind", View::Published).await, None);
    assert_eq!(
        state(&on_desk(client, "actors/stuck").await),
        State::Embargoed
    );
    // Sent back, repaired and embargoed again, it is published in time.
    let draft = one(client, send_back(&stuck, "another source")).await;
    let repaired = one(client, update(&citing(&draft, vec![quoting(SOURCE)]), &[])).await;
    let again = one(client, publish_at(&repaired, Some(in_ms(500)))).await;
    let due = nanos(meta(&again).embargo_time.unwrap());
    until("the repaired one is out", async || {
        look(client, "actors/stuck", View::Published)
            .await
            .is_some()
    })
    .await;
    let seen = look(client, "actors/stuck", View::Published).await.unwrap();
    let late = nanos(meta(&seen).publish_time.unwrap()) - due;
    assert!((0..1_000_000_000).contains(&late), "{late} ns late");
    // The record that depends on it is published, too.
    until("what waited is out", async || {
        look(client, "events/behind", View::Published)
            .await
            .is_some()
    })
    .await;
    assert_eq!(state(&source), State::Draft);
}

#[tokio::test]
async fn an_embargo_may_rest_on_one_that_ends_no_later_and_on_no_other() {
    let site = base().await;
    let client = &site.client;
    let early = hidden(&site, &article("early"), in_ms(LATER)).await;
    let time = meta(&early).embargo_time.unwrap();
    let facts = ["same", "after", "before", "now"]
        .map(|id| citing(&actor(id), vec![quoting("articles/early")]));
    let drafts = make(client, &facts).await;
    let at = |seconds: i64| {
        Some(Timestamp {
            seconds: time.seconds + seconds,
            ..time
        })
    };
    for (draft, time) in [(&drafts[0], at(0)), (&drafts[1], at(10))] {
        assert_eq!(
            state(&one(client, publish_at(draft, time)).await),
            State::Embargoed
        );
    }
    for (draft, time) in [(&drafts[2], at(-10)), (&drafts[3], None)] {
        let answer = refused(client, vec![publish_at(draft, time)]).await;
        answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    }
    // The same for a source in the same request.
    let fact = citing(&actor("with"), vec![quoting("articles/with")]);
    let pair = make(client, &[article("with"), fact]).await;
    let together = |seconds| {
        vec![
            publish_at(&pair[0], at(seconds)),
            publish_at(&pair[1], at(0)),
        ]
    };
    let answer = refused(client, together(10)).await;
    answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    done(client, together(-10)).await;
}

#[tokio::test]
async fn reviews_go_to_and_fro_by_their_own_calls() {
    let site = base().await;
    let drafts = make(&site.client, &KINDS.map(|kind| of_kind(kind, "review"))).await;
    let request = SubmitRecordsRequest {
        records: drafts.iter().map(version).collect(),
        ..SubmitRecordsRequest::default()
    };
    let mut editorial = site.client.clone().editorial;
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
    let desk = changes(&site, from_beginning(View::Desk), 18).await;
    assert!(desk[14..].iter().all(|it| it.r#type() == Type::Returned
        && it.note == "a source, please"
        && it.batch == 18));
    let kinds: Vec<_> = desk[14..].iter().map(Change::kind).collect();
    assert_eq!(
        kinds,
        [Kind::Article, Kind::Actor, Kind::Relation, Kind::Event]
    );
}
