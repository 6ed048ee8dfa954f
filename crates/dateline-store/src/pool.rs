//! Connection pools with a bound on every wait: for a connection, for a statement's answer, and for the return of the
//! connection. A database machine can vanish silently (no RST, no FIN); then only a timeout ends a wait, since sqlx has
//! no keepalive and no limit on its pings.
//!
//! A connection that did not answer in time is in doubt: it is closed, not returned to the pool. Older connections are
//! then closed before their next use, and statements that wait on them are given up. Except at start, no other file of
//! the store holds a connection of the driver.
//!
//! A connection whose last statement has ended is kept in `spare` for the next use. The driver's pool would test it
//! first, with a round trip to the database.

mod spare;

use std::{
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    StreamExt, TryStreamExt, future::BoxFuture, pin_mut, stream, stream::BoxStream,
};
use sqlx::{
    Connection as _, Describe, Either, Execute, Executor, PgConnection, PgPool, Postgres, SqlStr,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until, timeout},
};

use self::spare::{Spare, Spares};
use super::error::Error;

/// Longest time for the test of an idle connection.
const TEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest wait of a statement on a connection that is older than one that was found dead.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(2);
/// Age at which a connection is closed.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

/// The bounds of a pool's waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolTimeouts {
    /// Longest wait for a free connection, including the time to open one.
    pub acquire: Duration,
    /// Longest wait for the answers to all statements of one lease.
    pub answer: Duration,
}

/// The times at which a connection was last found dead, shared by all pools of a database. Connections made before them
/// are in doubt.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    /// A connection did not answer: statements on others of its age may wait for ever.
    silent: watch::Sender<Instant>,
    /// A connection was closed: others of its age may be closed too, and will report an error themselves.
    closed: watch::Sender<Instant>,
    /// A probe was not answered, neither by a connection of a pool nor by a new one: whether the database is away or
    /// connections are dead, or both, is known when it answers again.
    is_suspected: watch::Sender<bool>,
}

impl Default for Doubt {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            silent: watch::Sender::new(now),
            closed: watch::Sender::new(now),
            is_suspected: watch::Sender::new(false),
        }
    }
}

impl Doubt {
    /// Puts every present connection in doubt, because one of them did not answer.
    pub(super) fn begin(&self) {
        metrics::counter!("dateline_database_dead_connections_total").increment(1);
        self.silent.send_replace(Instant::now());
    }

    /// Notes that a probe had no answer, so that present connections are put in doubt once the database answers.
    pub(super) fn suspect(&self) {
        self.is_suspected.send_replace(true);
    }

    /// Notes that the database answers a probe. After one without an answer, connections that were open in between may
    /// be dead.
    pub(super) fn answered(&self) {
        if self.is_suspected.send_replace(false) {
            self.begin();
        }
    }

    fn covers(&self, created_at: Instant) -> bool {
        created_at < *self.silent.borrow() || created_at < *self.closed.borrow()
    }
}

/// Connections for one purpose; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    connections: PgPool,
    /// One for each connection, so that who waits gets a spare one.
    permits: Arc<Semaphore>,
    spares: Spares,
    test_after: Duration,
    bounds: PoolTimeouts,
    doubt: Doubt,
}

impl Pool {
    /// Returns a pool that connects on first use. Connections that were idle for `test_after` are tested before use.
    /// They are not tested every time, because a ping doubles the cost of a read, and a closed connection returns an
    /// error anyway.
    pub(super) fn new(
        size: u32,
        options: &PgConnectOptions,
        bounds: PoolTimeouts,
        test_after: Duration,
        doubt: &Doubt,
    ) -> Self {
        let known = doubt.clone();
        let connections = PgPoolOptions::new()
            .max_connections(size)
            .acquire_timeout(bounds.acquire)
            .test_before_acquire(false)
            .max_lifetime(MAX_LIFETIME)
            .before_acquire(move |connection, metadata| {
                let created_at = Instant::now().checked_sub(metadata.age);
                let in_doubt = created_at.is_some_and(|at| known.covers(at));
                let test = metadata.idle_for >= test_after;
                Box::pin(async move {
                    if in_doubt || !test {
                        return Ok(!in_doubt);
                    }
                    match timeout(TEST_TIMEOUT, connection.ping()).await {
                        Ok(answer) => answer.map(|()| true),
                        Err(_) => Ok(false),
                    }
                })
            })
            .connect_lazy_with(options.clone());
        Self {
            connections,
            permits: Arc::new(Semaphore::new(size as usize)),
            spares: Spares::default(),
            test_after,
            bounds,
            doubt: doubt.clone(),
        }
    }

