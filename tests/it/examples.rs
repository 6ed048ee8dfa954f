//! Clients of other languages: the examples run as their READMEs say, and a Python client reads the gold records by
//! every method. Their packages come from the registries, once per set of requirements. If that fails, the tests report
//! what is missing and pass; with `CI=true` they fail.

use std::fs;

use tokio::process::Command;

use crate::support::{
    gold::publish_gold,
    server::{TIMEOUT, start_server},
    tools::{
        PYTHON, generate_python_stubs, node_modules, or_skip, python_environment, repo_path,
        run_tool,
    },
};

/// The output of a first run in a README.
fn shown_in(readme: &str) -> String {
    let text = fs::read_to_string(repo_path(readme)).unwrap();
    let (_, shown) = text.split_once("```text\n").unwrap();
    shown.split_once("```").unwrap().0.to_owned()
}

/// The first run prints what the README shows; the second one finds the records, and its other output is the same.
async fn runs_twice(readme: &str, example: impl Fn() -> Command) {
    let shown = shown_in(readme);
    let first = run_tool(&mut example(), TIMEOUT * 2).await.unwrap();
    assert_eq!(first, shown);
    let second = run_tool(&mut example(), TIMEOUT * 2).await.unwrap();
    let found = shown
        .replace("created 2, found 0", "created 0, found 2")
        .replace("published 2", "published 0");
    assert_eq!(second, found);
}

#[tokio::test]
async fn the_python_example_does_what_its_readme_shows() {
    let Some(python) = or_skip(python_environment(PYTHON).await, "examples/python") else {
        return;
    };
    let (_keep, modules) = generate_python_stubs(&python).await;
    let server = start_server().await;
    runs_twice("examples/python/README.md", || {
        let mut example = Command::new(&python);
        example
            .arg(repo_path("examples/python/example.py"))
            .env("PYTHONPATH", &modules)
            .env("DATELINE_SERVER", &server.address);
        example
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn the_node_example_does_what_its_readme_shows() {
    let Some(modules) = or_skip(node_modules("examples/node").await, "examples/node") else {
        return;
    };
    let server = start_server().await;
    runs_twice("examples/node/README.md", || {
        let mut example = Command::new("node");
        example
            .arg(repo_path("examples/node/example.js"))
            .env("NODE_PATH", &modules)
            .env("DATELINE_SERVER", &server.address);
        example
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn the_examples_say_what_is_wrong_when_no_server_answers() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let mut examples = Vec::new();
    if let Some(python) = or_skip(
        python_environment(PYTHON).await,
        "examples/python without a server",
    ) {
        let (keep, modules) = generate_python_stubs(&python).await;
        let mut example = Command::new(&python);
        example
            .arg(repo_path("examples/python/example.py"))
            .env("PYTHONPATH", &modules);
        examples.push((example, Some(keep)));
    }
    if let Some(modules) = or_skip(
        node_modules("examples/node").await,
        "examples/node without a server",
    ) {
        let mut example = Command::new("node");
        example
            .arg(repo_path("examples/node/example.js"))
            .env("NODE_PATH", &modules);
        examples.push((example, None));
    }
    for (mut example, _keep) in examples {
        let failed = run_tool(example.arg(&free), TIMEOUT * 2).await.unwrap_err();
        assert!(failed.contains("ended with exit status: 1"), "{failed}");
        assert!(failed.contains("UNAVAILABLE"), "{failed}");
        assert!(
            !failed.contains("Traceback") && !failed.contains("    at "),
            "{failed}"
        );
    }
}

#[tokio::test]
async fn f4_a_python_client_reads_the_gold_records_value_for_value_on_every_way_out() {
    let Some(python) = or_skip(
        python_environment(PYTHON).await,
        "the gold records from Python",
    ) else {
        return;
    };
    let (_keep, modules) = generate_python_stubs(&python).await;
    let server = start_server().await;
    publish_gold(&server).await;
    let mut script = Command::new(&python);
    script
        .arg(repo_path("tests/python/gold.py"))
        .arg(&server.address)
        .arg(repo_path("seed/gold.json"))
        .env("PYTHONPATH", &modules);
    let told = run_tool(&mut script, TIMEOUT * 2).await.unwrap();
    assert_eq!(
        told,
        "47 records by GetRecord are equal\n47 records by ListRecords are equal\n\
         47 records by Watch are equal\nevery cursor resumes\n"
    );
    server.stop().await;
}
