//! The end of many embargoes: too many for one batch, records that cannot be published, and records that depend on one
//! another. A record that cannot be published delays no other, and is reported.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use dateline_proto::v1::{
    Change, GetHealthRequest, GetHealthResponse, Record, View, change::Type, record::Kind as Body,
};
use prost_types::Timestamp;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::support::{
    editing::*,
    server::{TestServer, config, start_server_with},
    watch::{read_changes, watch_from_beginning},
};

/// Maximum delay of a publication while a server is up.
const BOUND: Duration = Duration::from_secs(5);

const HOUR: i64 = 3_600_000;

const END_EMBARGOES: &str = "UPDATE records SET embargo_at = now() WHERE state = 'embargoed'";

fn nanos(time: Timestamp) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

/// Asserts that publications were committed after `due`, and no later than the bound. A machine that was too loaded to
/// write the same records as drafts within the bound has twice the time that those took.
fn assert_in_time(out: &BTreeMap<String, Change>, due: Timestamp, drafts_took: Duration) {
    let bound = BOUND.max(drafts_took * 2);
    for (name, change) in out {
        let late = nanos(change.time.unwrap()) - nanos(due);
        let in_time = 0..i128::try_from(bound.as_nanos()).unwrap();
        assert!(
            in_time.contains(&late),
            "{name} was {late} ns late, of {bound:?}"
        );
    }
}

/// Simulates that the server was down until all embargoes had ended, in the order of their times.
async fn stopped_until_all_have_ended(server: TestServer) -> String {
    let url = server.url.clone();
    assert_eq!(feed_heads(&url).await.1, 3, "nothing is out");
    server.stop().await;
    let past =
        "UPDATE records SET embargo_at = embargo_at - interval '2 hours' WHERE state = 'embargoed'";
    execute_sql(&url, past).await;
    url
}

/// The first `count` publications on the wire feed after the base, by name.
async fn published(server: &TestServer, count: usize) -> BTreeMap<String, Change> {
    let wire = read_changes(server, watch_from_beginning(View::Published), 3 + count).await;
    let after = wire.into_iter().skip(3);
    let mut found = BTreeMap::new();
    for change in after.filter(|change| change.r#type() == Type::Published) {
        let twice = found.insert(change.name.clone(), change);
        assert!(twice.is_none(), "{twice:?} came twice");
    }
    found
}

async fn health(server: &TestServer) -> GetHealthResponse {
    let mut admin = server.client.clone().admin;
    let answer = admin.get_health(GetHealthRequest {}).await;
    answer.unwrap().into_inner()
}

/// Puts drafts under embargo by one request.
async fn hide(server: &TestServer, drafts: &[Record], until: Timestamp) {
    let writes = drafts.iter().map(|draft| publish_at(draft, Some(until)));
    commit_ok(&server.client, writes.collect()).await;
}

