//! Notifications of commits: from this process directly, from other servers through `LISTEN`. They are hints only: a
//! waiter reads the log after its own sequence, and polls now and then without a hint as well.

use std::time::Duration;

use sqlx::{Executor, PgExecutor, postgres::PgListener};
use tokio::{sync::Notify, time::Instant};

use super::{Error, PING_TIMEOUT, Store, in_time};

/// The channel on which `append` notifies of commits.
const CHANNEL: &str = "dateline_feed";
/// Idle time after which the connection is tested: a dead connection sends nothing either.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// A connection that receives notifications of commits.
#[derive(Debug)]
pub struct CommitListener {
    listener: PgListener,
    heard_at: Instant,
}

impl Store {
    /// Listens for commits of every server on this database.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn listen(&self) -> Result<CommitListener, Error> {
        // A pool of its own: the connection is held permanently, and must not be taken from a shared pool.
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PING_TIMEOUT)
            .connect_lazy_with(self.options.clone());
        let mut listener = in_time(PING_TIMEOUT, PgListener::connect_with(&pool)).await?;
        listener.ignore_pool_close_event(true);
        listener.eager_reconnect(false);
        in_time(PING_TIMEOUT, listener.listen(CHANNEL)).await?;
        Ok(CommitListener {
            listener,
            heard_at: Instant::now(),
        })
    }
}

/// Notifies every server for another reason than a commit.
pub(super) async fn send(connection: impl PgExecutor<'_>) -> Result<(), Error> {
    sqlx::query!("SELECT pg_notify($1, '') AS told", CHANNEL)
        .fetch_one(connection)
        .await?;
    Ok(())
}

impl CommitListener {
    /// Waits for a commit of any server, for a local notification, or until `at_most` has passed.
    ///
    /// # Errors
    /// If the connection was lost. Notifications may be missing: read the log, and listen again.
    pub async fn wait(&mut self, local: &Notify, at_most: Duration) -> Result<(), Error> {
        tokio::select! {
            () = local.notified() => {}
            () = tokio::time::sleep(at_most) => {}
            heard = self.listener.try_recv() => {
                if heard?.is_none() {
                    return Err(Error::Unavailable(sqlx::Error::WorkerCrashed));
                }
                self.heard_at = Instant::now();
            }
        }
        if self.heard_at.elapsed() >= PROBE_INTERVAL {
            in_time(PING_TIMEOUT, self.listener.execute("SELECT 1")).await?;
            self.heard_at = Instant::now();
        }
        Ok(())
    }
}
