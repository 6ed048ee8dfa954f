//! The version of the feed's row. Every commit writes that row, and so does everything else that changes what reads
//! return, so two reads of the same version have nothing between them.

use std::time::Duration;

use super::{
    error::Error,
    pool::{Lease, Pool},
};

/// Longest wait for the version. Who gets none reads the database instead, where the usual bounds apply.
const VERSION_TIMEOUT: Duration = Duration::from_secs(1);

/// A version of the row of `feed`: an equal one, read later, proves that nothing was committed in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedVersion {
    epoch: i64,
    desk_head: i64,
    /// The transaction that wrote the row. Some write it without a new sequence, and a restored database has the same
    /// epochs and sequences.
    written_by: i64,
}

impl FeedVersion {
    /// Wraps the columns of the row.
    pub(super) fn new(epoch: i64, desk_head: i64, written_by: i64) -> Self {
        Self {
            epoch,
            desk_head,
            written_by,
        }
    }
}

/// Reads the version on a connection that it keeps: a pool tests each connection that is returned, which would double
/// the cost.
#[derive(Debug)]
pub struct VersionReader {
    pool: Pool,
    connection: Option<Lease>,
}

impl VersionReader {
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            connection: None,
        }
    }

    /// Returns the version at a moment after the call.
    ///
    /// # Errors
    /// If the database does not answer within a second. The database of the next answer may be another one, restored
    /// from a backup.
    pub async fn read(&mut self) -> Result<FeedVersion, Error> {
        // Put back after the answer only: a connection whose statement was given up goes back to the pool.
        let mut connection = match self.connection.take().filter(|it| !it.is_in_doubt()) {
            Some(connection) => connection,
            None => self.pool.acquire().await?,
        };
        connection.probe_within(VERSION_TIMEOUT);
        let row = sqlx::query!(
            r#"SELECT epoch, desk_head, xmin::text::bigint AS "written_by!" FROM feed"#
        )
        .fetch_one(&mut connection)
        .await?;
        self.connection = Some(connection);
        Ok(FeedVersion::new(row.epoch, row.desk_head, row.written_by))
    }
}