    /// Acquires a connection.
    ///
    /// # Errors
    /// If none is free within the bound.
    pub(super) async fn acquire(&self) -> Result<Lease, sqlx::Error> {
        let permit = timeout(self.bounds.acquire, self.permits.clone().acquire_owned());
        let permit = permit.await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let permit = permit.map_err(|_| sqlx::Error::PoolClosed)?;
        let asked_at = Instant::now();
        let spare = match self.spare().await {
            Some(spare) => spare,
            None => Spare::new(self.connect().await?),
        };
        Ok(Lease {
            connection: Some(spare),
            spares: self.spares.clone(),
            _permit: permit,
            asked_at,
            is_busy: false,
            answer: self.bounds.answer,
            deadline: Instant::now() + self.bounds.answer,
            is_probe: false,
            silent: false,
            doubt: self.doubt.clone(),
        })
    }

    /// Opens a connection, or takes one that the driver has. The permit ensures that there is room for it, so an error
    /// is one of the database.
    async fn connect(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let connection = self.connections.acquire().await;
        connection.inspect_err(|_| self.doubt.suspect())
    }

    /// Acquires a connection and begins a transaction, which is rolled back unless it is committed.
    ///
    /// # Errors
    /// If there is no connection, or the database does not answer.
    pub(super) async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        let mut lease = self.acquire().await?;
        (&mut lease).execute("BEGIN").await?;
        Ok(Transaction {
            lease,
            is_over: false,
        })
    }

    /// Returns a spare connection that is fit for use; closes those that are not. It is tested as one of the driver's
    /// pool would be.
    async fn spare(&self) -> Option<Spare> {
        loop {
            let mut spare = self.spares.pop()?;
            if self.doubt.covers(spare.idle_since()) || spare.age() >= MAX_LIFETIME {
                spare.close();
                continue;
            }
            if spare.idle_since().elapsed() < self.test_after {
                return Some(spare);
            }
            match timeout(TEST_TIMEOUT, spare.connection.ping()).await {
                Ok(Ok(())) => return Some(spare),
                Ok(Err(_)) | Err(_) => spare.close(),
            }
        }
    }

    pub(super) async fn close(&self) {
        self.permits.close();
        self.spares.close();
        self.connections.close().await;
    }
}

/// A connection from a pool. The deadline of the lease bounds every statement on it.
pub(super) struct Lease {
    /// `Some` until the lease is dropped.
    connection: Option<Spare>,
    spares: Spares,
    _permit: OwnedSemaphorePermit,
    /// True if a statement may not have ended: it failed, or its answer was not read to the end.
    is_busy: bool,
    /// Time of the request. The connection may be older, but was not in doubt then.
    asked_at: Instant,
    answer: Duration,
    deadline: Instant,
    /// A missing answer does not put other connections in doubt.
    is_probe: bool,
    /// The database did not answer in time.
    silent: bool,
    doubt: Doubt,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("silent", &self.silent)
            .finish_non_exhaustive()
    }
}

impl Lease {
    /// Restarts the deadline for the next piece of work.
    pub(super) fn renew(&mut self) {
        self.deadline = Instant::now() + self.answer;
    }

    /// Sets a shorter deadline for a probe: its answer may just be late, so a missing one puts no other connection in
    /// doubt.
    pub(super) fn probe_within(&mut self, answer: Duration) {
        self.deadline = Instant::now() + answer.min(self.answer);
        self.is_probe = true;
    }

