//! W2, W4: every answer fits a client that has gRPC's default limit of 4 MiB. Each method of the schema is called for
//! as much as its limits allow, by clients with default limits; a method without a case fails.

pub mod reads;
pub mod stage;
mod streams;
mod writes;

use tokio::process::Command;

use self::stage::Stage;
use crate::{
    examples::PYTHON,
    rig::{PATIENCE, site},
    tools::{generate, or_skip, path, python, run},
};

#[tokio::test(flavor = "multi_thread")]
async fn w2_w4_every_answer_fits_a_client_with_default_limits() {
    let mut stage = Stage::set().await;
    let articles = writes::thousand_articles(&mut stage).await;
    writes::large_records(&mut stage).await;
    reads::records(&mut stage, &articles).await;
    reads::history(&mut stage).await;
    reads::lists_of_operators(&mut stage).await;
    streams::all(&mut stage).await;
    writes::operators(&mut stage).await;
    stage.strike().await;
}

#[tokio::test]
async fn w2_w4_a_python_client_with_default_limits_gets_every_answer() {
    let Some(python) = or_skip(python(PYTHON).await, "large answers from Python") else {
        return;
    };
    let (_keep, modules) = generate(&python).await;
    let site = site().await;
    let mut script = Command::new(&python);
    script
        .arg(path("tests/python/large_answers.py"))
        .arg(&site.address)
        .env("PYTHONPATH", &modules);
    let told = run(&mut script, PATIENCE * 2).await.unwrap();
    assert_eq!(
        told,
        "700 published, content omitted; the same again\n700 read in 2 answers\n"
    );
    site.stop().await;
}
