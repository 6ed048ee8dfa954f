//! The desk's commands as an editor uses them: records created, moved, compared and withdrawn by the real program on a
//! real server.

use serde_json::json;

use crate::support::{
    cli::{ARTICLE_FILE, GOLD_FILE, dateline_reading, gold_as_read, name, without_meta},
    desk::{STORY, desk_view, draft, published, run},
    server::{TIMEOUT, TestServer, start_server},
};

async fn state(server: &TestServer, name: &str) -> String {
    let record = desk_view(server, name).await;
    let body = record.as_object().unwrap().values().next().unwrap().clone();
    body["meta"]["state"].as_str().unwrap().to_owned()
}

/// The words of a line, without the space between columns.
fn split_words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[tokio::test]
async fn the_gold_bundle_is_published_in_one_go_with_what_it_refers_to() {
    let server = start_server().await;
    run(&server, &["import", GOLD_FILE, "--original", ARTICLE_FILE])
        .await
        .ok();
    let alone = run(&server, &["publish", STORY]).await;
    assert_eq!((alone.code, alone.stdout.as_str()), (1, ""));
    assert!(
        alone.stderr.contains("UNRESOLVED_REFERENCES"),
        "{}",
        alone.stderr
    );
    assert!(alone.stderr.ends_with("add: --with-references\n"));
    // Records from the article cite it; the records that they refer to are listed too.
    let citing = ["list", "--view", "desk", "--article", STORY, "-o", "ndjson"];
    let citing = run(&server, &citing).await.ok();
    let names: Vec<_> = citing.lines().iter().map(name).collect();
    assert!(!names.is_empty() && names.len() < 47);
    let names = names.iter().map(String::as_str);
    let publish: Vec<_> = ["publish", "--with-references"]
        .into_iter()
        .chain(names)
        .collect();
    let tried = run(&server, &[&publish[..], &["--dry-run"]].concat())
        .await
        .ok();
    assert!(
        tried
            .stdout
            .lines()
            .all(|line| line.contains("would be published"))
    );
    assert_eq!(state(&server, STORY).await, "STATE_DRAFT");
    let done = run(&server, &publish).await.ok();
    assert_eq!(done.stdout.lines().count(), 47);
    assert_eq!(
        split_words(done.stdout.lines().next().unwrap())[1],
        "published"
    );
    let wire = run(&server, &["list", "-o", "ndjson"]).await.ok();
    let mut wire: Vec<_> = wire.lines().into_iter().map(without_meta).collect();
    let mut gold = gold_as_read();
    wire.sort_by_key(name);
    gold.sort_by_key(name);
    assert_eq!(wire, gold);
    server.stop().await;
}

#[tokio::test]
async fn a_record_goes_to_review_and_back_and_its_history_tells_it() {
    let server = start_server().await;
    let name = draft(&server, "readers").await;
    let sent = run(&server, &["submit", &name]).await.ok();
    assert_eq!(
        sent.stdout,
        "actors/readers  in review  revision 2  sequence 2\n"
    );
    run(
        &server,
        &["send-back", &name, "--note", "Who \u{1b}[2J says so?"],
    )
    .await;
    run(&server, &["send-back", &name, "--note", "Who says so?"])
        .await
        .ok();
    let table = run(&server, &["history", &name]).await.ok();
    for told in [
        "returned",
        "submitted",
        "created",
        "Who says so?",
        "local",
        " UTC",
    ] {
        assert!(table.stdout.contains(told), "{told}: {}", table.stdout);
    }
    let data = run(&server, &["history", &name, "-o", "ndjson", "--limit", "2"])
        .await
        .ok();
    let types: Vec<_> = data
        .lines()
        .iter()
        .map(|line| line["type"].clone())
        .collect();
    assert_eq!(types[0], "TYPE_RETURNED");
    assert_eq!(types.len(), 2);
    let same = run(&server, &["diff", &name]).await.ok();
    assert!(
        same.stdout.is_empty() && same.stderr.contains("say the same"),
        "{}",
        same.stderr
    );
    server.stop().await;
}

