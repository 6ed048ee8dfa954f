//! One run of the server, from its start to its end: its settings, the check that it is ready, and its shutdown.
//! Restarts are [`super::cluster`]'s matter.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::binaries::Binaries;
use super::child::{self, Child, Exit};
use super::directory::Directory;
use super::error::Error;
use super::launcher::{HAS_PARENT_DEATH_SIGNAL, Launcher};
use super::{log, socket, stale_processes};

/// Interval at which the server's status is polled while it starts.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Time without progress of a start after which the wait is logged.
const START_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Shutdown signals, each with the time that it gets afterwards: fast, then immediate.
const STOP_SIGNALS: [(Signal, Duration); 2] = [
    (Signal::SIGINT, Duration::from_mins(1)),
    (Signal::SIGQUIT, Duration::from_secs(6)),
];

/// Most attempts to start while a process of an earlier server is still ending.
const MAX_START_ATTEMPTS: u32 = 10;

/// Everything needed to start the server, for the first time or again.
#[derive(Debug)]
pub(super) struct ServerConfig {
    pub(super) directory: Directory,
    pub(super) binaries: Binaries,
    pub(super) launcher: Launcher,
    pub(super) durable: bool,
}

impl ServerConfig {
    /// Starts the server and returns when it accepts connections.
    pub(super) async fn start(&self) -> Result<Server, Error> {
        let mut tries = 0;
        loop {
            stale_processes::stop_all(&self.directory).await?;
            socket::prepare(&self.directory.socket(), &self.launcher.identity)?;
            match self.start_once().await {
                Err(Error::Start { tail, .. })
                    if tries < MAX_START_ATTEMPTS && will_pass(&tail) =>
                {
                    tries += 1;
                    tracing::info!("something of an earlier Postgres is still there; trying again");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn start_once(&self) -> Result<Server, Error> {
        let log = self.directory.log();
        let written = log::length(&log);
        let out = log::open(&log).map_err(Error::io("open", &log))?;
        let err = out.try_clone().map_err(Error::io("open", &log))?;
        let mut command = self.command();
        command.stdout(out).stderr(err);
        let launcher = self.launcher.clone();
        let watcher = move |pid| (!HAS_PARENT_DEATH_SIGNAL).then(|| launcher.watcher(pid));
        let child = child::spawn(command, watcher)
            .await
            .map_err(Error::io("run", &self.launcher.executable))?;
        let mut server = Server { child };
        match server.ready(&self.directory.cluster()).await {
            Ok(()) => Ok(server),
            Err(exit) => Err(Error::Start {
                exit: exit.to_string(),
                tail: log::tail(&log, written),
                log,
            }),
        }
    }

    fn command(&self) -> Command {
        let cluster = self.directory.cluster();
        let mut command = self.launcher.command(&cluster, &self.binaries.postgres());
        command.arg("-D").arg(&cluster);
        for (name, value) in self.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
    }

    /// Returns the settings, which are passed on the command line, so that neither the cluster's own files nor the
    /// environment override them.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let durable = if self.durable { "on" } else { "off" };
        let mut settings = vec![
            (
                "unix_socket_directories",
                socket::setting(&self.directory.socket()),
            ),
            ("port", socket::PORT.to_string()),
            ("cluster_name", self.directory.tag().to_owned()),
        ];
        let fixed = [
            ("listen_addresses", ""),
            ("unix_socket_permissions", "0700"),
            // Identifies the server's processes.
            ("update_process_title", "on"),
            ("max_connections", "200"),
            ("shared_buffers", "128MB"),
            ("max_wal_size", "1GB"),
            ("wal_compression", "on"),
            ("fsync", durable),
            ("synchronous_commit", durable),
            ("full_page_writes", durable),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("logging_collector", "off"),
            ("log_destination", "stderr"),
            ("log_line_prefix", "%m [%p] "),
            ("log_checkpoints", "off"),
            // No statements in the log: they reveal unpublished content.
            ("log_min_error_statement", "panic"),
        ];
        settings.extend(fixed.map(|(name, value)| (name, value.to_owned())));
        settings
    }
}

/// True for the two messages of Postgres about an earlier server that has not ended completely.
fn will_pass(log: &str) -> bool {
    log.contains("pre-existing shared memory block")
        || log.contains("lock file \"postmaster.pid\" already exists")
}

/// A started server. A drop asks it to stop; to wait for that, call [`Server::stop`].
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
}

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Resolves when the server has ended.
    pub(super) async fn exited(&mut self) -> Exit {
        self.child.exited().await
    }

    /// Waits until the server accepts connections, for as long as it lives: recovery after a crash takes time, and a
    /// server killed during it would only start over.
    async fn ready(&mut self, cluster: &Path) -> Result<(), Exit> {
        let mut said = Instant::now();
        while !is_ready(cluster, self.pid()) {
            if let Ok(exit) = tokio::time::timeout(POLL_INTERVAL, self.child.exited()).await {
                return Err(exit);
            }
            if said.elapsed() > START_LOG_INTERVAL {
                said = Instant::now();
                tracing::info!("Postgres is still starting; after a crash it first has to recover");
            }
        }
        Ok(())
    }

    /// Stops the server and waits. A server that does not stop is killed, which costs only the time of a recovery.
    pub(super) async fn stop(mut self) {
        for (signal, timeout) in STOP_SIGNALS {
            self.send_signal(signal);
            if tokio::time::timeout(timeout, self.exited()).await.is_ok() {
                return;
            }
            tracing::warn!(%signal, "Postgres did not end within {} s", timeout.as_secs());
        }
        self.send_signal(Signal::SIGKILL);
        self.exited().await;
    }

    fn send_signal(&self, signal: Signal) {
        if let (false, Ok(pid)) = (self.child.has_exited(), i32::try_from(self.pid())) {
            // It may have ended just now.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// True if the server is ready: it writes its status into the eighth line of its lock file, and its process id into the
/// first.
fn is_ready(cluster: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(cluster.join("postmaster.pid")) else {
        return false;
    };
    let line = |number: usize| text.lines().nth(number).map(str::trim);
    line(0) == Some(pid.to_string().as_str()) && line(7) == Some("ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_its_own_lock_file_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let says = |pid: u32, status: &str| {
            let text = format!("{pid}\n/x\n1700000000\n5432\n/x/socket\n\n  123  456\n{status}\n");
            fs::write(dir.path().join("postmaster.pid"), text).unwrap();
        };
        assert!(!is_ready(dir.path(), 7));
        says(7, "starting");
        assert!(!is_ready(dir.path(), 7));
        says(8, "ready   ");
        assert!(!is_ready(dir.path(), 7));
        says(7, "ready   ");
        assert!(is_ready(dir.path(), 7));
    }
}
