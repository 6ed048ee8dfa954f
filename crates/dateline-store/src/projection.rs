//! Projections: tables that follow the log, behind the commits. A projector reads the heads among the changes after a
//! projection's position in large groups, and lets it write their rows.
//!
//! Guarantees: rows and position are written together, by one statement that starts from the position that was read
//! (`advance_projection`). Steps are therefore taken once and in order by any number of servers, and a crash repeats at
//! most the reading. When the position is at the head, the rows are those that a projection from the beginning would
//! make. A purge removes its record's rows in its own transaction (W11).
//!
//! One server works on a projection at a time. That only spares the others the reading: it is a hint with an end, and
//! the position decides.

mod actor_keys;
mod documents;
mod rows;
mod search;
mod step;

use std::time::Duration;

use uuid::Uuid;

pub(crate) use self::actor_keys::{NAME as ACTOR_KEYS, hash};
use self::step::{Projection, Step, read_heads};
use super::{
    Error,
    pool::{Lease, Pool},
};

/// All projections.
const PROJECTIONS: [Projection; 4] = [
    documents::DOCUMENTS,
    actor_keys::ACTOR_KEYS,
    search::SEARCH,
    search::REBUILD,
];
/// Most changes of a step. It is halved while steps take too long.
const MAX_STEP: i64 = 1000;
/// Time for which a server keeps the others from the projection that it works on.
const WORKER_LEASE: Duration = Duration::from_secs(5);

/// The state of a projection after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectionStatus {
    /// Its name.
    pub name: &'static str,
    /// Changes that are not projected yet.
    pub changes_behind: u64,
    /// Seconds since the first of them was accepted; 0 if there is none.
    pub seconds_behind: f64,
    /// True if this server took a step and there is another one to take.
    pub has_more: bool,
}

/// Takes steps of all projections, on behalf of one server.
#[derive(Debug)]
pub struct Projector {
    writer: Pool,
    /// This server, beside the others that work on the same database.
    worker: Uuid,
    max_step: i64,
}

/// A projection as the database has it.
struct Stored {
    version: i32,
    epoch: i64,
    position: i64,
    feed_epoch: i64,
    head: i64,
    changes_behind: i64,
    seconds_behind: f64,
}

impl Projector {
    /// Returns a projector that writes on these connections.
    pub(super) fn new(writer: Pool) -> Self {
        Self {
            writer,
            worker: Uuid::now_v7(),
            max_step: MAX_STEP,
        }
    }

    /// Takes the next step of each projection, unless another server works on it, and returns how far behind each is.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn step(&mut self) -> Result<Vec<ProjectionStatus>, Error> {
        let mut statuses = Vec::with_capacity(PROJECTIONS.len());
        for projection in &PROJECTIONS {
            let mut connection = self.writer.acquire().await?;
            let stored = find(&mut connection, projection).await?;
            let has_more = match self.advance(&mut connection, projection, &stored).await {
                // Large records take longer; the same step would time out again and again.
                Err(Error::TimedOut(_)) if self.max_step > 1 => {
                    self.max_step /= 2;
                    true
                }
                advanced => advanced?,
            };
            statuses.push(ProjectionStatus {
                name: projection.name,
                changes_behind: u64::try_from(stored.changes_behind).unwrap_or(0),
                seconds_behind: stored.seconds_behind,
                has_more,
            });
        }
        Ok(statuses)
    }

    /// Takes a step; returns true if there is another one to take.
    async fn advance(
        &mut self,
        connection: &mut Lease,
        projection: &Projection,
        stored: &Stored,
    ) -> Result<bool, Error> {
        if stored.version < projection.version
            || stored.version == projection.version && stored.epoch != stored.feed_epoch
        {
            return restart(connection, projection).await;
        }
        // A later version of the server makes other rows: they are left to it.
        if stored.version > projection.version
            || stored.position >= stored.head
            || !self.claim(connection, projection).await?
        {
            return Ok(false);
        }
        let step = Step {
            version: stored.version,
            epoch: stored.epoch,
            from: stored.position,
            to: stored.head.min(stored.position + self.max_step),
        };
        let (step, heads) = read_heads(connection, step).await?;
        let has_more = step.to < stored.head;
        let advanced = (projection.apply)(connection, step, heads).await?;
        self.max_step = (self.max_step * 2).min(MAX_STEP);
        Ok(advanced && has_more)
    }

    /// Keeps other servers from a projection for a while; returns false if one of them works on it.
    async fn claim(&self, connection: &mut Lease, projection: &Projection) -> Result<bool, Error> {
        let claimed = sqlx::query!(
            "UPDATE projections SET worker = $2, worker_until = clock_timestamp() + make_interval(secs => $3)
             WHERE name = $1 AND (worker = $2 OR worker_until < clock_timestamp())",
            projection.name,
            self.worker,
            WORKER_LEASE.as_secs_f64(),
        )
        .execute(connection)
        .await?;
        Ok(claimed.rows_affected() > 0)
    }
}

async fn find(connection: &mut Lease, projection: &Projection) -> Result<Stored, Error> {
    let stored = sqlx::query_as!(
        Stored,
        r#"SELECT projections.version, projections.epoch, projections.position,
                  feed.epoch AS feed_epoch, coalesce(projections.until, feed.desk_head) AS "head!",
                  projection_lag.changes_behind AS "changes_behind!",
                  extract(epoch FROM projection_lag.behind)::float8 AS "seconds_behind!"
           FROM projections
           JOIN projection_lag ON projection_lag.name = projections.name
           CROSS JOIN feed
           WHERE projections.name = $1"#,
        projection.name,
    );
    Ok(stored.fetch_one(connection).await?)
}

/// Lets a projection begin again. Not beside the old one: people read its rows until the step that passes their
/// records, a purge has one table to erase from, and the disk holds one.
async fn restart(connection: &mut Lease, projection: &Projection) -> Result<bool, Error> {
    let restarted = sqlx::query_scalar!(
        r#"SELECT restart_projection($1, $2) AS "restarted!""#,
        projection.name,
        projection.version,
    )
    .fetch_one(connection)
    .await?;
    if restarted {
        tracing::info!(
            projection = projection.name,
            version = projection.version,
            "a projection begins again"
        );
    }
    Ok(restarted)
}
