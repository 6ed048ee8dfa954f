//! An S3 server that the tests run, with one bucket.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::{
    cli::{CommandOutput, program},
    process::PROCESS_TIMEOUT,
    tools,
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

/// A bucket and its server.
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

    /// Runs the program with access to the bucket.
    pub async fn dateline(&self, server: &str, arguments: &[&str]) -> CommandOutput {
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
