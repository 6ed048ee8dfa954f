//! The only rooms that know SQL: the one write path, the log, reads, and the embedded Postgres.
//!
//! Nothing above sees a driver error, a row or a statement; nothing in here sees a gRPC status.

mod answers;
mod append;
mod audit;
mod columns;
mod committer;
mod compaction;
mod company;
pub mod embedded;
mod error;
mod group;
mod history;
mod identity;
mod languages;
mod list;
mod log;
mod reads;
mod requests;
mod snapshot;
mod stored;
mod tally;
mod tokens;
mod wake;
mod world;

use std::{str::FromStr, time::Duration};

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use self::{
    audit::{AuditEntry, AuditQuestion},
    committer::{CommitError, Committed, Committer},
    compaction::Compacted,
    error::Error,
    history::{Due, RevisionEntry},
    identity::{Epoch, FeedIdentity, Standing, of_view},
    list::Page,
    log::{LogEntry, LogPage},
    snapshot::{Entry, Extract, Gone, SnapshotPage},
    stored::{StoredRecord, View},
    tokens::{Revoked, StoredToken},
    wake::Wake,
};

/// Connections for pages of the log; more readers than that take turns.
pub const LOG_READERS: u32 = 3;
/// Longest that a sign of life may take.
const PING: Duration = Duration::from_secs(2);

/// How the store uses its database.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest that one statement may take.
    pub statement_timeout: Duration,
    /// Connections for reads by name and lists.
    pub readers: u32,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            statement_timeout: Duration::from_secs(10),
            readers: 16,
            acquire_timeout: Duration::from_secs(2),
        }
    }
}

/// The database, in pools by purpose: a flood of one kind of work leaves the others their connections.
#[derive(Debug, Clone)]
pub struct Store {
    readers: PgPool,
    /// Pages of the log for streams that lag.
    feed: PgPool,
    /// What everybody waits for: the tail, heads, health, embargoes.
    vital: PgPool,
    writer: PgPool,
    options: PgConnectOptions,
}

/// Tables of the schema, which another program may have by the same name.
const TABLES: [&str; 5] = ["feed", "changes", "records", "links", "requests"];

/// Reads a URL, which may hold a password: what is wrong with it is told, it itself never.
fn options(url: &str) -> Result<PgConnectOptions, Error> {
    let schemes = ["postgres://", "postgresql://"];
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::Url("it does not begin with postgres://".to_owned()));
    }
    PgConnectOptions::from_str(url).map_err(|error| Error::Url(error.to_string()))
}

/// Leaves a database alone that somebody else has laid out.
async fn refuse_foreign(connection: &mut sqlx::PgConnection) -> Result<(), Error> {
    let tables = TABLES.map(str::to_owned);
    let found: Option<String> = sqlx::query_scalar(
        "SELECT tablename::text
         FROM pg_tables
         WHERE schemaname = current_schema()
             AND tablename = ANY ($1)
             AND to_regclass('_sqlx_migrations') IS NULL
         LIMIT 1",
    )
    .bind(&tables[..])
    .fetch_optional(connection)
    .await?;
    found.map_or(Ok(()), |table| Err(Error::Foreign(table)))
}

impl Store {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// When the database is away, refuses us, or has a schema of a newer version.
    pub async fn connect(url: &str, settings: &Settings) -> Result<Self, Error> {
        let timeout = settings.statement_timeout.as_millis().to_string();
        let options = options(url)?.application_name("dateline").options([
            ("statement_timeout", timeout.as_str()),
            ("lock_timeout", timeout.as_str()),
            ("idle_in_transaction_session_timeout", "10s"),
            // Whatever the database's default is: acknowledged means durable (W1).
            ("synchronous_commit", "on"),
            // Statements here are short and many; compiling them costs more than running them, and `append`'s
            // planner settings make Postgres before 18 think that they are dear.
            ("jit", "off"),
        ]);
        // The first connection is made on its own, so that a wrong password is told at once and in full.
        let mut first = <sqlx::PgConnection as sqlx::Connection>::connect_with(&options).await?;
        sqlx::query("SET statement_timeout = 0")
            .execute(&mut first)
            .await?;
        refuse_foreign(&mut first).await?;
        sqlx::migrate!()
            .run(&mut first)
            .await
            .map_err(Error::Schema)?;
        languages::respell(&mut first).await?;
        drop(first);
        // The writer looks things up by key, whatever is known of the tables' sizes: a plan made while they were
        // empty must not scan them once they are large, and none is worth making twice.
        let keyed = options.clone().options([
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("plan_cache_mode", "force_generic_plan"),
        ]);
        let pool = |size| {
            PgPoolOptions::new()
                .max_connections(size)
                .acquire_timeout(settings.acquire_timeout)
                // A ping per acquire doubles the cost of a read; a dead connection answers with an error anyway.
                .test_before_acquire(false)
                .max_lifetime(Duration::from_mins(30))
        };
        let lazy = |pool: PgPoolOptions, options: &PgConnectOptions| {
            pool.connect_lazy_with(options.clone())
        };
        Ok(Self {
            readers: lazy(pool(settings.readers), &options),
            // Pages of the log are few and large, and a stream should not end because a connection has died unseen.
            feed: lazy(pool(LOG_READERS).test_before_acquire(true), &options),
            vital: lazy(pool(4), &options),
            writer: lazy(pool(2), &keyed),
            options,
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        let answered = sqlx::query("SELECT 1").execute(&self.vital);
        // A database that is cut off without a word answers nothing at all.
        match tokio::time::timeout(PING, answered).await {
            Ok(answer) => answer.map(drop).map_err(Error::from),
            Err(_) => Err(Error::Unavailable(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Closes every connection, after the statements on them have ended.
    pub async fn close(&self) {
        tokio::join!(
            self.readers.close(),
            self.feed.close(),
            self.vital.close(),
            self.writer.close()
        );
    }
}
