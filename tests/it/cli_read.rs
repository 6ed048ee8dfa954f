//! `dateline get`, `list` and `watch`: imported records are printed in every format, equal to the input.

use serde_json::Value;

use crate::support::{
    cli::{
        actor, dateline, dateline_reading, gold_as_read, gold_documents, import_gold, name,
        without_meta,
    },
    server::start_server,
};

#[tokio::test]
async fn get_prints_every_gold_record_as_it_was_imported() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let gold = gold_as_read();
    let names: Vec<_> = gold.iter().map(name).collect();
    let mut arguments = vec!["get", "-o", "json"];
    arguments.extend(names.iter().map(String::as_str));
    let all = dateline(&server.address, &arguments).await.ok();
    let read: Vec<_> = all
        .json()
        .as_array()
        .unwrap()
        .iter()
        .cloned()
        .map(without_meta)
        .collect();
    assert_eq!(read, gold);
    let one = dateline(&server.address, &["get", "-o", "json", &names[0]])
        .await
        .ok();
    assert_eq!(without_meta(one.json()), gold[0]);
    assert!(
        one.stdout.starts_with("{\n  \"article\": {\n    \"name\""),
        "fields come as in the schema: {}",
        one.stdout
    );
    let yaml = dateline(&server.address, &["get", &names[0]]).await.ok();
    assert_eq!(
        without_meta(serde_saphyr::from_str(&yaml.stdout).unwrap()),
        gold[0]
    );
    server.stop().await;
}

#[tokio::test]
async fn list_filters_in_every_format() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let people = ["list", "--kind", "actor", "--type", "person"];
    let run = |format: &'static str| {
        let (address, arguments) = (
            server.address.clone(),
            [&people[..], &["-o", format]].concat(),
        );
        async move { dateline(&address, &arguments).await.ok() }
    };
    let expected = [
        "actors/james-malloy",
        "actors/jens-stoltenberg",
        "actors/margulan-baimukhan",
        "actors/timur-dandybayev",
    ];
    let json = run("json").await.json();
    assert_eq!(
        json.as_array()
            .unwrap()
            .iter()
            .map(name)
            .collect::<Vec<_>>(),
        expected
    );
    assert_eq!(run("ndjson").await.lines(), *json.as_array().unwrap());
    assert_eq!(
        serde_saphyr::from_str::<Value>(&run("yaml").await.stdout).unwrap(),
        json
    );
    let table = run("table").await;
    assert!(
        expected.iter().all(|name| table.stdout.contains(name)),
        "{}",
        table.stdout
    );
    assert_eq!(table.stderr, "4 records\n");

    let dated = [
        "list",
        "--kind",
        "event",
        "--actor",
        "actors/nato",
        "--from",
        "2021-01-01",
        "--to",
        "2021-12-31",
    ];
    let dated = dateline(&server.address, &[&dated[..], &["-o", "ndjson"]].concat())
        .await
        .ok();
    assert_eq!(dated.lines().len(), 2);
    let limited = dateline(&server.address, &["list", "--limit", "5", "-o", "ndjson"])
        .await
        .ok();
    assert_eq!(limited.lines().len(), 5);
    let relations = dateline(&server.address, &["list", "--kind", "relation"])
        .await
        .ok();
    assert!(
        relations.stdout.contains("actors/kazakhstan → actors/nato"),
        "{}",
        relations.stdout
    );
    assert!(
        relations
            .stdout
            .contains("actors/james-malloy → actors/us-central-command, deputy commander")
    );
    let nothing = dateline(&server.address, &["list", "--region", "FR"])
        .await
        .ok();
    assert_eq!(
        (nothing.stdout.as_str(), nothing.stderr.as_str()),
        ("", "0 records\n")
    );
    server.stop().await;
}

#[tokio::test]
async fn f4_watch_prints_dense_sequences_and_goes_on_after_its_cursor() {
    let server = start_server().await;
    import_gold(&server.address).await;
    let watch = ["watch", "--from-beginning", "--limit", "47", "-o", "ndjson"];
    let changes = dateline(&server.address, &watch).await.ok().lines();
    let sequences: Vec<_> = changes
        .iter()
        .map(|change| change["sequence"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        sequences,
        (1..=47)
            .map(|sequence| sequence.to_string())
            .collect::<Vec<_>>()
    );
    let names: Vec<_> = changes
        .iter()
        .map(|change| change["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        gold_documents().iter().map(name).collect::<Vec<_>>(),
        "published in the order of the file"
    );

    let cursor = changes[46]["cursor"]
        .as_str()
        .expect("the last change carries the cursor");
    let watch = ["watch", "--view", "desk", "--since", cursor];
    let foreign = dateline(&server.address, &watch).await;
    assert_eq!(foreign.code, 1);
    assert!(
        foreign.stderr.contains("[CURSOR_FOREIGN]"),
        "{}",
        foreign.stderr
    );

    let watch = [
        "watch",
        "--view",
        "desk",
        "--from-beginning",
        "--limit",
        "94",
        "-o",
        "ndjson",
    ];
    let desk = dateline(&server.address, &watch).await.ok().lines();
    let cursor = desk[93]["cursor"].as_str().unwrap();
    dateline_reading(&server.address, &["import", "-"], &actor("latecomers"))
        .await
        .ok();
    let watch = ["watch", "--view", "desk", "--since", cursor, "--limit", "1"];
    let resumed = dateline(&server.address, &watch).await.ok();
    assert!(
        resumed
            .stdout
            .starts_with("    95  created    actors/latecomers"),
        "{}",
        resumed.stdout
    );
    assert!(
        resumed
            .stderr
            .starts_with("to go on from here, add: --since "),
        "{}",
        resumed.stderr
    );

    // The gold batch is one response; a limit inside it must not make the next run skip its rest.
    let cut = dateline(
        &server.address,
        &["watch", "--from-beginning", "--limit", "1"],
    )
    .await
    .ok();
    let cursor = cut.stderr.trim().rsplit(' ').next().unwrap();
    let watch = ["watch", "--since", cursor, "--limit", "2", "-o", "ndjson"];
    let rest = dateline(&server.address, &watch).await.ok().lines();
    assert!(
        rest.iter().any(|change| change["sequence"] == "2"),
        "{rest:?}"
    );
    server.stop().await;
}
