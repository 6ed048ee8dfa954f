//! `dateline export --since`, `dateline apply` and `--keep`: nightly exports that build on each other (E5).

use std::fs;

use crate::support::{
    cli::{dateline, import_gold},
    editing::*,
    export_dir::{assert_same_files, export, only_entry, read_manifest, verify},
    server::{TestServer, start_server, temp_dir},
};

/// One day's work: published records are corrected, withdrawn, merged, erased; new ones are published.
async fn a_day(server: &TestServer, day: usize) {
    let client = &server.client;
    for number in 0..4 {
        create_published(client, &actor(&format!("day-{day}-{number}"))).await;
    }
    let now = desk_record(client, &format!("actors/day-{day}-0")).await;
    let now = commit_one(
        client,
        correct(&with_text(&now, "better"), &[], "said better"),
    )
    .await;
    if day > 0 {
        let before = desk_record(client, &format!("actors/day-{}-1", day - 1)).await;
        commit_one(client, retract(&before, "wrong", false)).await;
        let twin = desk_record(client, &format!("actors/day-{}-2", day - 1)).await;
        commit_one(client, merge(&twin, &now)).await;
        let erased = desk_record(client, &format!("actors/day-{}-3", day - 1)).await;
        commit_ok(client, vec![purge(&erased, false)]).await;
    }
}

#[tokio::test]
async fn e5_a_full_export_and_its_deltas_applied_are_the_full_export_of_the_last_night() {
    let server = start_server_with_base().await;
    let mut day = 0;
    for how in [
        &[
            "--format",
            "protobuf,parquet,followthemoney",
            "--records-per-file",
            "3",
        ][..],
        &["--view", "desk", "--tombstones", "--compress", "zstd"],
        &["--type", "group"],
        &["--view", "metadata", "--format", "ndjson"],
    ] {
        let (_keep, directory) = temp_dir();
        let (deltas, fulls) = (directory.join("deltas"), directory.join("fulls"));
        export(&server.address, &deltas, how).await.ok();
        let first = only_entry(&deltas);
        for night in 0..3 {
            // In one night nothing has changed.
            if night != 1 {
                a_day(&server, day).await;
                day += 1;
            }
            let since = [how, &["--since", "latest"]].concat();
            export(&server.address, &deltas, &since).await.ok();
        }
        export(&server.address, &fulls, how).await.ok();
        let mut nights: Vec<_> = fs::read_dir(&deltas)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().contains("-since-"))
            .collect();
        nights.sort();
        let applied = directory.join("applied");
        let mut words = vec!["apply", first.to_str().unwrap()];
        words.extend(nights.iter().map(|night| night.to_str().unwrap()));
        words.extend(["--out", applied.to_str().unwrap()]);
        let done = dateline("127.0.0.1:1", &words).await.ok();
        let is_whole = !how.contains(&"--type");
        let is_proved = is_whole && !how.contains(&"metadata");
        assert_eq!(
            done.stderr.contains("it is what the feed showed"),
            is_proved,
            "{how:?}: {}",
            done.stderr
        );
        let (one, other) = (only_entry(&applied), only_entry(&fulls));
        if is_whole {
            assert_same_files(&one, &other);
        } else {
            assert_eq!(
                read_manifest(&one)["digest"],
                read_manifest(&other)["digest"]
            );
        }
        verify(&one).await.ok();
        // Applied in the wrong order, they are refused.
        let wrong = [
            "apply",
            nights[0].to_str().unwrap(),
            first.to_str().unwrap(),
            "--out",
            "/tmp",
        ];
        assert_eq!(dateline("127.0.0.1:1", &wrong).await.code, 1);
    }
}

#[tokio::test]
async fn e5_a_delta_is_not_taken_across_histories() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let (_keep, directory) = temp_dir();
    export(&server.address, &directory, &[]).await.ok();
    dateline(&server.address, &["feed", "fork", "--yes"])
        .await
        .ok();
    let refused = export(&server.address, &directory, &["--since", "latest"]).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("take a full one"),
        "{}",
        refused.stderr
    );
}

