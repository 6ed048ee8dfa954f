//! `dateline watch --output cloudevents`, read with the CloudEvents SDK for Python.

use std::collections::HashSet;

use serde_json::Value;
use tokio::process::Command;

use crate::support::{
    cli::{dateline, import_gold},
    server::{TIMEOUT, start_server, temp_dir},
    tools::{or_skip, python_environment, repo_path, run_tool},
};

/// The output of `dateline watch` with these arguments.
async fn watch(address: &str, arguments: &[&str]) -> String {
    let arguments = [&["watch", "--output", "cloudevents"], arguments].concat();
    dateline(address, &arguments).await.ok().stdout
}

/// The events as the SDK reads them.
async fn read(python: &std::path::Path, events: &str) -> Vec<Value> {
    let (_keep, directory) = temp_dir();
    let file = directory.join("events");
    std::fs::write(&file, events).unwrap();
    let mut script = Command::new(python);
    script
        .arg(repo_path("tests/python/cloudevents_read.py"))
        .stdin(std::fs::File::open(file).unwrap());
    let told = run_tool(&mut script, TIMEOUT * 2).await.unwrap();
    told.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn ids(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_feed_is_events_that_the_python_sdk_accepts_in_order_with_ids_of_their_own() {
    let Some(python) = or_skip(
        python_environment("tests/python/requirements.txt").await,
        "CloudEvents",
    ) else {
        return;
    };
    let server = start_server().await;
    import_gold(&server.address).await.ok();
    let feed = dateline(&server.address, &["feed", "-o", "json"])
        .await
        .ok()
        .stdout;

    let printed = watch(&server.address, &["--from-beginning", "--limit", "47"]).await;
    let events = read(&python, &printed).await;
    let sequences: Vec<_> = events
        .iter()
        .map(|event| event["sequence"].as_i64().unwrap())
        .collect();
    assert_eq!(sequences, (1..=47).collect::<Vec<_>>());
    assert!(
        events
            .iter()
            .all(|event| event["type"] == "dateline.v1.record.published" && event["of"] == 1)
    );
    assert!(
        events
            .iter()
            .all(|event| event["schema"] == "urn:dateline:schema:dateline.v1.Change")
    );
    assert!(
        events
            .iter()
            .all(|event| event["time"].as_f64().unwrap() > 1.0e9)
    );
    assert_eq!(ids(&events).into_iter().collect::<HashSet<_>>().len(), 47);
    let id = ids(&events)[46].split('/').collect::<Vec<_>>();
    assert!(
        feed.contains(id[0]) && feed.contains(id[1]) && id[2] == "47",
        "{id:?} is not of {feed}"
    );
    assert_eq!(
        events[46]["source"],
        format!("urn:dateline:feed:{}:published", id[0])
    );
    let last: Vec<_> = events
        .iter()
        .filter(|event| event["lastinbatch"] == true)
        .collect();
    assert_eq!(last.len(), 1);
    for (line, event) in printed.lines().zip(&events) {
        let data: Value = serde_json::from_str(line).unwrap();
        assert_eq!(data["data"]["name"], event["subject"]);
        assert_eq!(data["datacontenttype"], "application/json");
        let kind = event["kind"].as_str().unwrap();
        assert_eq!(data["data"]["record"][kind]["name"], event["subject"]);
        assert!(
            data.as_object()
                .unwrap()
                .keys()
                .all(|name| name.chars().all(|letter| letter.is_ascii_lowercase()))
        );
    }

    // A second run gets the same ids; in batches the events are the same, in a list per response.
    let batched = watch(
        &server.address,
        &["--from-beginning", "--limit", "47", "--batch"],
    )
    .await;
    let again = read(&python, &batched).await;
    assert_eq!(ids(&again), ids(&events));
    assert!(batched.lines().count() < 47 && again[0]["of"].as_u64().unwrap() > 1);
    // The cursor of an event resumes after it.
    let cursor = events
        .iter()
        .find_map(|event| event["cursor"].as_str())
        .unwrap();
    let position = events
        .iter()
        .position(|event| event["cursor"] == cursor)
        .unwrap();
    assert_eq!(position, 46, "one batch is one response here");
    dateline(
        &server.address,
        &[
            "retract",
            "events/steppe-eagle",
            "--note",
            "It did not take place.",
        ],
    )
    .await
    .ok();
    let next = read(
        &python,
        &watch(&server.address, &["--since", cursor, "--limit", "1"]).await,
    )
    .await;
    assert_eq!(
        (next[0]["type"].as_str(), next[0]["sequence"].as_i64()),
        (Some("dateline.v1.record.retracted"), Some(48))
    );
    server.stop().await;
}

#[tokio::test]
async fn a_snapshot_is_events_too_and_the_end_of_it_is_told() {
    let Some(python) = or_skip(
        python_environment("tests/python/requirements.txt").await,
        "CloudEvents",
    ) else {
        return;
    };
    let server = start_server().await;
    import_gold(&server.address).await.ok();
    let (_keep, directory) = temp_dir();
    let state = directory.join("events.state");
    let state = state.to_str().unwrap();
    let mut printed = watch(
        &server.address,
        &["--snapshot", "--limit", "47", "--state-file", state],
    )
    .await;
    let retract = [
        "retract",
        "events/steppe-eagle",
        "--note",
        "It did not take place.",
    ];
    dateline(&server.address, &retract).await.ok();
    printed += &watch(&server.address, &["--limit", "1", "--state-file", state]).await;
    let events = read(&python, &printed).await;
    assert_eq!(
        ids(&events).into_iter().collect::<HashSet<_>>().len(),
        events.len()
    );
    let types: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    let mut expected = vec!["dateline.v1.record.snapshot"; 47];
    expected.extend(["dateline.v1.feed.caught_up", "dateline.v1.record.retracted"]);
    assert_eq!(types, expected);
    // A record of a snapshot has the sequence of the change that made it.
    let sequences: HashSet<_> = events[..47]
        .iter()
        .map(|event| event["sequence"].as_i64().unwrap())
        .collect();
    assert_eq!(sequences, (1..=47).collect());
    server.stop().await;
}

#[tokio::test]
async fn a_batch_of_anything_else_is_wrong_usage() {
    let refused = dateline("127.0.0.1:1", &["watch", "--batch", "-o", "ndjson"]).await;
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("--output cloudevents"),
        "{}",
        refused.stderr
    );
}
