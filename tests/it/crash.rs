//! `dateline serve` as a process of its own, killed in the middle of work, and stopped as an operator stops it.
//! Afterwards every acknowledged write exists once, and the feed has neither gap nor repeat.

mod campaign;
mod imports;
mod projections;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use dateline_client::{Client, Failure};
use dateline_proto::v1::{Change, Origin, View, change::Type, watch_request::Start};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::task::JoinHandle;
use tonic::{Code, Streaming};

use crate::support::{
    builders::create_request,
    cli::{CommandOutput, dateline, program},
    drafts::{RECORDS, draft, drafts},
    process::{PROCESS_TIMEOUT, pid, serve},
    records::name,
    server::temp_dir,
    watch::{open_watch, watch_request},
};

async fn watch(address: &str, start: Start) -> Streaming<dateline_proto::v1::WatchResponse> {
    let client = Client::connect(address).await.unwrap();
    open_watch(&client, watch_request(View::Desk, start)).await
}

/// Reads the desk feed from its beginning until `enough` is satisfied.
async fn feed_until(address: &str, enough: impl Fn(&[Change]) -> bool) -> Vec<Change> {
    let mut stream = watch(address, Start::Origin(Origin::Beginning.into())).await;
    let mut changes = Vec::new();
    tokio::time::timeout(PROCESS_TIMEOUT, async {
        while !enough(&changes) {
            changes.extend(
                stream
                    .message()
                    .await
                    .unwrap()
                    .expect("the stream goes on")
                    .changes,
            );
        }
    })
    .await
    .expect("the changes arrive");
    changes
}

/// Reads the whole desk feed, up to the first checkpoint that is at the head.
async fn whole_feed(address: &str) -> Vec<Change> {
    let mut stream = watch(address, Start::Origin(Origin::Beginning.into())).await;
    let mut changes: Vec<Change> = Vec::new();
    let reading = async {
        loop {
            let response = stream.message().await.unwrap().expect("the stream goes on");
            changes.extend(response.changes);
            let head = response
                .checkpoint
                .map(|checkpoint| (checkpoint.sequence, checkpoint.head_sequence));
            if let Some((sequence, head)) = head
                && sequence == head
                && changes.last().is_some_and(|last| last.sequence == head)
            {
                return;
            }
        }
    };
    tokio::time::timeout(PROCESS_TIMEOUT, reading)
        .await
        .expect("the feed comes to its head");
    changes
}

/// Starts an editor that creates one draft after the other until calls fail; returns the acknowledged ones.
fn editor(address: &str, prefix: &'static str) -> JoinHandle<Vec<String>> {
    let address = address.to_owned();
    tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        let Ok(client) = Client::connect(&address).await else {
            return acknowledged;
        };
        for number in 0.. {
            let record = draft(&format!("{prefix}-{number}"));
            // Bypasses the client's retries: only the answer to this one call counts.
            let mut editorial = client.editorial.clone();
            match editorial
                .commit(create_request(std::slice::from_ref(&record)))
                .await
            {
                Ok(_) => acknowledged.push(name(&record).to_owned()),
                Err(_) => break,
            }
        }
        acknowledged
    })
}

fn count(changes: &[Change], prefix: &str) -> usize {
    changes
        .iter()
        .filter(|change| change.name.starts_with(prefix))
        .count()
}

async fn import(address: &str, file: &Path) -> CommandOutput {
    dateline(address, &["import", file.to_str().unwrap()]).await
}