fn large_article(id: &str, bytes: usize) -> Record {
    let mut record = article(id);
    if let Some(Body::Article(article)) = &mut record.kind {
        article.body = "Twenty large words.\n".repeat(bytes / 20);
    }
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn w5_more_than_a_batch_holds_comes_out_in_time_after_a_restart() {
    let server = start_server_with_base().await;
    let writing = Instant::now();
    // 18 MB with 95 times, and two requests with a time of their own.
    let large: Vec<_> = (0..95)
        .map(|n| large_article(&format!("large-{n:02}"), 190_000))
        .collect();
    let mut drafts = Vec::new();
    for some in large.chunks(20) {
        drafts.extend(create_drafts(&server.client, some).await);
    }
    let mut small = Vec::new();
    for round in 0..2 {
        let some: Vec<_> = (0..30)
            .map(|n| actor(&format!("small-{round}-{n}")))
            .collect();
        small.push(create_drafts(&server.client, &some).await);
    }
    for draft in &drafts {
        hide(&server, std::slice::from_ref(draft), timestamp_in_ms(HOUR)).await;
    }
    for some in &small {
        hide(&server, some, timestamp_in_ms(HOUR)).await;
    }
    let drafts_took = writing.elapsed();
    let url = stopped_until_all_have_ended(server).await;
    let started_at = timestamp_in_ms(0);
    let server = start_server_with(config(&url)).await;
    let out = published(&server, 95 + 60).await;
    assert_in_time(&out, started_at, drafts_took);
    for round in 0..2 {
        let of_round = out
            .iter()
            .filter(|(name, _)| name.starts_with(&format!("actors/small-{round}-")));
        let batches: BTreeSet<_> = of_round.map(|(_, change)| change.batch).collect();
        assert_eq!(batches.len(), 1, "a request comes out as one batch");
    }
    let batches: BTreeSet<_> = out.values().map(|change| change.batch).collect();
    assert_eq!(batches.len(), 95 + 2, "of no other request's records");
    wait_until("nothing is told to be overdue", async || {
        let told = health(&server).await;
        (told.overdue_embargoes, told.isolated_embargoes) == (0, 0)
    })
    .await;
    server.stop().await;
}

/// Ways to make a record unpublishable: name, SQL that breaks it, SQL that repairs it.
const POISONS: [(&str, &str, &str); 3] = [
    (
        "content",
        "UPDATE changes SET content = '\\xff', content_at = NULL WHERE name = 'NAME' AND revision = 2",
        "UPDATE changes SET content = kept.content, content_at = kept.content_at FROM kept
         WHERE changes.desk_sequence = kept.desk_sequence AND changes.name = 'NAME'",
    ),
    (
        "meta",
        "UPDATE changes SET meta = '\\xff' WHERE name = 'NAME' AND revision = 2",
        "UPDATE changes SET meta = kept.meta FROM kept
         WHERE changes.desk_sequence = kept.desk_sequence AND changes.name = 'NAME'",
    ),
    (
        "refused",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'on purpose'; END; $$;
         CREATE TRIGGER refuses BEFORE INSERT ON changes
         FOR EACH ROW WHEN (NEW.name = 'NAME' AND NEW.type = 'published') EXECUTE FUNCTION refuse()",
        "DROP TRIGGER refuses ON changes",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_record_is_isolated_told_and_in_the_way_of_nothing() {
    let server = start_server_with_base().await;
    let writing = Instant::now();
    let mut requests = Vec::new();
    for (word, ..) in POISONS {
        let some: Vec<_> = (0..20).map(|n| actor(&format!("{word}-{n}"))).collect();
        requests.push(create_drafts(&server.client, &some).await);
    }
    requests.push(create_drafts(&server.client, &[actor("alone")]).await);
    for request in &requests {
        hide(&server, request, timestamp_in_ms(HOUR)).await;
    }
    let drafts_took = writing.elapsed();
    let name_of = |word: &str| format!("actors/{word}-13");
    execute_sql(&server.url, "CREATE TABLE kept AS SELECT * FROM changes").await;
    for (word, harm, _) in POISONS {
        execute_sql(&server.url, &harm.replace("NAME", &name_of(word))).await;
    }
    let due = timestamp_in_ms(0);
    // Only now, so that no record is published before it is poisoned.
    execute_sql(&server.url, END_EMBARGOES).await;
    let out = published(&server, 3 * 19 + 1).await;
    for (word, ..) in POISONS {
        assert!(!out.contains_key(&name_of(word)));
    }
    assert_in_time(&out, due, drafts_took);
    let names: Vec<_> = {
        let mut names: Vec<_> = POISONS.iter().map(|(word, ..)| name_of(word)).collect();
        names.sort();
        names
    };
    wait_until("they are told", async || {
        let told = health(&server).await;
        let isolated: Vec<_> = told.isolated.iter().map(|it| it.name.clone()).collect();
        (told.overdue_embargoes, isolated) == (3, names.clone())
    })
    .await;
    let isolated_at = Instant::now();
    // Later records are not delayed, and the isolated ones are retried rarely.
    let later = create_drafts(&server.client, &[event("later")]).await;
    hide(&server, &later, timestamp_in_ms(300)).await;
    wait_until("what came later is out", async || {
        find_record(&server.client, "events/later", View::Published)
            .await
            .is_some()
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let told = health(&server).await;
    let seconds = isolated_at.elapsed().as_secs() + 3;
    for it in &told.isolated {
        assert!(it.attempts.cast_unsigned() <= 1 + seconds, "{it:?}");
        assert!(!it.reason.is_empty());
    }
    assert!(told.oldest_overdue_seconds > 3.0);
    assert_eq!(told.problems, [], "the server does what it can");
    let mut serving = HealthClient::new(server.client.channel());
    let answer = serving.check(HealthCheckRequest::default()).await;
    assert_eq!(
        answer.unwrap().into_inner().status(),
        ServingStatus::Serving
    );
    for (word, _, remedy) in POISONS {
        execute_sql(&server.url, &remedy.replace("NAME", &name_of(word))).await;
    }
    wait_until("they are out, and told no more", async || {
        health(&server).await.isolated_embargoes == 0
    })
    .await;
    let all = published(&server, 3 * 20 + 2).await;
    assert!(names.iter().all(|name| all.contains_key(name)));
    assert_eq!(health(&server).await.overdue_embargoes, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_target_was_sent_back_is_isolated_with_the_reason_until_that_is_published() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let target = create_drafts(client, &[actor("target")]).await;
    hide(&server, &target, timestamp_in_ms(HOUR)).await;
    let mut pointing = event("pointing");
    as_event(&mut pointing).participants[0].actor = "actors/target".into();
    let drafts = create_drafts(client, &[pointing, event("beside")]).await;
    hide(&server, &drafts, timestamp_in_ms(HOUR + 1000)).await;
    let target = desk_record(client, "actors/target").await;
    let target = commit_one(client, send_back(&target, "not yet")).await;
    execute_sql(&server.url, END_EMBARGOES).await;
    let out = published(&server, 1).await;
    assert!(out.contains_key("events/beside"), "{out:?}");
    wait_until("it is reported", async || {
        let isolated = health(&server).await.isolated;
        isolated.iter().any(|it| {
            it.name == "events/pointing"
                && it.reason.contains("actors/target, which is not published")
        })
    })
    .await;
    commit_one(client, publish(&target)).await;
    wait_until("it is out, and reported no more", async || {
        health(&server).await.isolated_embargoes == 0
    })
    .await;
    let all = published(&server, 3).await;
    assert!(all.contains_key("events/pointing"), "{all:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_depends_on_one_another_over_requests_comes_out_in_order_at_once() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let writing = Instant::now();
    let first = timestamp_in_ms(HOUR);
    let at = |step: i64| Timestamp {
        seconds: first.seconds + step,
        ..first
    };
    // In each of ten stories a fact cites a source, and an event refers to that fact; each has a request of its own.
    for n in 0..10 {
        let source = create_drafts(client, &[article(&format!("source-{n}"))]).await;
        hide(&server, &source, at(n)).await;
        let fact = with_evidence(
            &actor(&format!("fact-{n}")),
            vec![evidence_quoting(&format!("articles/source-{n}"))],
        );
        let fact = create_drafts(client, &[fact]).await;
        hide(&server, &fact, at(n + 10)).await;
        let mut meeting = event(&format!("event-{n}"));
        as_event(&mut meeting).participants[0].actor = format!("actors/fact-{n}");
        let meeting = create_drafts(client, &[meeting]).await;
        hide(&server, &meeting, at(n + 20)).await;
    }
    let drafts_took = writing.elapsed();
    let url = stopped_until_all_have_ended(server).await;
    let started_at = timestamp_in_ms(0);
    let server = start_server_with(config(&url)).await;
    let out = published(&server, 30).await;
    assert_in_time(&out, started_at, drafts_took);
    for n in 0..10 {
        let place = |name: String| out[&name].sequence;
        let source = place(format!("articles/source-{n}"));
        let fact = place(format!("actors/fact-{n}"));
        let meeting = place(format!("events/event-{n}"));
        assert!(source < fact && fact < meeting);
    }
    assert_eq!(health(&server).await.isolated, []);
    server.stop().await;
}
