//! Successive versions of an item: one article represents all of them.

use serde_json::json;

use super::{
    agency_items::{AgencyImport, assert_failed_with, version},
    file, import,
};

#[tokio::test]
async fn a_newer_version_is_reported_skipped_or_corrected_and_one_article_is_live() {
    let wire = AgencyImport::start().await;
    let text = |number: u32| {
        let fields = json!({"headlines": [{"value": format!("Headline {number}")}], "bodies": [{"value": format!("Text {number}.")}],
                            "edNote": format!("Corrects paragraph {number}.")});
        version("a", number, &fields)
    };
    wire.import(&[text(2)], &["--publish"]).await.ok();
    let live = |number: u32| vec![(format!("Headline {number}"), format!("Text {number}."))];
    for arguments in [
        &["--publish"][..],
        &["--publish", "--on-change", "report"],
        &[],
    ] {
        let reported = wire.import(&[text(3)], arguments).await;
        assert_failed_with(
            &reported,
            1,
            &[
                "not taken over: line 1: articles/example-wire-a-",
                "--on-change correct",
                "1 left to do",
            ],
        );
    }
    let skipped = wire
        .import(&[text(3)], &["--publish", "--on-change", "skip"])
        .await
        .ok();
    assert_failed_with(&skipped, 0, &["1 newer and skipped"]);
    assert_eq!(wire.live().await, live(2));
    let corrected = wire
        .import(&[text(3)], &["--publish", "--on-change", "correct"])
        .await
        .ok();
    assert_failed_with(
        &corrected,
        0,
        &["0 created, 0 already there, 0 published, 1 corrected"],
    );
    assert_eq!(wire.live().await, live(3));
    let article = wire.article("a").await.unwrap();
    assert_eq!(
        article["meta"]["corrections"][0]["note"],
        "Corrects paragraph 3."
    );
    assert_eq!(article["sourceItem"]["version"], "3");
    for older in [1, 2] {
        let done = wire
            .import(&[text(older)], &["--publish", "--on-change", "correct"])
            .await
            .ok();
        assert_failed_with(&done, 0, &["1 older than what is there"]);
    }
    let same = wire
        .import(&[text(3)], &["--publish", "--on-change", "correct"])
        .await
        .ok();
    assert_failed_with(&same, 0, &["0 created, 1 already there, 0 published\n"]);
    // Several versions in one file, in any order: the newest one counts.
    let mixed = [text(5), text(4), text(6), text(3)];
    let done = wire
        .import(&mixed, &["--publish", "--on-change", "correct"])
        .await
        .ok();
    assert_failed_with(&done, 0, &["1 corrected, 3 older than what is there"]);
    assert_eq!(wire.live().await, live(6));
    // An embargoed version is not published as a correction.
    let mut hidden = text(7);
    hidden["embargoedUntil"] = json!("2031-01-01T06:00:00Z");
    let done = wire
        .import(&[hidden], &["--publish", "--on-change", "correct"])
        .await;
    assert_failed_with(
        &done,
        1,
        &["is under embargo: a correction would publish it before its time"],
    );
    assert_eq!(wire.live().await, live(6));
    wire.server.stop().await;
}

