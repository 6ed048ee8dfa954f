//! Exports to an object store: an S3 server that the tests run.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    cli::{CommandOutput, import_gold, program},
    support::builders::create_published,
    support::process::PROCESS_TIMEOUT,
    support::server::{start_server, temp_dir},
    support::tools,
};

/// Packages of the S3 server.
const REQUIREMENTS: &str = "tests/python/s3_requirements.txt";
/// Script that starts the server, creates a bucket, and prints the address.
const START: &str = "
import sys
from moto.server import ThreadedMotoServer
import boto3
server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f'http://{host}:{port}'
boto3.client('s3', endpoint_url=url, aws_access_key_id='a', aws_secret_access_key='b', region_name='us-east-1').create_bucket(Bucket='bucket')
print('listening', url, flush=True)
sys.stdin.read()
";

pub struct Bucket {
    url: String,
    _server: Child,
}

impl Bucket {
    pub async fn open() -> Self {
        let python = tools::python_environment(REQUIREMENTS).await;
        let python =
            python.expect("Python with the packages of tests/python/s3_requirements.txt is needed");
        let mut server = Command::new(python)
            .args(["-c", START])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let listening = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it listens");
                if let Some(url) = line.strip_prefix("listening ") {
                    return url.trim().to_owned();
                }
            }
        };
        let url = tokio::time::timeout(PROCESS_TIMEOUT, listening)
            .await
            .expect("it starts");
        Self {
            url,
            _server: server,
        }
    }

    /// Environment variables for access to the server.
    pub fn variables(&self) -> [(&str, &str); 5] {
        [
            ("AWS_ENDPOINT", &self.url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "b"),
            ("AWS_REGION", "us-east-1"),
        ]
    }

    async fn dateline(&self, server: &str, arguments: &[&str]) -> CommandOutput {
        let mut command = program(server, arguments);
        command.envs(self.variables());
        let output = tokio::time::timeout(PROCESS_TIMEOUT, command.output()).await;
        let output = output.expect("it ends").unwrap();
        CommandOutput {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[tokio::test]
async fn e4_an_export_lives_on_an_object_store_as_in_a_directory() {
    let bucket = Bucket::open().await;
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let to = "s3://bucket/nightly";
    let how = [
        "export",
        "--out",
        to,
        "--format",
        "ndjson,parquet",
        "--compress",
        "zstd",
        "--records-per-file",
        "5",
    ];
    let first = bucket.dateline(&test_server.address, &how).await.ok();
    let last_line = first.stderr.trim().lines().last().unwrap().to_owned();
    assert!(
        last_line.starts_with("s3://bucket/nightly/published-"),
        "{}",
        first.stderr
    );
    let again = bucket.dateline(&test_server.address, &how).await.ok();
    assert!(again.stderr.contains("already there"), "{}", again.stderr);
    let proved = bucket
        .dateline("127.0.0.1:1", &["verify", &last_line])
        .await
        .ok();
    assert!(
        proved.stderr.contains("the digest is theirs"),
        "{}",
        proved.stderr
    );
    // A delta of the next night, combined with the full export on this machine.
    create_published(&test_server.client, &crate::feed::actor("late")).await;
    let since = [&how[..], &["--since", "latest"]].concat();
    let delta = bucket.dateline(&test_server.address, &since).await.ok();
    let delta = delta.stderr.trim().lines().last().unwrap().to_owned();
    let (_keep, directory) = temp_dir();
    let out = directory.to_str().unwrap();
    let apply = ["apply", &last_line, &delta, "--out", out];
    let applied = bucket.dateline("127.0.0.1:1", &apply).await.ok();
    assert!(
        applied.stderr.contains("it is what the feed showed"),
        "{}",
        applied.stderr
    );
    // Imported from the bucket into an empty database.
    let empty = start_server().await;
    let loaded = bucket
        .dateline(&empty.address, &["import", &last_line])
        .await
        .ok();
    assert!(
        loaded.stderr.contains("the digests are equal"),
        "{}",
        loaded.stderr
    );
}

#[tokio::test]
async fn e4_a_store_that_cannot_be_written_to_is_told_and_nothing_is_complete() {
    let bucket = Bucket::open().await;
    let test_server = start_server().await;
    import_gold(&test_server.address).await;
    let how = ["export", "--out", "s3://no-such-bucket/nightly"];
    let refused = bucket.dateline(&test_server.address, &how).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("no-such-bucket"),
        "{}",
        refused.stderr
    );
    let (_keep, directory) = temp_dir();
    let file = directory.join("file");
    std::fs::write(&file, "").unwrap();
    for place in [file.to_str().unwrap(), "/proc/exports", "nonsense://place"] {
        let refused = bucket
            .dateline(&test_server.address, &["export", "--out", place])
            .await;
        assert_eq!(refused.code, 1, "{place}");
        assert!(
            refused.stderr.contains(place),
            "{place}: {}",
            refused.stderr
        );
    }
}
