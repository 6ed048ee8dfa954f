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
mod embargoes;
pub mod embedded;
mod error;
mod fingerprint;
mod group;
mod history;
mod identity;
mod languages;
mod list;
mod log;
mod pool;
mod reads;
mod references;
mod requests;
mod schema;
mod snapshot;
mod stored;
mod tally;
mod tokens;
mod wake;
mod world;

use std::{str::FromStr, time::Duration};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use self::pool::{Bounds, Doubt, Pool, in_time};
pub use self::{
    audit::{AuditEntry, AuditQuestion},
    committer::{CommitError, Committed, Committer},
    compaction::Compacted,
    embargoes::{Damaged, Due, Ended, Overdue},
    error::Error,
    fingerprint::Mark,
    history::RevisionEntry,
    identity::{Epoch, FeedIdentity, Standing, of_view},
    list::Page,
    log::{LogEntry, LogPage},
    references::{References, Resolved},
    snapshot::{Entry, Extract, Gone, SnapshotPage},
    stored::{StoredRecord, View},
    tokens::{Revoked, StoredToken, TokenEnds},
    wake::Wake,
};

/// Connections for pages of the log; more readers than that take turns.
pub const LOG_READERS: u32 = 3;
/// Connections for what everybody waits for.
const VITAL: u32 = 4;
/// Connections that write; the committer holds one at a time.
const WRITERS: u32 = 3;
/// Longest that a sign of life may take.
const PING: Duration = Duration::from_secs(2);
/// Time beyond the statement timeout, which a database that is there keeps by itself, until it is given up.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);
/// Longest that connecting may take when the service starts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle time after which a connection is tested before use: firewalls forget connections that say nothing.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(30);
/// Longest that migrations may take, waiting for those of another server included.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(30);

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
    readers: Pool,
    /// Pages of the log for streams that lag.
    feed: Pool,
    /// What everybody waits for: the tail, heads, health, embargoes.
    vital: Pool,
    writer: Pool,
    options: PgConnectOptions,
    doubt: Doubt,
}

/// Reads a URL, which may hold a password: what is wrong with it is told, it itself never.
fn options(url: &str) -> Result<PgConnectOptions, Error> {
    let schemes = ["postgres://", "postgresql://"];
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Error::Url("it does not begin with postgres://".to_owned()));
    }
    PgConnectOptions::from_str(url).map_err(|error| Error::Url(error.to_string()))
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
            // If this host vanishes, the database notices and frees what its sessions hold; and its probes keep firewalls
            // from forgetting quiet connections.
            ("tcp_keepalives_idle", "20"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            // Whatever the database's default is: acknowledged means durable (W1).
            ("synchronous_commit", "on"),
            // Statements here are short and many; compiling them costs more than running them, and `append`'s
            // planner settings make Postgres before 18 think that they are dear.
            ("jit", "off"),
        ]);
        // The first connection is made on its own, so that a wrong password is told at once and in full.
        let connecting = PgConnection::connect_with(&options);
        let mut first = in_time(CONNECT_TIMEOUT, connecting).await?;
        in_time(MIGRATION_TIMEOUT, schema::migrate(&mut first)).await?;
        drop(first);
        // The writer looks things up by key, whatever is known of the tables' sizes: a plan made while they were
        // empty must not scan them once they are large, and none is worth making twice.
        let keyed = options.clone().options([
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("plan_cache_mode", "force_generic_plan"),
        ]);
        let bounds = Bounds {
            acquire: settings.acquire_timeout,
            answer: settings.statement_timeout + ANSWER_MARGIN,
        };
        let doubt = Doubt::default();
        let tested_after = TEST_AFTER_IDLE;
        let pool = |size, options, test_after| Pool::new(size, options, bounds, test_after, &doubt);
        Ok(Self {
            readers: pool(settings.readers, &options, tested_after),
            // Pages of the log are few and large, and a stream should not end because a connection has died unseen.
            feed: pool(LOG_READERS, &options, Duration::ZERO),
            vital: pool(VITAL, &options, tested_after),
            writer: pool(WRITERS, &keyed, tested_after),
            options,
            doubt,
        })
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.probe(&self.vital, "SELECT true").await.map(drop)
    }

    /// Checks that the database takes writes, on a connection of those that write: it answers, and is neither a
    /// standby nor read-only.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping_writer(&self) -> Result<(), Error> {
        let question =
            "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'";
        if self.probe(&self.writer, question).await? {
            return Ok(());
        }
        let what = "the database is a standby, or read-only".to_owned();
        Err(Error::Unavailable(sqlx::Error::Protocol(what)))
    }

    /// Asks on a connection that may be old and, if that one says nothing, on a new one. If the new one answers, the old
    /// one is dead, and all of its age are in doubt.
    async fn probe(&self, pool: &Pool, question: &'static str) -> Result<bool, Error> {
        let mut known = pool.acquire().await?;
        known.probe_within(PING);
        let answer = sqlx::query_scalar(question).fetch_one(&mut known).await;
        if !known.is_silent() {
            return Ok(answer?);
        }
        drop(known);
        let answer = in_time(PING, async {
            let mut new = PgConnection::connect_with(&self.options).await?;
            sqlx::query_scalar(question).fetch_one(&mut new).await
        });
        let answer = answer.await?;
        self.doubt.begin();
        Ok(answer)
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
