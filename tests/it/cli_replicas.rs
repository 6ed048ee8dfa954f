//! `dateline watch` as a consumer that keeps a replica, `dateline verify`, `feed` and `compact`.

use dateline_proto::v1::{GetRecordRequest, View};
use serde_json::Value;

use crate::support::{
    builders::{correct, get_request},
    cli::{dateline, dateline_reading, import_gold},
    editing::{
        commit_one, create_published, execute_sql, feed_heads, get_record, publish_continuously,
        start_server_with_base,
    },
    records::{actor, with_text},
    server::{start_server, temp_dir},
};

fn names(lines: &[Value]) -> Vec<String> {
    let name = |line: &Value| line["name"].as_str().map(str::to_owned);
    lines.iter().filter_map(name).collect()
}

#[tokio::test]
async fn f2_a_state_file_goes_on_exactly_where_it_stopped_also_inside_of_a_response() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let (_keep, directory) = temp_dir();
    let file = directory.join("news.state");
    let file = file.to_str().unwrap();
    let mut seen = Vec::new();
    for limit in ["1", "20", "26"] {
        let watch = [
            "watch",
            "--from-beginning",
            "-o",
            "ndjson",
            "--state-file",
            file,
            "--limit",
            limit,
        ];
        seen.extend(dateline(&server.address, &watch).await.ok().lines());
    }
    let sequences: Vec<_> = seen.iter().map(|line| line["sequence"].clone()).collect();
    let expected: Vec<_> = (1..=47)
        .map(|number| Value::from(number.to_string()))
        .collect();
    assert_eq!(sequences.len(), 47);
    assert!(sequences == expected || sequences == (1..=47).map(Value::from).collect::<Vec<_>>());
    let other = [
        "watch",
        "--kind",
        "actor",
        "--state-file",
        file,
        "--limit",
        "1",
    ];
    let refused = dateline(&server.address, &other).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("another view or filter"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn f2_a_snapshot_goes_on_in_its_middle_from_a_state_file() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let (_keep, directory) = temp_dir();
    let file = directory.join("copy.state");
    let file = file.to_str().unwrap();
    let mut lines = Vec::new();
    // One record first: a state file needs a position to resume from.
    for limit in ["1", "46", "1"] {
        let watch = [
            "watch",
            "--snapshot",
            "-o",
            "ndjson",
            "--state-file",
            file,
            "--limit",
            limit,
        ];
        if lines.len() >= 47 {
            create_published(&server.client, &actor_of_gold()).await;
        }
        lines.extend(dateline(&server.address, &watch).await.ok().lines());
    }
    let records = lines
        .iter()
        .filter(|line| line.get("snapshot").is_some())
        .count();
    assert_eq!(records, 47);
    assert_eq!(names(&lines), ["actors/late"]);
}

/// An actor that cites the gold article.
fn actor_of_gold() -> dateline_proto::v1::Record {
    let mut record = crate::support::records::gold_actor("late");
    if let Some(dateline_proto::v1::record::Kind::Actor(late)) = &mut record.kind {
        late.display_name = "Late".into();
        late.names[0].text = "Late".into();
    }
    record
}

#[tokio::test]
async fn f11_verify_finds_nothing_where_all_is_well_and_names_what_was_changed_behind_our_back() {
    let server = start_server_with_base().await;
    for view in ["published", "desk"] {
        let done = dateline(&server.address, &["verify", "--view", view])
            .await
            .ok();
        assert!(
            done.stderr.contains("the digest is theirs"),
            "{}",
            done.stderr
        );
    }
    let first = create_published(&server.client, &actor("changed")).await;
    commit_one(
        &server.client,
        correct(&with_text(&first, "said better"), &[], "said better"),
    )
    .await;
    // The server reads the log into its ring before the log is changed.
    let (_, wire) = feed_heads(&server.url).await;
    let read = GetRecordRequest {
        min_sequence: wire,
        ..get_request("actors/changed", View::Published)
    };
    get_record(&server.client, read).await.unwrap();
    execute_sql(
        &server.url,
        "UPDATE changes SET content = (
             SELECT content FROM changes WHERE name = 'actors/changed' AND revision = 2)
         WHERE name = 'actors/changed' AND revision = 3",
    )
    .await;
    let done = dateline(&server.address, &["verify"]).await;
    assert_eq!(done.code, 1, "{}", done.stderr);
    // The ring still has the original content: a stream reads the log, a snapshot reads the heads, and they differ.
    let named = "actors/changed: revision 3 has another content in the log than in a snapshot";
    assert!(done.stderr.contains(named), "{}", done.stderr);
    assert!(
        done.stderr.contains("the digest: this copy is not"),
        "{}",
        done.stderr
    );
}