#[tokio::test]
async fn a_newer_version_of_what_is_not_live_yet_keeps_it_hidden_as_long_as_its_sender_says() {
    let wire = AgencyImport::start().await;
    let until = |id: &str, number: u32, year: u32| {
        version(
            id,
            number,
            &json!({"embargoedUntil": format!("{year}-01-01T06:00:00Z"), "bodies": [{"value": format!("Text {number}.")}]}),
        )
    };
    wire.import(
        &[
            until("a", 1, 2030),
            until("b", 1, 2030),
            until("c", 1, 2030),
        ],
        &["--publish"],
    )
    .await
    .ok();
    let correct = ["--publish", "--on-change", "correct"];
    let done = wire.import(&[until("a", 2, 2031)], &correct).await.ok();
    assert_failed_with(
        &done,
        0,
        &["1 under embargo, 1 drafts updated, 1 sent back"],
    );
    let a = wire.article("a").await.unwrap();
    assert_eq!(
        (a["meta"]["state"].as_str(), a["body"].as_str()),
        (Some("STATE_EMBARGOED"), Some("Text 2."))
    );
    assert_eq!(a["meta"]["embargoTime"], "2031-01-01T06:00:00Z");
    // The sender withholds it: it is not published, whatever the option for changes says.
    let withheld = version("b", 2, &json!({"pubStatus": "withheld"}));
    let done = wire.import(&[withheld], &["--publish"]).await;
    assert_failed_with(&done, 1, &["1 sent back", "[WITHHELD]"]);
    let b = wire.article("b").await.unwrap();
    assert_eq!(
        (
            b["meta"]["state"].as_str(),
            b["sourceItem"]["status"].as_str()
        ),
        (Some("STATE_DRAFT"), Some("STATUS_WITHHELD"))
    );
    assert_failed_with(
        &wire
            .import(&[until("b", 1, 2030)], &["--publish"])
            .await
            .ok(),
        0,
        &["1 older than what is there"],
    );
    assert_eq!(wire.state("b").await, "DRAFT");
    // It is published once it is released.
    let released = version("b", 3, &json!({"pubStatus": "usable"}));
    assert_failed_with(
        &wire.import(&[released], &correct).await.ok(),
        0,
        &["1 published, 1 drafts updated"],
    );
    assert_eq!(wire.live().await.len(), 1);
    let live_and_withheld = version(
        "b",
        4,
        &json!({"pubStatus": "withheld", "edNote": "Lawyers."}),
    );
    assert_failed_with(
        &wire
            .import(std::slice::from_ref(&live_and_withheld), &["--publish"])
            .await,
        1,
        &["its sender withholds it, and it is published here"],
    );
    assert_failed_with(
        &wire.import(&[live_and_withheld], &correct).await.ok(),
        0,
        &["1 retracted"],
    );
    assert!(wire.live().await.is_empty());
    wire.server.stop().await;
}

#[tokio::test]
async fn several_imports_at_once_make_one_article_of_an_item() {
    let wire = AgencyImport::start().await;
    let files: Vec<_> = (1..=4)
        .map(|number| {
            let items: String = (0..30)
                .map(|id| {
                    let fields = json!({"headlines": [{"value": format!("Headline {number}")}], "bodies": [{"value": format!("Text {number}.")}]});
                    format!("{}\n", version(&format!("p{id}"), number, &fields))
                })
                .collect();
            file(&wire.directory, &format!("{number}.ndjson"), items)
        })
        .collect();
    let arguments = ["--publish", "--on-change", "correct"];
    let runs = files
        .iter()
        .map(|file| import(&wire.server, file, &arguments));
    let all = futures_util::future::join_all(runs).await;
    assert!(
        all.iter().any(|done| done.code == 0),
        "{:?}",
        all.iter().map(|done| &done.stderr).collect::<Vec<_>>()
    );
    let live = wire.live().await;
    assert_eq!(live.len(), 30, "{live:?}");
    // A run that was too late to publish reports it; another run publishes the newest version.
    import(&wire.server, &files[3], &arguments).await.ok();
    let live = wire.live().await;
    assert!(
        live.len() == 30 && live.iter().all(|(_, body)| body == "Text 4."),
        "{live:?}"
    );
    wire.server.stop().await;
}

#[tokio::test]
async fn an_item_that_was_imported_under_its_headline_is_found_again() {
    let wire = AgencyImport::start().await;
    // Earlier versions of this program derived the name from headline and hash, and stored nothing about the item.
    let uri = "urn:example:wire:old";
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(uri));
    let name = format!("articles/old-headline-{}", &hash[..10]);
    let record = json!({"article": {"name": name, "headline": "Old headline", "body": "Text.", "languageCode": "en"}});
    import(
        &wire.server,
        &file(&wire.directory, "old.ndjson", record.to_string()),
        &["--publish"],
    )
    .await
    .ok();
    let mut same = version("old", 1, &json!({"headlines": [{"value": "Old headline"}]}));
    assert_failed_with(
        &wire
            .import(std::slice::from_ref(&same), &["--publish"])
            .await
            .ok(),
        0,
        &["0 created, 1 already there, 0 published\n"],
    );
    same["bodies"] = json!([{"value": "Mended."}]);
    same["version"] = json!("2");
    assert_failed_with(
        &wire
            .import(&[same], &["--publish", "--on-change", "correct"])
            .await
            .ok(),
        0,
        &["1 corrected"],
    );
    assert_eq!(
        wire.live().await,
        [("Old headline".to_owned(), "Mended.".to_owned())]
    );
    wire.server.stop().await;
}