#[tokio::test]
async fn a_dry_run_tells_what_would_be_done_and_does_nothing() {
    let server = start_server().await;
    let (draft, public) = (
        draft(&server, "readers").await,
        published(&server, "nato").await,
    );
    let other = published(&server, "otan").await;
    let cases: [(&[&str], &str); 6] = [
        (&["submit", &draft], "would be in review"),
        (&["delete", &draft], "would be deleted"),
        (
            &["retract", &public, "--note", "Wrong."],
            "would be retracted",
        ),
        (
            &["merge", &other, "--into", &public],
            "would be merged into actors/nato",
        ),
        (
            &["restore", &public, "1", "--note", "Back."],
            "would be published",
        ),
        (&["purge", &public, "--note", "Order 1."], "would be purged"),
    ];
    for (arguments, told) in cases {
        let tried = run(&server, &[arguments, &["--dry-run"]].concat())
            .await
            .ok();
        assert!(
            tried.stdout.contains(told),
            "{arguments:?}: {}",
            tried.stdout
        );
        assert!(!tried.stdout.contains("sequence"), "{}", tried.stdout);
    }
    assert_eq!(state(&server, &draft).await, "STATE_DRAFT");
    assert_eq!(state(&server, &public).await, "STATE_PUBLISHED");
    assert_eq!(state(&server, &other).await, "STATE_PUBLISHED");
    server.stop().await;
}

