//! Exports to an object store: an S3 server that the tests run.

use crate::support::{
    bucket::Bucket,
    cli::import_gold,
    editing::create_published,
    server::{start_server, temp_dir},
};

#[tokio::test]
async fn e4_an_export_lives_on_an_object_store_as_in_a_directory() {
    let bucket = Bucket::open().await;
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let to = "s3://bucket/nightly";
    let how = [
        "export",
        "--out",
        to,
        "--format",
        "ndjson,parquet",
        "--compress",
        "zstd",
        "--records-per-file",
        "5",
    ];
    let first = bucket.dateline(&test_server.address, &how).await.ok();
    let last_line = first.stderr.trim().lines().last().unwrap().to_owned();
    assert!(
        last_line.starts_with("s3://bucket/nightly/published-"),
        "{}",
        first.stderr
    );
    let again = bucket.dateline(&test_server.address, &how).await.ok();
    assert!(again.stderr.contains("already there"), "{}", again.stderr);
    let proved = bucket
        .dateline("127.0.0.1:1", &["verify", &last_line])
        .await
        .ok();
    assert!(
        proved.stderr.contains("the digest is theirs"),
        "{}",
        proved.stderr
    );
    // A delta of the next night, combined with the full export on this machine.
    create_published(
        &test_server.client,
        &crate::support::records::gold_actor("late"),
    )
    .await;
    let since = [&how[..], &["--since", "latest"]].concat();
    let delta = bucket.dateline(&test_server.address, &since).await.ok();
    let delta = delta.stderr.trim().lines().last().unwrap().to_owned();
    let (_keep, directory) = temp_dir();
    let out = directory.to_str().unwrap();
    let apply = ["apply", &last_line, &delta, "--out", out];
    let applied = bucket.dateline("127.0.0.1:1", &apply).await.ok();
    assert!(
        applied.stderr.contains("it is what the feed showed"),
        "{}",
        applied.stderr
    );
    // Imported from the bucket into an empty database.
    let empty = start_server().await;
    let loaded = bucket
        .dateline(&empty.address, &["import", &last_line])
        .await
        .ok();
    assert!(
        loaded.stderr.contains("the digests are equal"),
        "{}",
        loaded.stderr
    );
}

#[tokio::test]
async fn e4_a_store_that_cannot_be_written_to_is_told_and_nothing_is_complete() {
    let bucket = Bucket::open().await;
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let how = ["export", "--out", "s3://no-such-bucket/nightly"];
    let refused = bucket.dateline(&test_server.address, &how).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("no-such-bucket"),
        "{}",
        refused.stderr
    );
    let (_keep, directory) = temp_dir();
    let file = directory.join("file");
    std::fs::write(&file, "").unwrap();
    for place in [file.to_str().unwrap(), "/proc/exports", "nonsense://place"] {
        let refused = bucket
            .dateline(&test_server.address, &["export", "--out", place])
            .await;
        assert_eq!(refused.code, 1, "{place}");
        assert!(
            refused.stderr.contains(place),
            "{place}: {}",
            refused.stderr
        );
    }
}
