//! W2, W4: every answer fits a client that has gRPC's default limit of 4 MiB. Each method of the schema is called for
//! as much as its limits allow, by clients with default limits; a method without a case fails.

mod matching;
pub mod reads;
mod search;
mod streams;
mod writes;

use tokio::process::Command;

use crate::support::{
    large_records::SizeChecks,
    server::{TIMEOUT, start_server},
    tools::{PYTHON, generate_python_stubs, or_skip, python_environment, repo_path, run_tool},
};

#[tokio::test(flavor = "multi_thread")]
async fn w2_w4_every_answer_fits_a_client_with_default_limits() {
    let mut checks = SizeChecks::start().await;
    let articles = writes::thousand_articles(&mut checks).await;
    writes::large_records(&mut checks).await;
    reads::records(&mut checks, &articles).await;
    reads::history(&mut checks).await;
    reads::lists_of_operators(&mut checks).await;
    streams::all(&mut checks).await;
    matching::all(&mut checks).await;
    search::all(&mut checks).await;
    writes::operators(&mut checks).await;
    checks.finish().await;
}

#[tokio::test]
async fn w2_w4_a_python_client_with_default_limits_gets_every_answer() {
    let Some(python) = or_skip(
        python_environment(PYTHON).await,
        "large answers from Python",
    ) else {
        return;
    };
    let (_keep, modules) = generate_python_stubs(&python).await;
    let server = start_server().await;
    let mut script = Command::new(&python);
    script
        .arg(repo_path("tests/python/large_answers.py"))
        .arg(&server.address)
        .env("PYTHONPATH", &modules);
    let told = run_tool(&mut script, TIMEOUT * 2).await.unwrap();
    assert_eq!(
        told,
        "700 published, content omitted; the same again\n700 read in 2 answers\n"
    );
    server.stop().await;
}
