//! Errors of the store, and their mapping from database errors. Constraints are known by name. The driver's text goes
//! to the log, never to a client.

use dateline_engine::read_plan::ReadPlan;

/// The reason why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is down, starting, stopping or out of connections. A later retry can succeed.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// The database took longer than the statement timeout.
    #[error("the database took too long")]
    TimedOut(#[source] sqlx::Error),
    /// The disk of the database is full.
    #[error("the database's disk is full")]
    DiskFull(#[source] sqlx::Error),
    /// Two writers created the same record at once; the next decision will see it.
    #[error("another writer was faster")]
    Raced(#[source] sqlx::Error),
    /// A record of another name has this uid: the record that is loaded exists already.
    #[error("a record of another name has this uid")]
    UidTaken(#[source] sqlx::Error),
    /// A constraint was violated, or the database returned an unexpected error.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// Stored data cannot be read.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// A decision looked up data that was never read: a bug. Nothing was written.
    #[error("a decision needs what was never read: {0}")]
    NotRead(Box<ReadPlan>),
    /// The schema does not belong to this version.
    #[error("the database's schema cannot be used: {0}")]
    Schema(#[source] sqlx::migrate::MigrateError),
    /// The schema is one of a version that this one cannot follow.
    #[error("the database's schema cannot be used: {0}")]
    SchemaVersion(String),
    /// Tables of ours by name, and none of ours by what they are.
    #[error(
        "the database belongs to another program, whose table {0} is in the way; give Dateline a database of its own"
    )]
    Foreign(String),
    /// The URL of the database is invalid.
    #[error("the URL of the database cannot be used: {0}")]
    Url(String),
    /// The committer is shutting down and accepts no requests.
    #[error("the service is shutting down")]
    ShuttingDown,
}

impl Error {
    /// Returns the error for a database that did not answer at all.
    #[must_use]
    pub fn silent() -> Self {
        Self::Unavailable(sqlx::Error::PoolTimedOut)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                let constraint = database.constraint().filter(|_| code == "23505");
                // The service generates random uids; a duplicate can only have been loaded.
                if constraint == Some("records_uid_key") {
                    return Error::UidTaken(error);
                }
                let lost_race = constraint.is_some_and(|name| RACES.contains(&name));
                from_sqlstate(&code, lost_race, error)
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Error::Unavailable(error),
            // The rest are mistakes in our own statements.
            _ => Error::Database(error),
        }
    }
}

/// Constraints that a second writer can violate although the read set was checked.
const RACES: [&str; 3] = [
    "records_original_sha256_key",
    "records_pkey",
    "changes_name_revision_key",
];

fn from_sqlstate(code: &str, lost_race: bool, error: sqlx::Error) -> Error {
    match code {
        _ if lost_race => Error::Raced(error),
        "40001" | "40P01" => Error::Raced(error),
        "57014" | "55P03" => Error::TimedOut(error),
        "53100" => Error::DiskFull(error),
        // Out of memory or connections, shutting down, starting up, a standby, a lost connection.
        "53200" | "53300" | "57P01" | "57P02" | "57P03" | "25006" => Error::Unavailable(error),
        code if code.starts_with("08") => Error::Unavailable(error),
        _ => Error::Database(error),
    }
}
