//! `dateline find`, and the flags of `dateline list` that order by change.

use crate::support::{
    cli::{CommandOutput, dateline, import_gold},
    editing::*,
    projections::wait_projected,
    server::{TestServer, start_server},
};

async fn server_with_gold() -> TestServer {
    let server = start_server().await;
    import_gold(&server.address).await;
    wait_projected(&server.url).await;
    server
}

async fn run(server: &TestServer, arguments: &[&str]) -> CommandOutput {
    dateline(&server.address, arguments).await
}

#[tokio::test(flavor = "multi_thread")]
async fn find_prints_what_it_found_and_nothing_found_is_exit_3() {
    let server = server_with_gold().await;
    let table = run(&server, &["find", "stoltenburg"]).await.ok();
    let mut lines = table.stdout.lines();
    assert!(
        lines.next().unwrap().starts_with("NAME"),
        "{}",
        table.stdout
    );
    assert!(
        lines.next().unwrap().starts_with("actors/jens-stoltenberg"),
        "{}",
        table.stdout
    );
    assert!(
        !table.stdout.contains('\u{1b}'),
        "no colours outside of a terminal"
    );
    let nothing = run(&server, &["find", "zanzibarquince"]).await;
    assert_eq!((nothing.code, nothing.stdout.as_str()), (3, ""));
    assert!(nothing.stderr.contains("0 records"), "{}", nothing.stderr);
    let json = run(
        &server,
        &["find", "-o", "ndjson", "столтенберг", "--kind", "actor"],
    )
    .await
    .ok();
    let hits = json.lines();
    assert_eq!(hits[0]["name"], "actors/jens-stoltenberg");
    assert_eq!(
        hits[0]["record"]["actor"]["displayName"],
        "Jens Stoltenberg"
    );
    let all = run(&server, &["find", "-o", "json", "\"Steppe Eagle\""])
        .await
        .ok();
    assert_eq!(all.json()[0]["fragments"][0]["text"], "Steppe Eagle");
    let again = run(&server, &["reindex"]).await.ok();
    assert!(
        again.stderr.contains("up to desk sequence 94"),
        "{}",
        again.stderr
    );
    let limited = run(
        &server,
        &["find", "kazakhstan", "--limit", "2", "--count", "kind"],
    )
    .await
    .ok();
    assert!(
        limited.stderr.contains("2 shown (--limit)"),
        "{}",
        limited.stderr
    );
    assert!(limited.stdout.contains("KIND"), "{}", limited.stdout);
    for (arguments, words) in [
        (&["find", "!"][..], "no letter or digit"),
        (&["find", "a", "--author", "me"], "--view desk"),
        (&["find", "a", "--region", "kz"], "--region kz"),
    ] {
        let refused = run(&server, arguments).await;
        assert_ne!(refused.code, 0);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn list_orders_by_change_and_filters_by_author_and_time() {
    let server = server_with_gold().await;
    let name = |line: &serde_json::Value| {
        let record = line.as_object().unwrap().values().next().unwrap();
        record["name"].as_str().unwrap().to_owned()
    };
    create_drafts(&server.client, &[actor("newest")]).await;
    let desk = ["list", "--view", "desk", "-o", "ndjson"];
    let newest = run(
        &server,
        &[&desk[..], &["--newest", "--limit", "1"]].concat(),
    )
    .await
    .ok();
    let names: Vec<_> = newest.lines().iter().map(name).collect();
    assert_eq!(names, ["actors/newest"]);
    for (flags, count) in [
        (&["--author", "local"][..], 48),
        (&["--author", "nobody"], 0),
        (&["--since", "-1h"], 48),
        (&["--order", "time", "--kind", "event"], 11),
        (&["--order", "name"], 48),
    ] {
        let listed = run(&server, &[&desk[..], flags].concat()).await.ok();
        assert_eq!(listed.lines().len(), count, "{flags:?}");
    }
    let by_name = run(&server, &[&desk[..], &["--order", "name"]].concat())
        .await
        .ok();
    assert_eq!(by_name.stdout, run(&server, &desk).await.ok().stdout);
    let readers = run(&server, &["list", "--author", "local"]).await;
    assert_eq!(readers.code, 2, "{}", readers.stderr);
    server.stop().await;
}
