//! Word of commits: from this process at once, from other servers through `LISTEN`. A hint only: whoever
//! waits reads the log at its own sequence, and looks now and then without a hint too.

use std::time::Duration;

use sqlx::{Executor, PgExecutor, postgres::PgListener};
use tokio::{sync::Notify, time::Instant};

use super::{Error, PING, Store, in_time};

/// The channel on which `append` tells of commits.
const CHANNEL: &str = "dateline_feed";
/// Silence after which the connection is tested: one that died without a word sends nothing either.
const TEST_AFTER: Duration = Duration::from_secs(5);

/// A connection that hears of commits.
#[derive(Debug)]
pub struct Wake {
    listener: PgListener,
    heard_at: Instant,
}

impl Store {
    /// Listens for commits of every server on this database.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn listen(&self) -> Result<Wake, Error> {
        // A pool of its own: the connection is held for good, and must not come from one that others wait for.
        let pool = sqlx::postgres::PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PING)
            .connect_lazy_with(self.options.clone());
        let mut listener = in_time(PING, PgListener::connect_with(&pool)).await?;
        listener.ignore_pool_close_event(true);
        listener.eager_reconnect(false);
        in_time(PING, listener.listen(CHANNEL)).await?;
        Ok(Wake {
            listener,
            heard_at: Instant::now(),
        })
    }
}

/// Tells every server to look, for another reason than a commit.
pub(super) async fn tell(connection: impl PgExecutor<'_>) -> Result<(), Error> {
    sqlx::query!("SELECT pg_notify($1, '') AS told", CHANNEL)
        .fetch_one(connection)
        .await?;
    Ok(())
}

impl Wake {
    /// Waits for a commit of any server, for local word, or for the time to look anyway.
    ///
    /// # Errors
    /// When the connection was lost: notifications may be missing, so look, and listen anew.
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
        if self.heard_at.elapsed() >= TEST_AFTER {
            in_time(PING, self.listener.execute("SELECT 1")).await?;
            self.heard_at = Instant::now();
        }
        Ok(())
    }
}