#[tokio::test]
async fn a_record_under_embargo_is_hidden_until_its_time() {
    let server = start_server().await;
    let name = published(&server, "nato").await;
    let story = json!({ "article": { "name": "articles/later", "headline": "Later", "languageCode": "en" } });
    dateline_reading(&server.address, &["create", "-"], &story.to_string())
        .await
        .ok();
    let hidden = run(&server, &["publish", "articles/later", "--at", "+2h"])
        .await
        .ok();
    assert!(
        hidden.stdout.contains("embargoed until 20"),
        "{}",
        hidden.stdout
    );
    assert_eq!(run(&server, &["get", "articles/later"]).await.code, 3);
    run(&server, &["send-back", "articles/later"]).await.ok();
    let in_a_moment = time::OffsetDateTime::now_utc() + time::Duration::seconds(2);
    let at = in_a_moment
        .format(&time::format_description::well_known::Rfc3339)
        .unwrap();
    run(&server, &["publish", "articles/later", "--at", &at])
        .await
        .ok();
    let since = std::time::Instant::now();
    while run(&server, &["get", "articles/later"]).await.code == 3 {
        assert!(since.elapsed() < TIMEOUT, "the embargo ends by itself");
    }
    for bad in ["+2w", "tomorrow", "2026-08-01"] {
        assert_eq!(
            run(&server, &["publish", &name, "--at", bad]).await.code,
            2,
            "{bad}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_published_record_is_merged_parted_restored_withdrawn_and_erased() {
    let server = start_server().await;
    let (kept, other) = (
        published(&server, "nato").await,
        published(&server, "otan").await,
    );
    let merged = run(
        &server,
        &["merge", &other, "--into", &kept, "--note", "One."],
    )
    .await
    .ok();
    let lines: Vec<_> = merged.stdout.lines().map(split_words).collect();
    assert_eq!(lines[0][..4], [other.as_str(), "merged", "into", &kept]);
    assert_eq!(lines[1][..2], [kept.as_str(), "published"]);
    let led = run(&server, &["get", &other]).await;
    assert!(led.stdout.contains(&format!("name: {kept}\n")));
    let told = format!("{other} was merged into {kept}");
    assert!(led.stderr.contains(&told), "{}", led.stderr);
    let left = run(&server, &["get", &other, "--no-redirect"]).await.ok();
    assert!(left.stdout.contains(&format!("mergedInto: {kept}\n")));
    run(&server, &["unmerge", &other, "--note", "Two."])
        .await
        .ok();
    assert_eq!(state(&server, &other).await, "STATE_PUBLISHED");
    let noteless = run(&server, &["restore", &kept, "1"]).await;
    assert_eq!(noteless.code, 1);
    assert!(noteless.stderr.contains("note"), "{}", noteless.stderr);
    let stories = ["retract", "articles/nato-story", "--note", "Invented."];
    let only = run(&server, &stories).await;
    assert_eq!(only.code, 1);
    assert!(only.stderr.contains("ONLY_EVIDENCE"), "{}", only.stderr);
    let gone = run(
        &server,
        &[&stories[..], &["--cascade", "-o", "ndjson"]].concat(),
    )
    .await
    .ok();
    let names: Vec<_> = gone.lines().iter().map(name).collect();
    assert_eq!(names, ["articles/nato-story", "actors/nato"]);
    let unsure = run(&server, &["purge", &other, "--note", "Order 1."]).await;
    assert_eq!(unsure.code, 1);
    assert!(unsure.stderr.contains("--yes"), "{}", unsure.stderr);
    let erased = run(&server, &["purge", &other, "--note", "Order 1.", "--yes"])
        .await
        .ok();
    assert_eq!(split_words(&erased.stdout)[..2], [other.as_str(), "purged"]);
    assert_eq!(
        run(&server, &["retract", &other]).await.code,
        2,
        "a note is needed"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_deleted_draft_is_gone_and_can_still_be_erased() {
    let server = start_server().await;
    let name = draft(&server, "readers").await;
    let gone = run(&server, &["delete", &name]).await.ok();
    assert_eq!(
        gone.stdout,
        "actors/readers  deleted  revision 2  sequence 2\n"
    );
    assert_eq!(run(&server, &["delete", &name]).await.code, 3);
    run(&server, &["purge", &name, "--note", "Order 2.", "--yes"])
        .await
        .ok();
    server.stop().await;
}

#[tokio::test]
async fn every_command_answers_3_for_an_unknown_name_and_1_for_the_wrong_state() {
    let server = start_server().await;
    let (draft, public) = (
        draft(&server, "readers").await,
        published(&server, "nato").await,
    );
    let note = ["--note", "Because."];
    let cases: [(&str, &[&str], &str); 12] = [
        ("edit", &[], &public),
        ("correct", &note, &draft),
        ("submit", &[], &public),
        ("send-back", &[], &draft),
        ("publish", &[], ""),
        ("retract", &note, &draft),
        ("merge", &["--into", &public], &draft),
        ("unmerge", &[], &public),
        ("delete", &[], &public),
        ("purge", &["--yes", "--note", "Order 1."], ""),
        ("diff", &[], ""),
        ("history", &[], ""),
    ];
    for (command, flags, wrong) in cases {
        let unknown = run(&server, &[&[command, "actors/nobody"], flags].concat()).await;
        assert_eq!(
            (unknown.code, unknown.stdout.as_str()),
            (3, ""),
            "{command}"
        );
        let told = "there is no record actors/nobody";
        assert!(
            unknown.stderr.contains(told),
            "{command}: {}",
            unknown.stderr
        );
        if !wrong.is_empty() {
            let refused = run(&server, &[&[command, wrong], flags].concat()).await;
            assert_eq!(
                (refused.code, refused.stdout.as_str()),
                (1, ""),
                "{command} {}",
                refused.stderr
            );
            let told =
                refused.stderr.contains(" is published") || refused.stderr.contains(" is draft");
            assert!(told, "{command}: {}", refused.stderr);
        }
    }
    let restored = run(&server, &["restore", "actors/nobody", "1"]).await;
    assert_eq!(restored.code, 3);
    let several = run(
        &server,
        &["submit", "actors/nobody", &draft, "actors/noone"],
    )
    .await;
    assert!(
        several.stderr.contains("actors/nobody, actors/noone"),
        "{}",
        several.stderr
    );
    assert_eq!(state(&server, &draft).await, "STATE_DRAFT");
    server.stop().await;
}
