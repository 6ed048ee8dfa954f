//! Access to the database: the only crate with SQL, for the write path, the log and reads.
//!
//! Callers never see a driver error, a row or a statement; this crate knows no gRPC status.

mod actor_names;
mod append;
mod append_args;
mod audit;
mod candidates;
mod columns;
mod commit_batch;
mod committer;
mod compaction;
mod embargoes;
mod error;
mod fingerprint;
mod history;
mod identity;
mod languages;
mod list;
mod log;
mod notify;
mod outcome;
mod pool;
mod positions;
mod projection;
mod read_round;
mod read_view;
mod reads;
mod references;
mod requests;
mod schema;
mod search;
mod snapshot;
mod stored;
mod tally;
mod tokens;
mod version;
mod visible_rows;

use std::{str::FromStr, time::Duration};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use self::pool::{Doubt, Pool, PoolTimeouts, in_time};
pub use self::{
    actor_names::{ActorHead, ActorPage, ActorReader},
    audit::{AuditEntry, AuditQuery},
    candidates::{CandidateReader, Candidates, Created, MAX_CANDIDATES},
    committer::{CommitError, Committed, Committer},
    compaction::Compacted,
    embargoes::{DamagedEmbargo, DueEmbargo, DueEmbargoes, OverdueEmbargoes},
    error::Error,
    fingerprint::Mark,
    history::RevisionEntry,
    identity::{Epoch, FeedIdentity, FeedStatus},
    list::RecordPage,
    log::{LogEntry, LogPage},
    notify::CommitListener,
    positions::Positions,
    projection::{ProjectionStatus, Projector},
    references::{References, ResolvedReference, ResolvedReferences},
    search::{SearchAfter, SearchIndex, SearchOrder, SearchQuery, SearchRow, SearchRows},
    snapshot::{Removed, SnapshotEntry, SnapshotPage, SnapshotQuery},
    stored::{FeedView, FittingRecords, StoredRecord},
    tokens::{StoredToken, TokenExpiries, TokenOutcome},
    version::{FeedVersion, VersionReader},
};

/// Connections for pages of the log; further readers wait for one.
pub const LOG_READERS: u32 = 3;
/// Connections for work on which all callers depend. One reads versions.
const CONTROL_POOL_SIZE: u32 = 5;
/// Connections that write; the committer and the projector hold one at a time.
const WRITER_POOL_SIZE: u32 = 3;
/// Connections for searches, which take longer than other reads.
const SEARCH_POOL_SIZE: u32 = 4;
/// Longest wait for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Time beyond the statement timeout before a connection is given up. A database that is up enforces the statement
/// timeout itself.
const RESPONSE_MARGIN: Duration = Duration::from_secs(2);
/// Longest wait for a connection when the service starts.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle time after which a connection is tested before use: firewalls drop idle connections.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(30);
/// Longest time for migrations, including the wait for those of another server.
const MIGRATION_TIMEOUT: Duration = Duration::from_mins(30);

/// Settings of the store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Maximum time of one statement.
    pub statement_timeout: Duration,
    /// Number of connections for reads.
    pub read_pool_size: u32,
    /// Longest wait for a free connection.
    pub acquire_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            statement_timeout: Duration::from_secs(10),
            read_pool_size: 16,
            acquire_timeout: Duration::from_secs(2),
        }
    }
}

