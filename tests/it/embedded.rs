//! The private Postgres: it starts by itself, ends with its owner, restarts after any death, and leaves foreign files
//! alone.

mod binaries;
mod crashes;
mod directory;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dateline_embedded_postgres::{BinarySource, Cluster, ClusterState, Error, Options, launcher};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};
use tempfile::TempDir;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_dateline");

/// Environment variable with the data directory that a process started by [`Owner::start`] is to own.
const OWNED: &str = "DATELINE_TEST_OWNED_DIRECTORY";

/// Maximum time after the owner was killed until all of Postgres is gone.
const END: Duration = Duration::from_secs(5);

/// Maximum time for a restart after Postgres was killed, on a machine that is busy with other tests.
const COMEBACK: Duration = Duration::from_mins(1);

fn options(dir: impl Into<PathBuf>) -> Options {
    Options {
        durable: false,
        progress: false,
        purpose: "a test".to_owned(),
        ..Options::new(dir, LAUNCHER)
    }
}

fn durable(dir: impl Into<PathBuf>) -> Options {
    Options {
        durable: true,
        ..options(dir)
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .unwrap()
}

/// The processes of the server that are visible in SQL, which are all but the postmaster.
async fn backends(connection: &mut PgConnection) -> Vec<u32> {
    let rows = sqlx::query("SELECT pid FROM pg_stat_activity")
        .fetch_all(connection)
        .await
        .unwrap();
    rows.iter()
        .map(|row| u32::try_from(row.get::<i32, _>(0)).unwrap())
        .collect()
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

/// A zombie counts as dead: its parent has not reaped it yet.
fn is_alive(pid: u32) -> bool {
    let zombie = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    };
    kill(Pid::from_raw(pid.try_into().unwrap()), None).is_ok() && !zombie()
}

async fn until_dead(pids: &[u32], limit: Duration) {
    let since = Instant::now();
    while let Some(pid) = pids.iter().find(|pid| is_alive(**pid)) {
        assert!(
            since.elapsed() < limit,
            "process {pid} of {pids:?} is alive after {limit:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for a server other than `dead`; returns its process id.
async fn until_back(cluster: &Cluster, dead: u32) -> u32 {
    let mut state = cluster.state();
    let back =
        state.wait_for(|state| matches!(state, ClusterState::Running { pid } if *pid != dead));
    let back = tokio::time::timeout(COMEBACK, back)
        .await
        .expect("Postgres came back")
        .unwrap();
    let ClusterState::Running { pid } = *back else {
        unreachable!()
    };
    pid
}

/// Asserts that a start is refused; returns the error with its causes.
async fn refusal(options: Options) -> Error {
    match Cluster::start(options).await {
        Ok(cluster) => panic!("started: {cluster:?}"),
        Err(error) => error,
    }
}

/// Another process that owns a cluster: this test binary, which runs only [`owner`].
/// Closing its stdin makes it stop the cluster and end.
struct Owner {
    process: Child,
    server: u32,
    url: String,
}

impl Owner {
    fn start(dir: &Path) -> Self {
        let (_, module) = module_path!().split_once("::").unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                &format!("{module}::owner"),
                "--exact",
                "--ignored",
                "--nocapture",
            ])
            .env(OWNED, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        for line in BufReader::new(process.stdout.as_mut().unwrap()).lines() {
            // The test harness writes the beginning of the line.
            if let Some((_, said)) = line.unwrap().split_once("owner runs ") {
                let (server, url) = said.split_once(' ').unwrap();
                return Self {
                    server: server.parse().unwrap(),
                    url: url.to_owned(),
                    process,
                };
            }
        }
        panic!("the owner ended: {:?}", process.wait());
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn end(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

#[tokio::test]
#[ignore = "the body of a process that other tests start"]
async fn owner() {
    let Some(dir) = std::env::var_os(OWNED) else {
        return;
    };
    let cluster = Cluster::start(durable(dir)).await.unwrap();
    println!(
        "owner runs {} {}",
        cluster.postmaster_pid().unwrap(),
        cluster.url("postgres")
    );
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()))
        .await
        .unwrap()
        .unwrap();
    cluster.stop().await.unwrap();
}