#[tokio::test]
async fn f11_verify_names_the_records_in_which_a_recorded_copy_differs() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let watch = ["watch", "--snapshot", "-o", "ndjson", "--limit", "47"];
    let recorded = dateline(&server.address, &watch).await.ok().stdout;
    let watch = ["watch", "--from-beginning", "-o", "ndjson", "--limit", "47"];
    let folded = dateline(&server.address, &watch).await.ok().stdout;
    // The recording ends with the last record of the snapshot, before `caughtUp`.
    let unfinished = dateline_reading(&server.address, &["verify", "-"], &recorded).await;
    assert_eq!(unfinished.code, 1);
    assert!(
        unfinished.stderr.contains("ends inside of its snapshot"),
        "{}",
        unfinished.stderr
    );
    let recorded = format!("{recorded}{{\"caughtUp\":\"47\"}}\n");
    // A watcher that was killed before it saved its state prints some lines again.
    let first: Vec<_> = folded.lines().take(5).collect();
    let repeated = format!("{}\n{folded}", first.join("\n"));
    for copy in [&recorded, &folded, &repeated] {
        dateline_reading(&server.address, &["verify", "-"], copy)
            .await
            .ok();
    }
    let damaged = folded.replacen("Stoltenberg", "Stoltenborg", 1);
    let without: String = recorded
        .lines()
        .filter(|line| {
            !line.contains("\"actors/nato\",\"meta\"")
                && !line.contains("{\"name\":\"actors/nato\"")
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    for (copy, what) in [
        (&damaged, "another content"),
        (&without, "actors/nato: not in the file"),
    ] {
        let done = dateline_reading(&server.address, &["verify", "-"], copy).await;
        assert_eq!(done.code, 1, "{}", done.stderr);
        assert!(done.stderr.contains(what), "{}", done.stderr);
    }
}

#[tokio::test]
async fn feed_and_compact_say_what_they_do_and_ask_before_they_do_it() {
    let server = start_server_with_base().await;
    let shown_feed = dateline(&server.address, &["feed", "-o", "json"])
        .await
        .ok()
        .json();
    assert_eq!(shown_feed[0]["view"], "published");
    assert_eq!(shown_feed[0]["records"], 3);
    assert!(
        dateline(&server.address, &["feed"])
            .await
            .ok()
            .stdout
            .contains("published")
    );
    let (desk, wire) = feed_heads(&server.url).await;
    let desk = (desk + 1).to_string();
    let dry = dateline(
        &server.address,
        &["compact", "--before", &desk, "--dry-run"],
    )
    .await
    .ok();
    assert!(
        dry.stderr.contains("would drop 2 superseded revisions"),
        "{}",
        dry.stderr
    );
    let unasked = dateline(&server.address, &["compact", "--before", &desk]).await;
    assert_eq!(unasked.code, 1);
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    dateline(&server.address, &["compact", "--before", &desk, "--yes"])
        .await
        .ok();
    assert!(wire > 0);
    let expired = dateline(&server.address, &["watch", "--from-beginning"]).await;
    assert!(
        expired.stderr.contains("CURSOR_EXPIRED"),
        "{}",
        expired.stderr
    );
    let done = dateline(&server.address, &["verify"]).await.ok();
    assert!(done.stderr.contains("left out"), "{}", done.stderr);
    let feed = shown_feed[0]["feed"].as_str().unwrap();
    let unasked = dateline(&server.address, &["feed", "fork"]).await;
    assert!(
        unasked.code == 1 && unasked.stderr.contains(feed),
        "{}",
        unasked.stderr
    );
    // The address of the option precedes that of the environment, wherever the option is.
    let nobody = "127.0.0.1:1";
    for fork in [
        ["feed", "--server", nobody, "fork", "--yes"],
        ["feed", "fork", "--yes", "--server", nobody],
    ] {
        let elsewhere = dateline(&server.address, &fork).await;
        assert_eq!(elsewhere.code, 4, "{fork:?}: {}", elsewhere.stderr);
    }
    let forked = dateline(&server.address, &["feed", "fork", "--yes"])
        .await
        .ok();
    assert!(forked.stderr.contains(feed), "{}", forked.stderr);
}

#[tokio::test]
async fn watch_proves_what_it_prints_when_asked_and_takes_times_and_ages() {
    let server = start_server_with_base().await;
    let watch = ["watch", "--snapshot", "--verify", "--limit", "3"];
    dateline(&server.address, &watch).await.ok();
    let partly = ["watch", "--snapshot", "--verify", "--region", "KZ"];
    let refused = dateline(&server.address, &partly).await;
    assert!(
        refused.code == 1 && refused.stderr.contains("of kinds"),
        "{}",
        refused.stderr
    );
    for start in [&["--since", "now"][..], &[], &["--consumer", "notifier"]] {
        let late = [&["watch", "--verify"][..], start].concat();
        let refused = dateline(&server.address, &late).await;
        assert!(
            refused.code == 1 && refused.stderr.contains("begin with a snapshot"),
            "{start:?}: {}",
            refused.stderr
        );
    }
    let since = [
        "watch",
        "--since",
        "2020-01-01T00:00:00Z",
        "--limit",
        "3",
        "-o",
        "ndjson",
    ];
    assert_eq!(
        dateline(&server.address, &since).await.ok().lines().len(),
        3
    );
    let badly = ["watch", "--consumer", "notifier", "--max-age", "soon"];
    let refused = dateline(&server.address, &badly).await;
    assert!(
        refused.code == 2 && refused.stderr.contains("such as `30s`"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn f11_verify_ends_on_a_feed_that_is_never_quiet() {
    let server = start_server_with_base().await;
    let stop = publish_continuously(&server);
    let done = dateline(&server.address, &["verify"]).await.ok();
    assert!(stop().await > 0, "somebody wrote");
    assert!(
        done.stderr.contains("the digest is theirs"),
        "{}",
        done.stderr
    );
}
