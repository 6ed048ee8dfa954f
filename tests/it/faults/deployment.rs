//! A Postgres of the campaign's own, and two servers on it as processes that can be killed, frozen and given a wrong
//! time.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use dateline_client::Client;
use dateline_embedded_postgres::{Cluster, ClusterState, Options};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

pub use crate::support::process::PROCESS_TIMEOUT;
use crate::support::{
    freezable_proxy::FreezableProxy,
    process::{Process, pid},
    server::{PROGRAM, temp_dir},
};

/// Name of the campaign's database.
const DATABASE: &str = "campaign";

/// The program under test: another build of it, if `.ci/mutate` sets one.
fn program() -> PathBuf {
    std::env::var_os("DATELINE_PROGRAM").map_or_else(|| PROGRAM.into(), PathBuf::from)
}

/// The processes of a campaign.
pub struct Deployment {
    pub cluster: Cluster,
    pub servers: [FaultServer; 2],
    ice: FreezableProxy,
    _keep: tempfile::TempDir,
}

/// A server as a process.
pub struct FaultServer {
    process: Process,
    url: String,
    /// The library and the file with the offset of its wall clock, if it was started with them.
    clock: Option<(PathBuf, PathBuf)>,
    /// The logs of its earlier processes.
    earlier_logs: String,
}

impl Deployment {
    /// Starts everything; the second server has an adjustable clock if there is a C compiler.
    pub async fn start() -> Self {
        let (keep, directory) = temp_dir();
        let mut options = Options::new(directory.join("pg"), PROGRAM);
        options.durable = true;
        options.purpose = "the fault campaign".to_owned();
        let cluster = Cluster::start(options).await.unwrap();
        cluster.ensure_database(DATABASE).await.unwrap();
        let ice = FreezableProxy::before(&cluster.url(DATABASE)).await;
        let url = ice.url.clone();
        let first = FaultServer::start(&url, "127.0.0.1:0", None).await;
        let clock = shim(&directory).await;
        let second = FaultServer::start(&url, "127.0.0.1:0", clock).await;
        Self {
            cluster,
            servers: [first, second],
            ice,
            _keep: keep,
        }
    }

    /// A direct connection to Postgres, once it accepts one.
    pub async fn sql(&self) -> PgConnection {
        let url = self.cluster.url(DATABASE);
        let connecting = async {
            loop {
                match PgConnection::connect(&url).await {
                    Ok(connection) => return connection,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        };
        tokio::time::timeout(PROCESS_TIMEOUT, connecting)
            .await
            .expect("Postgres is back")
    }

    /// Kills Postgres, and waits for its replacement.
    pub async fn kill_postgres(&self) {
        let mut state = self.cluster.state();
        let running = |state: &ClusterState| matches!(state, ClusterState::Running { .. });
        state.wait_for(running).await.unwrap();
        let killed = self.cluster.postmaster_pid().expect("it runs");
        kill(pid(killed), Signal::SIGKILL).unwrap();
        let another =
            |state: &ClusterState| matches!(state, ClusterState::Running { pid } if *pid != killed);
        let back = tokio::time::timeout(PROCESS_TIMEOUT, state.wait_for(another)).await;
        back.expect("Postgres is started anew").unwrap();
    }

    /// Freezes every backend that serves a server.
    pub async fn freeze_postgres(&self, time: Duration) {
        let mut sql = self.sql().await;
        let backends: Vec<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'dateline'",
        )
        .fetch_all(&mut sql)
        .await
        .unwrap();
        let signal = |signal| {
            for backend in &backends {
                // Some may have ended in the meantime.
                let _ = kill(Pid::from_raw(*backend), signal);
            }
        };
        signal(Signal::SIGSTOP);
        tokio::time::sleep(time).await;
        signal(Signal::SIGCONT);
    }

    /// Ends connections of servers: all of them, or only those that listen for commits. Returns their number.
    pub async fn cut(&self, only_listeners: bool) -> usize {
        let mut sql = self.sql().await;
        let cut: Vec<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'dateline' AND (NOT $1 OR query ILIKE 'listen %')",
        )
        .bind(only_listeners)
        .fetch_all(&mut sql)
        .await
        .unwrap();
        cut.len()
    }

    /// Freezes the connections of servers for good, without a RST or FIN to either end; new ones work.
    pub fn silence(&self) {
        self.ice.freeze();
    }

    /// Writes the logs of both servers, for the diagnosis of a failure, and returns the directory.
    pub fn write_logs(&self, of: &str) -> &'static Path {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
        for (number, server) in self.servers.iter().enumerate() {
            std::fs::write(directory.join(format!("{of}-{number}.log")), server.log()).unwrap();
        }
        directory
    }

    pub async fn stop(self) {
        let [first, second] = self.servers;
        for mut server in [first, second] {
            server.end(Signal::SIGTERM).await;
        }
        self.cluster.stop().await.unwrap();
    }
}

impl FaultServer {
    async fn start(url: &str, listen: &str, clock: Option<(PathBuf, PathBuf)>) -> Self {
        let mut command = Command::new(program());
        command
            .args(["serve", "--listen", listen, "--database-url", url])
            .args([
                "--checkpoint-interval",
                "1s",
                "--shutdown-grace-period",
                "2s",
            ]);
        if let Some((library, file)) = &clock {
            command
                .env("LD_PRELOAD", library)
                .env("DATELINE_CLOCK_FILE", file);
        }
        Self {
            process: Process::start(command).await,
            url: url.to_owned(),
            clock,
            earlier_logs: String::new(),
        }
    }

    pub async fn client(&self) -> Client {
        Client::connect(&self.process.address).await.unwrap()
    }

    pub fn address(&self) -> &str {
        &self.process.address
    }

    /// Starts it again at the same address, after it has ended.
    pub async fn start_again(&mut self) {
        let log = self.log();
        *self = Self::start(&self.url, &self.process.address, self.clock.clone()).await;
        self.earlier_logs = log;
    }

    /// The logs of all its processes.
    pub fn log(&self) -> String {
        self.earlier_logs.clone() + &self.process.log()
    }

    pub async fn end(&mut self, signal: Signal) {
        self.process.signal(signal);
        self.process.end().await;
    }

    /// Ends it by a signal, and starts it again at the same address.
    pub async fn restart(&mut self, signal: Signal) {
        self.end(signal).await;
        self.start_again().await;
    }

    pub async fn freeze(&self, time: Duration) {
        self.process.signal(Signal::SIGSTOP);
        tokio::time::sleep(time).await;
        self.process.signal(Signal::SIGCONT);
    }

    /// Sets the offset of its wall clock in seconds; false if it has no adjustable clock.
    pub fn set_clock(&self, offset: i64) -> bool {
        let Some((_, file)) = &self.clock else {
            return false;
        };
        let next = file.with_extension("next");
        std::fs::write(&next, offset.to_string()).unwrap();
        std::fs::rename(next, file).unwrap();
        true
    }
}

/// A library that shifts the clock, and the file with the offset.
async fn shim(directory: &Path) -> Option<(PathBuf, PathBuf)> {
    let (source, library, file) = (
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/faults/clock.c"),
        directory.join("clock.so"),
        directory.join("clock"),
    );
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .status()
        .await;
    if !built.is_ok_and(|status| status.success()) {
        println!("no C compiler: clocks are left alone");
        return None;
    }
    std::fs::write(&file, "0").unwrap();
    Some((library, file))
}
