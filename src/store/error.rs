//! What can go wrong in the store, and what a database error means to us. Constraints are known by name.
//! Driver text stays in here: it goes to the log, never to a client.

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database is away, starting, stopping or out of connections. Trying again later helps.
    #[error("the database cannot be reached")]
    Unavailable(#[source] sqlx::Error),
    /// The database took longer than the statement timeout.
    #[error("the database took too long")]
    TimedOut(#[source] sqlx::Error),
    /// The disk of the database is full.
    #[error("the database's disk is full")]
    DiskFull(#[source] sqlx::Error),
    /// Two writers made the same record at once; deciding again finds it there.
    #[error("another writer was faster")]
    Raced(#[source] sqlx::Error),
    /// A record of another name has this uid: what is loaded from another database is here already.
    #[error("a record of another name has this uid")]
    UidTaken(#[source] sqlx::Error),
    /// A rule of ours was broken, or the database answered something that it never should.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// What is stored cannot be read.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    /// The schema is not one that this version knows.
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
    /// What was given as the URL of the database is none.
    #[error("the URL of the database cannot be used: {0}")]
    Url(String),
    /// The committer is shutting down and takes no more.
    #[error("the service is shutting down")]
    ShuttingDown,
}

impl Error {
    /// The database did not answer at all.
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
                // The service draws uids by lot; the same one twice was brought along.
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
            // What is left are mistakes in our own statements.
            _ => Error::Database(error),
        }
    }
}

/// Constraints that a second writer can run into although the read set was checked.
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