#[tokio::test]
async fn keep_leaves_the_newest_full_exports_and_what_builds_on_them() {
    let server = start_server_with_base().await;
    let (_keep, directory) = temp_dir();
    for (day, more) in [
        &[][..],
        &["--since", "latest"],
        &[],
        &["--since", "latest"],
        &[],
    ]
    .iter()
    .enumerate()
    {
        let how = [more, &["--keep", "2"][..]].concat();
        export(&server.address, &directory, &how).await.ok();
        a_day(&server, day).await;
    }
    let mut kept: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    kept.sort();
    let deltas = kept
        .iter()
        .filter(|it| it.to_str().unwrap().contains("-since-"));
    assert_eq!((kept.len(), deltas.count()), (3, 1), "{kept:?}");
    for place in kept {
        verify(&place).await.ok();
    }
}

/// The keys of a manifest that define the content of the files.
fn content(place: &std::path::Path) -> Vec<serde_json::Value> {
    let manifest = read_manifest(place);
    let keys = [
        "formats",
        "compression",
        "view",
        "metadataOnly",
        "tombstones",
        "filter",
        "baseUri",
        "fileRecords",
        "partitions",
    ];
    keys.iter().map(|key| manifest[key].clone()).collect()
}

#[tokio::test]
async fn a_delta_is_in_the_formats_and_of_the_content_of_what_it_builds_upon() {
    let server = start_server_with_base().await;
    let (_keep, directory) = temp_dir();
    let how = [
        "--format",
        "protobuf,parquet,csv",
        "--compress",
        "zstd",
        "--view",
        "desk,metadata",
        "--tombstones",
        "--type",
        "organization",
        "--base-uri",
        "https://news.example/",
        "--records-per-file",
        "3",
        "--partitions",
        "2",
    ];
    let out = directory.join("nights");
    export(&server.address, &out, &how).await.ok();
    let full = only_entry(&out);
    a_day(&server, 0).await;
    let latest = ["--since", "latest"];
    let told = export(&server.address, &out, &latest).await.ok();
    let delta = told.stderr.trim().lines().last().unwrap().to_owned();
    let delta = std::path::Path::new(&delta).parent().unwrap();
    assert!(delta.to_str().unwrap().contains("-since-"), "{delta:?}");
    assert_eq!(content(delta), content(&full));
    verify(delta).await.ok();
    // Options that affect only the form of the files may differ from those of the base.
    let other = directory.join("other");
    let since = ["--since", full.to_str().unwrap()];
    let words = [&since[..], &["--format", "ndjson", "--compress", "none"]].concat();
    export(&server.address, &other, &words).await.ok();
    let other = only_entry(&other);
    assert_eq!(read_manifest(&other)["compression"], "none");
    assert_eq!(
        read_manifest(&other)["formats"],
        serde_json::json!(["ndjson"])
    );
    let applied = directory.join("applied");
    let words = [&full, &other, &applied].map(|path| path.to_str().unwrap());
    let apply = ["apply", words[0], words[1], "--out", words[2]];
    dateline("127.0.0.1:1", &apply).await.ok();
    assert_eq!(content(&only_entry(&applied))[..2], content(&full)[..2]);
    // A delta with other content is refused, since it could not be applied.
    for (more, what) in [
        (&["--view", "published"][..], "the other view, desk"),
        (&["--view", "full"], "of metadata alone"),
        (&["--kind", "event"], "another filter"),
    ] {
        let refused = export(&server.address, &out, &[&latest[..], more].concat()).await;
        assert_eq!(refused.code, 1, "{more:?}");
        assert!(
            refused.stderr.contains(what),
            "{more:?}: {}",
            refused.stderr
        );
    }
    // Of several exports, the newest one that matches the options.
    export(&server.address, &out, &[]).await.ok();
    let words = [&latest[..], &["--view", "published"]].concat();
    let told = export(&server.address, &out, &words).await.ok();
    assert!(told.stderr.contains("/published-"), "{}", told.stderr);
    let words = [&latest[..], &["--tombstones", "--sequence", "7"]].concat();
    let refused = export(&server.address, &out, &words).await;
    assert_eq!(refused.code, 1, "it cannot end before it begins");
}
