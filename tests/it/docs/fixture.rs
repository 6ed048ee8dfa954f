//! Files and servers for the sections of the pages.

use std::{net::TcpListener, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use dateline_client::Client;
use dateline_proto::v1::{GetFeedRequest, View, record::Kind};

use tokio::task::JoinHandle;

use super::shell::{Shell, ShellOutput};
use crate::support::{
    bucket::Bucket,
    builders::{ARTICLE, correct},
    certs::{Authority, CertDir},
    cli::gold_documents,
    editing::{commit_ok, find_record},
    gold::{GOLD, publish_gold},
    server::{TestServer, create_database, start_server, temp_dir},
};

/// An item of an agency's wire.
const WIRE: &str = r#"{"uri": "https://wire.example/items/1", "standard": {"name": "ninjs", "version": "3.1"}, "type": "text",
"version": "1", "pubStatus": "usable", "language": "en", "headlines": [{"value": "A port was opened"}],
"bodies": [{"contentType": "text/plain", "value": "A port was opened in Sandvik."}]}"#;
/// The record that changes in sections about changes.
const CHANGING: &str = "events/regional-cooperation";

/// A section's shell, and the server that its commands find.
pub struct PageFixture {
    pub shell: Shell,
    test_server: TestServer,
    /// An empty server into which a section loads records.
    empty: TestServer,
    _bucket: Option<Bucket>,
    _directory: tempfile::TempDir,
}

/// Sections that begin with an empty server: their commands create the records.
const EMPTY: [(&str, &str); 2] = [("README.md", "The desk"), ("docs/imports.md", "Imports")];

impl PageFixture {
    pub async fn start(page: &str, section: &str, files: Vec<(&str, &str)>) -> Self {
        let (keep, directory) = temp_dir();
        let mut shell = Shell::new(directory.clone());
        let (test_server, empty) = (start_server().await, start_server().await);
        if !EMPTY.contains(&(page, section)) {
            publish_gold(&test_server).await;
        }
        write_files(&directory);
        for (name, text) in files {
            std::fs::write(directory.join(name), text).unwrap();
        }
        let port = free_port();
        let feed = feed_id(&test_server).await;
        shell.stand_ins = [
            ("dateline.example:7400", format!("localhost:{port}")),
            ("0.0.0.0:7400", format!("127.0.0.1:{port}")),
            ("127.0.0.1:7401", empty.address.clone()),
            ("127.0.0.1:7400", test_server.address.clone()),
            ("postgres://user@host/dateline", create_database().await),
            ("76de0642", feed),
        ]
        .map(|(there, here)| (there.to_owned(), here))
        .to_vec();
        shell.export("DATELINE_SERVER", &test_server.address);
        shell.export("DATELINE_LISTEN", "127.0.0.1:0");
        shell.export("EDITOR", &editor(&directory));
        if page == "docs/access.md" {
            let authority = Authority::new();
            CertDir(directory.clone()).server(&authority);
            std::fs::write(directory.join("ca.pem"), &authority.pem).unwrap();
            shell.export("DATELINE_CA", "ca.pem");
        }
        let bucket = if section == "Exporting" {
            let bucket = Bucket::open().await;
            for (variable, value) in bucket.variables() {
                shell.export(variable, value);
            }
            Some(bucket)
        } else {
            None
        };
        Self {
            shell,
            test_server,
            empty,
            _bucket: bucket,
            _directory: keep,
        }
    }

    /// Runs a command together with the events that the page presumes: news for a notifier, and changes after an
    /// export.
    pub async fn run(&mut self, command: &str) -> ShellOutput {
        let mut corrections = None;
        if command.contains("--consumer notifier") {
            corrections = Some(self.keep_correcting());
        } else if command.contains("--since latest") {
            for count in 0..5 {
                correct_once(&self.test_server.client, count).await;
            }
        }
        let ran = self.shell.run(command).await;
        if let Some(corrections) = corrections {
            corrections.abort();
            drop(corrections.await);
        }
        ran
    }

    fn keep_correcting(&self) -> JoinHandle<()> {
        let client = self.test_server.client.clone();
        tokio::spawn(async move {
            for count in 0..100 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                correct_once(&client, count).await;
            }
        })
    }

    pub async fn stop(mut self) {
        self.shell.stop_server().await;
        self.test_server.stop().await;
        self.empty.stop().await;
    }
}

async fn correct_once(client: &Client, count: usize) {
    let mut record = find_record(client, CHANGING, View::Desk)
        .await
        .expect("it is gold");
    if let Some(Kind::Event(event)) = &mut record.kind {
        event.summary = format!("An exercise, told for the {count}th time.");
    }
    commit_ok(client, vec![correct(&record, &["summary"], "Told again.")]).await;
}

async fn feed_id(test_server: &TestServer) -> String {
    let request = GetFeedRequest {
        view: View::Published.into(),
    };
    let mut client = test_server.client.clone();
    let feed = client.feed.get_feed(request).await.unwrap().into_inner();
    feed.feed[..8].to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Writes the files that pages name.
fn write_files(directory: &Path) {
    let write = |name: &str, text: &[u8]| std::fs::write(directory.join(name), text).unwrap();
    std::fs::create_dir(directory.join("seed")).unwrap();
    write("seed/gold.json", GOLD.as_bytes());
    write("seed/article.txt", ARTICLE.as_bytes());
    write("story.txt", ARTICLE.as_bytes());
    write("wire.json", WIRE.as_bytes());
    let records = gold_documents();
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    let packed = zstd::bulk::compress(lines.as_bytes(), 1).unwrap();
    write("records.ndjson.zst", &packed);
    let kazakhstan = records
        .iter()
        .find(|record| record["actor"]["name"] == "actors/kazakhstan")
        .expect("it is gold");
    write("kazakhstan.yaml", kazakhstan.to_string().as_bytes());
}

/// An editor that writes the full name of Kazakhstan.
fn editor(directory: &Path) -> String {
    let script = directory.join("editor");
    let change = r#"s/^( *)displayName: "?Kazakhstan"?$/\1displayName: Republic of Kazakhstan/"#;
    let text = format!("#!/bin/sh\nsed -i -E '{change}' \"$1\"\n");
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}
