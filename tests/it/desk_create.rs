//! `dateline create`: drafts of records in YAML and JSON, and of the plain text of an article.

use serde_json::Value;

use crate::support::{
    cli::{ARTICLE_FILE, actor, dateline_reading, gold_documents, name},
    desk::{STORY, desk_view, run},
    server::start_server,
};

#[tokio::test]
async fn an_article_is_made_of_its_plain_text_as_the_gold_record_says_it() {
    let server = start_server().await;
    let made = run(
        &server,
        &[
            "create",
            "article",
            ARTICLE_FILE,
            "--language",
            "en",
            "-o",
            "json",
        ],
    )
    .await
    .ok();
    let made = made.json();
    let gold = gold_documents()
        .into_iter()
        .find(|record| name(record) == STORY)
        .unwrap();
    for field in ["name", "headline", "body", "languageCode", "originalSha256"] {
        assert_eq!(made["article"][field], gold["article"][field], "{field}");
    }
    let names = |record: &Value| {
        let sources = record["article"]["sources"].as_array().unwrap().clone();
        let names = sources
            .into_iter()
            .map(|source| source["displayName"].clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&made), names(&gold));
    let again = run(
        &server,
        &[
            "create",
            "article",
            ARTICLE_FILE,
            "--name",
            "articles/other",
        ],
    )
    .await;
    assert_eq!((again.code, again.stdout.as_str()), (1, ""));
    assert!(
        again.stderr.contains("DUPLICATE_ORIGINAL"),
        "{}",
        again.stderr
    );
    server.stop().await;
}

#[tokio::test]
async fn a_record_is_read_as_yaml_or_json_bare_or_in_its_envelope() {
    let server = start_server().await;
    let bare = "type: TYPE_GROUP\ndisplayName: D\nactive: {start: {edtf: 1949}}\nnames: [{text: D, languageCode: en, type: TYPE_FULL}]";
    let cases = [
        (format!("name: actors/a\n{bare}"), vec![]),
        (format!("name: actors/b\n{bare}"), vec!["--kind", "actor"]),
        (
            format!("actor:\n  name: actors/c\n  {}", bare.replace('\n', "\n  ")),
            vec![],
        ),
        (actor("d"), vec![]),
    ];
    for (text, flags) in cases {
        let arguments = [vec!["create", "-", "-o", "json"], flags].concat();
        let made = dateline_reading(&server.address, &arguments, &text)
            .await
            .ok();
        assert_eq!(made.json()["actor"]["meta"]["state"], "STATE_DRAFT");
    }
    // A year is a number in YAML; it is read as text all the same.
    assert_eq!(
        desk_view(&server, "actors/a").await["actor"]["active"]["start"]["edtf"],
        "1949"
    );
    server.stop().await;
}

#[tokio::test]
async fn w6_a_bad_record_is_refused_by_field_and_place_and_nothing_is_made() {
    let server = start_server().await;
    let cases = [
        (
            "actor:\n  name: actors/x\n  nmae: y\n",
            "unrecognized field name 'nmae', did you mean 'name'? at line 2",
        ),
        (
            "actor:\n  name: actors/x\n  type: TYPE_GRUP\n",
            "'TYPE_GRUP'; there are: ",
        ),
        (
            "actor:\n  name: actors/x\n  name: actors/y\n",
            "\"name\" stands twice",
        ),
        (
            "actor: {name: actors/x, type: TYPE_GROUP}\n",
            "actors/x: display_name: must not be empty",
        ),
        ("{\"actor\": {", "stdin: EOF while parsing"),
        ("title: x\n", "--kind"),
        ("actors: []\n", "dateline import"),
        ("# nothing\n", "the text is empty"),
    ];
    for (text, told) in cases {
        let refused = dateline_reading(&server.address, &["create", "-"], text).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (1, ""), "{text}");
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }
    let absent = run(&server, &["create", "/no/such/file"]).await;
    assert!(
        absent.stderr.contains("cannot read /no/such/file"),
        "{}",
        absent.stderr
    );
    let all = run(&server, &["list", "--view", "desk", "-o", "ndjson"])
        .await
        .ok();
    assert_eq!(all.stdout, "");
    server.stop().await;
}

#[tokio::test]
async fn warnings_are_told_on_stderr_a_line_each() {
    let server = start_server().await;
    let arguments = [
        "create",
        "article",
        ARTICLE_FILE,
        "--publisher",
        "actors/kazinform",
        "-o",
        "json",
    ];
    let made = run(&server, &arguments).await.ok();
    let told = format!("warning: {STORY}: publisher: there is no record actors/kazinform yet");
    assert!(made.stderr.starts_with(&told), "{}", made.stderr);
    assert_eq!(made.stderr.lines().count(), 1);
    server.stop().await;
}
