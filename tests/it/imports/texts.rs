//! Record files, our own exports, and the texts of items, as an import accepts them.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    agency_items::{AgencyImport, assert_failed_with, item, version},
    desk, file, import,
};
use crate::support::cli::dateline;

#[tokio::test]
async fn a_record_file_publishes_only_what_is_published_there() {
    let wire = AgencyImport::start().await;
    let record = |id: &str, meta: Value| json!({"article": {"name": format!("articles/{id}"), "meta": meta, "headline": id, "body": "Text.", "languageCode": "en"}});
    let records = [
        record("stated", json!({"state": "STATE_PUBLISHED"})),
        record("silent", json!({})),
        record("draft", json!({"state": "STATE_DRAFT"})),
        record("review", json!({"state": "STATE_IN_REVIEW"})),
        record(
            "embargoed",
            json!({"state": "STATE_EMBARGOED", "embargoTime": "2031-01-01T06:00:00Z"}),
        ),
        record("retracted", json!({"state": "STATE_RETRACTED"})),
        record(
            "merged",
            json!({"state": "STATE_MERGED", "mergedInto": "articles/stated"}),
        ),
        record(
            "hidden",
            json!({"state": "STATE_PUBLISHED", "embargoTime": "2031-01-01T06:00:00Z"}),
        ),
        record("hidden-too", json!({"embargoTime": "2032-01-01T06:00:00Z"})),
    ];
    let done = wire.import(&records, &["--publish"]).await;
    assert_failed_with(
        &done,
        1,
        &[
            "9 created, 0 already there, 2 published, 2 under embargo, 5 left to do",
            "the file has it embargoed",
            "--any-state",
        ],
    );
    let live: Vec<_> = wire
        .live()
        .await
        .into_iter()
        .map(|(headline, _)| headline)
        .collect();
    assert_eq!(live, ["silent", "stated"]);
    let bundle = json!({"articles": [record("b", json!({"state": "STATE_DRAFT"}))["article"]]});
    let done = import(
        &wire.server,
        &file(&wire.directory, "bundle.json", bundle.to_string()),
        &["--publish"],
    )
    .await;
    assert_failed_with(&done, 1, &["[NOT_PUBLISHED]"]);
    // The flag publishes all records, but none before its embargo ends.
    let done = wire
        .import(&records, &["--publish", "--any-state"])
        .await
        .ok();
    assert_failed_with(
        &done,
        0,
        &["0 created, 9 already there, 4 published, 1 under embargo"],
    );
    let live: Vec<_> = wire
        .live()
        .await
        .into_iter()
        .map(|(headline, _)| headline)
        .collect();
    assert_eq!(
        live,
        ["draft", "merged", "retracted", "review", "silent", "stated"]
    );
    // Records withdrawn in the file and live here are reported.
    let done = wire
        .import(
            &[record("silent", json!({"state": "STATE_RETRACTED"}))],
            &["--publish"],
        )
        .await;
    assert_failed_with(&done, 1, &["is withdrawn in the file, and published here"]);
    wire.server.stop().await;
}

#[tokio::test]
async fn an_export_of_ours_comes_back_with_all_that_limits_it() {
    let wire = AgencyImport::start().await;
    let items = [
        version(
            "plain",
            1,
            &json!({"usageTerms": "No web.", "subjects": [{"name": "Grain"}]}),
        ),
        version(
            "embargo",
            1,
            &json!({"embargoedUntil": "2031-01-01T06:00:00Z"}),
        ),
        version("withheld", 1, &json!({"pubStatus": "withheld"})),
        version("gone", 1, &json!({})),
    ];
    wire.import(&items, &["--publish"]).await;
    let kill = version("gone", 2, &json!({"pubStatus": "canceled"}));
    wire.import(&[kill], &["--publish"]).await.ok();
    let out = wire.directory.join("out");
    let arguments = [
        "export",
        "--out",
        out.to_str().unwrap(),
        "--tombstones",
        "--format",
        "ninjs",
        "--view",
        "desk",
    ];
    dateline(&wire.server.address, &arguments).await.ok();
    let exported = std::fs::read_dir(&out)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let files: Vec<_> = walk(&exported)
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("articles"))
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    // Imported into the same database, nothing changes.
    let before = desk(&wire.server).await;
    let again = import(
        &wire.server,
        &files[0],
        &["--publish", "--on-change", "correct", "--format", "ninjs"],
    )
    .await;
    assert!(
        again
            .stderr
            .contains("0 created, 4 already there, 0 published"),
        "{}",
        again.stderr
    );
    assert_eq!(desk(&wire.server).await, before);
    // Imported into another one, embargoed and withdrawn records stay so.
    let other = AgencyImport::start().await;
    let done = import(
        &other.server,
        &files[0],
        &["--publish", "--format", "ninjs"],
    )
    .await;
    assert_eq!(done.code, 1, "{}", done.stderr);
    let live = other.live().await;
    assert_eq!(
        live,
        [("Story plain".to_owned(), "Text.".to_owned())],
        "{}",
        done.stderr
    );
    let there = desk(&other.server).await;
    let plain = there
        .iter()
        .find(|record| record["article"]["headline"] == "Story plain")
        .unwrap();
    assert_eq!(
        (
            plain["article"]["usageTerms"].as_str(),
            plain["article"]["topics"][0]["id"].as_str()
        ),
        (Some("No web."), Some("grain"))
    );
    wire.server.stop().await;
    other.server.stop().await;
}