    /// True if a connection of its age, or an older one, was found dead since it was acquired.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.covers(self.asked_at)
    }

    /// True if the database did not answer in time.
    pub(super) fn is_silent(&self) -> bool {
        self.silent
    }

    fn parts(&mut self) -> Result<(&mut PgConnection, StatementWait<'_>), sqlx::Error> {
        let connection = self.connection.as_mut();
        let connection = connection.filter(|_| !self.silent).ok_or_else(no_answer)?;
        let connection: &mut PgConnection = &mut connection.connection;
        self.is_busy = true;
        let wait = StatementWait {
            is_busy: &mut self.is_busy,
            created_at: self.asked_at,
            deadline: self.deadline,
            is_probe: self.is_probe,
            silent: &mut self.silent,
            doubt: &self.doubt,
        };
        Ok((connection, wait))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // Close the socket at once, without waiting for the database.
        if self.silent {
            connection.close();
            return;
        }
        let unclean = if self.is_busy {
            Some(connection)
        } else {
            self.spares.push(connection).err()
        };
        let Some(Spare { mut connection, .. }) = unclean else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        // Returning waits for cancelled statements and a ping: without a bound, a dead connection would occupy its slot
        // in the pool for ever. One that is in doubt is not waited for: dead ones would take all the slots of a pool.
        let (answer, giving_back) = (self.answer, connection.return_to_pool());
        let (mut silent, asked_at) = (self.doubt.silent.subscribe(), self.asked_at);
        runtime.spawn(async move {
            tokio::select! {
                _ = timeout(answer, giving_back) => {}
                _ = silent.wait_for(|at| *at > asked_at) => {}
            }
        });
    }
}

/// The bound of one wait.
struct StatementWait<'a> {
    is_busy: &'a mut bool,
    created_at: Instant,
    deadline: Instant,
    is_probe: bool,
    silent: &'a mut bool,
    doubt: &'a Doubt,
}

impl StatementWait<'_> {
    async fn bound<T>(
        &mut self,
        answer: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        pin_mut!(answer);
        let (asked_at, created_at) = (Instant::now(), self.created_at);
        let mut changed = self.doubt.silent.subscribe();
        let in_doubt = async {
            // The sender lives as long as this lease, so the receiver cannot fail.
            let _ = changed.wait_for(|at| *at > created_at).await;
            sleep_until(asked_at + DOUBT_TIMEOUT).await;
        };
        tokio::select! {
            biased;
            answer = &mut answer => {
                if matches!(answer, Err(sqlx::Error::Io(_))) {
                    self.doubt.closed.send_replace(Instant::now());
                }
                return answer;
            }
            () = sleep_until(self.deadline) => {}
            () = in_doubt => {}
        }
        if !self.is_probe && Instant::now() >= self.deadline {
            self.doubt.begin();
        }
        *self.silent = true;
        Err(no_answer())
    }
}

fn no_answer() -> sqlx::Error {
    let what = "the database did not answer in time; the connection was closed";
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what))
}

impl<'c> Executor<'c> for &'c mut Lease {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (connection, wait) = match self.parts() {
            Ok(parts) => parts,
            Err(error) => return stream::once(std::future::ready(Err(error))).boxed(),
        };
        let rows = connection.fetch_many(query);
        let bounded = stream::try_unfold((rows, wait), |(mut rows, mut wait)| async move {
            let next = wait.bound(rows.try_next()).await?;
            *wait.is_busy = next.is_some();
            Ok(next.map(|next| (next, (rows, wait))))
        });
        bounded.boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let (connection, mut wait) = self.parts()?;
            let row = wait.bound(connection.fetch_optional(query)).await?;
            *wait.is_busy = false;
            Ok(row)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let (connection, mut wait) = self.parts()?;
            wait.bound(connection.prepare_with(sql, parameters)).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let (connection, mut wait) = self.parts()?;
            wait.bound(connection.describe(sql)).await
        })
    }
}

/// A transaction on a connection of its own.
#[derive(Debug)]
pub(super) struct Transaction {
    lease: Lease,
    is_over: bool,
}

impl Transaction {
    /// Commits the transaction.
    ///
    /// # Errors
    /// If the database cannot answer; the outcome is then unknown.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        (&mut self.lease).execute("COMMIT").await?;
        self.is_over = true;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        // Closing the connection rolls back.
        if !self.is_over {
            self.lease.silent = true;
        }
    }
}

impl Deref for Transaction {
    type Target = Lease;

    fn deref(&self) -> &Lease {
        &self.lease
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Lease {
        &mut self.lease
    }
}

/// Bounds a wait other than for a statement: connecting, migrating, listening.
///
/// # Errors
/// [`Error::Unavailable`] if it takes longer.
pub(super) async fn in_time<T, E: Into<Error>>(
    bound: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    match timeout(bound, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(no_answer().into()),
    }
}
