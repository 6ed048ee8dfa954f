//! The schema for people who type records, judged by the YAML language server that editors use.

use serde_json::Value;
use tokio::process::Command;

use crate::support::{
    cli::{dateline, dateline_reading, import_gold},
    server::{TIMEOUT, start_server, temp_dir},
    tools::{node_modules, or_skip, repo_path, run_tool},
};

/// The facts of the story on the page about the desk.
fn facts() -> String {
    let page = std::fs::read_to_string(repo_path("docs/desk.md")).unwrap();
    let (_, after) = page.split_once("docs-test: file facts.yaml").unwrap();
    let (_, after) = after.split_once("```yaml\n").unwrap();
    after.split_once("```").unwrap().0.to_owned()
}

#[tokio::test]
async fn an_editor_accepts_what_the_service_accepts_and_marks_what_it_does_not() {
    let Some(modules) = or_skip(node_modules("tests/node").await, "the YAML language server")
    else {
        return;
    };
    let (_keep, directory) = temp_dir();
    let server = start_server().await;
    let schema = directory.join("schema.json");
    let printed = dateline(&server.address, &["schema"]).await.ok().stdout;
    std::fs::write(&schema, printed).unwrap();
    import_gold(&server.address).await;
    let stored = dateline(&server.address, &["list", "--view", "desk", "-o", "ndjson"]);
    let stored = stored.await.ok().stdout;
    // JSON is YAML.
    let stored = stored.lines().enumerate();
    let stored = stored.map(|(line, text)| (format!("{line}.yaml"), text.to_owned(), &[][..]));
    let mut files: Vec<(String, String, &[&str])> = stored.collect();
    assert!(files.len() > 40, "{}", files.len());
    files.extend([
        ("facts.yaml".to_owned(), facts(), &[][..]),
        (
            "wrong.yaml".to_owned(),
            "actor:\n  name: actors/x\n  type: organisation\n  displayNme: X\n".to_owned(),
            &[
                "3: Value is not accepted",
                "4: Property displayNme is not allowed",
                "1: Missing property",
            ],
        ),
        (
            "long.yaml".to_owned(),
            format!(
                "event: {{name: events/x, type: meeting, displayName: {}}}\n",
                "x".repeat(301)
            ),
            &["1: String is longer than the maximum length of 300"],
        ),
    ]);
    let mut script = Command::new("node");
    script
        .arg(repo_path("tests/node/yaml_diagnostics.mjs"))
        .arg(modules.join("yaml-language-server/bin/yaml-language-server"))
        .arg(&schema);
    for (name, text, _) in &files {
        std::fs::write(directory.join(name), text).unwrap();
        script.arg(directory.join(name));
    }
    let told = run_tool(&mut script, TIMEOUT * 2).await.unwrap();
    let lines: Vec<Vec<String>> = told
        .lines()
        .map(|line| serde_json::from_value(serde_json::from_str::<Value>(line).unwrap()).unwrap())
        .collect();
    assert_eq!(lines.len(), files.len(), "{told}");
    for ((name, _, expected), found) in files.iter().zip(lines) {
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for words in *expected {
            assert!(
                found.iter().any(|it| it.starts_with(words)),
                "{name}: {words}: {found:?}"
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_template_that_is_filled_in_is_created() {
    let server = start_server().await;
    for kind in ["article", "actor", "event"] {
        let template = dateline(&server.address, &["template", kind])
            .await
            .ok()
            .stdout;
        let filled = template
            .replace("/NAME", &format!("/{kind}-of-a-template"))
            .replace("  displayName: \"\"", "  displayName: Some name")
            .replace("  headline: \"\"", "  headline: Some words")
            .replace("  languageCode: \"\"", "  languageCode: en");
        dateline_reading(&server.address, &["create", "-"], &filled)
            .await
            .ok();
    }
    server.stop().await;
}
