//! A consumer outside the workspace that depends on the client alone: `examples/follow` compiles, follows a real server,
//! resumes from its file, and brings no database, no file formats and no command line along.

use std::{collections::BTreeSet, fs, path::Path, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::support::{
    builders::{commit_request, create_from, versions},
    cli::import_gold,
    records::article,
    server::{PROGRAM, TIMEOUT, start_server, temp_dir},
    tools::{repo_path, run_tool},
};

const MANIFEST: &str = "examples/follow/Cargo.toml";
/// Maximum duration of its build, beside other tests.
const BUILD: Duration = Duration::from_mins(15);
const HEADLINE: &str = "1\tKazakhstan Confirms Partnership with NATO, U.S.";

/// The package names and versions of a lock file.
fn locked(file: &str) -> BTreeSet<(String, String)> {
    let text = fs::read_to_string(repo_path(file)).unwrap();
    let packages = text.split("[[package]]").skip(1);
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap().trim_matches('"').to_owned()
    };
    packages
        .map(|package| (value(package, "name = "), value(package, "version = ")))
        .collect()
}

fn cargo(command: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([command, "--quiet", "--offline", "--locked"])
        .args(["--manifest-path", MANIFEST]);
    cargo
}

/// The target directory of the tests: what they compiled with the same features is not compiled again.
fn target() -> &'static Path {
    Path::new(PROGRAM).ancestors().nth(2).unwrap()
}

/// Runs the example until its file has this sequence; returns its lines.
async fn followed(server: &str, file: &Path, sequence: i64) -> Vec<String> {
    let mut child = Command::new(target().join("debug/dateline-follow"))
        .args([server, file.to_str().unwrap()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stored = async {
        loop {
            let text = fs::read_to_string(file).unwrap_or_default();
            let position: Value = serde_json::from_str(&text).unwrap_or_default();
            if position["sequence"].as_i64() >= Some(sequence) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let stored = tokio::time::timeout(TIMEOUT, stored).await;
    stored.expect("it stores its position");
    child.kill().await.unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut read = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        read.push(line);
    }
    read
}

#[tokio::test]
async fn a_program_with_the_client_alone_follows_the_feed_and_resumes_it() {
    let mut build = cargo("build");
    run_tool(build.arg("--target-dir").arg(target()), BUILD)
        .await
        .unwrap();
    let server = start_server().await;
    import_gold(&server.address).await;
    let (_keep, directory) = temp_dir();
    let file = directory.join("follow.position");
    assert_eq!(followed(&server.address, &file, 47).await, [HEADLINE]);
    let late = create_from(&article("late"), "another text");
    let created = server.client.commit(commit_request(vec![late])).await;
    let created = created.unwrap();
    let published = server
        .client
        .publish(dateline_proto::v1::PublishRecordsRequest {
            records: versions(&created.records),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(published.wire_sequence, 48);
    let lines = followed(&server.address, &file, 48).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("48\t"), "{lines:?}");
    server.stop().await;
}

#[tokio::test]
async fn the_client_alone_brings_no_database_no_formats_and_no_command_line() {
    let mut tree = cargo("tree");
    tree.args(["--prefix", "none", "--edges", "normal,build"]);
    let tree = run_tool(&mut tree, TIMEOUT).await.unwrap();
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.contains("dateline-client") && names.contains("tonic"));
    for absent in [
        "dateline-record",
        "dateline-store",
        "dateline-formats",
        "sqlx",
        "sqlx-core",
        "arrow-array",
        "parquet",
        "object_store",
        "clap",
        "axum",
    ] {
        assert!(!names.contains(absent), "{absent} comes with the client");
    }
}

/// Its build is offline: what it needs was fetched for the workspace.
#[test]
fn the_example_of_the_client_has_the_versions_of_the_workspace() {
    let workspace = locked("Cargo.lock");
    let example = locked("examples/follow/Cargo.lock");
    let others: Vec<_> = example
        .difference(&workspace)
        .filter(|(name, _)| name != "dateline-follow")
        .collect();
    assert!(
        others.is_empty(),
        "copy Cargo.lock to examples/follow and build there: {others:?}"
    );
}