/// Runs an import, calls `kill` once it is under way, and repeats the import as often as a user would have to.
async fn import_through(address: &str, file: &Path, prefix: &str, kill: impl AsyncFnOnce()) {
    let importing = program(address, &["import", file.to_str().unwrap()])
        .spawn()
        .unwrap();
    let before = feed_until(address, |changes| count(changes, prefix) > 0).await;
    assert!(
        count(&before, prefix) < RECORDS,
        "there is a middle to be killed in"
    );
    kill().await;
    let output = tokio::time::timeout(PROCESS_TIMEOUT, importing.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    // Either its retries succeeded, or it reports that the server was away.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{stderr}");
    let again = import(address, file).await.ok();
    let numbers = again
        .stderr
        .split(|character: char| !character.is_ascii_digit());
    let told: usize = numbers
        .filter_map(|number| number.parse::<usize>().ok())
        .sum();
    assert_eq!(told, RECORDS, "created and already there: {}", again.stderr);
    assert_eq!(
        import(address, file).await.ok().stderr,
        format!("0 created, {RECORDS} already there, 0 published\n")
    );
}

fn write(directory: &Path, prefix: &str) -> PathBuf {
    let file = directory.join(format!("{prefix}.ndjson"));
    std::fs::write(&file, drafts(prefix)).unwrap();
    file
}

fn postmaster(data_dir: &Path) -> Pid {
    let text = std::fs::read_to_string(data_dir.join("cluster/postmaster.pid")).unwrap();
    pid(text.lines().next().unwrap().trim().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_w4_f1_kill_the_server_then_postgres_amid_an_import_and_nothing_is_lost_or_twice() {
    let (_keep, directory) = temp_dir();
    let data_dir = directory.join("data");
    let mut server = serve(&data_dir, "127.0.0.1:0").await;
    let address = server.address.clone();

    let editing = editor(&address, "first");
    import_through(
        &address,
        &write(&directory, "one"),
        "actors/one-",
        async || {
            server.signal(Signal::SIGKILL);
            server.child.wait().await.unwrap();
            server = serve(&data_dir, &address).await;
        },
    )
    .await;
    let mut acknowledged = editing.await.unwrap();

    let editing = editor(&address, "second");
    import_through(
        &address,
        &write(&directory, "two"),
        "actors/two-",
        async || {
            kill(postmaster(&data_dir), Signal::SIGKILL).unwrap();
        },
    )
    .await;
    acknowledged.extend(editing.await.unwrap());
    assert!(
        !acknowledged.is_empty(),
        "somebody was answered before the kills"
    );

    let changes = whole_feed(&address).await;
    let sequences: Vec<_> = changes.iter().map(|change| change.sequence).collect();
    assert_eq!(
        sequences,
        (1..=i64::try_from(changes.len()).unwrap()).collect::<Vec<_>>()
    );
    assert!(
        changes
            .iter()
            .all(|change| change.r#type() == Type::Created && change.revision == 1)
    );
    let names: HashSet<_> = changes.iter().map(|change| change.name.as_str()).collect();
    assert_eq!(names.len(), changes.len(), "every record is there once");
    assert_eq!(
        (
            count(&changes, "actors/one-"),
            count(&changes, "actors/two-")
        ),
        (RECORDS, RECORDS)
    );
    for name in &acknowledged {
        assert!(
            names.contains(name.as_str()),
            "{name} was acknowledged, and is lost"
        );
    }
    let listed = dateline(&address, &["list", "--view", "desk", "-o", "ndjson"])
        .await
        .ok();
    assert_eq!(listed.stdout.lines().count(), changes.len());

    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn f12_sigterm_ends_streams_with_a_cursor_that_resumes_and_exits_0() {
    let (_keep, directory) = temp_dir();
    let mut server = serve(&directory, "127.0.0.1:0").await;
    let client = Client::connect(&server.address).await.unwrap();
    client
        .commit(create_request(&[draft("before")]))
        .await
        .unwrap();
    let mut stream = watch(&server.address, Start::Origin(Origin::Beginning.into())).await;
    let (mut changes, mut last) = (Vec::new(), None);
    while changes.is_empty() {
        changes.extend(stream.message().await.unwrap().unwrap().changes);
    }
    server.signal(Signal::SIGTERM);
    let status = loop {
        match stream.message().await {
            Ok(Some(response)) => last = Some(response),
            Ok(None) => panic!("the stream ended without a word"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(Failure::from(status).reason, "SHUTTING_DOWN");
    let last = last.expect("a last checkpoint");
    assert_eq!(last.checkpoint.expect("a last checkpoint").sequence, 1);
    drop((client, stream));
    assert_eq!(server.end().await, Some(0));

    let server = serve(&directory, "127.0.0.1:0").await;
    let client = Client::connect(&server.address).await.unwrap();
    client
        .commit(create_request(&[draft("after")]))
        .await
        .unwrap();
    let mut stream = watch(&server.address, Start::Cursor(last.cursor)).await;
    let mut changes = Vec::new();
    while changes.is_empty() {
        changes.extend(stream.message().await.unwrap().unwrap().changes);
    }
    let seen: Vec<_> = changes
        .iter()
        .map(|change| (change.sequence, change.name.as_str()))
        .collect();
    assert_eq!(seen, [(2, "actors/after")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_told_that_the_data_directory_is_in_use() {
    let (_keep, directory) = temp_dir();
    let server = serve(&directory, "127.0.0.1:0").await;
    let second = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--log",
        "off",
        "--data-dir",
        directory.to_str().unwrap(),
    ];
    let refused = dateline("", &second).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains(directory.to_str().unwrap()),
        "{}",
        refused.stderr
    );
    assert!(
        refused
            .stderr
            .contains(&server.child.id().unwrap().to_string()),
        "{}",
        refused.stderr
    );
    let taken = dateline("", &["serve", "--listen", &server.address, "--log", "off"]).await;
    assert_eq!(taken.code, 1);
    let told = format!("error: another process listens on {}", server.address);
    assert!(taken.stderr.starts_with(&told), "{}", taken.stderr);
    assert!(taken.stderr.contains("--listen"), "{}", taken.stderr);
    dateline(&server.address, &["health"]).await.ok();
}
