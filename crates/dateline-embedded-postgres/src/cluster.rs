//! The running cluster as the service sees it: where it is, how it fares, and how to end it. A task starts
//! the server again whenever it dies, for as long as the cluster lives. It does not know how one run of the
//! server goes, which is [`super::server`]'s matter.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::directory::Directory;
use super::error::Error;
use super::server::{Recipe, Server};
use super::{Options, database, identity, initialise, log, programs, residents, socket};

/// A run shorter than this was no success: the next start waits.
const GOOD_RUN: Duration = Duration::from_mins(1);

const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How often the size of the server's log is looked at.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// How the server fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It takes connections.
    Running {
        /// The postmaster.
        pid: u32,
    },
    /// It has died and is being started again.
    Restarting,
    /// It has been stopped, and the directory is free.
    Stopped,
}

/// A private Postgres that runs until it is stopped or dropped. [`Cluster::stop`] waits for its end; dropped,
/// it ends soon after, and the next start on its directory waits for that.
#[derive(Debug)]
pub struct Cluster {
    data_dir: PathBuf,
    socket_dir: PathBuf,
    major: u32,
    state: watch::Receiver<State>,
    /// Dropping it asks the supervisor to stop.
    stop: watch::Sender<()>,
    supervisor: JoinHandle<Result<(), Error>>,
}

impl Cluster {
    /// Finds or fetches the programs, makes the cluster when it is absent, clears away what an earlier
    /// owner left, and returns when the server takes connections.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let directory = Directory::claim(&options.data_dir, &options.purpose).await?;
        let programs = programs::choose(&options, &directory).await?;
        residents::clear(&directory).await?;
        let executable =
            std::path::absolute(&options.launcher).map_err(Error::io("find", &options.launcher))?;
        let launcher = identity::choose(
            &directory,
            &programs,
            &executable,
            options.account.as_deref(),
        )
        .await?;
        initialise::ensure_cluster(&directory, &programs, &launcher, options.durable).await?;
        let recipe = Recipe {
            directory,
            programs,
            launcher,
            durable: options.durable,
        };
        let began = Instant::now();
        let server = recipe.start().await?;
        tracing::info!(
            data_dir = %recipe.directory.root().display(),
            programs = %recipe.programs.bin_dir.display(),
            major = recipe.programs.major,
            identity = %recipe.launcher.identity,
            pid = server.pid(),
            elapsed_ms = began.elapsed().as_millis(),
            "Postgres runs"
        );
        Ok(Self::supervised(recipe, server))
    }

    fn supervised(recipe: Recipe, server: Server) -> Self {
        let (stop, stopped) = watch::channel(());
        let (sender, state) = watch::channel(State::Running { pid: server.pid() });
        Self {
            data_dir: recipe.directory.root().to_owned(),
            socket_dir: recipe.directory.socket(),
            major: recipe.programs.major,
            state,
            stop,
            supervisor: tokio::spawn(supervise(recipe, server, sender, stopped)),
        }
    }

    /// How to connect to a database of the cluster, for sqlx, tokio-postgres and psql alike.
    pub fn url(&self, database: &str) -> String {
        socket::url(&self.socket_dir, database)
    }

    /// What [`Options::data_dir`] names, with links resolved.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Where the socket is, which is not always in the data directory.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Of the server, which is also that of the cluster's files.
    pub fn major_version(&self) -> u32 {
        self.major
    }

    /// The server's process, while there is one.
    pub fn postmaster_pid(&self) -> Option<u32> {
        match *self.state.borrow() {
            State::Running { pid } => Some(pid),
            State::Restarting | State::Stopped => None,
        }
    }

    /// Follows how the server fares, for whoever has to say so.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Makes sure that the cluster has a database of this name.
    pub async fn ensure_database(&self, name: &str) -> Result<(), Error> {
        database::ensure_database(&self.url("postgres"), name).await
    }

    /// Shuts the server down, waits until nothing of it is left, and frees the directory.
    pub async fn stop(self) -> Result<(), Error> {
        drop(self.stop);
        self.supervisor.await?
    }
}

/// Keeps the server running until asked to stop. It owns the directory, and with it the lock, so that
/// nobody else can have the directory while anything of the server may be left.
async fn supervise(
    recipe: Recipe,
    mut server: Server,
    state: watch::Sender<State>,
    mut stop: watch::Receiver<()>,
) -> Result<(), Error> {
    let mut wait = Duration::ZERO;
    let outcome = loop {
        let began = Instant::now();
        let exit = tokio::select! {
            exit = server.exited() => exit,
            never = keep_log_small(&recipe) => match never {},
            _ = stop.changed() => {
                server.stop().await;
                break residents::clear(&recipe.directory).await;
            }
        };
        state.send_replace(State::Restarting);
        tracing::error!(%exit, "Postgres died; starting it again");
        wait = if began.elapsed() < GOOD_RUN {
            wait
        } else {
            Duration::ZERO
        };
        server = tokio::select! {
            server = start_again(&recipe, &mut wait) => server,
            _ = stop.changed() => break residents::clear(&recipe.directory).await,
        };
        tracing::info!(pid = server.pid(), "Postgres runs again");
        state.send_replace(State::Running { pid: server.pid() });
    };
    drop(recipe);
    state.send_replace(State::Stopped);
    outcome
}

/// Tries until it works. Each try waits longer than the one before, whether that failed or died young.
async fn start_again(recipe: &Recipe, wait: &mut Duration) -> Server {
    loop {
        tokio::time::sleep(*wait).await;
        *wait = (*wait * 2).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        match recipe.start().await {
            Ok(server) => return server,
            Err(error) => {
                tracing::error!(%error, next_try_ms = wait.as_millis(), "Postgres could not be started again");
            }
        }
    }
}

async fn keep_log_small(recipe: &Recipe) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(LOG_INTERVAL).await;
        if let Err(error) = log::keep_small(&recipe.directory.log()) {
            tracing::warn!(%error, "could not put the log of Postgres aside");
        }
    }
}
