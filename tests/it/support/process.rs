//! `dateline serve` as a process of its own, which can be killed; its log is kept for diagnosis.

use std::{
    fmt::Write,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::server::PROGRAM;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

/// Maximum wait for a process, on a machine that is busy with other tests.
pub const PROCESS_TIMEOUT: Duration = Duration::from_mins(2);

/// A running server.
pub struct Process {
    pub child: Child,
    pub address: String,
    /// Its log so far.
    log: Arc<Mutex<String>>,
}

impl Process {
    /// Starts it, and waits until it serves.
    pub async fn start(mut command: Command) -> Self {
        command
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let serving = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                writeln!(log.lock().unwrap(), "{line}").unwrap();
                if let Some((_, address)) = line.split_once("serving address=") {
                    return address.trim().to_owned();
                }
            }
            panic!("the server ended: {}", log.lock().unwrap());
        };
        let address = tokio::time::timeout(PROCESS_TIMEOUT, serving)
            .await
            .expect("the server serves");
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                writeln!(kept.lock().unwrap(), "{line}").unwrap();
            }
        });
        Self {
            child,
            address,
            log,
        }
    }

    /// Waits until the log contains some words.
    pub async fn wait_for_log(&self, words: &str) {
        let waiting = async {
            while self.count_log_lines(words) == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PROCESS_TIMEOUT, waiting).await;
        assert!(
            waited.is_ok(),
            "it never said {words:?}: {}",
            self.log.lock().unwrap()
        );
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Number of log lines that contain some words.
    pub fn count_log_lines(&self, words: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.lines().filter(|line| line.contains(words)).count()
    }

    pub fn signal(&self, signal: Signal) {
        kill(pid(self.child.id().expect("it runs")), signal).unwrap();
    }

    /// Waits for the end; returns the exit code, or `None` after a signal.
    pub async fn end(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PROCESS_TIMEOUT, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("the server did not end: {}", self.log.lock().unwrap()))
            .unwrap()
            .code()
    }
}

pub fn pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().unwrap())
}

/// Starts a server on a private Postgres of its own.
pub async fn serve(data_dir: &Path, listen: &str) -> Process {
    let mut command = Command::new(PROGRAM);
    command
        .args(["serve", "--listen", listen, "--data-dir"])
        .arg(data_dir);
    Process::start(command).await
}

/// Starts a server on a database, without authentication.
pub async fn serve_on(url: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new(PROGRAM);
    command
        .args(["serve", "--allow-anonymous"])
        .args(arguments)
        .env("DATELINE_LISTEN", "127.0.0.1:0")
        .env("DATELINE_DATABASE_URL", url);
    Process::start(command).await
}

/// An address at which nothing listens.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Reads the metrics of a server.
pub async fn scrape(metrics: &str) -> String {
    let mut stream = TcpStream::connect(metrics).await.unwrap();
    let ask = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}
