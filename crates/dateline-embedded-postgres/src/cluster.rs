//! The running cluster as the service sees it: its location, its state, and the means to stop it. A task restarts the
//! server whenever it dies, for as long as the cluster lives. A single run of the server is [`super::server`]'s matter.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::directory::Directory;
use super::error::Error;
use super::options::Options;
use super::server::{Server, ServerConfig};
use super::{binaries, database, initdb, log, run_as, socket, stale_processes};

/// Shortest run that counts as a success; after a shorter one the next start waits.
const STABLE_RUNTIME: Duration = Duration::from_mins(1);

const MIN_RESTART_BACKOFF: Duration = Duration::from_millis(500);
const MAX_RESTART_BACKOFF: Duration = Duration::from_secs(30);

/// Interval of the checks of the log's size.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// State of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// It accepts connections.
    Running {
        /// Process id of the postmaster.
        pid: u32,
    },
    /// It has died and is being restarted.
    Restarting,
    /// It has stopped, and the directory is unlocked.
    Stopped,
}

/// A private Postgres that runs until it is stopped or dropped. [`Cluster::stop`] waits for its end; after a drop it
/// ends soon, and the next start on its directory waits for that.
#[derive(Debug)]
pub struct Cluster {
    data_dir: PathBuf,
    socket_dir: PathBuf,
    major: u32,
    state: watch::Receiver<ClusterState>,
    /// Dropping the sender asks the supervisor to stop.
    stop: watch::Sender<()>,
    supervisor: JoinHandle<Result<(), Error>>,
}

impl Cluster {
    /// Finds or fetches the programs, creates the cluster if there is none, stops processes of an earlier owner, and
    /// returns when the server accepts connections.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let directory = Directory::claim(&options.data_dir, &options.purpose).await?;
        let binaries = binaries::choose(&options, &directory).await?;
        stale_processes::stop_all(&directory).await?;
        let executable =
            std::path::absolute(&options.launcher).map_err(Error::io("find", &options.launcher))?;
        let launcher = run_as::choose(
            &directory,
            &binaries,
            &executable,
            options.account.as_deref(),
        )
        .await?;
        initdb::ensure_cluster(&directory, &binaries, &launcher, options.durable).await?;
        let config = ServerConfig {
            directory,
            binaries,
            launcher,
            durable: options.durable,
        };
        let began = Instant::now();
        let server = config.start().await?;
        tracing::info!(
            data_dir = %config.directory.root().display(),
            programs = %config.binaries.bin_dir.display(),
            major = config.binaries.major,
            identity = %config.launcher.identity,
            pid = server.pid(),
            elapsed_ms = began.elapsed().as_millis(),
            "Postgres runs"
        );
        Ok(Self::supervised(config, server))
    }

    fn supervised(config: ServerConfig, server: Server) -> Self {
        let (stop, stopped) = watch::channel(());
        let (sender, state) = watch::channel(ClusterState::Running { pid: server.pid() });
        Self {
            data_dir: config.directory.root().to_owned(),
            socket_dir: config.directory.socket(),
            major: config.binaries.major,
            state,
            stop,
            supervisor: tokio::spawn(supervise(config, server, sender, stopped)),
        }
    }

    /// Returns the URL of a database of the cluster, for sqlx, tokio-postgres and psql alike.
    pub fn url(&self, database: &str) -> String {
        socket::url(&self.socket_dir, database)
    }

    /// Returns the path of [`Options::data_dir`], with symbolic links resolved.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Returns the directory of the socket, which is not always in the data directory.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Returns the major version of the server and of the cluster's files.
    pub fn major_version(&self) -> u32 {
        self.major
    }

    /// Returns the server's process id, while it runs.
    pub fn postmaster_pid(&self) -> Option<u32> {
        match *self.state.borrow() {
            ClusterState::Running { pid } => Some(pid),
            ClusterState::Restarting | ClusterState::Stopped => None,
        }
    }

    /// Returns a receiver of the server's state.
    pub fn state(&self) -> watch::Receiver<ClusterState> {
        self.state.clone()
    }

    /// Creates a database of this name in the cluster unless it exists.
    pub async fn ensure_database(&self, name: &str) -> Result<(), Error> {
        database::ensure_database(&self.url("postgres"), name).await
    }

    /// Stops the server, waits until none of its processes is left, and unlocks the directory.
    pub async fn stop(self) -> Result<(), Error> {
        drop(self.stop);
        self.supervisor.await?
    }
}

/// Keeps the server running until asked to stop. It owns the directory and its lock, so that nobody else can use the
/// directory while a process of the server may be left.
async fn supervise(
    config: ServerConfig,
    mut server: Server,
    state: watch::Sender<ClusterState>,
    mut stop: watch::Receiver<()>,
) -> Result<(), Error> {
    let mut wait = Duration::ZERO;
    let outcome = loop {
        let began = Instant::now();
        let exit = tokio::select! {
            exit = server.exited() => exit,
            never = keep_log_small(&config) => match never {},
            _ = stop.changed() => {
                server.stop().await;
                break stale_processes::stop_all(&config.directory).await;
            }
        };
        state.send_replace(ClusterState::Restarting);
        tracing::error!(%exit, "Postgres died; starting it again");
        wait = if began.elapsed() < STABLE_RUNTIME {
            wait
        } else {
            Duration::ZERO
        };
        server = tokio::select! {
            server = start_again(&config, &mut wait) => server,
            _ = stop.changed() => break stale_processes::stop_all(&config.directory).await,
        };
        tracing::info!(pid = server.pid(), "Postgres runs again");
        state.send_replace(ClusterState::Running { pid: server.pid() });
    };
    drop(config);
    state.send_replace(ClusterState::Stopped);
    outcome
}

/// Restarts the server until it works. The wait doubles with each try, after a failed start or a short run.
async fn start_again(config: &ServerConfig, wait: &mut Duration) -> Server {
    loop {
        tokio::time::sleep(*wait).await;
        *wait = (*wait * 2).clamp(MIN_RESTART_BACKOFF, MAX_RESTART_BACKOFF);
        match config.start().await {
            Ok(server) => return server,
            Err(error) => {
                tracing::error!(%error, next_try_ms = wait.as_millis(), "Postgres could not be started again");
            }
        }
    }
}

async fn keep_log_small(config: &ServerConfig) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(LOG_INTERVAL).await;
        if let Err(error) = log::truncate_large(&config.directory.log()) {
            tracing::warn!(%error, "could not put the log of Postgres aside");
        }
    }
}