/// The database, with one connection pool per purpose: a flood of one kind of work does not starve the others.
#[derive(Debug, Clone)]
pub struct Store {
    readers: Pool,
    /// Pages of the log for streams that lag.
    feed: Pool,
    /// Work on which all callers depend: the tail, heads, health, embargoes.
    control: Pool,
    /// Searches.
    search: Pool,
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
    /// Connects and migrates the schema.
    ///
    /// # Errors
    /// If the database is unreachable, refuses the connection, or has a schema of a newer version.
    pub async fn connect(url: &str, settings: &Settings) -> Result<Self, Error> {
        let timeout = settings.statement_timeout.as_millis().to_string();
        let options = options(url)?.application_name("dateline").options([
            ("statement_timeout", timeout.as_str()),
            ("lock_timeout", timeout.as_str()),
            ("idle_in_transaction_session_timeout", "10s"),
            // If this host vanishes, the database detects it and frees what its sessions hold. The probes also keep
            // firewalls from dropping idle connections.
            ("tcp_keepalives_idle", "20"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            // Independent of the database's default: an acknowledged write is durable (W1).
            ("synchronous_commit", "on"),
            // Statements are short and frequent; compiling them costs more than running them. The planner settings of
            // `append` raise estimated costs, at which Postgres before 18 would compile.
            ("jit", "off"),
        ]);
        // The first connection is made separately, so that a wrong password is reported at once and in full.
        let connecting = PgConnection::connect_with(&options);
        let mut first = in_time(CONNECT_TIMEOUT, connecting).await?;
        in_time(MIGRATION_TIMEOUT, schema::migrate(&mut first)).await?;
        drop(first);
        // The writer reads by key, whatever the statistics say: a plan made while the tables were empty must not scan
        // them once they are large. Generic plans are made once.
        let by_key = [
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
        ];
        let keyed = options
            .clone()
            .options(by_key)
            .options([("plan_cache_mode", "force_generic_plan")]);
        // A search takes the first matches of an index and looks up their records: for words that many have, a join of
        // whole tables seems cheaper to the planner, and takes half a second.
        let indexed = options.clone().options(by_key);
        let indexed = indexed.options([("max_parallel_workers_per_gather", "0")]);
        let bounds = PoolTimeouts {
            acquire: settings.acquire_timeout,
            answer: settings.statement_timeout + RESPONSE_MARGIN,
        };
        let doubt = Doubt::default();
        let tested_after = TEST_AFTER_IDLE;
        let pool = |size, options, test_after| Pool::new(size, options, bounds, test_after, &doubt);
        Ok(Self {
            readers: pool(settings.read_pool_size, &options, tested_after),
            // Pages of the log are few and large, and a stream should not end because a connection has died unseen.
            feed: pool(LOG_READERS, &options, Duration::ZERO),
            control: pool(CONTROL_POOL_SIZE, &options, tested_after),
            search: pool(SEARCH_POOL_SIZE, &indexed, tested_after),
            writer: pool(WRITER_POOL_SIZE, &keyed, tested_after),
            options,
            doubt,
        })
    }

    /// Returns a reader of the feed's version. It keeps a connection from its first read on.
    #[must_use]
    pub fn version_reader(&self) -> VersionReader {
        VersionReader::new(self.control.clone())
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.probe(&self.control, "SELECT true").await.map(drop)
    }

    /// Checks, on a connection of the writer pool, that the database accepts writes: it answers, and is neither a
    /// standby nor read-only.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping_writer(&self) -> Result<(), Error> {
        let question =
            "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'";
        if self.probe(&self.writer, question).await? {
            return Ok(());
        }
        let what = "the database is a standby, or read-only".to_owned();
        Err(Error::Unavailable(sqlx::Error::Protocol(what)))
    }

    /// Runs a query on a pooled connection and, if there is none or it does not answer, on a new one. If the new one answers, the old
    /// one is dead, and all connections of its age are in doubt. If neither answers, they are in doubt as soon as the
    /// database answers again: then the wait on a connection that died meanwhile must not last to its end.
    async fn probe(&self, pool: &Pool, question: &'static str) -> Result<bool, Error> {
        // Without a free connection, those of the pool may be dead as well.
        if let Ok(mut known) = pool.acquire().await {
            known.probe_within(PING_TIMEOUT);
            let answer = sqlx::query_scalar(question).fetch_one(&mut known).await;
            if !known.is_silent() {
                self.doubt.answered();
                return Ok(answer?);
            }
        }
        self.doubt.suspect();
        let answer = in_time(PING_TIMEOUT, async {
            let mut new = PgConnection::connect_with(&self.options).await?;
            sqlx::query_scalar(question).fetch_one(&mut new).await
        });
        let answer = answer.await?;
        self.doubt.answered();
        Ok(answer)
    }

    /// Returns a reader of actors that may be the same.
    #[must_use]
    pub fn candidates(&self) -> CandidateReader {
        CandidateReader::new(self.readers.clone())
    }

    /// Returns a reader of actors in the order of the log.
    #[must_use]
    pub fn actors(&self) -> ActorReader {
        ActorReader::new(self.control.clone())
    }

    /// Returns access to the search index.
    #[must_use]
    pub fn search_index(&self) -> SearchIndex {
        SearchIndex::new(
            self.search.clone(),
            self.control.clone(),
            self.writer.clone(),
        )
    }

    /// Returns a projector of this server.
    #[must_use]
    pub fn projector(&self) -> Projector {
        Projector::new(self.writer.clone())
    }

    /// Closes every connection after its running statements have ended.
    pub async fn close(&self) {
        tokio::join!(
            self.readers.close(),
            self.feed.close(),
            self.control.close(),
            self.search.close(),
            self.writer.close()
        );
    }
}
