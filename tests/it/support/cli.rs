//! The real program, run to its end against a server, and proto-JSON as it reads and prints it.

use std::process::Stdio;

use serde_json::{Map, Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::support::{
    gold::GOLD,
    server::{PROGRAM, TIMEOUT},
};

pub const GOLD_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seed/gold.json");

pub const ARTICLE_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seed/article.txt");

/// The result of a run.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl CommandOutput {
    /// Asserts that the run succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stderr: {}", self.stderr);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    pub fn lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// The program, with the address of a server.
pub fn program(server: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .env("DATELINE_SERVER", server)
        .kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
pub async fn dateline(server: &str, arguments: &[&str]) -> CommandOutput {
    dateline_reading(server, arguments, "").await
}

pub async fn dateline_reading(server: &str, arguments: &[&str], input: &str) -> CommandOutput {
    let mut child = program(server, arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A program that fails early does not read its input.
    let writing = tokio::spawn(async move { drop(stdin.write_all(input.as_bytes()).await) });
    let output = tokio::time::timeout(TIMEOUT * 2, child.wait_with_output())
        .await
        .expect("the program ends")
        .unwrap();
    writing.await.unwrap();
    let done = CommandOutput {
        code: output.status.code().expect("no signal ended the program"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(
        !done.stdout.contains('\u{1b}'),
        "escape codes on stdout: {}",
        done.stdout
    );
    assert!(
        !done.stderr.contains('\u{1b}'),
        "escape codes on stderr: {}",
        done.stderr
    );
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    done
}

pub async fn import_gold(server: &str) -> CommandOutput {
    dateline(
        server,
        &["import", GOLD_FILE, "--publish", "--original", ARTICLE_FILE],
    )
    .await
    .ok()
}

/// The gold file as records in proto-JSON, without the fields that the service sets.
pub fn gold_documents() -> Vec<Value> {
    documents(GOLD)
}

/// The gold file as readers see it: the article's second revision is the published one.
pub fn gold_as_read() -> Vec<Value> {
    documents(&GOLD.replace(r#""articleRevision": "1""#, r#""articleRevision": "2""#))
}

fn documents(bundle: &str) -> Vec<Value> {
    let bundle: Map<String, Value> = serde_json::from_str(bundle).unwrap();
    let kinds = [
        ("articles", "article"),
        ("actors", "actor"),
        ("relations", "relation"),
        ("events", "event"),
    ];
    let all = kinds.iter().flat_map(|(plural, kind)| {
        let records = bundle[*plural].as_array().unwrap().clone();
        records
            .into_iter()
            .map(move |record| without_meta(json!({ *kind: record })))
    });
    all.collect()
}

pub fn without_meta(mut record: Value) -> Value {
    for body in record.as_object_mut().unwrap().values_mut() {
        body.as_object_mut().unwrap().remove("meta");
    }
    record
}

pub fn name(record: &Value) -> String {
    let body = record.as_object().unwrap().values().next().unwrap();
    body["name"].as_str().unwrap().to_owned()
}

pub fn actor(id: &str) -> String {
    let names = json!([{ "text": id, "languageCode": "en", "type": "TYPE_FULL" }]);
    let body = json!({ "name": format!("actors/{id}"), "type": "TYPE_GROUP", "displayName": id, "names": names });
    json!({ "actor": body }).to_string()
}