fn walk(directory: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[tokio::test]
async fn the_text_is_taken_as_it_is_read_and_never_an_empty_one() {
    let wire = AgencyImport::start().await;
    let html = |text: &str| json!({"bodies": [{"role": "html", "contentType": "text/html", "value": text}]});
    let items = [
        item(
            "html",
            &html("<p>Erster Absatz &amp; mehr.</p><p>Zweiter&nbsp;Absatz.</p><script>x</script>"),
        ),
        item("markup-only", &html("<figure><img src='x'></figure>")),
        item(
            "caption-only",
            &json!({"bodies": [{"role": "caption", "value": "On the stairs."}]}),
        ),
        item("none", &json!({"bodies": []})),
        json!({"uri": "urn:example:wire:two", "standard": {"name": "ninjs", "version": "2.1"}, "type": "text", "versioncreated": "2026-11-29T16:02:28+02:00",
            "pubstatus": "usable", "usageterms": "Nur intern.", "headlines": [{"role": "main", "contenttype": "text/html", "value": "<em>Stimmt</em> das &amp; warum?"}],
            "bodies": [{"role": "html", "contenttype": "text/html", "value": "<p>Nein.</p>"}, {"role": "text", "contenttype": "text/plain", "value": "Nein."}]}),
        json!({"uri": "urn:example:wire:picture", "type": "picture", "headlines": [{"value": "x"}], "bodies": [{"value": "x"}]}),
    ];
    let done = wire
        .import(&items, &["--publish", "--on-error", "report"])
        .await;
    assert_failed_with(
        &done,
        1,
        &[
            "2 created, 0 already there, 2 published, 4 rejected",
            "none can be taken",
            "has no body",
            "\"picture\"",
            "bodies: script (1)",
        ],
    );
    let mut bodies = wire.live().await;
    bodies.sort();
    assert_eq!(
        bodies,
        [
            ("Stimmt das & warum?".to_owned(), "Nein.".to_owned()),
            (
                "Story html".to_owned(),
                "Erster Absatz & mehr.\n\nZweiter\u{a0}Absatz.".to_owned()
            ),
        ]
    );
    let two = wire.article("two").await.unwrap();
    assert_eq!(two["usageTerms"], "Nur intern.");
    let dated = [
        item("day", &json!({"contentCreated": "2021-09-15T24:00:00Z"})),
        item("month", &json!({"contentCreated": "2021-09"})),
        item(
            "first",
            &json!({"firstCreated": "2019-08-09T09:30:04Z", "versionCreated": "2019-08-10T09:46:53Z"}),
        ),
    ];
    wire.import(&dated, &[]).await.ok();
    for (id, edtf, basis) in [
        ("day", "2021-09-15", Value::Null),
        ("month", "2021-09", Value::Null),
        ("first", "2019-08-09", json!("BASIS_INFERRED")),
    ] {
        let published = wire.article(id).await.unwrap()["published"].clone();
        assert_eq!(
            (published["edtf"].as_str(), &published["basis"]),
            (Some(edtf), &basis),
            "{id}"
        );
    }
    wire.server.stop().await;
}
