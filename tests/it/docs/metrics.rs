//! Metrics: those of the source, those that a server exposes, and those that pages name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use regex::Regex;
use tokio::process::Command;

use super::names::texts;
use crate::support::{
    cli::dateline,
    process::{Process, free_address, scrape},
    server::{PROGRAM, create_database},
    tools::repo_path,
};

/// Words that look like metrics: claims of JWT.
const CLAIMS: [&str; 2] = ["dateline_roles", "dateline_scope"];

/// Files of a directory and of those below it.
fn files(directory: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// The source of the program, its tests and its benchmarks.
pub fn sources() -> Vec<PathBuf> {
    let roots = ["src", "crates", "tests/it", "benches"].map(repo_path);
    let roots = roots.into_iter().filter(|root| root.exists());
    let files = roots.flat_map(files);
    files
        .filter(|file| file.extension().is_some_and(|it| it == "rs"))
        .collect()
}

/// Metrics that the source records, with their types.
pub fn of_source() -> BTreeMap<String, String> {
    let recorded = Regex::new(r#"metrics::(counter|gauge|histogram)!\(\s*"([a-z_]+)""#).unwrap();
    let texts = sources().into_iter().map(fs::read_to_string);
    let found = texts.flat_map(|text| {
        let text = text.unwrap();
        let found = recorded.captures_iter(&text);
        found
            .map(|found| (found[2].to_owned(), found[1].to_owned()))
            .collect::<Vec<_>>()
    });
    found.collect()
}

/// Rows of the table of metrics: name and type.
fn of_page() -> BTreeMap<String, String> {
    let page = fs::read_to_string(repo_path("docs/limits.md")).unwrap();
    let (_, section) = page.split_once("\n## Metrics\n").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let name = cells.next().unwrap().trim_matches('`').to_owned();
        (name, cells.next().unwrap().to_owned())
    })
    .collect()
}

#[test]
fn the_page_lists_the_metrics_of_the_source_and_no_others() {
    let source = of_source();
    assert!(source.len() > 15, "{source:?}");
    assert_eq!(of_page(), source);
    let mut described = sources();
    described
        .retain(|file| file.ends_with("server/metrics.rs") || file.ends_with("src/metrics.rs"));
    let described = fs::read_to_string(&described[0]).unwrap();
    for (name, kind) in &source {
        assert!(
            described.contains(&format!("\"{name}\"")),
            "{name}: no help"
        );
        assert_eq!(
            name.ends_with("_total"),
            kind == "counter",
            "{name} is a {kind}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_that_a_server_exposes_is_on_the_page() {
    let metrics = free_address();
    let mut command = Command::new(PROGRAM);
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(["--metrics-listen", &metrics])
        .env("DATELINE_DATABASE_URL", create_database().await);
    let server = Process::start(command).await;
    dateline(&server.address, &["feed"]).await.ok();
    let text = scrape(&metrics).await;
    let listed = of_page();
    let mut exposed = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert_eq!(listed.get(name).map(String::as_str), Some(kind), "{name}");
        exposed.insert(name);
    }
    for name in [
        "grpc_server_handled_total",
        "grpc_server_handling_seconds",
        "dateline_connections",
        "dateline_head_sequence",
    ] {
        assert!(exposed.contains(name), "no {name} in {text}");
    }
    let call = "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"dateline.v1.FeedService\",\
                grpc_method=\"GetFeed\",grpc_code=\"OK\"}";
    assert!(text.contains(call), "no {call} in {text}");
    assert!(text.contains("dateline_head_sequence{feed=\"wire\"} 0"));
}

#[test]
fn every_metric_that_a_page_names_is_one() {
    let metric = Regex::new(r"`((?:dateline|grpc_server)_[a-z_]+)[`{]").unwrap();
    let source = of_source();
    let mut count = 0;
    for (page, text) in texts() {
        for found in metric.captures_iter(&text) {
            let name = &found[1];
            let is_crate = repo_path("crates").join(name.replace('_', "-")).exists();
            assert!(
                source.contains_key(name) || CLAIMS.contains(&name) || is_crate,
                "{page}: there is no metric {name}"
            );
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}
