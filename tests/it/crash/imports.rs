//! An import that is killed, and its server too: after another run everything exists once.

use dateline_generate::RecordGenerator;

use super::*;
use crate::support::process::serve;

/// Records of an import that publishes: several batches.
const GENERATED: usize = 2200;

fn published(changes: &[Change]) -> usize {
    let published = changes
        .iter()
        .filter(|change| change.r#type() == Type::Published);
    published.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn w4_kill_an_import_and_then_its_server_and_the_same_command_completes_it() {
    let (_keep, directory) = temp_dir();
    let data_dir = directory.join("data");
    let mut server = serve(&data_dir, "127.0.0.1:0").await;
    let address = server.address.clone();
    let file = directory.join("records.binpb");
    let records: Vec<u8> = RecordGenerator::new(3)
        .take(GENERATED)
        .flat_map(|record| prost::Message::encode_length_delimited_to_vec(&record))
        .collect();
    std::fs::write(&file, records).unwrap();
    let command = ["import", file.to_str().unwrap(), "--publish"];

    let mut importing = program(&address, &command).spawn().unwrap();
    let before = feed_until(&address, |changes| published(changes) > 0).await;
    importing.start_kill().unwrap();
    importing.wait().await.unwrap();
    assert!(
        published(&before) < GENERATED,
        "there is a middle to be killed in"
    );

    let importing = program(&address, &command).spawn().unwrap();
    let more = published(&before);
    feed_until(&address, |changes| published(changes) > more).await;
    server.signal(Signal::SIGKILL);
    server.child.wait().await.unwrap();
    let server = serve(&data_dir, &address).await;
    let output = tokio::time::timeout(PROCESS_TIMEOUT, importing.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    // Either its retries succeeded, or it reports that the server was away.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{told}");

    dateline(&address, &command).await.ok();
    let last = dateline(&address, &command).await.ok();
    assert!(
        last.stderr.ends_with(&format!(
            "0 created, {GENERATED} already there, 0 published\n"
        )),
        "{}",
        last.stderr
    );
    let changes = whole_feed(&address).await;
    assert_eq!(
        changes.len(),
        2 * GENERATED,
        "each was created and published once"
    );
    let names: HashSet<_> = changes
        .iter()
        .map(|change| (&change.name, change.revision))
        .collect();
    assert_eq!(names.len(), changes.len());
    assert_eq!(published(&changes), GENERATED);
    drop(server);
}
